#!/usr/bin/env bash
# tests/vm/boot.sh [OPTION...] SCRIPT : boots a kernel of the cache in QEMU and runs SCRIPT in it.
#
#   -k LABEL       which kernel (default 6.12); arm64 is an arm64 machine
#   -c v2|v1|hybrid  cgroup layout (default v2)
#   -m SIZE        memory (default 768M)      -s CPUS      processors (default 1)
#   -t SECONDS     time limit (default 180)   -a WORDS     more of the kernel's command line
#   -e NAME=VALUE  environment of SCRIPT; may be repeated
#   -i             the guest's clock counts its instructions, a nanosecond each: what else this machine does changes no time there
#   -f FILE        arm64: a file to be had in the guest, as /t/NAME; may be repeated
#
# An x86 guest has the host's own root as its root, read-only under a layer in memory, so SCRIPT and all it names are simply
# there. An arm64 guest has busybox, jq, SCRIPT and the FILEs. Both have no network. QEMU interprets: KVM is not used.
# Exit status: SCRIPT's; 124 after the time limit; 125 if the guest died; 2 for a wrong call.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tools/say.sh
. "$here/../../tools/say.sh"
# shellcheck source=tests/vm/kernels.sh
. "$here/kernels.sh"

label=6.12 cgroup=v2 memory=768M cpus=1 limit=180 append="" environment=() files=() clock=()
while getopts k:c:m:s:t:a:e:if: option; do
    case $option in
    k) label=$OPTARG ;;
    c) cgroup=$OPTARG ;;
    m) memory=$OPTARG ;;
    s) cpus=$OPTARG ;;
    t) limit=$OPTARG ;;
    a) append=$OPTARG ;;
    e) environment+=("$OPTARG") ;;
    i) clock=(-icount "shift=0,sleep=off") ;;
    f) files+=("$OPTARG") ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# = 1 ] || die "usage: tests/vm/boot.sh [OPTION...] SCRIPT"
script=$(readlink -f "$1")
[ -f "$script" ] || die "no such script: $1"
kernel=$(vm_cache)/$label
[ -f "$kernel/version" ] || die "no kernel $label in $(vm_cache): ./x vm fetches it"

work=$(mktemp -d)
virtiofsd=
trap '[ -z "$virtiofsd" ] || kill "$virtiofsd" 2>/dev/null || true; wait; rm -rf "$work"' EXIT

# write_job SCRIPT : what the guest runs.
write_job() {
    local pair
    echo "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root"
    printf 'export VM_LABEL=%q VM_CGROUP=%q\n' "$label" "$cgroup"
    for pair in "${environment[@]}"; do
        printf 'export %s=%q\n' "${pair%%=*}" "${pair#*=}"
    done
    printf 'cd /\nexec /bin/sh %q\n' "$1"
}

# pack FOLDER OUT : an initramfs.
pack() {
    (cd "$1" && find . -print0 | cpio --null -o -H newc --quiet) >"$2"
}

# start_virtiofsd SOCKET : shares the host's root; sets $virtiofsd to its process.
start_virtiofsd() {
    local program options
    for program in /usr/lib/qemu/virtiofsd /usr/libexec/virtiofsd virtiofsd; do
        ! command -v "$program" >/dev/null || break
    done
    command -v "$program" >/dev/null || die "virtiofsd is not here (Debian: qemu-system-common, or virtiofsd since 13)"
    if "$program" --help 2>&1 | grep -- --shared-dir >/dev/null; then
        options=(--shared-dir=/ --sandbox=chroot --cache=auto --log-level=error)
    else
        options=(-o source=/ -o sandbox=chroot -o cache=auto -o log_level=err)
    fi
    "$program" "--socket-path=$1" "${options[@]}" >"$work/virtiofsd.log" 2>&1 &
    virtiofsd=$!
    for _ in $(seq 200); do
        [ ! -S "$1" ] || return 0
        kill -0 "$virtiofsd" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/virtiofsd.log" >&2
    die "virtiofsd did not start"
}

initramfs=$work/initramfs
mkdir -p "$initramfs/bin"
cp "$here/init" "$initramfs/init"
chmod 755 "$initramfs/init"
cp -r "$kernel/mods" "$initramfs/"
common=(-accel tcg -m "$memory" -smp "$cpus" -nodefaults -display none -no-reboot -monitor none)
# Never audit=0: it would silence the records of seccomp.
command_line="quiet panic=-1 oops=panic nokaslr no_timer_check mitigations=off cryptomgr.notests rcupdate.rcu_cpu_stall_suppress=1"
command_line+=" lsm=lockdown,yama,apparmor,bpf vm_cgroup=$cgroup"

if [ "$label" = arm64 ]; then
    cp -r "$kernel/root" "$initramfs/root"
    cp "$kernel/root/bin/busybox" "$initramfs/bin/"
    mkdir -p "$initramfs/root/t"
    cp "$script" "${files[@]}" "$initramfs/root/t/"
    write_job "/t/$(basename "$script")" >"$initramfs/job"
    machine=(qemu-system-aarch64 -M virt -cpu "max,pauth-impdef=on" -serial stdio)
    result=$work/console
    command_line+=" console=ttyAMA0 vm_root=none vm_result=ttyAMA0"
else
    cp "$(command -v busybox)" "$initramfs/bin/busybox"
    write_job "$script" >"$initramfs/job"
    start_virtiofsd "$work/virtiofs"
    # shellcheck disable=SC2054 # the commas are QEMU's
    machine=(qemu-system-x86_64 -cpu max -serial stdio -serial "file:$work/result"
        -object "memory-backend-memfd,id=memory,size=$memory,share=on" -numa node,memdev=memory
        -chardev "socket,id=root,path=$work/virtiofs" -device vhost-user-fs-pci,chardev=root,tag=hostroot)
    result=$work/result
    command_line+=" console=ttyS0 vm_root=virtiofs vm_result=ttyS1"
fi
pack "$initramfs" "$work/initrd"

status=0
timeout -k 5 "$limit" "${machine[@]}" "${common[@]}" "${clock[@]}" -kernel "$kernel/vmlinuz" -initrd "$work/initrd" \
    -append "$command_line $append" </dev/null 2>&1 | tr -d '\r' | tee "$work/console" || status=${PIPESTATUS[0]}
[ "$status" != 124 ] && [ "$status" != 137 ] || exit 124
status=$(sed -n 's/^VM-RESULT \([0-9]*\).*/\1/p' "$result" 2>/dev/null | tail -n 1)
exit "${status:-125}"
