#!/bin/sh
# What guards cost a program that may run: in a container whose policies name 10 programs and 1,000, beside empty LSM
# programs on the same hooks. Prints the time of an exec and what BPF programs took of it. Time means little in an emulated machine:
# what counts are ratios, of the least of several rounds.
# Needs RINGFENCE_BIN, EMPTY_LSM (tests/vm/empty_lsm.c), and runc, jq, busybox and bpftool on the machine.
set -eu

work=$(mktemp -d)
root=$work/rootfs
rounds=4
execs=20
faults=0

fault() {
    echo "FAULT: $*"
    faults=$((faults + 1))
}

mkdir -p "$root/bin" "$root/proc" "$root/dev" "$root/sys" "$root/tmp" "$root/etc"
cp "$(command -v busybox)" "$root/bin/busybox"
# The least time of a round, in hundredths of a second.
cat >"$root/rounds" <<ROUNDS
#!/bin/busybox sh
now() {
    read -r up rest </proc/uptime
    echo "\${up%.*}\${up#*.}"
}
least=1000000
round=0
while [ \$round -lt $rounds ]; do
    begun=\$(now)
    done=0
    while [ \$done -lt $execs ]; do
        /bin/busybox true
        done=\$((done + 1))
    done
    took=\$((\$(now) - begun))
    [ \$took -ge \$least ] || least=\$took
    round=\$((round + 1))
done
echo \$least
ROUNDS
chmod +x "$root/rounds"

mkdir "$work/here"
(cd "$work/here" && runc spec)
jq --arg root "$root" '.process.terminal = false | .process.args = ["/bin/busybox", "sleep", "1000"] | .root = {path: $root}
    | .linux.cgroupsPath = "/of-runc/here"' "$work/here/config.json" >"$work/here/config.new"
mv "$work/here/config.new" "$work/here/config.json"
runc --root "$work/state" run --detach --bundle "$work/here" here </dev/null >/dev/null 2>&1

# bpf_ns : what all BPF programs took so far.
bpf_ns() {
    bpftool --json prog show | jq '[.[].run_time_ns // 0] | add // 0'
}

# measure NAME : sets NAME_us to the time of an exec and NAME_bpf to the nanoseconds that BPF programs took of it.
measure() {
    before=$(bpf_ns)
    least=$(runc --root "$work/state" exec here /rounds </dev/null)
    after=$(bpf_ns)
    us=$((least * 10000 / execs))
    bpf=$(((after - before) / (rounds * execs)))
    echo "$1: $us us for an exec, $bpf ns of it in BPF programs"
    eval "$1_us=$us $1_bpf=$bpf"
}

# compare WHAT NUMBER OTHER : says how many times OTHER the NUMBER is, and whether that is at most 1.10. Other work on the machine that
# emulates this one can double a time, so that only more than that is a fault.
compare() {
    share=$(($2 * 100 / $3))
    result=met
    [ $share -le 110 ] || result=missed
    echo "$1: $((share / 100)).$(printf %02d $((share % 100)))x, wanted <= 1.10x: $result"
    [ $share -le 200 ] || fault "$1"
}

echo 1 >/proc/sys/kernel/bpf_stats_enabled
measure nothing
bpftool btf dump file /sys/kernel/btf/vmlinux | grep "FUNC 'bpf_lsm_\(bprm_check_security\|mmap_file\)'" >"$work/functions"
hooks=$(sed "s/^\[\([0-9]*\)\] FUNC '\([a-z_]*\)'.*/\2=\1/" "$work/functions")
mkfifo "$work/holds" "$work/is-ready"
# shellcheck disable=SC2086 # one word for each hook
"$EMPTY_LSM" $hooks <"$work/holds" >"$work/is-ready" &
holder=$!
exec 3>"$work/holds"
read -r ready <"$work/is-ready"
[ "$ready" = ready ] || { echo "the empty programs are not attached"; exit 1; }
measure empty
exec 3>&-
wait $holder

for entries in 10 1000; do
    # Several policies, as the text of one has its bounds.
    each=$entries
    [ "$each" -le 50 ] || each=50
    rm -rf "$work/policies"
    mkdir "$work/policies"
    first=0
    while [ $first -lt "$entries" ]; do
        jq -n --argjson first $first --argjson each "$each" '{schema_version: 1, containers: [{container: "here"}],
            exec: [range($first; $first + $each) | "absent-\(.)"]}' >"$work/policies/$first.json"
        first=$((first + each))
    done
    "$RINGFENCE_BIN" enforce --policy "$work/policies" --once 2>"$work/said" || { cat "$work/said"; exit 1; }
    measure guards_$entries
    "$RINGFENCE_BIN" block --status --format json | jq -e '.step == "lsm" and all(.policies[]; .denied == 0)' >/dev/null ||
        fault "the guards are not as they were set"
    "$RINGFENCE_BIN" policy remove --all 2>/dev/null
done
runc --root "$work/state" kill here KILL

# shellcheck disable=SC2154 # measure sets them
compare "an exec with guards for 1,000 names, of one with empty programs" "$guards_1000_us" "$empty_us"
# shellcheck disable=SC2154
compare "BPF programs with guards for 1,000 names, of those for 10" "$guards_1000_bpf" "$guards_10_bpf"
[ "$faults" = 0 ]
