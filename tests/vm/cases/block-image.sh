#!/bin/sh
# What did not come with the image does not run in a container of runc: a copy of what did, there and in a tmpfs. What did come runs. At
# each step of the ladder. The mounts below a container's root are not the same on all kernels.
# Needs RINGFENCE_BIN, and runc, jq and busybox on the machine.
set -eu

work=$(mktemp -d)
root=$work/root
faults=0
fault() {
    echo "FAULT at step $step: $*"
    faults=$((faults + 1))
}

# As engines make it: an overlay.
mkdir -p "$work/layers" "$root"
mount -t tmpfs layers "$work/layers"
mkdir -p "$work/layers/upper" "$work/layers/work"
for folder in bin proc dev sys tmp mem; do mkdir -p "$work/layers/lower/$folder"; done
cp "$(command -v busybox)" "$work/layers/lower/bin/busybox"
mount -t overlay -o "lowerdir=$work/layers/lower,upperdir=$work/layers/upper,workdir=$work/layers/work" root "$root"
mkdir "$work/here"
(cd "$work/here" && runc spec)
jq --arg root "$root" '.process.terminal = false | .process.args = ["/bin/busybox", "sleep", "1000"] | .root = {path: $root}
    | .linux.cgroupsPath = "/of-runc/here" | .mounts += [{destination: "/mem", type: "tmpfs", source: "mem"}]' \
    "$work/here/config.json" >"$work/here/config.new"
mv "$work/here/config.new" "$work/here/config.json"
runc --root "$work/state" run --detach --bundle "$work/here" here </dev/null >/dev/null 2>&1

# says TEXT PROGRAM : whether the program runs there.
says() {
    [ "$(runc --root "$work/state" exec here "$2" echo "$1" </dev/null 2>/dev/null)" = "$1" ]
}

for copy in /tmp/busybox /mem/busybox; do
    runc --root "$work/state" exec here /bin/busybox cp /bin/busybox $copy </dev/null
done
for step in lsm fmod_ret kill; do
    says before /tmp/busybox || fault "a copy does not run before"
    if ! "$RINGFENCE_BIN" block --container here --image-binaries-only --step $step --once 2>"$work/said"; then
        fault "it is not had: $(cat "$work/said")"
        continue
    fi
    for copy in /tmp/busybox /mem/busybox; do
        ! says after $copy || fault "$copy runs"
    done
    says after /bin/busybox || fault "what came with the image does not run"
    "$RINGFENCE_BIN" block --status --format json >"$work/status"
    jq -e --arg step $step '.step == $step and .policies[0].denied == 2 and .policies[0].by_reason.not_of_image == 2' "$work/status" >/dev/null ||
        fault "the status is $(cat "$work/status")"
    "$RINGFENCE_BIN" policy remove --all 2>/dev/null
done
runc --root "$work/state" kill here KILL
[ "$faults" = 0 ]
