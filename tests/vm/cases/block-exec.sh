#!/bin/sh
# A program that may not run in one container: at each step of the ladder that this kernel has, blocked there however it is called,
# and working in another container and on the host, after ringfence itself was killed; still blocked when the container is started
# again with no ringfence there; and working again when the policy is removed.
# Needs RINGFENCE_BIN, and runc, jq, busybox and whoami on the machine. NEEDED: the steps that this kernel must have, the best first.
# NOT_HAD: one that must be refused, as nothing is blocked by it.
set -eu

work=$(mktemp -d)
root=$work/rootfs
needed=${NEEDED:-lsm fmod_ret}

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

# The first process of a container, which runs what it is asked for: runc takes seconds for each start here.
cat >"$root/serve" <<'SERVE'
#!/bin/busybox sh
while true; do
    read -r asked <"/tmp/$1.asked"
    /bin/busybox sh -c "$asked" >"/tmp/$1.said" 2>/dev/null
done
SERVE
chmod +x "$root/serve"

# bundle NAME
bundle() {
    mkdir "$work/$1"
    mkfifo "$root/tmp/$1.asked" "$root/tmp/$1.said"
    jq --arg name "$1" --arg root "$root" '.process.terminal = false | .process.args = ["/serve", $name]
        | .root = {path: $root} | .linux.cgroupsPath = "/of-runc/" + $name
        | .process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN"])' "$work/config.json" >"$work/$1/config.json"
}

# start NAME
start() {
    runc --root "$work/state" run --detach --bundle "$work/$1" "$1" </dev/null >/dev/null 2>&1
}

# stop NAME
stop() {
    runc --root "$work/state" delete --force "$1"
    [ -z "$(find /sys/fs/cgroup -path "*/of-runc/$1")" ] || fault "$1 does not end"
}

# in_container NAME COMMAND : has it run there by a shell.
in_container() {
    echo "$2" >"$root/tmp/$1.asked"
    cat "$root/tmp/$1.said"
}

faults=0
fault() {
    echo "FAULT at step $step: $*"
    faults=$((faults + 1))
}

# Each way to run it, all by one program in the container, as starting one is slow here.
cat >"$root/ways" <<WAYS
#!/bin/busybox sh
try() {
    said=\$(/bin/busybox sh -c "\$2" 2>/dev/null)
    [ "\$said" != root ] || echo "\$1"
}
try "by its path" 'exec /usr/bin/whoami'
try "through a link" 'ln -sf /usr/bin/whoami /tmp/link; exec /tmp/link'
try "with .." 'exec /usr/bin/../../usr/./bin/whoami'
try "through /proc/self/root" 'exec /proc/self/root/usr/bin/whoami'
try "by a hard link" 'ln -f /usr/bin/whoami /usr/bin/hard; exec /usr/bin/hard'
try "through a bind mount" 'umount /tmp/bound 2>/dev/null; : >/tmp/bound; mount -o bind /usr/bin/whoami /tmp/bound; exec /tmp/bound'
try "as an applet" 'exec /bin/busybox whoami'
try "by its first argument" 'exec -a whoami /bin/busybox'
try "as a login shell" 'exec -a -whoami /bin/busybox'
try "as a script" 'printf "#!/bin/busybox sh\necho root\n" >/tmp/whoami; chmod +x /tmp/whoami; exec /tmp/whoami'
try "by its loader" 'exec $loader /usr/bin/whoami'
[ "\$1" = kill ] || try "by its loader, through a link" 'ln -sf /usr/bin/whoami /tmp/link; exec $loader /tmp/link'
[ "\$1" = kill ] || try "as a script, through a link" 'ln -sf /tmp/whoami /tmp/other; exec /tmp/other'
try "replaced" 'cp /usr/bin/whoami /usr/bin/new; mv /usr/bin/new /usr/bin/whoami; exec /usr/bin/whoami'
# What is not denied goes on.
echo "end of the ways for user \$(exec /bin/id -u), who may \$(exec /bin/busybox echo say whoami)"
WAYS
chmod +x "$root/ways"

# works WHAT COMMAND...
works() {
    what=$1
    shift
    said=$("$@" 2>&1) || true
    [ "$said" = root ] || fault "$what does not work: $said"
}

(cd "$work" && runc spec)
bundle here
bundle elsewhere
start here
start elsewhere
echo "containers after $(cut -d' ' -f1 /proc/uptime) s"
chosen=
for step in $needed; do
    works "the container, before" in_container here "exec /usr/bin/whoami"
    ways=$(in_container here "exec /ways $step" | grep -vc "^end of") || true
    [ "$ways" -ge 14 ] || fault "only $ways of the ways work without a block"
    # The first is the one that is chosen.
    # shellcheck disable=SC2086 # none or two words
    "$RINGFENCE_BIN" block --container here --exec whoami $chosen >"$work/denials" 2>"$work/said" &
    agent=$!
    until grep -q "in force in here" "$work/said" || ! kill -0 $agent 2>/dev/null; do sleep 0.3; done
    if ! grep -q "in force in here" "$work/said"; then
        fault "it is not had: $(cat "$work/said")"
        continue
    fi
    # Files are looked up a moment after the container was found.
    waited=0
    while [ "$(in_container here "ln -f /usr/bin/whoami /usr/bin/hard; exec /usr/bin/hard")" = root ] && [ $waited -lt 100 ]; do
        waited=$((waited + 1))
        sleep 0.3
    done
    kill -KILL $agent
    wait $agent 2>/dev/null || true
    grep -q "step $step:" "$work/said" || fault "another step was taken: $(cat "$work/said")"
    [ -z "${NOT_HAD:-}" ] || grep "not $NOT_HAD: .* was not" "$work/said" || fault "$NOT_HAD was not found out: $(cat "$work/said")"
    said=$(in_container here "exec /ways $step") || true
    [ "$said" = "end of the ways for user 0, who may say whoami" ] || fault "what ran: $said"
    works "the other container" in_container elsewhere "exec /usr/bin/whoami"
    works "the host" /usr/bin/whoami
    "$RINGFENCE_BIN" block --status --format json >"$work/status"
    [ "$(jq -r .step "$work/status")" = "$step" ] || fault "the status is $(cat "$work/status")"
    [ "$(jq '.policies[0].denied' "$work/status")" = $((ways + 1)) ] || fault "not each of 1 and $ways ways was counted: $(cat "$work/status")"
    stop here
    start here
    said=$(in_container here "exec /usr/bin/whoami") || true
    [ "$said" != root ] || fault "it ran in the container that was started again"
    said=$(runc --root "$work/state" exec here whoami </dev/null 2>/dev/null) || true
    [ "$said" != root ] || fault "it ran by exec in the container that was started again"
    # A policy that only counts, by a reason that is looked at before, hides none that denies.
    "$RINGFENCE_BIN" block --container here --exec whoami --audit --once 2>/dev/null
    "$RINGFENCE_BIN" block --container here --exec /usr/bin/whoami --once 2>/dev/null
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null
    said=$(in_container here "exec /usr/bin/whoami") || true
    [ "$said" != root ] || fault "a policy that only counts hides one that denies"
    "$RINGFENCE_BIN" block --status --format json >"$work/status"
    counted=$(jq -c '[.policies[] | [.denied, .audited]]' "$work/status")
    [ "$counted" = "[[0,1],[1,0]]" ] || fault "a policy that counts and one that denies have: $(cat "$work/status")"
    # By itself it counts one exec once.
    "$RINGFENCE_BIN" policy remove 2 2>/dev/null
    works "the container, audited" in_container here "exec /usr/bin/whoami"
    "$RINGFENCE_BIN" block --status --format json >"$work/status"
    [ "$(jq '.policies[0].audited' "$work/status")" = 2 ] || fault "audited: $(cat "$work/status")"
    "$RINGFENCE_BIN" policy remove 1 2>/dev/null
    works "the container, afterwards" in_container here "exec /usr/bin/whoami"
    [ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
    echo "step $step done after $(cut -d' ' -f1 /proc/uptime) s"
    following=${needed#*"$step"}
    following=${following# }
    chosen="--step ${following%% *}"
done
[ "$faults" = 0 ]
