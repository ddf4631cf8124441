# shellcheck shell=bash
# Building the program. Source this file after say.sh.

# target_dir : where cargo puts what it builds.
target_dir() {
    cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# target_triple aarch64|x86_64|TRIPLE : the name that rustc has for it.
target_triple() {
    case $1 in
    *-*) echo "$1" ;;
    aarch64 | arm64) echo aarch64-unknown-linux-gnu ;;
    x86_64 | amd64) echo x86_64-unknown-linux-gnu ;;
    *) die "'$1' is not a target: aarch64 or x86_64" ;;
    esac
}

# host_triple : the one that this machine's rustc builds for.
host_triple() {
    rustc -vV | sed -n 's/^host: //p'
}

# build_program PROFILE [TRIPLE] : builds the static program and prints its path. PROFILE is dev or release.
#
# Only the program itself is linked statically, so that without a TRIPLE build scripts, procedural macros and the program
# share one compilation of everything, the C libraries included. Naming the host's own triple would cost a second one.
build_program() {
    local profile=$1 triple=${2:-} directory
    local arguments=(rustc --package ringfence --bin ringfence --profile "$profile")
    directory=$(target_dir)
    if [ -n "$triple" ] && [ "$triple" != "$(host_triple)" ]; then
        rust_target "$triple" || die "no Rust target: rustup target add $triple failed"
        arguments+=(--target "$triple")
        directory+=/$triple
    fi
    cargo "${arguments[@]}" -- -C target-feature=+crt-static >&2 || return 1
    [ "$profile" != dev ] || profile=debug
    echo "$directory/$profile/ringfence"
}

# rust_target TRIPLE : the standard library for TRIPLE is here, or comes by rustup; fails if it is not to be had.
rust_target() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ] && return
    command -v rustup >/dev/null || return 1
    say "rustup target add $1"
    rustup target add "$1" >&2
}
