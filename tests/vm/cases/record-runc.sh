#!/bin/sh
# Bare runc, `ringfence record --all`: a container with the program exact.c and one with a busybox shell, each reported once
# with the counts that it made, and what runc did to set them up is not in them.
# Needs RINGFENCE_BIN, EXACT (the program exact.c), EXACT_JQ (exact.jq), and runc, jq and busybox on the machine.
set -eu

work=$(mktemp -d)
out=$work/reports

# bundle NAME COMMAND ARG... : an OCI bundle in $work/NAME. No ARG has a newline.
bundle() {
    name=$1
    shift
    mkdir -p "$work/$name/rootfs/bin" "$work/$name/rootfs/proc" "$work/$name/rootfs/dev" "$work/$name/rootfs/sys"
    cp "$EXACT" "$work/$name/rootfs/exact"
    cp "$(command -v busybox)" "$work/$name/rootfs/bin/busybox"
    (cd "$work/$name" && runc spec)
    printf '%s\n' "$@" | jq -R . | jq -s . >"$work/$name/args"
    jq --arg name "$name" --slurpfile args "$work/$name/args" '.process.terminal = false | .process.args = $args[0]
        | .linux.cgroupsPath = "/of-runc/" + $name' "$work/$name/config.json" >"$work/$name/config.new"
    mv "$work/$name/config.new" "$work/$name/config.json"
}

# report_of NAME : the one report about that container.
report_of() {
    found=
    for report in "$out"/*.json; do
        if jq -e --arg name "$1" '.container.id == $name or (.container.cgroup.path | endswith("/" + $name))' "$report" >/dev/null; then
            [ -z "$found" ] || { echo "two reports of $1: $found $report" >&2; return 1; }
            found=$report
        fi
    done
    [ -n "$found" ] || { echo "no report of $1 in: $(ls "$out")" >&2; return 1; }
    echo "$found"
}

bundle exact /exact
# shellcheck disable=SC2016 # for the shell in the container
bundle shell /bin/busybox sh -c 'i=0; while [ $i -lt 20 ]; do /bin/busybox true; i=$((i + 1)); done'

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
for name in exact shell; do
    runc --root "$work/state" run --bundle "$work/$name" "$name" </dev/null
done
kill -INT $recorder
(sleep 60; kill -KILL $recorder) 2>/dev/null & # if it does not end by itself
status=0
wait $recorder || status=$?
# 1: a report is not complete.
if [ $status != 0 ] && ! { [ $status = 1 ] && [ "${MAY_MISS:-}" = 1 ]; }; then
    echo "ringfence record ended with $status"
    cat "$work/stderr"
    exit 1
fi

report=$(report_of exact)
faults=$(jq -r --arg arch "$(uname -m)" -f "$EXACT_JQ" "$report")
report=$(report_of shell)
execs=$(jq '[.behaviour.syscalls[] | select(.phase == "main" and .name == "execve") | .count | tonumber] | add' "$report")
[ "$execs" = 21 ] || [ "${MAY_MISS:-}" = 1 ] || faults="$faults
execve of the shell's container: $execs, not 21"
if [ -n "$faults" ]; then
    echo "$faults"
    jq -cM '.container.cgroup, .reasons, .losses' "$out"/*.json
    cat "$work/stderr"
    exit 1
fi
