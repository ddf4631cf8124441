# shellcheck shell=bash
# Debian packages, of any release and architecture, without touching the machine's own apt state. Source this file.

# debian_mirror : the address before /debian of the mirror that this machine's apt uses, or $RINGFENCE_DEBIAN_MIRROR.
debian_mirror() {
    # shellcheck disable=SC2016 # apt-get fills it in
    local sites='$(SITE)'
    if [ -n "${RINGFENCE_DEBIAN_MIRROR:-}" ]; then
        echo "$RINGFENCE_DEBIAN_MIRROR"
        return
    fi
    (unset APT_CONFIG; apt-get indextargets --format "$sites") | sed -n 's#/debian/*$##p' | sort -u | sed -n 1p | grep . || {
        echo "debian_mirror: apt has no Debian mirror here: set RINGFENCE_DEBIAN_MIRROR to the address before /debian" >&2
        return 1
    }
}

# debian_apt DIR ARCH SUITE... : makes a private apt state for ARCH in DIR and points APT_CONFIG at it.
# A SUITE is for example trixie-security.
debian_apt() {
    local dir=$1 arch=$2 mirror suite archive
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    shift 2
    command -v apt-get >/dev/null || { echo "debian_apt: apt-get is not on this machine" >&2; return 1; }
    [ -f "$keyring" ] || { echo "debian_apt: $keyring is missing: install debian-archive-keyring" >&2; return 1; }
    mirror=$(debian_mirror) || return 1
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    : >"$dir/status"
    for suite in "$@"; do
        archive=debian
        [[ $suite != *-security ]] || archive="debian-security"
        echo "deb [signed-by=$keyring arch=$arch] $mirror/$archive $suite main"
    done >"$dir/sources.list"
    cat >"$dir/apt.conf" <<CONF
Dir::State "$dir";
Dir::State::Lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "60";
APT::Architecture "$arch";
APT::Architectures "$arch";
APT::Sandbox::User "root";
CONF
    export APT_CONFIG=$dir/apt.conf
    # One suite that is gone must not cost the others.
    apt-get -q update >"$dir/update.log" 2>&1 || sed 's/^/debian_apt: /' "$dir/update.log" >&2
}

# debian_newest REGEX : the newest package by version whose whole name matches the extended REGEX; fails if there is none.
debian_newest() {
    apt-cache search --names-only "^$1\$" | cut -d" " -f1 | grep -Ex "$1" | sort -V | tail -n 1 | grep .
}

# debian_unpack DIR PACKAGE... : downloads the packages and unpacks their files into DIR. Nothing is installed.
debian_unpack() {
    local dir=$1 debs deb
    shift
    debs=$(mktemp -d)
    if ! (cd "$debs" && apt-get -q download "$@") >"$debs/log" 2>&1; then
        sed 's/^/debian_unpack: /' "$debs/log" >&2
        rm -rf "$debs"
        return 1
    fi
    mkdir -p "$dir"
    for deb in "$debs"/*.deb; do
        dpkg-deb -x "$deb" "$dir" || { rm -rf "$debs"; return 1; }
    done
    rm -rf "$debs"
}
