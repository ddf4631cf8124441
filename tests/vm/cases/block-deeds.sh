#!/bin/sh
# Each kind of deed that can be denied: at each step of the ladder that this kernel has, it fails with EPERM in one cgroup,
# is one event, works outside, and works again afterwards. And a container starts under a policy that denies what its runtime
# does. Needs RINGFENCE_BIN, and busybox, jq, python3, runc and strace on the machine. NEEDED: the steps that this kernel must
# have.
#
# Time limit: 900
set -eu

here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
needed=${NEEDED:-lsm fmod_ret}
port=7001
free=7002
cgroup=
for found in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/unified/cgroup.procs /sys/fs/cgroup/pids/cgroup.procs; do
    [ -z "$cgroup" ] && [ -e "$found" ] && cgroup=$(dirname "$found")/sandbox
done
busybox ifconfig lo up

cat >"$work/server.py" <<PYTHON
import select, socket, sys
servers = []
for port in ($port, $free):
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        server = socket.socket(family, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((address, port))
        server.listen(100)
        servers.append(server)
open(sys.argv[1], "w").close()
while True:
    for server in select.select(servers, [], [])[0]:
        server.accept()[0].close()
PYTHON
python3 "$work/server.py" "$work/serving" &
server=$!
until [ -e "$work/serving" ]; do sleep 0.1; done

faults=0
fault() {
    echo "FAULT at step $step: $*"
    faults=$((faults + 1))
}

# inside COMMAND... : in the cgroup.
inside() {
    # shellcheck disable=SC2016 # for the shell inside
    sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$cgroup" "$@"
}

# deeds inside|outside FILE : all of them.
deeds() {
    run=
    [ "$1" = outside ] || run=inside
    {
        $run python3 "$here/../deeds.py" "$port" "$free" 2>&1
        $run strace -o /dev/null true >/dev/null 2>&1 && echo "ptrace-strace ok" || echo "ptrace-strace EPERM"
        mkdir -p "$work/mount"
        said=$($run busybox mount -t tmpfs deeds "$work/mount" 2>&1) && echo "mount-new ok" || echo "mount-new $said"
        mountpoint -q "$work/mount" || mount -t tmpfs deeds "$work/mount"
        said=$($run busybox umount "$work/mount" 2>&1) && echo "mount-off ok" || echo "mount-off $said"
        umount "$work/mount" 2>/dev/null || true
    } | sed 's/ .*Operation not permitted.*/ EPERM/; s/ .*are you root.*/ EPERM/' >"$2"
}

# event FILTER : how many denials are so.
events() {
    jq -s "map(select($1)) | length" "$work/events"
}

# Starting a program in an emulated machine is slow: nothing else is started than is needed.
step=before
deeds outside "$work/before"
grep -v " ok$" "$work/before" | grep -v "^module-.* ENOEXEC$" && fault "not all of it works without a block"
for step in $needed; do
    "$RINGFENCE_BIN" block --container sandbox --later --step "$step" --format json --connect "127.0.0.0/8:$port" \
        --connect "[::1]:$port" --listen $((port + 10)) --capability net_raw --mount --ptrace --module \
        >"$work/events" 2>"$work/said" &
    block=$!
    until grep -q "ringfence policy remove" "$work/said"; do
        kill -0 "$block" 2>/dev/null || { cat "$work/said"; exit 1; }
        sleep 1
    done
    grep -q "step $step:" "$work/said" || fault "another step was taken: $(cat "$work/said")"
    echo "in force at step $step after $(cut -d' ' -f1 /proc/uptime) s"
    mkdir "$cgroup"
    deeds inside "$work/inside"
    grep -v "^free-.* ok$\|^[a-z]*-[a-z0-9]* EPERM$" "$work/inside" && fault "not denied, or denied though it is free"
    deeds outside "$work/outside"
    cmp -s "$work/before" "$work/outside" || fault "outside it is another thing: $(cat "$work/outside")"
    sleep 2
    for deed in connect listen capability ptrace mount module; do
        denied=$(grep -c "^$deed-.* EPERM$" "$work/inside") || true
        told=$(events ".deed == \"$deed\" and .action == \"refused\"")
        # strace asks twice: whether it can trace at all, and to trace.
        [ "$deed" != ptrace ] || [ "$told" -le "$denied" ] || denied=$told
        { [ "$denied" -gt 0 ] && [ "$told" = "$denied" ]; } || fault "$denied times $deed was denied, and $told events told"
    done
    [ "$(events '.deed == "exec"')" = 0 ] || fault "programs were denied"
    [ "$(events ".peer == {address: \"127.0.0.1\", port: $port}")" -ge 4 ] || fault "the peer is not told: $(cat "$work/events")"
    [ "$(events ".peer == {address: \"::1\", port: $port}")" = 1 ] || fault "the IPv6 peer is not told"
    [ "$(events ".port == $((port + 10))")" = 3 ] || fault "the port is not told"
    [ "$(events '.reason == "unbound"')" = 1 ] || fault "the listener without a port is not told"
    [ "$(events '.capability == "CAP_NET_RAW"')" = 1 ] || fault "the capability is not told"
    [ "$(events ".mount.path == \"$work/mount\"")" = 2 ] || fault "the mount point is not told"
    [ "$(events '.module.path == "/etc/hostname"')" = 1 ] || fault "the module is not told"
    "$RINGFENCE_BIN" block --status --format json >"$work/status" || fault "a canary was not blocked: $(cat "$work/status")"
    [ "$(jq '.policies[0].denied' "$work/status")" = "$(events true)" ] || fault "not each denial was counted: $(cat "$work/status")"

    # Only counted.
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null
    wait "$block" || true
    rmdir "$cgroup"
    "$RINGFENCE_BIN" block --container sandbox --later --once --audit --step "$step" --connect '*' --capability net_raw 2>"$work/said"
    mkdir "$cgroup"
    deeds inside "$work/audited"
    cmp -s "$work/before" "$work/audited" || fault "what is only counted is another thing: $(cat "$work/audited")"
    "$RINGFENCE_BIN" policy list --format json >"$work/list"
    { [ "$(jq '.[0].audited' "$work/list")" -ge 10 ] && [ "$(jq '.[0].denied' "$work/list")" = 0 ]; } || fault "counted: $(cat "$work/list")"
    # What no policy asks for is not there, and costs nothing.
    find /sys/fs/bpf/ringfence -path "*/links/*" >"$work/links"
    { grep -q "/connect_" "$work/links" && grep -q "/capable_" "$work/links"; } || fault "guards are not there: $(cat "$work/links")"
    ! grep "/mount_\|/listen_\|/ptrace_\|/file_" "$work/links" || fault "guards that no policy needs are there"
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null
    rmdir "$cgroup"
    [ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
    echo "step $step done after $(cut -d' ' -f1 /proc/uptime) s"
done
kill "$server"

# At the step that can only kill, what it cannot deny is refused.
step="kill"
status=0
"$RINGFENCE_BIN" block --container sandbox --later --once --step kill --connect '*:25' 2>"$work/said" || status=$?
{ [ "$status" = 3 ] && grep -q "connecting cannot be denied at the step kill" "$work/said"; } || fault "exit $status: $(cat "$work/said")"
[ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"

# A runtime mounts and uses capabilities in the container's cgroup before the container's program begins, which may not.
step=${needed%% *}
root=$work/rootfs
mkdir -p "$root/bin" "$root/proc" "$root/dev" "$root/sys" "$root/tmp" "$work/bundle"
cp "$(command -v busybox)" "$root/bin/busybox"
(cd "$work/bundle" && runc spec)
jq --arg root "$root" '.process.terminal = false
    | .process.args = ["/bin/busybox", "sh", "-c", "/bin/busybox mount -t tmpfs x /tmp && echo mounted; echo began"]
    | .root = {path: $root} | .linux.cgroupsPath = "/of-runc/newcomer"
    | .process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN"])' "$work/bundle/config.json" >"$work/config.json"
mv "$work/config.json" "$work/bundle/config.json"
for rule in "--mount" "--capability sys_admin"; do
    # shellcheck disable=SC2086 # one or two words
    "$RINGFENCE_BIN" block --container newcomer --later --once --step "$step" $rule 2>"$work/said" || fault "$(cat "$work/said")"
    said=$(runc --root "$work/state" run --bundle "$work/bundle" newcomer </dev/null 2>"$work/error") || true
    [ "$said" = began ] || fault "a container under $rule said: $said $(cat "$work/error")"
    [ "$("$RINGFENCE_BIN" policy list --format json | jq '.[0].denied')" -ge 1 ] || fault "nothing was denied under $rule"
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null
done
[ "$faults" = 0 ]
