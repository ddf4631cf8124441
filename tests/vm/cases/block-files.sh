#!/bin/sh
# Files that may not be read or written in one container: at each step of the ladder that can deny it, EPERM there by whatever way
# it is tried, and working in another container, on the host, and for all that is not denied; still so when the container is started
# again with no ringfence there; and working again when the policy is removed.
# Needs RINGFENCE_BIN, and runc, jq, busybox, perl and python3 on the machine. NEEDED: the steps that this kernel must have, the best
# first.
# Time limit: 900
set -eu

work=$(mktemp -d)
root=$work/root
case ${VM_LABEL:-} in
    5.10 | 6.1 | 6.12 | 6.18 | new) needed=${NEEDED:-lsm fmod_ret} ;;
    *) needed=${NEEDED:-lsm} ;;
esac

# As engines make it: an overlay, and a volume in it.
mkdir -p "$work/layers" "$root"
mount -t tmpfs layers "$work/layers"
mkdir -p "$work/layers/lower" "$work/layers/upper" "$work/layers/work" "$work/layers/volume"
for folder in usr proc dev sys tmp etc mnt vol host; do mkdir -p "$work/layers/lower/$folder"; done
for link in bin lib lib64 sbin; do
    [ ! -L "/$link" ] || ln -s "usr/$link" "$work/layers/lower/$link"
done
mount -t overlay -o "lowerdir=$work/layers/lower,upperdir=$work/layers/upper,workdir=$work/layers/work" root "$root"
mkdir -p "$root/data/below" "$root/srv/app/keys"
for file in data/secret data/below/secret srv/app/keys/secret etc/secret etc/conf etc/free; do echo kept >"$root/$file"; done
echo kept >"$work/layers/volume/secret"
mkdir "$work/layers/volume/folder"
echo kept >"$work/layers/volume/folder/secret"
ln "$root/etc/secret" "$root/tmp/linked_before"
cp "$(command -v busybox)" "$root/data/busybox"

echo "$root" >"$root/tmp/root_on_host"

# Each way, tried by perl and by what it starts.
here=$(dirname "$(readlink -f "$0")")
cp "$here/../ways.pm" "$here/../ring.py" "$root/tmp/"
cat >"$root/tmp/ways.pl" <<'WAYS'
use strict;
use warnings;
use Fcntl;
BEGIN { require '/tmp/ways.pm' }
our ($O_PATH, $CLONE_NEWNS, $MS_BIND, $MNT_DETACH, $CWD);

my @ways = (
    ['its path', sub { reads '/data/secret' }],
    ['its path, by busybox', sub { runs 'busybox cat /data/secret' }],
    ['its path, by cp', sub { runs 'cp /data/secret /tmp/copy' }],
    ['a symbolic link', sub { symlink '/data/secret', '/tmp/symlink'; reads '/tmp/symlink' }],
    ['a symbolic link to the folder', sub { symlink '/data', '/tmp/folder'; reads '/tmp/folder/below/secret' }],
    ['. and ..', sub { reads '/data/below/../../data/./secret' }],
    ['/proc/self/root', sub { reads '/proc/self/root/data/secret' }],
    ['/proc/self/cwd', sub { apart sub { chdir '/data'; reads '/proc/self/cwd/secret' } }],
    ['from the folder', sub { apart sub { chdir '/data/below'; reads 'secret' } }],
    ['a descriptor of the folder', sub {
        sysopen(my $d, '/data', $O_PATH) or return 0;
        my $fd = call(257, fileno $d, "secret", O_RDONLY, 0);
        $fd >= 0
    }],
    ['O_PATH and /proc/self/fd', sub {
        sysopen(my $f, '/data/secret', $O_PATH) or return 0;
        reads '/proc/self/fd/' . fileno $f
    }],
    ['openat2', sub { call(437, $CWD, "/data/secret", pack("QQQ", 0, 0, 0), 24) >= 0 }],
    ['io_uring', sub { runs 'python3 /tmp/ring.py /data/secret' }],
    ['the list of the folder', sub { opendir(my $d, '/data') }],
    ['running it', sub { runs '/data/busybox true' }],
    ['a hard link', sub { link('/data/secret', '/tmp/hard') && unlink '/tmp/hard' }],
    ['a hard link, by ln', sub { runs 'ln /srv/app/keys/secret /tmp/hard && rm /tmp/hard' }],
    ['a hard link from before', sub { reads '/tmp/linked_before' }],
    ['a bind mount of the folder', sub {
        prepared runs 'mount --bind /data /mnt';
        my $done = apart sub { reads '/mnt/secret' };
        my $why = $!; runs 'umount /mnt'; $! = $why; $done
    }],
    ['a bind mount of a folder below', sub {
        prepared runs 'mount --bind /data/below /mnt';
        my $done = apart sub { reads '/mnt/secret' };
        my $why = $!; runs 'umount /mnt'; $! = $why; $done
    }],
    ['a bind mount of the file', sub {
        prepared runs 'touch /tmp/bound && mount --bind /data/secret /tmp/bound';
        my $done = apart sub { reads '/tmp/bound' };
        my $why = $!; runs 'umount /tmp/bound'; $! = $why; $done
    }],
    ['a bind mount of the root', sub {
        prepared runs 'mount --bind / /mnt';
        my $done = apart sub { reads '/mnt/data/secret' };
        my $why = $!; runs 'umount /mnt'; $! = $why; $done
    }],
    ['chroot to the folder', sub { apart sub { chroot '/data' or die; chdir '/'; reads '/secret' } }],
    ['chroot to a folder below', sub { apart sub { chroot '/data/below' or die; chdir '/'; reads '/secret' } }],
    ['chroot to a folder above', sub { apart sub { chroot '/srv' or die; chdir '/'; reads '/app/keys/secret' } }],
    ['chroot to the root of the host', sub { apart sub {
        open(my $told, '<', '/tmp/root_on_host') or die;
        chomp(my $root = <$told>);
        chroot '/host' or die; chdir '/'; reads "$root/data/secret"
    } }],
    ['a mount namespace', sub { apart sub { call(272, $CLONE_NEWNS) == 0 or die; reads '/data/secret' } }],
    ['a mount namespace with the folder as its root', sub { apart sub {
        call(272, $CLONE_NEWNS) == 0 && mounted("/data", "/data") && chdir '/data' or die;
        call(155, ".", ".") == 0 && call(166, ".", $MNT_DETACH) == 0 && chdir '/' or die;
        reads '/secret'
    } }],
    ['moving the folder', sub { rename('/data', '/data2') && rename('/data2', '/data') }],
    ['moving a folder above', sub { rename('/srv', '/srv2') && rename('/srv2', '/srv') }],
    ['moving a folder between', sub { rename('/srv/app', '/srv/app2') && rename('/srv/app2', '/srv/app') }],
    ['moving a folder above, in a bind mount', sub {
        prepared runs 'mount --bind /srv /mnt';
        my $done = rename('/mnt/app', '/mnt/app2') && rename('/mnt/app2', '/mnt/app');
        my $why = $!; runs 'umount /mnt'; $! = $why; $done
    }],
    ['moving the file', sub { rename('/data/secret', '/tmp/moved') && rename('/tmp/moved', '/data/secret') }],
    ['moving a file that may not be read', sub { rename('/etc/secret', '/tmp/moved') && rename('/tmp/moved', '/etc/secret') }],
    ['changing places', sub {
        prepared runs 'echo kept >/tmp/other';
        call(316, $CWD, "/tmp/other", $CWD, "/data/secret", 2) == 0
    }],
    ['changing places, the other way round', sub { call(316, $CWD, "/data/secret", $CWD, "/tmp/other", 2) == 0 }],
    ['reading what may not be read', sub { reads '/etc/secret' }],
    ['reading and writing what may not be read', sub { sysopen(my $f, '/etc/secret', O_RDWR) }],
    ['in the volume', sub { reads '/vol/secret' }],
    ['in the volume, through a bind mount', sub {
        prepared runs 'mount --bind /vol /mnt';
        my $done = apart sub { reads '/mnt/secret' };
        my $why = $!; runs 'umount /mnt'; $! = $why; $done
    }],
    ['in a folder of the volume, through chroot', sub { apart sub { chroot '/vol/folder' or die; chdir '/'; reads '/secret' } }],
    ['writing', sub { adds '/etc/conf' }],
    ['writing, by a shell', sub { runs "sh -c 'echo kept >>/etc/conf'" }],
    ['writing, by sed', sub { runs 'sed -i s/kept/kept/ /etc/conf' }],
    ['truncate', sub { truncate '/etc/conf', 5 }],
    ['opening to read and to cut', sub {
        sysopen(my $f, '/etc/conf', O_RDONLY | O_TRUNC) or return 0;
        open(my $g, '>', '/etc/conf') or return 0;
        print $g "kept\n"
    }],
    ['truncate through /proc/self/fd', sub { sysopen(my $f, '/etc/conf', O_RDONLY) or return 0; truncate '/proc/self/fd/' . fileno $f, 5 }],
    ['chmod', sub { chmod 0600, '/etc/conf' }],
    ['chmod of a descriptor', sub { sysopen(my $f, '/etc/conf', O_RDONLY) or die; chmod 0600, $f }],
    ['chown', sub { chown 1, 1, '/etc/conf' }],
    ['removing', sub { prepared runs 'cp /etc/conf /tmp/conf'; unlink('/etc/conf') && rename '/tmp/conf', '/etc/conf' }],
    ['replacing', sub { prepared runs 'echo kept >/tmp/conf'; rename '/tmp/conf', '/etc/conf' }],
    ['making a file', sub { sysopen(my $f, '/data/new', O_WRONLY | O_CREAT) && unlink '/data/new' }],
    ['making a file that the rule names', sub { sysopen(my $f, '/etc/absent/file', O_WRONLY | O_CREAT) && unlink '/etc/absent/file' }],
    ['making its folder a link', sub { prepared runs 'mkdir -p /tmp/a'; rmdir('/etc/absent') && symlink('/tmp/a', '/etc/absent') && unlink('/etc/absent') && mkdir '/etc/absent' }],
    ['making a folder', sub { mkdir('/data/folder') && rmdir '/data/folder' }],
    ['making a symbolic link', sub { symlink('/tmp', '/data/link') && unlink '/data/link' }],
    ['making a pipe', sub { runs 'mkfifo /data/pipe && rm /data/pipe' }],
    ['making a hard link', sub { prepared runs 'echo kept >/tmp/other'; link('/tmp/other', '/data/hard') && unlink '/data/hard' }],
    ['moving a file there', sub { prepared runs 'echo kept >/tmp/other'; rename('/tmp/other', '/data/other') && unlink '/data/other' }],
    ['a file without a name', sub { sysopen(my $f, '/data', O_WRONLY | 020200000) }],
);
my @free = (
    ['what is not denied', sub { reads('/etc/free') && adds '/etc/free' }],
    ['reading what may not be written', sub { reads '/etc/conf' }],
    ['writing what may not be read', sub { adds '/etc/secret' }],
    ['stat', sub { -e '/data/secret' }],
    ['the rest of the folder', sub { opendir(my $d, '/etc') && mkdir('/etc/new') && rmdir '/etc/new' }],
    ['the same name elsewhere', sub { runs 'mkdir -p /tmp/data && echo kept >/tmp/data/secret && cat /tmp/data/secret' }],
    ['the same path in another file system', sub {
        prepared runs 'mount -t tmpfs none /mnt && mkdir /mnt/data && echo kept >/mnt/data/secret';
        my $done = reads '/mnt/data/secret'; my $why = $!; runs 'umount /mnt'; $! = $why; $done
    }],
);
mkdir '/etc/absent';
tried('way', @ways);
tried('free', @free);
print "end\n";
WAYS
# stop NAME : ends it and waits until its cgroup is gone.
stop() {
    runc --root "$work/state" kill "$1" KILL 2>/dev/null || true
    waited=0
    until runc --root "$work/state" delete "$1" 2>/dev/null; do
        waited=$((waited + 1))
        [ $waited -lt 100 ] || { echo "$1 does not end"; exit 1; }
        sleep 0.1
    done
}

# start NAME : a container that holds a file open and reads it once more when it is asked to.
start() {
    mkdir -p "$work/$1"
    [ -f "$work/$1/config.json" ] || (cd "$work/$1" && runc spec)
    jq --arg name "$1" --arg root "$root" --arg volume "$work/layers/volume" '.process.terminal = false
        | .process.args = ["/usr/bin/busybox", "sleep", "1000"] | .root = {path: $root} | .linux.cgroupsPath = "/of-runc/" + $name
        | .process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"])
        | .mounts += [{destination: "/usr", type: "bind", source: "/usr", options: ["bind", "ro"]},
            {destination: "/vol", type: "bind", source: $volume, options: ["bind"]},
            {destination: "/host", type: "bind", source: "/", options: ["rbind"]}]' "$work/$1/config.json" >"$work/$1/config.new"
    [ -f "$work/$1/started" ] || mv "$work/$1/config.new" "$work/$1/config.json"
    : >"$work/$1/started"
    runc --root "$work/state" run --detach --bundle "$work/$1" "$1" </dev/null >/dev/null 2>"$work/$1/said" ||
        { cat "$work/$1/said"; exit 1; }
}

# in NAME COMMAND... : runs it there.
in_container() {
    name=$1
    shift
    runc --root "$work/state" exec "$name" "$@" </dev/null
}

faults=0
fault() {
    echo "FAULT at step $step: $*"
    faults=$((faults + 1))
}

# ways NAME WANTED : each of them there, all with this outcome; what is not denied works.
ways() {
    in_container "$1" perl /tmp/ways.pl >"$work/said" 2>&1 || true
    [ "$(tail -n 1 "$work/said")" = end ] || fault "the ways came to no end: $(cat "$work/said")"
    # Before 6.1 no program can be had where the owner is changed. Older overlays have no files without a name.
    [ "${VM_LABEL:-}" != 5.10 ] || sed -i '/^way chown: /d' "$work/said"
    grep '^way ' "$work/said" | grep -v ": $2\$" | grep -v '^way a file without a name: fails: Operation not supported$' >"$work/wrong" && fault "in $1: $(cat "$work/wrong")"
    grep '^free ' "$work/said" | grep -v ": works\$" >"$work/wrong" && fault "in $1: $(cat "$work/wrong")"
    [ "$(grep -c "^way .*: $2\$" "$work/said")" -ge 55 ] || fault "in $1 only $(grep -c '^way' "$work/said") ways: $(grep '(' "$work/said")"
}

start here
start elsewhere
step=before
ways here works
# Opened before the policy: it stays open, and opening it anew is denied.
mkfifo "$root/tmp/go" "$root/tmp/went"
runc --root "$work/state" exec here busybox sh -c 'exec 3</data/secret; read go </tmp/go
    (cat <&3; cat /proc/self/fd/3 2>&1) >/tmp/went' </dev/null &
chosen=
for step in $needed; do
    # shellcheck disable=SC2086 # none or two words
    if ! "$RINGFENCE_BIN" block --container here --file /data --file /srv/app/keys/secret:r --file /etc/secret:r --file /etc/conf:w \
        --file /etc/absent/file:w --file /vol/ $chosen --once 2>"$work/said"; then
        fault "it is not had: $(cat "$work/said")"
        continue
    fi
    grep -q "step $step:" "$work/said" || fault "another step was taken: $(cat "$work/said")"
    echo "step $step in force after $(cut -d' ' -f1 /proc/uptime) s"
    ways here denied
    echo "step $step tried after $(cut -d' ' -f1 /proc/uptime) s"
    if [ -z "$chosen" ]; then
        echo go >"$root/tmp/go"
        cat "$root/tmp/went" >"$work/went"
        grep -q '^kept' "$work/went" || fault "what was open before does not work: $(cat "$work/went")"
        grep -q 'not permitted' "$work/went" || fault "what was open before is opened anew: $(cat "$work/went")"
        ways elsewhere works
    fi
    [ "$(cat "$root/data/secret")" = kept ] || fault "the host cannot read it"
    echo kept >>"$root/etc/conf" || fault "the host cannot write it"
    "$RINGFENCE_BIN" block --status --format json >"$work/status"
    [ "$(jq -r .step "$work/status")" = "$step" ] || fault "the status is $(cat "$work/status")"
    [ "$(jq '.policies[0].denied' "$work/status")" -ge 55 ] || fault "not each way was counted: $(cat "$work/status")"
    stop here
    start here
    in_container here busybox cat /data/secret /etc/secret /vol/secret /proc/self/root/data/secret /etc/free >"$work/said" 2>&1 || true
    [ "$(grep -c 'not permitted' "$work/said")" = 4 ] || fault "after a restart: $(cat "$work/said")"
    [ "$(grep -c '^kept' "$work/said")" = 1 ] || fault "after a restart: $(cat "$work/said")"
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null
    [ "$(in_container here cat /data/secret)" = kept ] || fault "it cannot be read afterwards"
    [ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
    echo "step $step done after $(cut -d' ' -f1 /proc/uptime) s"
    following=${needed#*"$step"}
    following=${following# }
    chosen="--step ${following%% *}"
done
step='kill'
status=0
"$RINGFENCE_BIN" block --container here --file /data --step kill --once 2>"$work/said" || status=$?
[ $status = 3 ] || fault "it ended with $status: $(cat "$work/said")"
[ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
stop here
stop elsewhere
[ "$faults" = 0 ]
