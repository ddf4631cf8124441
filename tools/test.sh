# shellcheck shell=bash
# `./x test`: the stages and their sum. Source this file after say.sh, packages.sh, build.sh and tests/vm/matrix.sh.
#
# A stage is a function stage_NAME. It leaves "PASSED FAILED SKIPPED" in $counts if it counts more than itself, appends
# "TEST: why" to $skips for what it could not run, and fails if anything failed.

counts="" skips=""
all_stages=(format scripts lint docs unit fuzz build kernel e2e vm)
quick_stages=(format scripts lint docs unit)

# run_tests [--quick] : the stages, or those that $RINGFENCE_TEST_STAGES names (unit,kernel); fails if anything failed.
run_tests() {
    local stages=("${all_stages[@]}") tools=test
    if [ "${1:-}" = --quick ]; then
        stages=("${quick_stages[@]}")
        tools=build
    elif [ $# -gt 0 ]; then
        die "./x test takes only --quick"
    fi
    [ -z "${RINGFENCE_TEST_STAGES:-}" ] || IFS=', ' read -r -a stages <<<"$RINGFENCE_TEST_STAGES"
    check_stage_names "${stages[@]}"
    need_tools "$tools"
    # Whoever runs them: what script(1), ls and others do depends on these.
    export SHELL=/bin/sh LC_ALL=C.UTF-8 TZ=UTC
    # Nothing is built twice there, and what cargo keeps for a second time fills gigabytes.
    [ "${CI:-}" != true ] || export CARGO_INCREMENTAL=0
    run_stages "${stages[@]}"
}

check_stage_names() {
    local stage
    for stage in "$@"; do
        [[ " ${all_stages[*]} " == *" $stage "* ]] || die "'$stage' is not a stage of ./x test: ${all_stages[*]}"
    done
}

# run_stages STAGE... : runs each, prints a table and, as the last line, the sum.
run_stages() {
    local results passed=0 failed=0 skipped=0 stage status begun p f s table=""
    results=$(mktemp -d)
    counts=$results/counts skips=$results/skips
    : >"$skips"
    for stage in "$@"; do
        printf '\n=== %s\n' "$stage"
        begun=$SECONDS status=0
        rm -f "$counts"
        # In a shell of its own with -e: `set -e` does not act inside a condition.
        set +e
        (set -e; "stage_$stage")
        status=$?
        set -e
        read -r p f s < <(stage_counts "$status")
        printf '=== %s: %d passed, %d failed, %d skipped in %d s\n' "$stage" "$p" "$f" "$s" $((SECONDS - begun))
        table+=$(printf '%-10s %7d %7d %8d %6d s' "$stage" "$p" "$f" "$s" $((SECONDS - begun)))$'\n'
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    done
    printf '\n%-10s %7s %7s %8s %8s\n%s' stage passed failed skipped time "$table"
    # A disk that is full fails in many ways, and few of them say so.
    printf 'disk: %s MiB free\n' "$(df -Pm . | awk 'NR == 2 { print $4 }')"
    f=0
    check_skips tests/may-skip.txt "$skips" || f=$?
    failed=$((failed + f)) skipped=$((skipped - f))
    rm -rf "$results"
    printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" = 0 ]
}

# stage_counts STATUS : what the stage counted, or itself; a stage that failed has at least one failure.
stage_counts() {
    local p=0 f=0 s=0
    if [ -s "$counts" ]; then
        read -r p f s <"$counts"
    elif [ "$1" = 0 ]; then
        p=1
    fi
    if [ "$1" != 0 ] && [ "$f" = 0 ]; then f=1; fi
    echo "$p $f $s"
}

# check_skips ALLOWED SKIPS : names what was skipped; under CI returns how many of them ALLOWED does not name.
check_skips() {
    local line test unexpected=0
    while IFS= read -r line; do
        test=${line%%: *}
        if sed -n '/^#/!s/: .*//p' "$1" | grep -Fx -- "$test" >/dev/null; then
            echo "skipped: $line"
        elif [ "${CI:-}" = true ]; then
            echo "failed: $line (a skip that $1 does not name)"
            unexpected=$((unexpected + 1))
        else
            echo "skipped: $line (CI would fail: $1 does not name it)"
        fi
    done <"$2"
    return $((unexpected > 200 ? 200 : unexpected))
}

# skip_stage NAME WHY : the whole stage cannot run here.
skip_stage() {
    echo "skipped: $2"
    echo "$1: $2" >>"$skips"
    echo "0 0 1" >"$counts"
}

# add_skip TEST WHY : one thing that a stage could not do, beside those it did.
add_skip() {
    echo "skipped: $1: $2"
    echo "$1: $2" >>"$skips"
}

stage_format() {
    cargo fmt --all -- --check
    local clang_format files
    mapfile -t files < <(bpf_sources)
    if clang_format=$(find_clang_format); then
        [ ${#files[@]} = 0 ] || "$clang_format" --dry-run -Werror "${files[@]}"
    else
        add_skip format::bpf "clang-format 19 is not here"
        echo "1 0 1" >"$counts"
    fi
}

# bpf_sources : the BPF C files and headers that are written by hand.
bpf_sources() {
    find crates/sensors \( -path '*/vmlinux/*' -o -path '*/target/*' \) -prune -o \( -name '*.bpf.c' -o -path '*/bpf/*.h' \) -print | sort
}

stage_scripts() {
    tools/self-test
    if command -v shellcheck >/dev/null; then
        # With -a also the parts that these source.
        shellcheck -x -a x .ci/run tools/record-example tools/record-attack tools/vmlinux-headers tools/self-test tests/vm/boot.sh tests/vm/case.sh tests/vm/init \
            tests/vm/cases/*.sh docs/example/group/client.sh
    else
        add_skip scripts::shellcheck "shellcheck is not here"
        echo "1 0 1" >"$counts"
    fi
}

stage_lint() {
    cargo clippy --locked --workspace --all-targets -- -D warnings
}

stage_docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
}

stage_unit() {
    cargo_tests --workspace
    # nextest does not run the examples in the documentation.
    [ "$runner" = test ] || count_results cargo test --locked --doc --workspace -- --show-output
}

stage_build() {
    local program
    program=$(build_program release)
    ls -l "$program"
}

stage_kernel() {
    needs_root kernel || return 0
    mount_kernel_files
    serial=yes ignored=only cargo_tests -p sensors
}

stage_e2e() {
    needs_root e2e || return 0
    mount_kernel_files
    RINGFENCE_BIN=$(build_program release)
    export RINGFENCE_BIN
    serial=yes ignored=only cargo_tests -p e2e # the others need no root and were in stage unit
}

stage_vm() {
    needs_root vm || return 0
    local program
    program=$(build_program release)
    vm_matrix "$program"
}

needs_root() {
    [ "$(id -u)" = 0 ] && return
    # shellcheck disable=SC2016 # to be typed like that
    skip_stage "$1" 'needs root: sudo -E env "PATH=$PATH" ./x test'
    return 1
}

# mount_kernel_files : the kernel's own file systems, where they are usual, if nobody has mounted them.
mount_kernel_files() {
    mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
    mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
    mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
}

# cargo_tests ARGUMENT... : runs tests by nextest, or by cargo where that is absent, and counts them.
# With serial=yes one after another; with ignored=only those marked as ignored, instead of the others.
runner='test'
! cargo nextest --version >/dev/null 2>&1 || runner=nextest
cargo_tests() {
    local arguments=() harness=()
    if [ "$runner" = nextest ]; then
        [ -z "${serial:-}" ] || arguments+=(--test-threads 1)
        [ -z "${ignored:-}" ] || arguments+=(--run-ignored "$ignored")
        count_results cargo nextest run --locked --config-file tools/nextest.toml --color never --no-fail-fast \
            --show-progress none --status-level pass --final-status-level none \
            --success-output immediate --failure-output immediate "${arguments[@]}" "$@"
    else
        [ -z "${serial:-}" ] || harness+=(--test-threads 1)
        [ -z "${ignored:-}" ] || harness+=(--ignored)
        count_results cargo test --locked --no-fail-fast "$@" -- --show-output "${harness[@]}"
    fi
}

# count_results COMMAND... : runs it, prints its output in short form and adds its tests to $counts.
count_results() {
    local status=0 before=(0 0 0) now=(0 0 0)
    [ ! -s "$counts" ] || read -r -a before <"$counts"
    "$@" 2>&1 | awk -v COUNTS="$counts.now" -v SKIPS="$skips" -f tools/results.awk || status=$?
    read -r -a now <"$counts.now"
    # A command that failed without a failed test did not get as far as running them.
    if [ "$status" != 0 ] && [ "${now[1]}" = 0 ]; then now[1]=1; fi
    echo "$((before[0] + now[0])) $((before[1] + now[1])) $((before[2] + now[2]))" >"$counts"
    return "$status"
}
