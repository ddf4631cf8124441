#!/bin/sh
# A program that may not run in one container: at each step of the ladder that this kernel has, blocked there however it is called,
# and working in another container and on the host; still blocked when the container is started again with no ringfence there;
# and working again when the policy is removed.
# Needs RINGFENCE_BIN, and runc, jq, busybox and whoami on the machine. NEEDED: the steps that this kernel must have.
set -eu

work=$(mktemp -d)
root=$work/rootfs
needed=${NEEDED:-lsm fmod_ret kill}

mkdir -p "$root/bin" "$root/usr/bin" "$root/proc" "$root/dev" "$root/sys" "$root/tmp" "$root/etc"
cp "$(command -v busybox)" "$root/bin/busybox"
ln -s busybox "$root/bin/id"
for library in $(ldd /usr/bin/whoami | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
cp -L /usr/bin/whoami "$root/usr/bin/whoami"
loader=$(ldd /usr/bin/whoami | grep -o '/[^ ]*/ld-[^ ]*')
echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"

# start NAME : a container that sleeps.
start() {
    mkdir -p "$work/$1"
    [ -f "$work/$1/config.json" ] || (cd "$work/$1" && runc spec)
    jq --arg name "$1" --arg root "$root" '.process.terminal = false | .process.args = ["/bin/busybox", "sleep", "1000"]
        | .root = {path: $root} | .linux.cgroupsPath = "/of-runc/" + $name
        | .process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN"])' "$work/$1/config.json" >"$work/$1/config.new"
    mv "$work/$1/config.new" "$work/$1/config.json"
    runc --root "$work/state" run --detach --bundle "$work/$1" "$1" </dev/null >/dev/null 2>&1
}

# in NAME COMMAND... : runs it there.
in_container() {
    name=$1
    shift
    runc --root "$work/state" exec "$name" "$@" </dev/null
}

faults=0
fault() {
    echo "FAULT at step $step: $*"
    faults=$((faults + 1))
}

# blocked WHAT COMMAND... : it must not say who it is.
blocked() {
    what=$1
    shift
    said=$(in_container here "$@" 2>/dev/null) || true
    [ "$said" != root ] || fault "$what ran"
}

# works WHAT COMMAND...
works() {
    what=$1
    shift
    said=$("$@" 2>&1) || true
    [ "$said" = root ] || fault "$what does not work: $said"
}

sh='/bin/busybox sh -c'
try_all() {
    blocked "by its path" /usr/bin/whoami
    blocked "by its name" whoami
    # shellcheck disable=SC2086 # $sh is three words
    {
        blocked "through a link" $sh 'ln -sf /usr/bin/whoami /tmp/link; exec /tmp/link'
        blocked "with .." $sh 'exec /usr/bin/../lib/../bin/whoami'
        blocked "through /proc/self/root" $sh 'exec /proc/self/root/usr/bin/whoami'
        blocked "by a hard link" $sh 'ln -f /usr/bin/whoami /usr/bin/hard; exec /usr/bin/hard'
        blocked "through a bind mount" $sh ': >/tmp/bound; mount -o bind /usr/bin/whoami /tmp/bound; exec /tmp/bound'
        blocked "as an applet" $sh 'exec /bin/busybox whoami'
        blocked "by its first argument" $sh 'exec -a whoami /bin/busybox'
        blocked "as a login shell" $sh 'exec -a -whoami /bin/busybox'
        blocked "as a script" $sh 'printf "#!/bin/busybox sh\necho root\n" >/tmp/whoami; chmod +x /tmp/whoami; exec /tmp/whoami'
        blocked "by its loader" $sh "exec $loader /usr/bin/whoami"
        [ "$step" = kill ] || blocked "by its loader, through a link" $sh "ln -sf /usr/bin/whoami /tmp/link; exec $loader /tmp/link"
        blocked "replaced" $sh 'cp /usr/bin/whoami /usr/bin/new; mv /usr/bin/new /usr/bin/whoami; exec /usr/bin/whoami'
    }
    # What is not denied goes on.
    said=$(in_container here /bin/id -u 2>&1) || true
    [ "$said" = 0 ] || fault "id does not work: $said"
    said=$(in_container here /bin/busybox echo whoami 2>&1) || true
    [ "$said" = whoami ] || fault "echo does not work: $said"
    works "the other container" in_container elsewhere whoami
    works "the host" /usr/bin/whoami
}

for step in $needed; do
    start here
    start elsewhere
    works "the container, before" in_container here whoami
    if ! "$RINGFENCE_BIN" block --container here --exec whoami --step "$step" --once 2>"$work/said"; then
        fault "it is not had: $(cat "$work/said")"
        runc --root "$work/state" delete --force here
        runc --root "$work/state" delete --force elsewhere
        continue
    fi
    try_all
    "$RINGFENCE_BIN" block --status --format json >"$work/status"
    [ "$(jq -r .step "$work/status")" = "$step" ] || fault "the status is $(cat "$work/status")"
    [ "$(jq '.policies[0].denied' "$work/status")" -ge 13 ] || fault "too few were counted: $(cat "$work/status")"
    runc --root "$work/state" delete --force here
    start here
    blocked "in the container that was started again" whoami
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null
    works "the container, afterwards" in_container here whoami
    [ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
    runc --root "$work/state" delete --force here
    runc --root "$work/state" delete --force elsewhere
    echo "step $step done"
done

# The best is chosen.
step=first
start here
"$RINGFENCE_BIN" block --container here --exec whoami --once 2>"$work/said"
best=${needed%% *}
grep -q "step $best:" "$work/said" || fault "the first step is not $best: $(cat "$work/said")"
"$RINGFENCE_BIN" policy remove --all 2>/dev/null
[ "$faults" = 0 ]
