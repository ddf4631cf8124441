# shellcheck shell=bash
# `./x attack`. Source this file after say.sh, build.sh and example.sh.

# attack : breaks into a shop, watched and then stopped, and writes docs/attack.
attack() {
    local program root work
    for work in dockerd docker runc mmdebstrap ip nsenter jq gcc; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$work" >/dev/null || die "'$work' is not here: ./x test installs what it needs"
    done
    program=${RINGFENCE_BIN:-$(build_program release)}
    root=$(example_root) || die "the file system of the images could not be built"
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of now
    trap "as_root rm -rf '$work'" EXIT
    # One at a time with the tests that run containers, which use the same lock. What is started there ends with it.
    as_root flock "${TMPDIR:-/tmp}/ringfence-e2e.lock" timeout --foreground --kill-after=60 300 \
        unshare --mount --net --uts --propagation private \
        tools/record-attack "$(readlink -f "$program")" "$root" "$work" || die "it was not told, or not stopped"
    cp "$work"/kept/* docs/attack/
    say "written: docs/attack/README.md"
}
