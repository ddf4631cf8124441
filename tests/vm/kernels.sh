# shellcheck shell=bash
# Kernels for the virtual machines: Debian's packages, unpacked into a cache outside the tree. Nothing is installed.
# Source this file after tools/say.sh and tools/debian.sh.
#
# The cache holds for each label: vmlinuz, mods/*.ko with their order in mods/order, and version. For arm64 also the
# programs of the guest, which has no file system of the host's: busybox, and jq with its libraries in root/.

# shellcheck disable=SC2034 # for those that source this
vm_labels=(5.10 6.1 6.12 6.18 new arm64)
vm_suites=(bullseye-security bookworm-security trixie-security trixie-backports)

# vm_cache : the folder that the kernels are kept in.
vm_cache() {
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/ringfence/kernels"
}

# vm_kernel_pattern LABEL : an extended regular expression for the whole name of the package.
vm_kernel_pattern() {
    case $1 in
    5.10) echo 'linux-image-5\.10\.0-[0-9]+-cloud-amd64' ;;
    6.1) echo 'linux-image-6\.1\.0-[0-9]+-cloud-amd64' ;;
    6.12 | 6.18) echo "linux-image-${1//./\\.}\.[0-9]+\+deb13[.0-9]*-cloud-amd64" ;;
    new) echo 'linux-image-[0-9]+\.[0-9]+\.[0-9]+\+deb13[.0-9]*-cloud-amd64' ;;
    arm64) echo 'linux-image-6\.1\.0-[0-9]+-cloud-arm64' ;;
    *) return 1 ;;
    esac
}

# vm_fetch LABEL... : brings the kernels into the cache. Prints "LABEL VERSION" or "LABEL not available: WHY" for each.
# A kernel that cannot be had now but is in the cache is used.
vm_fetch() {
    local label cache x86=() arm=()
    cache=$(vm_cache)
    mkdir -p "$cache"
    for label in "$@"; do
        if [ "$label" = arm64 ]; then arm=(arm64); else x86+=("$label"); fi
    done
    # In shells of their own: each has its own apt, or none where there is no mirror.
    if [ ${#x86[@]} != 0 ]; then
        (unset APT_CONFIG; debian_apt "$cache/apt-amd64" amd64 "${vm_suites[@]}" || true; vm_fetch_each "$cache" "${x86[@]}")
    fi
    if [ ${#arm[@]} != 0 ]; then
        (unset APT_CONFIG; debian_apt "$cache/apt-arm64" arm64 bookworm bookworm-security || true; vm_fetch_each "$cache" arm64)
    fi
}

# vm_fetch_each CACHE LABEL...
vm_fetch_each() {
    local cache=$1 label package version have
    shift
    for label in "$@"; do
        have=$(cat "$cache/$label/version" 2>/dev/null) || have=
        version=
        if [ -n "${APT_CONFIG:-}" ] && package=$(debian_newest "$(vm_kernel_pattern "$label")"); then
            version=${package#linux-image-}
        fi
        if [ -z "$version" ] && [ -z "$have" ]; then
            echo "$label not available: no such package on the mirror"
        elif [ -z "$version" ] || [ "$version" = "$have" ]; then
            echo "$label $have"
        elif vm_unpack_kernel "$cache" "$label" "$version"; then
            echo "$label $version"
        elif [ -n "$have" ]; then
            echo "$label $have"
        else
            echo "$label not available: $package could not be downloaded"
        fi
    done
}

# vm_unpack_kernel CACHE LABEL VERSION
vm_unpack_kernel() {
    local cache=$1 label=$2 version=$3 packages=("linux-image-$3") tree fresh status=0
    # Since 7.x the image, the modules and the lists of modules are packages of their own.
    if apt-cache show "linux-modules-$version" >/dev/null 2>&1; then
        packages=("linux-binary-$version" "linux-modules-$version" "linux-base-$version")
    fi
    tree=$(mktemp -d "$cache/tree.XXXXXX")
    fresh=$(mktemp -d "$cache/fresh.XXXXXX")
    vm_take_files "$tree" "$fresh" "$label" "$version" "${packages[@]}" || status=$?
    rm -rf "$tree"
    if [ "$status" = 0 ]; then
        rm -rf "${cache:?}/$label"
        mv "$fresh" "$cache/$label"
    else
        rm -rf "$fresh"
    fi
    return "$status"
}

# vm_take_files TREE FRESH LABEL VERSION PACKAGE... : unpacks into TREE, keeps in FRESH what a guest needs.
vm_take_files() {
    local tree=$1 fresh=$2 label=$3 version=$4 image
    shift 4
    debian_unpack "$tree" "$@" || return 1
    image=$(find "$tree" -name 'vmlinuz*' -type f -print -quit)
    [ -n "$image" ] || return 1
    cp "$image" "$fresh/vmlinuz" || return 1
    vm_take_modules "$tree" "$fresh/mods" "$version" || return 1
    [ "$label" != arm64 ] || vm_take_arm64_programs "$tree/programs" "$fresh" || return 1
    chmod 755 "$fresh"
    echo "$version" >"$fresh/version"
}

# vm_take_modules TREE FOLDER VERSION : the modules that a guest loads, uncompressed, and their order.
vm_take_modules() {
    local tree=$1 folder=$2 version=$3 module file name
    mkdir "$folder"
    # usr/lib/modules since 6.12; depmod and modprobe look into lib/modules.
    [ -e "$tree/lib" ] || ln -s usr/lib "$tree/lib"
    depmod -b "$tree" "$version" || return 1
    for module in virtio_pci virtiofs overlay; do
        modprobe -d "$tree" -S "$version" --show-depends "$module" 2>/dev/null || true # built in
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while IFS= read -r file; do
        name=$(basename "$file" .xz)
        case $file in
        *.xz) xz -dc "$file" >"$folder/$name" ;;
        *) cp "$file" "$folder/$name" ;;
        esac
        echo "$name"
    done >"$folder/order"
}

# vm_take_arm64_programs TREE FRESH
vm_take_arm64_programs() {
    local tree=$1 root=$2/root file
    debian_unpack "$tree" busybox-static jq libjq1 libonig5 libc6 || return 1
    mkdir -p "$root/bin" "$root/lib" "$root/usr/bin"
    cp "$tree/bin/busybox" "$root/bin/" || return 1
    cp "$tree/usr/bin/jq" "$root/usr/bin/" || return 1
    for file in ld-linux-aarch64.so.1 libc.so.6 libm.so.6 libjq.so.1 libonig.so.5; do
        cp "$(find "$tree" -name "$file" -print -quit)" "$root/lib/" || return 1
    done
}
