#!/bin/sh
# A program that is named by its content, in a container of runc with an overlay as its root: at each step of the ladder each way to run
# it fails there with EPERM, or the process is killed, and it works in another container and on the host. What was found stays denied when ringfence
# is killed, and a new copy is not looked at, which is said.
# Needs RINGFENCE_BIN, and runc, jq and busybox on the machine. NEEDED: the steps that this kernel must have.
#
# In the matrix: NEEDED=lsm
# Time limit: 900
set -eu

work=$(mktemp -d)
mount -t tmpfs work "$work"
needed=${NEEDED:-lsm fmod_ret kill}
faults=0
fault() {
    echo "FAULT at step $step: $*"
    faults=$((faults + 1))
}

image=$work/image
for folder in bin dev etc proc sys tmp srv; do mkdir -p "$image/$folder"; done
cp "$(command -v busybox)" "$image/bin/busybox"
ln -s busybox "$image/bin/sh"
# A program that is no other.
{ cat "$image/bin/busybox" && echo probe; } >"$image/bin/probe"
printf '#!/bin/sh\necho works\n' >"$image/bin/script"
chmod +x "$image/bin/probe" "$image/bin/script"
hash() {
    echo "sha256:$(sha256sum "$1" | cut -d' ' -f1)"
}
(cd "$work" && runc spec)

# start NAME
start() {
    if [ ! -d "$work/$1" ]; then
        mkdir -p "$work/$1/upper" "$work/$1/work" "$work/$1/root"
        mount -t overlay -o "lowerdir=$image,upperdir=$work/$1/upper,workdir=$work/$1/work" root "$work/$1/root"
        jq --arg name "$1" --arg root "$work/$1/root" '.process.terminal = false | .process.args = ["/bin/busybox", "sleep", "10000"]
            | .root = {path: $root} | .linux.cgroupsPath = "/of-runc/" + $name
            | .mounts += [{destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777"]}]' "$work/config.json" >"$work/$1/config.json"
    fi
    runc run --detach --bundle "$work/$1" "$1" </dev/null >/dev/null 2>"$work/said" || { cat "$work/said"; exit 1; }
}

# runs NAME COMMAND
runs() {
    [ "$(runc exec "$1" /bin/sh -c "$2" </dev/null 2>/dev/null)" = works ]
}

# policy FILTER : of the one that is in force.
policy() {
    "$RINGFENCE_BIN" block --status --format json | jq -c ".policies[0] | $1"
}

# denied COUNT : so many were counted, and each was told once, for its content.
denied() {
    [ "$(policy .denied)" = "$1" ] || fault "counted is $(policy .)"
    waited=0
    until [ "$(wc -l <"$work/events")" -ge "$1" ] || [ $waited -ge 60 ]; do
        sleep 0.5
        waited=$((waited + 1))
    done
    [ "$(jq -r .reason "$work/events" | sort | uniq -c | tr -s ' ')" = " $1 hash" ] || fault "told is $(cat "$work/events")"
}

cat >"$work/ways" <<'WAYS'
exec -a echo /bin/probe works
cp /bin/probe /srv/copy; exec -a echo /srv/copy works
mv /srv/copy /srv/renamed; exec -a echo /srv/renamed works
ln -s /srv/renamed /srv/soft; exec -a echo /srv/soft works
cp /bin/probe /tmp/copy; exec -a echo /tmp/copy works
cp /bin/probe /srv/gone; exec 7</srv/gone; rm /srv/gone; exec -a echo /proc/self/fd/7 works
WAYS

start elsewhere
for step in $needed; do
    start here
    while read -r way; do
        runs here "$way" || fault "without a policy: $way"
    done <"$work/ways"
    runc exec here /bin/sh -c 'rm -f /srv/* /tmp/*' </dev/null

    : >"$work/told"
    "$RINGFENCE_BIN" block --container here --step "$step" --hash "$(hash "$image/bin/probe")" --hash "$(hash "$image/bin/script")" \
        --format json >"$work/events" 2>"$work/told" &
    block=$!
    until grep -q "held back until their contents are known" "$work/told"; do
        kill -0 "$block" 2>/dev/null || { cat "$work/told"; exit 1; }
        sleep 0.3
    done
    grep -q "step $step:" "$work/told" || fault "another step was taken: $(cat "$work/told")"
    [ "$(policy .contents_held)" = true ] || fault "nobody looks: $(policy .)"
    count=0
    while read -r way; do
        if runs here "$way"; then fault "runs: $way"; fi
        count=$((count + 1))
    done <"$work/ways"
    # Where a process is killed it is the interpreter that is known.
    if [ "$step" = kill ]; then
        runs here "exec /bin/script" || fault "a script is denied"
    else
        if runs here "exec /bin/script"; then fault "a script runs"; fi
        count=$((count + 1))
    fi
    denied $count
    runs here "exec /bin/sh /bin/script" || fault "a text does not run"
    runs elsewhere "exec -a echo /bin/probe works" || fault "it does not run elsewhere"
    [ "$(busybox sh -c "exec -a echo $image/bin/probe works")" = works ] || fault "it does not run on the host"

    kill -KILL "$block"
    wait "$block" 2>/dev/null || true
    [ "$(policy .contents_held)" = false ] || fault "somebody looks: $(policy .)"
    if runs here "exec -a echo /srv/renamed works"; then fault "what was found runs with no ringfence there"; fi
    runs here "cp /bin/probe /srv/new; exec -a echo /srv/new works" || fault "docs/blocking.md says that a new copy runs then"
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null
    runs here "exec -a echo /bin/probe works" || fault "it does not run when the policy is removed"
    [ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
    runc exec here /bin/sh -c 'rm -f /srv/* /tmp/*' </dev/null
    runc delete --force here
    echo "step $step done after $(cut -d' ' -f1 /proc/uptime) s"
done
runc delete --force elsewhere
[ "$faults" = 0 ]
