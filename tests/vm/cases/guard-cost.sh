#!/bin/sh
# What guards cost a deed that is let be: an exec in a container whose policies name 10 programs and 1,000, and an open under rules for
# 10 files and 1,000, beside empty LSM programs on the same hooks. Prints the time of each and what BPF programs took of it, one by one.
# Time means little in an emulated machine: what counts are ratios, of the least of several rounds.
# Needs RINGFENCE_BIN, EMPTY_LSM (tests/vm/empty_lsm.c), and runc, jq, busybox and bpftool on the machine.
set -eu

work=$(mktemp -d)
root=$work/rootfs
rounds=${ROUNDS:-5}
execs=${EXECS:-200}
opens=${OPENS:-5000}
faults=0

fault() {
    echo "FAULT: $*"
    faults=$((faults + 1))
}

mkdir -p "$root/bin" "$root/proc" "$root/dev" "$root/sys" "$root/tmp" "$root/srv/app/data"
cp "$(command -v busybox)" "$root/bin/busybox"
: >"$root/srv/app/data/file"
# rounds DEED TIMES : the least time of a round, in hundredths of a second. What is done: an exec, and four names deep an open.
cat >"$root/rounds" <<ROUNDS
#!/bin/busybox sh
now() {
    read -r up rest </proc/uptime
    echo "\${up%.*}\${up#*.}"
}
exec_one() { /bin/busybox true; }
open_one() { : </srv/app/data/file; }
least=1000000
round=0
while [ \$round -lt $rounds ]; do
    begun=\$(now)
    done=0
    while [ \$done -lt \$2 ]; do
        \$1_one
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
jq --arg root "$root" '.process.terminal = false | .process.args = ["/bin/busybox", "sleep", "10000"] | .root = {path: $root}
    | .linux.cgroupsPath = "/of-runc/here"' "$work/here/config.json" >"$work/here/config.new"
mv "$work/here/config.new" "$work/here/config.json"
runc --root "$work/state" run --detach --bundle "$work/here" here </dev/null >/dev/null 2>&1

# bpf_ns : what each BPF program took so far, and how often it ran.
bpf_ns() {
    bpftool --json prog show | jq -c '[.[] | select(.run_cnt) | {name, ns: .run_time_ns, runs: .run_cnt}] | group_by(.name)
        | map({key: .[0].name, value: {ns: (map(.ns) | add), runs: (map(.runs) | add)}}) | from_entries'
}

# measure NAME DEED TIMES : sets NAME_us to the time of one and NAME_bpf to the nanoseconds that BPF programs took of it.
measure() {
    bpf_ns >"$work/before"
    least=$(runc --root "$work/state" exec here /rounds "$2" "$3" </dev/null)
    bpf_ns >"$work/after"
    us=$((least * 10000 / $3))
    jq -n --argjson times $((rounds * $3)) --slurpfile before "$work/before" --slurpfile after "$work/after" '$after[0] | to_entries
        | map({name: .key, ns: (.value.ns - ($before[0][.key].ns // 0)), runs: (.value.runs - ($before[0][.key].runs // 0))})
        | map(select(.runs > 0)) | map(.ns = .ns / $times | .runs = .runs / $times)' >"$work/each"
    bpf=$(jq '[.[].ns] | add // 0 | floor' "$work/each")
    echo "$1: $us us for one $2, $bpf ns of it in BPF programs"
    jq -r '.[] | "    \(.name): \(.ns | floor) ns in \(.runs * 100 | round / 100) runs"' "$work/each"
    eval "$1_us=$us $1_bpf=$bpf"
}

# measure_empty NAME DEED TIMES HOOKS : with empty programs on these hooks.
measure_empty() {
    bpftool btf dump file /sys/kernel/btf/vmlinux | grep "FUNC 'bpf_lsm_\($4\)'" >"$work/functions"
    hooks=$(sed "s/^\[\([0-9]*\)\] FUNC '\([a-z_]*\)'.*/\2=\1/" "$work/functions")
    rm -f "$work/holds" "$work/is-ready"
    mkfifo "$work/holds" "$work/is-ready"
    # shellcheck disable=SC2086 # one word for each hook
    "$EMPTY_LSM" $hooks <"$work/holds" >"$work/is-ready" &
    holder=$!
    exec 3>"$work/holds"
    read -r ready <"$work/is-ready"
    [ "$ready" = ready ] || { echo "the empty programs are not attached"; exit 1; }
    measure "$1" "$2" "$3"
    exec 3>&-
    wait $holder
}

# measure_guards NAME DEED TIMES ENTRIES FIELD TEXT : with policies that have so many entries in this field, TEXT with a number behind.
measure_guards() {
    # Several policies, as the text of one has its bounds.
    each=$4
    [ "$each" -le 50 ] || each=50
    rm -rf "$work/policies"
    mkdir "$work/policies"
    first=0
    while [ $first -lt "$4" ]; do
        jq -n --argjson first $first --argjson each "$each" --arg field "$5" --arg text "$6" '{schema_version: 1,
            containers: [{container: "here"}]} + {($field): [range($first; $first + $each) | "\($text)\(.)"]}' \
            >"$work/policies/$first.json"
        first=$((first + each))
    done
    "$RINGFENCE_BIN" enforce --policy "$work/policies" --once 2>"$work/said" || { cat "$work/said"; exit 1; }
    measure "$1" "$2" "$3"
    "$RINGFENCE_BIN" block --status --format json | jq -e '.step == "lsm" and all(.policies[]; .denied == 0)' >/dev/null ||
        fault "the guards are not as they were set"
    "$RINGFENCE_BIN" policy remove --all 2>/dev/null
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
measure nothing exec "$execs"
measure_empty empty exec "$execs" 'bprm_check_security\|mmap_file'
measure_guards guards_10 exec "$execs" 10 exec absent-
measure_guards guards_1000 exec "$execs" 1000 exec absent-
measure_empty empty_again exec "$execs" 'bprm_check_security\|mmap_file'
measure nothing open "$opens"
measure_empty empty_open open "$opens" file_open
measure_guards files_10 open "$opens" 10 file /srv/other/absent-
measure_guards files_1000 open "$opens" 1000 file /srv/other/absent-
runc --root "$work/state" kill here KILL

# shellcheck disable=SC2154 # measure sets them
[ "$empty_us" -le "$empty_again_us" ] || empty_us=$empty_again_us
# shellcheck disable=SC2154
compare "an exec with guards for 1,000 names, of one with empty programs" "$guards_1000_us" "$empty_us"
# shellcheck disable=SC2154
compare "BPF programs at an exec with guards for 1,000 names, of those for 10" "$guards_1000_bpf" "$guards_10_bpf"
# shellcheck disable=SC2154
compare "an open with rules for 1,000 files, of one with empty programs" "$files_1000_us" "$empty_open_us"
# shellcheck disable=SC2154
compare "BPF programs at an open with rules for 1,000 files, of those for 10" "$files_1000_bpf" "$files_10_bpf"
[ "$faults" = 0 ]
