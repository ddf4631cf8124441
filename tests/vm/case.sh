#!/usr/bin/env bash
# tests/vm/case.sh WORK LABEL LAYOUT CASE : runs one case in a virtual machine; matrix.sh calls it.
#
# A line "# Command line: WORDS" in the case is more of the kernel's command line, a line "# In the matrix: NAME=VALUE" one of its
# environment. WORK holds ringfence, exact, exact.jq (for arm64 in
# WORK/arm64) and empty_lsm. Leaves WORK/results/NAME.passed or .failed, prints one line, and all that the guest said if it failed.
set -euo pipefail

work=$1 label=$2 layout=$3 case=$4
here=$(dirname "$(readlink -f "$0")")
name=vm::$label::$layout::$case
log=$work/results/$name
arguments=(-k "$label" -c "$layout" -t "$(sed -n 's/^# Time limit: //p' "$here/cases/$case.sh" | grep . || echo 300)" -a "$(sed -n 's/^# Command line: //p' "$here/cases/$case.sh")")
while read -r setting; do
    arguments+=(-e "$setting")
done < <(sed -n 's/^# In the matrix: //p' "$here/cases/$case.sh")
if [ "$label" = arm64 ]; then
    arguments+=(-f "$work/arm64/ringfence" -f "$work/arm64/exact" -f "$work/arm64/exact.jq"
        -e RINGFENCE_BIN=/t/ringfence -e EXACT=/t/exact -e EXACT_JQ=/t/exact.jq)
else
    arguments+=(-e "RINGFENCE_BIN=$work/ringfence" -e "EXACT=$work/exact" -e "EXACT_JQ=$work/exact.jq"
        -e "EMPTY_LSM=$work/empty_lsm")
fi

# From 7.0 on the kernel may skip programs, which the sensors make up for (crates/sensors/bpf/ringfence.h). Where a virtual
# machine is emulated, a task loses the CPU so often in the middle of one that very few may be missing in the end.

status=0 begun=$SECONDS
"$here/boot.sh" "${arguments[@]}" "$here/cases/$case.sh" >"$log.log" 2>&1 || status=$?
if [ "$status" = 0 ]; then
    mv "$log.log" "$log.passed"
    echo "    PASS $name ($((SECONDS - begun)) s)"
else
    case $status in
    124) why="time limit" ;;
    125) why="the guest died" ;;
    *) why="exit status $status" ;;
    esac
    # In one piece: another case may be printing.
    sed 's/^/        /' "$log.log" >"$log.shown"
    printf '    FAIL %s (%s, %d s)\n%s\n' "$name" "$why" $((SECONDS - begun)) "$(cat "$log.shown")"
    mv "$log.log" "$log.failed"
fi
