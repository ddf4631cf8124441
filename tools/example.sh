# shellcheck shell=bash
# `./x example`. Source this file after say.sh and build.sh.

# What the containers of the example are made of. The key of the cache is this list.
example_packages=(nginx-light redis-server postgresql-15 python3 python3-psycopg2 curl openssl ca-certificates)

# example : records a group of containers and writes docs/example.
example() {
    local program root work
    for work in dockerd docker runc mmdebstrap ip iptables nsenter jq; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$work" >/dev/null || die "'$work' is not here: ./x test installs what it needs"
    done
    program=${RINGFENCE_BIN:-$(build_program release)}
    root=$(example_root) || die "the file system of the images could not be built"
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of now
    trap "as_root rm -rf '$work'" EXIT
    # One at a time with the tests that run containers, which use the same lock. What is started there ends with it.
    as_root flock "${TMPDIR:-/tmp}/ringfence-e2e.lock" timeout --foreground --kill-after=60 180 \
        unshare --mount --net --uts --propagation private \
        tools/record-example "$(readlink -f "$program")" "$root" "$work" || die "the example was not recorded"
    mkdir -p docs/example
    cp "$work"/kept/* docs/example/
    say "written: docs/example/README.md"
}

# example_root : the archive of a minimal Debian with the packages; built once and kept.
example_root() {
    local folder archive fresh mirror
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/ringfence/rootfs
    archive=$folder/example-$(echo "${example_packages[*]}" | cksum | cut -d' ' -f1).tar
    if ! [ -f "$archive" ]; then
        say "building the file system of the images: ${example_packages[*]}"
        mirror=$(debian_mirror) || return 1
        mkdir -p "$folder"
        fresh=$(mktemp "$folder/fresh.XXXXXX")
        # Nothing of where the packages came from is left in it.
        # shellcheck disable=SC2016 # mmdebstrap fills it in
        as_root mmdebstrap --variant=minbase --format=tar --include="$(IFS=,; echo "${example_packages[*]}")" \
            --customize-hook='rm -rf "$1"/etc/apt/sources.list* "$1"/var/lib/apt/lists/*' \
            --customize-hook='rm -f "$1"/etc/resolv.conf "$1"/etc/hostname' \
            bookworm "$fresh" "$mirror/debian" >&2 || { rm -f "$fresh"; return 1; }
        mv "$fresh" "$archive"
    fi
    echo "$archive"
}
