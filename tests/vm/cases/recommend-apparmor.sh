#!/bin/sh
# A shell script and a Python program in ringfence's own sandbox, then under the AppArmor profile that is recommended for them: they do
# their work, and are denied what they were not seen to do.
# Needs RINGFENCE_BIN, and apparmor_parser and python3 on the machine.
set -eu

work=/opt/ringfence-tested
mkdir -p "$work/data" /sys/kernel/security
[ -d /sys/kernel/security/apparmor ] || mount -t securityfs securityfs /sys/kernel/security
[ "$(cat /sys/module/apparmor/parameters/enabled)" = Y ] || { echo "no AppArmor in this kernel"; exit 1; }

cp "$(dirname "$0")/../workload.py" "$work/"
cat >"$work/script" <<'SCRIPT'
echo line >"/opt/ringfence-tested/data/$$"
chmod 600 "/opt/ringfence-tested/data/$$"
rm "/opt/ringfence-tested/data/$$"
exec /usr/bin/python3 /opt/ringfence-tested/workload.py
SCRIPT

"$RINGFENCE_BIN" record --quiet --out "$work/reports" -- /bin/sh "$work/script"
"$RINGFENCE_BIN" recommend "$work"/reports/*.json --target apparmor --out "$work/profile"
name=$(sed -n 's/^profile \([^ ]*\) .*/\1/p' "$work/profile")
apparmor_parser --replace --skip-cache "$work/profile"
grep -q "^$name (enforce)" /sys/kernel/security/apparmor/profiles || { echo "$name is not loaded"; exit 1; }

# confined COMMAND... : runs it under the profile.
confined() {
    sh -c 'echo "exec $0" >/proc/self/attr/exec && exec "$@"' "$name" "$@"
}

denials() {
    dmesg | grep 'apparmor="DENIED"' | grep "profile=\"$name\"" || true
}

said=$(confined /bin/sh "$work/script") || { echo "it fails under:"; cat "$work/profile"; denials; exit 1; }
[ "$said" = '"worked"' ] || { echo "it said: $said"; exit 1; }
refused=$(denials)
[ -z "$refused" ] || { echo "it was refused:"; echo "$refused"; cat "$work/profile"; exit 1; }

for command in ': </etc/shadow' ': >/opt/elsewhere' '/usr/bin/id' 'kill -0 1'; do
    if confined /bin/sh -c "$command" 2>/dev/null; then
        echo "it may do: $command"
        cat "$work/profile"
        exit 1
    fi
done
