# shellcheck shell=bash
# The packages that a build and a full test run need, and their installation. Source this file after say.sh.

# packages_for MANAGER build|test|bench : the names of the packages that this needs beside those before it, one a line. For apt the compiler is named apart, by apt_clang.
packages_for() {
    case $1-$2 in
    apt-build)
        echo make gcc libc6-dev pkg-config flex bison gawk gperf gettext autopoint autoconf automake libtool
        ;;
    apt-test)
        echo docker.io containerd runc crun podman uidmap criu busybox-static mmdebstrap debian-archive-keyring
        echo qemu-system-x86 qemu-system-arm qemu-system-common ipxe-qemu cpio kmod xz-utils
        echo docker-compose apparmor systemd python3-yaml python3-pip
        echo stress-ng strace seccomp python3-seccomp bpftool iproute2 iptables jq clang-format-19 shellcheck
        [ "$(uname -m)" = aarch64 ] || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross
        [ -x /usr/lib/qemu/virtiofsd ] || echo virtiofsd
        ;;
    apt-bench) echo bpftool util-linux git redis-tools wrk linux-perf bpftrace bpfcc-tools ;;
    *-bench) echo bpftool util-linux git redis wrk perf bpftrace bcc-tools ;;
    dnf-build)
        echo clang make gcc glibc-static pkgconf-pkg-config flex bison gawk gperf gettext-devel autoconf automake libtool
        ;;
    dnf-test)
        echo moby-engine containerd runc crun podman shadow-utils criu busybox mmdebstrap apt dpkg debian-keyring
        echo qemu-system-x86-core qemu-system-aarch64-core virtiofsd cpio kmod xz stress-ng strace libseccomp
        echo iproute iptables jq clang-tools-extra ShellCheck
        ;;
    pacman-build)
        echo clang make gcc pkgconf flex bison gawk gperf gettext autoconf automake libtool
        ;;
    pacman-test)
        echo docker containerd runc crun podman shadow criu busybox dpkg debian-archive-keyring
        echo qemu-system-x86 qemu-system-aarch64 virtiofsd cpio kmod xz stress-ng strace libseccomp
        echo iproute2 iptables jq aarch64-linux-gnu-gcc shellcheck
        ;;
    zypper-build)
        echo clang make gcc glibc-devel-static pkg-config flex bison gawk gperf gettext-tools autoconf automake libtool
        ;;
    zypper-test)
        echo docker containerd runc crun podman shadow criu busybox-static dpkg
        echo qemu-x86 qemu-arm virtiofsd cpio kmod xz stress-ng strace libseccomp-tools
        echo iproute2 iptables jq ShellCheck
        ;;
    apk-build)
        echo clang make gcc musl-dev linux-headers pkgconf flex bison gawk gperf gettext-dev autoconf automake libtool
        echo argp-standalone musl-fts-dev musl-obstack-dev
        ;;
    apk-test)
        echo docker containerd runc crun podman shadow-uidmap criu busybox-static dpkg
        echo qemu-system-x86_64 qemu-system-aarch64 virtiofsd cpio kmod xz stress-ng strace libseccomp
        echo iproute2 iptables jq clang-extra-tools shellcheck
        ;;
    esac | tr ' ' '\n'
}

# packages_up_to MANAGER build|test|bench : the same with those before it.
packages_up_to() {
    packages_for "$1" build
    [ "$2" = build ] || packages_for "$1" test
    [ "$2" != bench ] || packages_for "$1" bench
}

# find_clang : a clang that compiles BPF programs, version 15 or newer; fails if there is none.
find_clang() {
    local candidate version
    if [ -n "${CLANG:-}" ]; then
        command -v "$CLANG" && return
        say "CLANG=$CLANG cannot be run"
        return 1
    fi
    for candidate in clang-19 clang-18 clang-17 clang-16; do
        command -v "$candidate" && return
    done
    version=$(clang -dumpversion 2>/dev/null) || return 1
    [ "${version%%.*}" -ge 15 ] && command -v clang
}

# find_clang_format : the clang-format whose layout the tree follows; fails if it is not here.
find_clang_format() {
    command -v clang-format-19 && return
    [[ $(clang-format --version 2>/dev/null) == *' 19.'* ]] && command -v clang-format
}

# apt_has PACKAGE : does apt know a version of it that can be installed?
apt_has() {
    # Not grep -q: it would end early, and under pipefail the other program's end by SIGPIPE would mean no.
    LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null
}

# apt_missing PACKAGE... : those that are not installed, one a line.
apt_missing() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done
}

# apt_clang : the newest clang in apt that compiles BPF programs; fails if there is none.
apt_clang() {
    local candidate
    for candidate in clang-19 clang-18 clang-17 clang-16 clang-15 clang; do
        apt_has "$candidate" && echo "$candidate" && return
    done
    return 1
}

# package_manager : which of the known ones this machine has; fails if none.
package_manager() {
    local manager tool
    for manager in apt dnf pacman zypper apk; do
        tool=$manager
        [ "$manager" != apt ] || tool=apt-get
        command -v "$tool" >/dev/null && echo "$manager" && return
    done
    return 1
}

# need_tools build|test|bench : everything that stage needs is on the machine, or stops with exit status 2. Names what it installs.
need_tools() {
    local manager
    manager=$(package_manager) || die "no package manager that is known here; a build needs (Debian's names): clang" \
        "$(packages_for apt build | xargs)"
    if [ "$manager" = apt ]; then
        need_apt_packages "$1"
    else
        need_named_packages "$manager" "$1"
    fi
    CLANG=$(find_clang) || die "no clang of version 15 or newer found: install one, or set CLANG to it"
    export CLANG
}

# need_apt_packages build|test|bench
need_apt_packages() {
    local wanted missing known=() unknown=() package
    mapfile -t wanted < <(packages_up_to apt "$1")
    mapfile -t missing < <(apt_missing "${wanted[@]}")
    if [ ${#missing[@]} = 0 ] && find_clang >/dev/null; then
        return
    fi
    say "apt-get update"
    as_root apt-get -q update >&2 || say "apt-get update failed: going on with the lists that are here"
    if ! find_clang >/dev/null; then
        missing+=("$(apt_clang)") || die "apt has no clang of version 15 or newer: install one, or set CLANG to it"
    fi
    for package in "${missing[@]}"; do
        if apt_has "$package"; then known+=("$package"); else unknown+=("$package"); fi
    done
    [ ${#unknown[@]} = 0 ] || say "this release has no package: ${unknown[*]}"
    [ ${#known[@]} = 0 ] || install_apt_packages "${known[@]}"
}

# install_apt_packages PACKAGE... : names them, then installs them.
install_apt_packages() {
    say "installing by apt: $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@" >&2 ||
        die "apt-get could not install them; by hand: apt-get install --no-install-recommends $*"
}

# need_named_packages MANAGER build|test|bench : with managers other than apt only the names are said.
need_named_packages() {
    local install=(install) missing=() tool
    case $1 in
    pacman) install=(-S) ;;
    apk) install=(add) ;;
    esac
    for tool in $(tools_for "$2"); do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    find_clang >/dev/null || missing+=("clang")
    [ ${#missing[@]} != 0 ] || return 0
    say "missing here: ${missing[*]}"
    die "install the packages, then run this again: $1 ${install[*]}" \
        "$(packages_up_to "$1" "$2" | xargs)"
}

# tools_for build|test|bench : commands whose presence shows that the packages are there.
tools_for() {
    echo make gcc pkg-config flex bison gawk gperf autopoint autoreconf libtoolize
    [ "$1" = build ] || echo dockerd containerd runc crun podman qemu-system-x86_64 qemu-system-aarch64 cpio depmod xz strace stress-ng jq
    [ "$1" != bench ] || echo bpftool taskset git
}

# need_cross_compiler : what builds for aarch64 on another machine is here, or stops with exit status 2.
need_cross_compiler() {
    if [ "$(uname -m)" = aarch64 ] || command -v aarch64-linux-gnu-gcc >/dev/null; then
        return
    fi
    [ "$(package_manager)" = apt ] || die "a cross build needs aarch64-linux-gnu-gcc with a static C library for it"
    as_root apt-get -q update >&2 || say "apt-get update failed: going on with the lists that are here"
    install_apt_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross
}
