#!/bin/sh
# In ringfence's own sandbox, with no engine: the counts of a program that makes exactly so many calls, and its exit status.
# Needs RINGFENCE_BIN, EXACT (the program exact.c) and EXACT_JQ (exact.jq). Runs in any sh, that of busybox too.
set -eu

out=$(mktemp -d)
"$RINGFENCE_BIN" record --out "$out" -- "$EXACT"

set -- "$out"/*.json
if [ $# != 1 ] || [ ! -e "$1" ]; then
    echo "not one report but: $*"
    exit 1
fi
faults=$(jq -r --arg arch "$(uname -m)" -f "$EXACT_JQ" "$1")
if [ -n "$faults" ]; then
    echo "$faults"
    jq -cM '.reasons, .losses' "$1"
    exit 1
fi

status=0
"$RINGFENCE_BIN" record --out "$out/second" -- /bin/sh -c 'exit 7' || status=$?
[ "$status" = 7 ] || { echo "the exit status of the command was 7 and came out as $status"; exit 1; }
