# shellcheck shell=bash
# The same program on other kernels: each case of tests/vm/cases on each of them, two virtual machines at a time.
# Source this file after tools/say.sh, tools/debian.sh, tools/build.sh and tests/vm/kernels.sh.
#
# A test is named vm::LABEL::LAYOUT::CASE; a kernel that could not be had is the skipped test vm::LABEL.

vm_folder=tests/vm
vm_needed=4 # of the x86 kernels, else the run fails
vm_parallel=2

# vm_matrix PROGRAM [LABEL...] : fails if a case failed or, with all labels, too few kernels were had.
# Leaves its numbers in $counts and what was skipped in $skips, if these are set.
vm_matrix() {
    local program=$1 labels=() label rest had=0 asked=0 work passed=0 failed=0 skipped=0
    shift
    labels=("$@")
    [ $# -gt 0 ] || labels=("${vm_labels[@]}")
    work=$(mktemp -d "$(target_dir)/vm.XXXXXX")
    vm_prepare "$program" "$work"

    while read -r label rest; do
        if [[ $rest == "not available"* ]]; then
            vm_skip "$label" "$rest"
            skipped=$((skipped + 1))
        elif [ "$label" = arm64 ] && ! vm_prepare_arm64 "$work"; then
            vm_skip arm64 "no Rust target"
            skipped=$((skipped + 1))
        else
            echo "vm $label: Linux $rest"
            [ "$label" = arm64 ] || had=$((had + 1))
            vm_jobs_of "$label" >>"$work/jobs"
        fi
    done < <(vm_fetch "${labels[@]}")

    if [ -s "$work/jobs" ]; then
        xargs -P "$vm_parallel" -L 1 "$vm_folder/case.sh" "$work" <"$work/jobs" || true
        passed=$(find "$work/results" -name '*.passed' | wc -l)
        failed=$(($(wc -l <"$work/jobs") - passed))
    fi
    vm_table "$work" "${labels[@]}"
    for label in "${labels[@]}"; do [ "$label" = arm64 ] || asked=$((asked + 1)); done
    if [ "$asked" -ge "$vm_needed" ] && [ "$had" -lt "$vm_needed" ]; then
        echo "vm: only $had kernels could be had; $vm_needed are needed"
        failed=$((failed + 1))
    fi
    [ -z "${counts:-}" ] || echo "$passed $failed $skipped" >"$counts"
    rm -rf "$work"
    [ "$failed" = 0 ]
}

# vm_prepare PROGRAM WORK : what the cases use, for x86.
vm_prepare() {
    mkdir "$2/results"
    cp "$1" "$2/ringfence"
    cp "$vm_folder/exact.jq" "$2/"
    gcc -static -O1 -Wall -Wextra -Werror -pthread -o "$2/exact" "$vm_folder/exact.c"
    gcc -static -O1 -Wall -Wextra -Werror -o "$2/empty_lsm" "$vm_folder/empty_lsm.c"
    : >"$2/jobs"
}

# vm_prepare_arm64 WORK : the same for arm64; fails if Rust has no such target here. A build that fails stops everything.
vm_prepare_arm64() {
    local program triple
    triple=$(target_triple aarch64)
    mkdir "$1/arm64"
    rust_target "$triple" || return 1
    program=$(build_program release "$triple") || die "the build for $triple failed"
    cp "$program" "$1/arm64/ringfence"
    cp "$vm_folder/exact.jq" "$1/arm64/"
    aarch64-linux-gnu-gcc -static -O1 -Wall -Wextra -Werror -pthread -o "$1/arm64/exact" "$vm_folder/exact.c"
}

# vm_jobs_of LABEL : its jobs, one a line: LABEL LAYOUT CASE.
vm_jobs_of() {
    local case
    if [ "$1" = arm64 ]; then
        echo "arm64 v2 record-sandbox"
        return
    fi
    for case in "$vm_folder"/cases/*.sh; do
        # What guards cost is a measurement, made by hand: docs/blocking.md.
        [[ $case != */guard-cost.sh ]] || continue
        # What is recommended is the same on each: one shows that it can be lived with.
        [[ $case != */recommend-* || $1 = 6.12 ]] || continue
        # Long, and proved nowhere else yet: docs/blocking.md.
        [[ $case != */block-@(files|deeds|hash|levels|taint|written).sh || $1 = 6.12 ]] || continue
        [[ $case != */block-without-lsm.sh || $1 = 6.12 ]] || continue
        # What lies below all roots is another thing from 7.0 on.
        [[ $case != */block-image.sh || $1 = 6.12 || $1 = new ]] || continue
        # Where the guards were proved with which hierarchies: docs/blocking.md. Here each kernel once, and each layout on one of them.
        if [[ $case = */block-exec.sh && $1 = 5.10 ]]; then
            echo "$1 v1 block-exec"
            continue
        fi
        echo "$1 v2 $(basename "$case" .sh)"
        # Of the kernels here the newest whose v1 hierarchies are all there.
        [ "$1" != 6.1 ] || echo "$1 hybrid $(basename "$case" .sh)"
    done
}

# vm_skip LABEL WHY
vm_skip() {
    echo "vm $1: skipped: ${2#not available: }"
    [ -z "${skips:-}" ] || echo "vm::$1: ${2#not available: }" >>"$skips"
}

# vm_table WORK LABEL... : a line for each kernel.
vm_table() {
    local work=$1 label jobs passed
    shift
    for label in "$@"; do
        jobs=$(grep -c "^$label " "$work/jobs" || true)
        passed=$(find "$work/results" -name "vm::$label::*.passed" | wc -l)
        if [ "$jobs" = 0 ]; then
            echo "$label: not available"
        elif [ "$passed" = "$jobs" ]; then
            echo "$label: pass ($passed of $jobs)"
        else
            echo "$label: fail ($passed of $jobs)"
        fi
    done
}
