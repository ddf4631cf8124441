#!/bin/sh
# A policy that is strict in a container only after something there was read: from the network, or a file. At each step of the
# ladder, each way to read it, each in a new cgroup; what is told of it; cgroups that lie deep. Then in containers of runc: another
# one is untouched, killing ringfence changes nothing, and one that is started again begins anew.
# Needs RINGFENCE_BIN, and runc, jq, busybox, python3 and whoami on the machine. NEEDED: the steps that this kernel must have.
#
# In the matrix: NEEDED=lsm
# Time limit: 1500
set -eu

here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
# At the step kill the kernel tells of reads from Linux 6.3 on.
case ${VM_LABEL:-} in
    6.1) needed=${NEEDED:-lsm fmod_ret} sees_at_kill= ;;
    *) needed=${NEEDED:-lsm fmod_ret kill} sees_at_kill=yes ;;
esac
cgroup=
for found in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/unified/cgroup.procs /sys/fs/cgroup/pids/cgroup.procs; do
    [ -z "$cgroup" ] && [ -e "$found" ] && cgroup=$(dirname "$found")/sandbox
done
busybox ifconfig lo up

faults=0
fault() {
    echo "FAULT at step $step: $*"
    faults=$((faults + 1))
}

# in_force OPTION... : by a ringfence that goes on.
in_force() {
    "$RINGFENCE_BIN" block --step "$step" --exec whoami --format json "$@" >"$work/events" 2>"$work/said" &
    block=$!
    until grep -q "ringfence policy remove" "$work/said"; do
        kill -0 "$block" 2>/dev/null || { cat "$work/said"; exit 1; }
        sleep 0.3
    done
    grep -q "step $step:" "$work/said" || fault "another step was taken: $(cat "$work/said")"
}

# remove : the policy, and all that it left.
remove() {
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null || fault "the policy cannot be removed"
    wait "$block" || true
    [ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
}

# told COUNT FILTER : so many lines are so, soon: whoever reads them may be trying its own block, which is slow here.
told() {
    waited=0
    while [ "$(jq -s "map(select($2)) | length" "$work/events")" -lt "$1" ] && [ $waited -lt 60 ]; do
        sleep 1
        waited=$((waited + 1))
    done
    count=$(jq -s "map(select($2)) | length" "$work/events")
    [ "$count" = "$1" ] || fault "$count and not $1 lines have $2: $(tail -n 4 "$work/events")"
}

# policy FILTER : of the one that there is.
policy() {
    "$RINGFENCE_BIN" policy list --format json | jq -c ".[0] | $1"
}

# inside COMMAND... : in the cgroup.
inside() {
    # shellcheck disable=SC2016 # for the shell inside
    sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$cgroup" "$@" 2>/dev/null
}

# ways KIND EXPECTED : tries them, and counts the strict ones.
ways() {
    python3 "$here/../taint.py" "$cgroup" "$root" "$1" >"$work/ways" 2>&1 || true
    diff "$2" "$work/ways" >"$work/differ" || fault "not as it is said: $(cat "$work/differ")"
    strict=$(grep -c " strict$" "$work/ways") || true
    told "$strict" ".action == \"tainted\" and .cause == \"$3\""
    told "$strict" ".deed == \"exec\" and .tainted.cause == \"$3\""
    told $((2 * strict)) true
    [ "$(policy '[.waiting, .strict, .denied]')" = "[0,[],$strict]" ] || fault "left behind: $(policy .)"
}

root=$work/root
mkdir -p "$root/srv/uploads"
echo kept >"$root/srv/uploads/file"
echo kept >"$root/srv/other"
cat >"$work/network" <<WAYS
recv strict
recv-udp strict
recv-ipv6 strict
read strict
readv strict
recvmsg strict
recvmmsg strict
peek strict
io_uring strict
packets strict
splice strict
zerocopy strict
ring-of-packets free
unix free
netlink free
pipe free
accept free
send free
file-of-the-other-policy free
WAYS
sed 's/^\(splice\|zerocopy\) strict/\1 free/' "$work/network" >"$work/network.kill"
cat >"$work/files" <<WAYS
read-file strict
list-folder strict
by-folder strict
read-and-write strict
write-file free
make-file free
stat-file free
other-file free
name-only free
recv-of-the-other-policy free
WAYS

for step in $needed; do
    expected=$work/network
    [ "$step" != kill ] || expected=$work/network.kill
    in_force --container sandbox --later --after network
    ways network "$expected" network

    # So deep that a cgroup must know by itself what it inherits.
    deep=$cgroup
    mkdir "$deep"
    level=2
    while [ $level -lt 32 ]; do
        deep=$deep/$level
        mkdir "$deep"
        level=$((level + 1))
    done
    [ "$(inside whoami)" = root ] || fault "whoami does not run above deep cgroups"
    mkdir "$deep/32"
    [ "$(inside whoami)" != root ] || fault "whoami runs above a cgroup that is too deep"
    told 1 '.cause == "depth"'
    find "$cgroup" -depth -type d -exec rmdir {} \;
    find /sys/fs/bpf/ringfence -path "*/links/*" >"$work/links"
    ! grep "/reading_" "$work/links" || fault "programs that no policy needs are there"
    remove
    echo "step $step: network done after $(cut -d' ' -f1 /proc/uptime) s"

    [ "$step" != kill ] || continue
    # Only counted: nothing before, everything afterwards.
    in_force --container sandbox --later --audit --after network
    mkdir "$cgroup"
    [ "$(inside whoami)" = root ] || fault "whoami does not run before"
    [ "$(policy '[.waiting, .audited]')" = "[1,0]" ] || fault "before: $(policy .)"
    inside python3 -c 'import socket
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.bind(("127.0.0.1", 0))
own.sendto(b"sent", own.getsockname())
own.recv(4)'
    [ "$(inside whoami)" = root ] || fault "whoami does not run, and was only to be counted"
    [ "$(policy '[.waiting, .audited > 0, .denied, (.strict | length)]')" = "[0,true,0,1]" ] || fault "afterwards: $(policy .)"
    [ "$(policy '.strict[0].after | [.cause, .comm]')" = '["network","python3"]' ] || fault "by whom: $(policy .)"
    rmdir "$cgroup"
    remove

    in_force --container sandbox --later --after /srv/uploads/
    ways files "$work/files" file
    told 3 '.file.path == "/srv/uploads/file"'
    remove
    echo "step $step: files done after $(cut -d' ' -f1 /proc/uptime) s"
done

# What cannot be seen there is refused.
step="kill"
refused() {
    status=0
    "$RINGFENCE_BIN" block --container sandbox --later --once --step kill --exec whoami --after "$1" 2>"$work/said" || status=$?
    { [ "$status" = 3 ] && grep -q "$2 cannot be seen at the step kill" "$work/said"; } || fault "exit $status: $(cat "$work/said")"
    [ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
}
refused /srv/uploads "a read of a file"
[ -n "$sees_at_kill" ] || refused network "a read from the network"

# Containers of runc, which read from a process outside, and a file that has another name.
step=${needed%% *}
# bundle NAME
bundle() {
    root=$work/root.$1
    mkdir -p "$work/$1" "$root/bin" "$root/proc" "$root/dev" "$root/sys" "$root/tmp" "$root/srv/uploads"
    cp "$(command -v busybox)" "$root/bin/busybox"
    ln -s busybox "$root/bin/id"
    echo kept >"$root/srv/uploads/file"
    ln "$root/srv/uploads/file" "$root/linked"
    cat >"$root/serve" <<'SERVE'
#!/bin/busybox sh
while true; do
    read -r asked </tmp/asked
    /bin/busybox sh -c "$asked" >/tmp/said 2>/dev/null
done
SERVE
    chmod +x "$root/serve"
    mkfifo "$root/tmp/asked" "$root/tmp/said"
    jq --arg name "$1" --arg root "$root" '.process.terminal = false | .process.args = ["/serve"]
        | .root = {path: $root} | .linux.cgroupsPath = "/of-runc/" + $name
        | .linux.namespaces |= map(select(.type != "network"))' "$work/config.json" >"$work/$1/config.json"
}
(cd "$work" && runc spec)
bundle here
bundle elsewhere

start() {
    runc --root "$work/state" run --detach --bundle "$work/$1" "$1" </dev/null >/dev/null 2>&1
}
# in_container NAME COMMAND : has it run there by a shell.
in_container() {
    echo "$2" | timeout 60 tee "$work/root.$1/tmp/asked" >/dev/null || echo "nothing listens in $1"
    timeout 60 cat "$work/root.$1/tmp/said" || echo "nothing ends in $1: $2"
}
# The containers have the network of this machine: somebody outside sends.
python3 -c 'import socket
server = socket.create_server(("127.0.0.1", 7001))
while True:
    other = server.accept()[0]
    other.sendall(b"sent\n")
    other.close()' &
sender=$!
reads="busybox nc 127.0.0.1 7001 </dev/null"
denied() {
    [ -z "$(in_container here "exec /bin/id -u")" ] || fault "id runs $1"
}
runs() {
    [ "$(in_container "$1" "exec /bin/id -u")" = 0 ] || fault "id does not run in $1 $2"
}

start here
start elsewhere
"$RINGFENCE_BIN" block --container here --step "$step" --exec id --after network --after /srv/uploads/file 2>"$work/said" >"$work/text" &
block=$!
until grep -q "ringfence policy remove" "$work/said"; do
    kill -0 "$block" 2>/dev/null || { cat "$work/said"; exit 1; }
    sleep 0.3
done
# Files are looked up a moment after the container was found.
sleep 3
runs here "before"
[ "$(in_container here "$reads")" = sent ] || fault "it does not read"
denied "after a read from the network"
runs elsewhere "after a read in another"
sleep 10
grep -q "tainted  here  busybox  by pid .* policy 0: network" "$work/text" || fault "told: $(cat "$work/text")"
grep -q "/bin/busybox, called /bin/id .* after network, by pid .* (busybox) at" "$work/text" || fault "told: $(cat "$work/text")"
"$RINGFENCE_BIN" policy list >"$work/list"
{ grep -q "id in container here, after a read from the network or of /srv/uploads/file$" "$work/list" &&
    grep -q "1 cgroup; waits in 0 of them; 1 denied" "$work/list" &&
    grep -q "  in here after network, by pid .* (busybox) at " "$work/list"; } || fault "the list is $(cat "$work/list")"

# Started again it begins anew, and is under the policy from its beginning.
runc --root "$work/state" delete --force here
start here
sleep 3
runs here "after it was started again"
[ "$(in_container here "busybox cat /linked")" = kept ] || fault "it does not read the file by another name"
denied "after a read of the file by another name"
kill -KILL "$block"
wait "$block" 2>/dev/null || true
denied "with no ringfence there"
runc --root "$work/state" delete --force here
start here
runs here "after it was started again with no ringfence there"
[ "$(in_container here "$reads")" = sent ] || fault "it does not read"
denied "after a read with no ringfence there"
[ "$(policy '[.waiting, (.strict | length)]')" = "[0,1]" ] || fault "the policy is $(policy .)"
"$RINGFENCE_BIN" policy remove 0 2>/dev/null
runs here "after the policy was removed"
kill "$sender"
[ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
[ "$faults" = 0 ]
