# shellcheck shell=bash
# One customer, who is curious. What fails here is meant to fail.
visit() {
    echo "$*"
    curl --silent --show-error --max-time 10 "$@"
}

visit http://web/
visit "http://web/item?name=lamp"
visit "http://web/item?name=chair"
visit --insecure "https://shop.example/item?name=lamp"
visit "http://web/picture?file=lamp.txt"
# Nothing listens there.
visit http://web:81/
# There is no such name.
visit http://nowhere.example/
# The bug of the shop.
visit "http://web/picture?file=../../etc/shadow" | grep --count :
exit 0
