#!/bin/sh
# Nothing may be written in a container but what its report saw: its workload is recorded, goes on under the list, also when it is
# started again with no ringfence there, and is denied nothing; at each step of the ladder that can deny it, all else fails with
# EPERM by whatever way it is tried, and works elsewhere, on the host, and when the policy is removed; an audit counts it once.
# Needs RINGFENCE_BIN, and runc, jq, busybox, perl and python3 on the machine. NEEDED: the steps that this kernel must have, the best
# first.
# In the matrix: NEEDED=lsm
# Time limit: 1500
set -eu

here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
root=$work/root
case ${VM_LABEL:-} in
    6.12) needed=${NEEDED:-lsm fmod_ret} ;;
    *) needed=${NEEDED:-lsm} ;;
esac

# As engines make it: an overlay, and a volume in it.
mkdir -p "$work/layers" "$root"
mount -t tmpfs layers "$work/layers"
mkdir -p "$work/layers/lower/var/log" "$work/layers/upper" "$work/layers/work" "$work/layers/volume"
for folder in usr proc dev sys tmp etc mnt vol srv run data; do mkdir -p "$work/layers/lower/$folder"; done
for link in bin lib lib64 sbin; do
    [ ! -L "/$link" ] || ln -s "usr/$link" "$work/layers/lower/$link"
done
mount -t overlay -o "lowerdir=$work/layers/lower,upperdir=$work/layers/upper,workdir=$work/layers/work" root "$root"
mkdir -p "$root/data/tmp" "$root/data/empty"
for file in etc/conf etc/other data/secret; do echo kept >"$root/$file"; done
for file in state other; do echo kept >"$work/layers/volume/$file"; done
cp "$here/../ways.pm" "$here/../ring.py" "$root/srv/"

cat >"$root/srv/work.sh" <<'WORK'
mkdir -p /var/log/app
while :; do
    echo kept >>/var/log/app/log
    echo $$ >/run/app.pid.new
    mv /run/app.pid.new /run/app.pid
    echo kept >/vol/state
    file=$(mktemp /tmp/workXXXXXX)
    echo kept >"$file"
    rm "$file"
    echo kept >/dev/null
    echo app >/proc/self/comm
    sleep 0.2
done
WORK

cat >"$root/srv/ways.pl" <<'WAYS'
use strict;
use warnings;
use Fcntl;
use Socket;
BEGIN { require '/srv/ways.pm' }
our ($O_PATH, $CLONE_NEWNS, $MS_BIND, $MNT_DETACH, $CWD);

my ($O_TMPFILE, $AT_SYMLINK_FOLLOW) = (020200000, 0x400);

sub writes { sysopen(my $f, $_[0], O_WRONLY) or return 0; syswrite $f, "kept\n" }
sub makes { sysopen(my $f, $_[0], O_WRONLY | O_CREAT | O_EXCL, 0644) && unlink $_[0] }
sub listens { socket(my $s, PF_UNIX, SOCK_STREAM, 0); bind($s, sockaddr_un($_[0])) && unlink $_[0] }
# A file without a name gets one.
sub names {
    my ($folder, $name) = @_;
    sysopen(my $f, $folder, $O_TMPFILE | O_RDWR, 0644) or return 0;
    my $path = '/proc/self/fd/' . fileno $f;
    call(265, $CWD, $path, $CWD, $name, $AT_SYMLINK_FOLLOW) == 0 && unlink $name
}

my @ways = (
    ['its path', sub { adds '/etc/conf' }],
    ['by a shell', sub { runs "sh -c 'echo kept >>/etc/conf'" }],
    ['by sed', sub { runs 'sed -i s/kept/kept/ /etc/conf' }],
    ['reading and writing', sub { sysopen(my $f, '/etc/conf', O_RDWR) }],
    ['a symbolic link in a listed folder', sub { symlink '/etc/conf', '/tmp/symlink'; adds '/tmp/symlink' }],
    ['a symbolic link to the folder', sub { symlink '/etc', '/tmp/folder'; adds '/tmp/folder/conf' }],
    ['making a file through a symbolic link', sub { symlink '/etc/made', '/tmp/dangling'; open(my $f, '>', '/tmp/dangling') && unlink '/etc/made' }],
    ['. and ..', sub { adds '/tmp/../etc/./conf' }],
    ['/proc/self/root', sub { adds '/proc/self/root/etc/conf' }],
    ['/proc/self/cwd', sub { apart sub { chdir '/etc'; adds '/proc/self/cwd/conf' } }],
    ['from the folder', sub { apart sub { chdir '/etc'; adds 'conf' } }],
    ['a descriptor of the folder', sub {
        sysopen(my $d, '/etc', $O_PATH) or return 0;
        call(257, fileno $d, "conf", O_WRONLY, 0) >= 0
    }],
    ['O_PATH and /proc/self/fd', sub {
        sysopen(my $f, '/etc/conf', $O_PATH) or return 0;
        adds '/proc/self/fd/' . fileno $f
    }],
    ['reading, and /proc/self/fd', sub {
        sysopen(my $f, '/etc/conf', O_RDONLY) or return 0;
        adds '/proc/self/fd/' . fileno $f
    }],
    ['openat2', sub { call(437, $CWD, "/etc/conf", pack("QQQ", O_WRONLY, 0, 0), 24) >= 0 }],
    ['io_uring', sub { runs 'python3 /srv/ring.py /etc/conf write' }],
    ['truncate', sub { truncate '/etc/conf', 5 }],
    ['opening to read and to cut', sub { sysopen(my $f, '/etc/other', O_RDONLY | O_TRUNC) }],
    ['truncate through /proc/self/fd', sub { sysopen(my $f, '/etc/conf', O_RDONLY) or return 0; truncate '/proc/self/fd/' . fileno $f, 5 }],
    ['chmod', sub { chmod 0644, '/etc/conf' }],
    ['chmod of a descriptor', sub { sysopen(my $f, '/etc/conf', O_RDONLY) or die; chmod 0644, $f }],
    ['chown', sub { chown 0, 0, '/etc/conf' }],
    ['chmod of a folder above', sub { chmod 0755, '/var' }],
    ['making a file', sub { makes '/etc/new' }],
    ['making a file beside a listed one', sub { makes '/run/other' }],
    ['making a file to read it', sub { sysopen(my $f, '/etc/new', O_RDONLY | O_CREAT, 0644) && unlink '/etc/new' }],
    ['making a folder', sub { mkdir('/etc/folder') && rmdir '/etc/folder' }],
    ['removing a folder', sub { rmdir('/data/empty') && mkdir '/data/empty' }],
    ['making a symbolic link', sub { symlink('/tmp', '/etc/link') && unlink '/etc/link' }],
    ['making a pipe', sub { runs 'mkfifo /etc/pipe && rm /etc/pipe' }],
    ['binding a socket', sub { listens '/etc/socket' }],
    ['removing', sub { prepared runs 'cp /etc/conf /tmp/conf'; unlink('/etc/conf') && runs 'cp /tmp/conf /etc/conf' }],
    ['moving within the folder', sub { rename('/etc/conf', '/etc/moved') && rename('/etc/moved', '/etc/conf') }],
    ['moving it to a listed folder', sub { rename('/etc/conf', '/tmp/moved') && rename('/tmp/moved', '/etc/conf') }],
    ['moving another there', sub { prepared runs 'echo kept >/tmp/conf'; rename '/tmp/conf', '/etc/conf' }],
    ['changing places', sub { prepared runs 'echo kept >/tmp/other'; call(316, $CWD, "/tmp/other", $CWD, "/etc/conf", 2) == 0 }],
    ['changing places, the other way round', sub { prepared runs 'echo kept >/tmp/other'; call(316, $CWD, "/etc/conf", $CWD, "/tmp/other", 2) == 0 }],
    ['moving a folder that is not listed to a listed one', sub { rename('/data/empty', '/tmp/empty') && rename('/tmp/empty', '/data/empty') }],
    ['moving a listed folder', sub { rename('/var/log/app', '/var/log/app2') && rename('/var/log/app2', '/var/log/app') }],
    ['moving the folder above a listed one', sub {
        # An overlay cannot move what lies in layers below; it says so after the guards were asked.
        rename('/var/log', '/var/log2') ? rename('/var/log2', '/var/log') : $!{EXDEV}
    }],
    ['a hard link in a listed folder', sub { link('/etc/conf', '/tmp/hard') && unlink '/tmp/hard' }],
    ['a hard link of a listed file', sub { prepared runs 'echo kept >/tmp/other'; link('/tmp/other', '/etc/hard') && unlink '/etc/hard' }],
    ['a file without a name', sub { sysopen(my $f, '/etc', O_WRONLY | $O_TMPFILE, 0644) }],
    ['a file without a name, named elsewhere', sub { names '/tmp', '/etc/named' }],
    ['a bind mount of the folder in a listed one', sub {
        mkdir '/tmp/b';
        with_mount 'mount --bind /etc /tmp/b', '/tmp/b', sub { adds '/tmp/b/conf' }
    }],
    ['a bind mount of the file in a listed folder', sub {
        prepared runs 'echo >/tmp/bound';
        with_mount 'mount --bind /etc/conf /tmp/bound', '/tmp/bound', sub { adds '/tmp/bound' }
    }],
    ['a bind mount of the root', sub { with_mount 'mount --bind / /mnt', '/mnt', sub { adds '/mnt/etc/conf' } }],
    ['making a file in a bind mount', sub {
        mkdir '/tmp/b';
        with_mount 'mount --bind /etc /tmp/b', '/tmp/b', sub { makes '/tmp/b/new' }
    }],
    ['a file system of its own where nothing is listed', sub { with_mount 'mount -t tmpfs none /mnt', '/mnt', sub { makes '/mnt/new' } }],
    ['chroot to the folder', sub { apart sub { chroot '/etc' or die; chdir '/'; adds '/conf' } }],
    ['chroot where the path looks listed', sub { apart sub { chroot '/data' or die; chdir '/'; makes '/tmp/new' } }],
    ['a mount namespace', sub { apart sub { call(272, $CLONE_NEWNS) == 0 or die; adds '/etc/conf' } }],
    ['a mount namespace whose root makes the path look listed', sub { apart sub {
        call(272, $CLONE_NEWNS) == 0 && mounted("/data", "/data") && chdir '/data' or die;
        call(155, ".", ".") == 0 && call(166, ".", $MNT_DETACH) == 0 && chdir '/' or die;
        makes '/tmp/new'
    } }],
    ['a mount namespace with another root, and the folder mounted where it looks listed', sub { apart sub {
        call(272, $CLONE_NEWNS) == 0 or die;
        mkdir '/tmp/m';
        call(165, "none", "/tmp/m", "tmpfs", 0, 0) == 0 && mkdir('/tmp/m/tmp') && mounted("/etc", "/tmp/m/tmp") && chdir '/tmp/m' or die;
        call(155, ".", ".") == 0 && call(166, ".", $MNT_DETACH) == 0 && chdir '/' or die;
        adds '/tmp/conf'
    } }],
    ['the volume', sub { adds '/vol/other' }],
    ['making a file in the volume', sub { makes '/vol/new' }],
    ['the volume, through chroot', sub { apart sub { chroot '/vol' or die; chdir '/'; adds '/other' } }],
    ['the volume, mounted where nothing is listed', sub { with_mount 'mount --bind /vol /mnt', '/mnt', sub { adds '/mnt/state' } }],
);
my @free = (
    ['a listed file', sub { adds '/run/app.pid' }],
    ['a listed file, by sed in a listed folder', sub { runs 'sed -i s/kept/kept/ /var/log/app/log' }],
    ['removing and making a listed file', sub { unlink '/run/app.pid'; sysopen(my $f, '/run/app.pid', O_WRONLY | O_CREAT) }],
    ['a new file in a listed folder', sub { makes '/var/log/app/new' }],
    ['folders in a listed one', sub { mkdir('/tmp/x') && mkdir('/tmp/x/y') && makes('/tmp/x/y/z') && rmdir('/tmp/x/y') && rmdir '/tmp/x' }],
    ['a socket in a listed folder', sub { listens '/tmp/socket' }],
    ['names in a listed folder', sub {
        prepared runs 'echo kept >/tmp/a';
        rename('/tmp/a', '/tmp/b1') && link('/tmp/b1', '/tmp/c') && chmod(0600, '/tmp/c') && truncate('/tmp/c', 5) && unlink('/tmp/b1', '/tmp/c') == 2
    }],
    ['from one listed folder to another', sub {
        prepared runs 'echo kept >/tmp/a';
        rename('/tmp/a', '/var/log/app/a') && unlink '/var/log/app/a'
    }],
    ['a file without a name in a listed folder', sub { names '/tmp', '/tmp/named' }],
    ['a listed folder, mounted elsewhere', sub { with_mount 'mount --bind /tmp /mnt', '/mnt', sub { makes '/mnt/new' } }],
    ['a listed folder, through chroot', sub { apart sub { chroot '/tmp' or die; chdir '/'; makes '/new' } }],
    ['a listed folder in a mount namespace', sub { apart sub { call(272, $CLONE_NEWNS) == 0 or die; makes '/tmp/new' } }],
    ['the listed file of the volume', sub { adds '/vol/state' }],
    ['reading', sub { reads('/etc/conf') && reads '/vol/other' }],
    ['the list of a folder', sub { opendir(my $d, '/etc') }],
    ['/dev/null', sub { writes '/dev/null' }],
    ['/dev/zero', sub { writes '/dev/zero' }],
    ['a pipe, opened anew', sub { pipe(my $r, my $w) or die; writes '/proc/self/fd/' . fileno $w }],
    ['memory without a name, opened anew', sub {
        my $fd = call(319, "memory", 0);
        $fd >= 0 && writes "/proc/self/fd/$fd"
    }],
    ['a terminal', sub { sysopen(my $f, '/dev/ptmx', O_RDWR | O_NOCTTY) && opendir(my $d, '/dev/pts') && chmod(0600, glob '/dev/pts/[0-9]*') }],
    ['a message queue', sub {
        my $fd = call(240, "queue", O_CREAT | O_RDWR, 0600, 0);
        $fd >= 0 && call(241, "queue") == 0
    }],
    ['its name', sub { writes '/proc/self/comm' }],
    ['the name of a thread', sub { writes "/proc/$$/task/$$/comm" }],
    ['how soon it is killed', sub { runs "sh -c 'echo 1000 >/proc/self/oom_score_adj'" }],
);
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

# start NAME
start() {
    if [ ! -f "$work/$1/config.json" ]; then
        mkdir -p "$work/$1"
        (cd "$work/$1" && runc spec)
        # Of the sysctl the runtime writes the file in the container's root.
        jq --arg name "$1" --arg root "$root" --arg volume "$work/layers/volume" '.process.terminal = false
            | .process.args = ["/usr/bin/busybox", "sh", "/srv/work.sh"] | .root = {path: $root} | .linux.cgroupsPath = "/of-runc/" + $name
            | .linux.sysctl = {"net.ipv4.ip_unprivileged_port_start": "0"}
            | .process.capabilities |= with_entries(.value += ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"])
            | .mounts += [{destination: "/usr", type: "bind", source: "/usr", options: ["bind", "ro"]},
                {destination: "/vol", type: "bind", source: $volume, options: ["bind"]}]' "$work/$1/config.json" >"$work/$1/config.new"
        mv "$work/$1/config.new" "$work/$1/config.json"
    fi
    runc --root "$work/state" run --detach --bundle "$work/$1" "$1" </dev/null >/dev/null 2>"$work/$1/said" ||
        { cat "$work/$1/said"; exit 1; }
}

faults=0
fault() {
    echo "FAULT at step $step: $*"
    faults=$((faults + 1))
}

# ways NAME WANTED : each of them there, all with this outcome; what is listed or no file works.
ways() {
    runc --root "$work/state" exec "$1" perl /srv/ways.pl </dev/null >"$work/said" 2>&1 || true
    [ "$(tail -n 1 "$work/said")" = end ] || fault "the ways came to no end: $(cat "$work/said")"
    grep '^way ' "$work/said" | grep -v ": $2\$" >"$work/wrong" && fault "in $1: $(cat "$work/wrong"; grep '^  (' "$work/said")"
    grep '^free ' "$work/said" | grep -v ": works\$" >"$work/wrong" && fault "in $1: $(cat "$work/wrong"; grep '^  (' "$work/said")"
    [ "$(grep -c "^way .*: $2\$" "$work/said")" -ge 50 ] || fault "in $1 only $(grep -c '^way' "$work/said") ways"
}

# goes_on : the workload writes, at each place.
goes_on() {
    rm -f "$root/run/app.pid"
    before=$(wc -l <"$root/var/log/app/log")
    waited=0
    until [ -s "$root/run/app.pid" ] && [ "$(wc -l <"$root/var/log/app/log")" -gt $((before + 2)) ]; do
        waited=$((waited + 1))
        [ $waited -lt 300 ] || { fault "the workload does not go on: $(cat "$work/here/said")"; return 0; }
        sleep 0.1
    done
}

# policy FIELD : of the one that is in force.
policy() {
    "$RINGFENCE_BIN" block --status --format json | jq -r ".policies[0].$1"
}

# told : what was denied, so far as nobody was told.
told() {
    mkdir -p "$work/in_force"
    "$RINGFENCE_BIN" block --status --format json | jq '.policies[0].policy' >"$work/in_force/policy.json"
    timeout -s INT 60 "$RINGFENCE_BIN" enforce --policy "$work/in_force" 2>/dev/null || true
}

step=record
"$RINGFENCE_BIN" record --all --out "$work/reports" 2>"$work/recorded" &
recorder=$!
waited=0
until grep -q ^recording "$work/recorded"; do
    waited=$((waited + 1))
    if [ $waited -gt 600 ] || ! kill -0 $recorder; then
        cat "$work/recorded"
        exit 1
    fi
    sleep 0.1
done
start here
goes_on
stop here
kill -INT $recorder
wait $recorder || true
report=$(grep -l '/var/log/app' "$work/reports"/*.json) || { ls "$work/reports"; exit 1; }
echo "recorded after $(cut -d' ' -f1 /proc/uptime) s"

# As a user does it: nothing that was seen is denied, and the rest is.
step='the first'
start here
may_miss=
[ "${VM_LABEL:-}" != new ] || may_miss=--allow-incomplete
# shellcheck disable=SC2086 # none or one word
"$RINGFENCE_BIN" enforce --baseline "$report" --container here $may_miss --once 2>"$work/said" || fault "it is not had: $(cat "$work/said")"
cat "$work/said"
places=$(policy policy.only.written | tr -d ' \n')
wanted='["/run/app.pid","/run/app.pid.new","/tmp/","/var/log/app","/var/log/app/","/vol/state"]'
[ "$places" = "$wanted" ] || fault "listed is $places"
goes_on
stop here
start here
goes_on
[ "$(policy denied)" = 0 ] || fault "the workload is denied something: $(told)"
"$RINGFENCE_BIN" policy remove 0 2>/dev/null
[ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"

# With the programs that the ways need.
# shellcheck disable=SC2086 # none or one word
"$RINGFENCE_BIN" enforce --baseline "$report" --container here $may_miss --print 2>/dev/null |
    jq '.only.programs += ["perl", "dash", "bash", "sed", "mount", "umount", "cp", "mkfifo", "rm", "python3"]
        | .only.programs |= map(if startswith("/") then . else "/usr/bin/" + . end)' >"$work/policy.json"
for program in perl sh python3 mount mkfifo; do
    path=$(readlink -f "$(command -v $program)")
    jq --arg path "$path" '.only.programs |= (. + [$path] | unique)' "$work/policy.json" >"$work/policy.new"
    mv "$work/policy.new" "$work/policy.json"
done
jq '.audit = true' "$work/policy.json" >"$work/audit.json"
start elsewhere
step=before
ways here works
echo "tried without a policy after $(cut -d' ' -f1 /proc/uptime) s"
chosen=
for step in $needed; do
    # shellcheck disable=SC2086 # none or two words
    if ! "$RINGFENCE_BIN" block --policy "$work/policy.json" $chosen --once 2>"$work/said"; then
        fault "it is not had: $(cat "$work/said")"
        continue
    fi
    grep -q "step $step:" "$work/said" || fault "another step was taken: $(cat "$work/said")"
    echo "step $step in force after $(cut -d' ' -f1 /proc/uptime) s"
    ways here denied
    [ "$(policy denied)" -ge 50 ] || fault "not each way was counted: $(policy denied)"
    runc --root "$work/state" exec elsewhere sh -c 'echo kept >>/etc/conf' </dev/null || fault "it does not work elsewhere"
    echo kept >>"$root/etc/conf" || fault "the host cannot write it"
    denied=$(policy denied)
    stop here
    start here
    goes_on
    [ "$(policy denied)" = "$denied" ] || fault "the workload is denied something: $(told | tail -n 3)"
    runc --root "$work/state" exec here sh -c 'echo kept >>/etc/conf' </dev/null 2>"$work/said" && fault "it works after a restart"
    grep -q 'not permitted' "$work/said" || fault "after a restart: $(cat "$work/said")"
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null
    runc --root "$work/state" exec here sh -c 'echo kept >>/etc/conf' </dev/null || fault "it cannot be written afterwards"
    # Counted only, and once.
    # shellcheck disable=SC2086 # none or two words
    "$RINGFENCE_BIN" block --policy "$work/audit.json" $chosen --once 2>/dev/null || fault "no audit"
    runc --root "$work/state" exec here sh -c 'echo kept >>/etc/conf' </dev/null || fault "an audit denies"
    [ "$(policy audited)" = 1 ] || fault "an audit counted $(policy audited)"
    "$RINGFENCE_BIN" policy remove 0 2>/dev/null
    [ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
    echo "step $step done after $(cut -d' ' -f1 /proc/uptime) s"
    following=${needed#*"$step"}
    following=${following# }
    chosen="--step ${following%% *}"
done
step='kill'
status=0
"$RINGFENCE_BIN" block --policy "$work/policy.json" --step kill --once 2>"$work/said" || status=$?
[ $status = 3 ] || fault "it ended with $status: $(cat "$work/said")"
grep -q 'writing what is not listed cannot be denied' "$work/said" || fault "it said $(cat "$work/said")"
[ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
stop here
stop elsewhere
[ "$faults" = 0 ]
