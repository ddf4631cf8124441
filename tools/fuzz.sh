# shellcheck shell=bash
# `./x fuzz`, and the stage `fuzz` of `./x test`. Source this file after say.sh, packages.sh, build.sh and test.sh.

# Makes the compiler note which code ran and what was compared with what. Comparisons of memory stay calls, so that the
# fuzzer sees their operands. A stable toolchain can do all of it.
fuzz_flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-max-loads-per-memcmp=0"

# fuzz [TARGET [SECONDS|FILE]] : all targets or one, for 60 seconds each or so many; or one target on one file.
fuzz() {
    local targets target directory found=0
    mapfile -t targets < <(fuzz_targets)
    if [ $# -gt 0 ]; then
        [[ " ${targets[*]} " == *" $1 "* ]] || die "'$1' is not a fuzz target: ${targets[*]}"
        targets=("$1")
    fi
    if [ $# -gt 2 ] || { [ $# = 2 ] && ! [[ $2 =~ ^[1-9][0-9]*$ ]] && ! [ -f "$2" ]; }; then
        die "./x fuzz takes a target and then seconds or a file, not: $*"
    fi
    need_tools build
    need_cxx_compiler
    directory=$(build_fuzz_targets)
    if [ $# = 2 ] && [ -f "$2" ]; then
        "$directory/$1" "$2"
        return
    fi
    for target in "${targets[@]}"; do
        fuzz_one "$directory" "$target" "${2:-60}" "$(target_dir)/fuzz-corpus/$target" || found=$((found + 1))
    done
    [ "$found" = 0 ]
}

# The same seed of chance and the same number of inputs each time, and nothing kept: what passed once passes again, however fast
# the machine, as long as the code is the same. The time is for a machine that is so slow that it would take too long.
stage_fuzz() {
    local directory corpus target passed=0 failed=0
    need_cxx_compiler
    directory=$(build_fuzz_targets)
    corpus=$(mktemp -d)
    for target in $(fuzz_targets); do
        if fuzz_one "$directory" "$target" 120 "$corpus/$target" -seed=1 -runs=20000; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
    done
    rm -rf "$corpus"
    echo "$passed $failed 0" >"$counts"
    [ "$failed" = 0 ]
}

# fuzz_targets : their names, one a line.
fuzz_targets() {
    local file
    for file in fuzz/targets/*.rs; do
        basename "$file" .rs
    done
}

# build_fuzz_targets : builds all of them and prints the directory that they are in.
#
# With --target the flags reach neither build scripts nor procedural macros.
build_fuzz_targets() {
    local triple
    triple=$(host_triple)
    RUSTFLAGS="${RUSTFLAGS:-} $fuzz_flags" cargo build --locked --package fuzz --features libfuzzer --bins \
        --profile fuzz --target "$triple" >&2 || return 1
    echo "$(target_dir)/$triple/fuzz"
}

# fuzz_one DIRECTORY TARGET SECONDS CORPUS [OPTION...] : runs one and says how far it got, or what it found.
fuzz_one() {
    local directory=$1 target=$2 seconds=$3 corpus=$4 found log seeds=("fuzz/seeds/$2")
    shift 4
    found=$(target_dir)/fuzz-found
    mkdir -p "$corpus" "$found"
    # Every report that was ever written is a seed, too.
    [ "$target" != reports ] || seeds+=(crates/report/tests/reports)
    log=$found/$target.log
    if "$directory/$target" "$corpus" "${seeds[@]}" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$found/$target-" "$@" >"$log" 2>&1; then
        echo "fuzz: $target: $(fuzz_progress "$log")"
        return
    fi
    cat "$log"
    echo "fuzz: $target: found something; again: ./x fuzz $target $(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)"
    return 1
}

# fuzz_progress LOG : inputs tried, and places in the code that they reached.
fuzz_progress() {
    awk '/^stat::number_of_executed_units/ { tried = $2 } / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") reached = $(i + 1) }
        END { printf "%d inputs, %d places reached\n", tried, reached }' "$1"
}

# need_cxx_compiler : the fuzzer is written in C++.
need_cxx_compiler() {
    if command -v "${CXX:-c++}" >/dev/null; then
        return
    fi
    [ "$(package_manager)" = apt ] || die "the fuzzer needs a C++ compiler with its standard library (c++ or CXX): install g++"
    as_root apt-get -q update >&2 || say "apt-get update failed: going on with the lists that are here"
    install_apt_packages g++
}
