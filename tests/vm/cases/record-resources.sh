#!/bin/sh
# What a container used of the machine, with limits on CPU time, memory and tasks: as the files of its cgroup say while it rests.
# Needs RINGFENCE_BIN, and runc, jq and busybox on the machine.
set -eu

work=$(mktemp -d)
out=$work/reports

mkdir -p "$work/bundle/rootfs/bin" "$work/bundle/rootfs/proc" "$work/bundle/rootfs/dev" "$work/bundle/rootfs/sys"
cp "$(command -v busybox)" "$work/bundle/rootfs/bin/busybox"
# The buffer of dd is larger than all the memory that there is for it.
# shellcheck disable=SC2016 # for the shell in the container
deed='b=/bin/busybox; $b timeout 3 $b sh -c "while :; do :; done"; $b dd if=/dev/zero of=/dev/null bs=64M count=1; echo rests; $b sleep 12'
(cd "$work/bundle" && runc spec)
jq --arg deed "$deed" '.process.terminal = false | .process.args = ["/bin/busybox", "sh", "-c", $deed]
    | .linux.cgroupsPath = "/of-runc/work"
    | .linux.resources += {cpu: {quota: 25000, period: 100000}, memory: {limit: 33554432, swap: 33554432}, pids: {limit: 64}}' \
    "$work/bundle/config.json" >"$work/bundle/config.new"
mv "$work/bundle/config.new" "$work/bundle/config.json"

"$RINGFENCE_BIN" record --all --out "$out" 2>"$work/stderr" &
recorder=$!
waited=0
until grep -q ^recording "$work/stderr"; do
    waited=$((waited + 1))
    if [ $waited -gt 600 ] || ! kill -0 $recorder; then
        cat "$work/stderr"
        echo "ringfence record was not ready"
        exit 1
    fi
    sleep 0.1
done

runc --root "$work/state" run --bundle "$work/bundle" work </dev/null >"$work/stdout" 2>"$work/dd" &
container=$!
until grep -q rests "$work/stdout"; do
    kill -0 $container || { echo "the container ended early"; cat "$work/stdout" "$work/dd"; exit 1; }
    sleep 0.2
done
sleep 2 # its shell has yet to start the last program

# of FILE-IN-V2 | of CONTROLLER FILE : of the cgroup.
of() {
    if [ $# = 1 ]; then cat "/sys/fs/cgroup/of-runc/work/$1"; else cat /sys/fs/cgroup/"$1"/of-runc/work/"$2"; fi
}
# behind KEY : the number behind it, of lines that come in.
behind() {
    awk -v key="$1" '$1 == key { print $2 }'
}
if [ -e /sys/fs/cgroup/of-runc/work ]; then
    cpu=$(of cpu.stat | behind usage_usec)000
    throttled=$(of cpu.stat | behind nr_throttled)
    kills=$(of memory.events | behind oom_kill)
    peak=$(of memory.peak 2>/dev/null || echo none)
else
    cpu=$(of cpuacct cpuacct.usage)
    throttled=$(of cpu cpu.stat | behind nr_throttled)
    kills=$(of memory memory.oom_control | behind oom_kill)
    peak=$(of memory memory.max_usage_in_bytes)
fi
wait $container || true
kill -INT $recorder
(sleep 60; kill -KILL $recorder) 2>/dev/null & # if it does not end by itself
wait $recorder || [ $? = 1 ] # 1: a report is not complete

set -- "$out"/*.json
[ $# = 1 ] || { echo "not one report but: $*"; exit 1; }
# What is left to be done costs something, too; a machine that is emulated takes its time.
faults=$(jq -r --argjson cpu "$cpu" --argjson throttled "$throttled" --argjson kills "$kills" --arg peak "$peak" '
    def number: if . == null then -1 else tonumber end;
    .behaviour.resources
    | (if (.cpu.usage_ns | number) < $cpu or (.cpu.usage_ns | number) > $cpu + 3000000000
        then "CPU time: \(.cpu.usage_ns), the cgroup had \($cpu)" else empty end),
      (if (.cpu.throttled_periods | number) < $throttled or $throttled < 3
        then "throttled: \(.cpu.throttled_periods), the cgroup had \($throttled)" else empty end),
      (if (.memory.oom_kills | number) != $kills or $kills != 1
        then "killed: \(.memory.oom_kills), the cgroup had \($kills)" else empty end),
      (if $peak != "none" and (.memory.peak_bytes | number) < ($peak | tonumber)
        then "peak: \(.memory.peak_bytes), the cgroup had \($peak)" else empty end),
      (if (.memory.peak_bytes | number) <= 0 or (.memory.peak_bytes | number) > 33554432
        then "peak: \(.memory.peak_bytes)" else empty end),
      (if (.memory.limit_bytes | number) != 33554432 then "limit of memory: \(.memory.limit_bytes)" else empty end),
      (if (.cpu.limit_ns_per_second | number) != 250000000 then "limit of CPU time: \(.cpu.limit_ns_per_second)" else empty end),
      (if (.tasks.limit | number) != 64 or (.tasks.peak | number) < 2 then "tasks: \(.tasks)" else empty end),
      (if (.run_delay.ended_tasks | number) < 4 or (.run_delay.ns | number) <= 0 then "waiting for a CPU: \(.run_delay)" else empty end)
' "$1")
jq -cM '.behaviour.resources, [.sensors[] | select(.name == "resources")]' "$1"
if [ -n "$faults" ]; then
    echo "$faults"
    exit 1
fi
