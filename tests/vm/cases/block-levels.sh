#!/bin/sh
# The levels that containers name: each is denied what its level says and nothing else, a level that is none is told by name, an audit denies
# nothing. And real workloads, servers that drop root among them, do their work under restricted without one denial.
# Needs RINGFENCE_BIN, and busybox, jq and runc on the machine; for the workloads the root file system of `./x prove`, whose folder
# WORKLOADS names (else that of the cache).
# Time limit: 1800
set -eu

work=$(mktemp -d)
mount -t tmpfs work "$work"
step=lsm
faults=0
fault() {
    echo "FAULT: $*"
    faults=$((faults + 1))
}

# root NAME LOWER... : as engines make it, an overlay.
root() {
    name=$1
    shift
    mkdir -p "$work/$name/upper" "$work/$name/work" "$work/$name/root"
    mount -t overlay -o "lowerdir=$(echo "$*" | tr ' ' ':'),upperdir=$work/$name/upper,workdir=$work/$name/work" root "$work/$name/root"
}

image=$work/image
for folder in bin dev etc mnt proc sys tmp; do mkdir -p "$image/$folder"; done
cp "$(command -v busybox)" "$image/bin/busybox"
ln -s busybox "$image/bin/sh"
printf 'root:x:0:0:root:/:/bin/sh\nworker:x:1000:1000:worker:/:/bin/sh\n' >"$image/etc/passwd"
printf 'root:x:0:\nworker:x:1000:\n' >"$image/etc/group"

# What is tried, one a line: its name, "ok" or "denied", or what else came of it.
cat >"$image/bin/deeds" <<'DEEDS'
b=/bin/busybox
try() {
    name=$1
    shift
    said=$("$@" 2>&1) && said=ok
    case $said in
        *"not permitted"* | *"ermission denied"*) said=denied ;;
    esac
    echo "$name $said"
}
writes() { echo "$1" >"$2"; }
below() { $b mkdir /sys/fs/cgroup/below && $b rmdir /sys/fs/cgroup/below; }
# The program to be traced is stopped by nobody: its memory is opened, and has nothing at its beginning.
memory() {
    $b dd if="/proc/$1/mem" of=/dev/null bs=1 count=1 2>&1 | $b grep -q "nput/output error" && return
    echo "Permission denied"
    return 1
}
$b sleep 100 &
other=$!
$b cp $b /tmp/busybox
$b touch /tmp/file
$b dd if=/dev/zero of=/tmp/module bs=64 count=1 2>/dev/null
try mount $b mount -t tmpfs x /mnt
try ptrace memory "$other"
try module $b insmod /tmp/module
try sys_admin $b hostname renamed
try net_admin $b ip link set lo mtu 1400
try core_pattern writes core /proc/sys/kernel/core_pattern
try sysrq writes h /proc/sysrq-trigger
try cgroup below
try net_raw $b ping -c 1 127.0.0.1
try mknod $b mknod /tmp/null c 1 3
try chroot $b chroot / /bin/busybox true
try written /tmp/busybox true
try image $b true
try chown $b chown 1000:1000 /tmp/file
try su $b su worker -c "busybox true"
try kill $b kill "$other"
DEEDS

cat >"$work/config.jq" <<'JQ'
.process.terminal = false
| .process.args = $args
| .process.env += ["HOME=/tmp"]
| .root = {path: $root}
| .annotations = (if $level == "" then {} else {"ringfence.level": $level} end)
| .linux.cgroupsPath = "/of-runc/\($name)"
| .linux.maskedPaths = [] | .linux.readonlyPaths = []
| .linux.namespaces |= map(select(.type != "cgroup"))
| .mounts |= map(if .destination == "/sys/fs/cgroup" then .options = ["nosuid", "noexec", "nodev"] else . end)
| .mounts += [{destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777"]}]
| .mounts += (if $folder == "" then [] else [{destination: "/work", type: "bind", source: $folder, options: ["bind"]}] end)
| .process.capabilities |= with_entries(.value = ($capabilities | split(" ") | map("CAP_\(.)")))
JQ
ordinary="AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"
all="$ordinary SYS_ADMIN SYS_MODULE SYS_PTRACE NET_ADMIN"
mkdir "$work/plain"
(cd "$work/plain" && runc spec)

# create NAME LEVEL ROOT CAPABILITIES FOLDER COMMAND... : a container that does not run yet.
create() {
    name=$1 level=$2 root=$3 capabilities=$4 folder=$5
    shift 5
    mkdir -p "$work/bundle/$name"
    jq --arg name "$name" --arg level "$level" --arg root "$root" --arg capabilities "$capabilities" --arg folder "$folder" \
        '$ARGS.positional as $args | '"$(cat "$work/config.jq")" --args -- "$@" <"$work/plain/config.json" >"$work/bundle/$name/config.json"
    runc create --bundle "$work/bundle/$name" "$name" </dev/null >"$work/out.$name" 2>"$work/err.$name"
}

# ended NAME : waits until its first program is over.
ended() {
    until [ "$(runc state "$1" | jq -r .status)" = stopped ]; do sleep 0.5; done
    runc delete "$1"
}

# said TEXT : waits until ringfence has said it; it may be trying its guards, which takes an emulated machine long.
said() {
    for _ in $(seq 300); do
        grep -q "$1" "$work/said" && return
        sleep 1
    done
    fault "nobody said: $1: $(cat "$work/said")"
}

# start_levels ARG... : and waits until both are in force.
start_levels() {
    "$RINGFENCE_BIN" enforce --levels --format json "$@" >"$work/events" 2>"$work/said" &
    levels=$!
    until grep -q "level restricted: policy 1" "$work/said"; do
        kill -0 "$levels" 2>/dev/null || { cat "$work/said"; exit 1; }
        sleep 0.5
    done
    grep -q "step $step:" "$work/said" || fault "another step was taken: $(cat "$work/said")"
    echo "levels in force after $(cut -d' ' -f1 /proc/uptime) s"
}

# denied POLICY : how often, as it is kept with the guards.
denied() {
    "$RINGFENCE_BIN" policy list --format json | jq ".[] | select(.policy.name == \"$1\") | .denied"
}

# doer NAME LEVEL : a container that will try the deeds.
doer() {
    root "$1" "$image"
    create "$1" "$2" "$work/$1/root" "$all" "" /bin/busybox sh /bin/deeds
}

# deeds NAME : what came of them.
deeds() {
    runc start "$1"
    ended "$1"
    cut -d' ' -f1,2 "$work/out.$1"
}

# expect LEVEL : all that is denied.
expect() {
    denied=" $(tr '\n' ' ' <"$work/denied.$1") "
    cut -d' ' -f1,2 "$work/deeds.none" | while read -r name was; do
        case $denied in
            *" $name "*) echo "$name denied" ;;
            *) echo "$name $was" ;;
        esac
    done
}
: >"$work/denied.privileged"
printf '%s\n' mount ptrace module sys_admin net_admin core_pattern sysrq cgroup >"$work/denied.baseline"
{ cat "$work/denied.baseline" && printf '%s\n' net_raw mknod chroot written; } >"$work/denied.restricted"

doer free ""
deeds free >"$work/deeds.none"
grep -v " ok$" "$work/deeds.none" | grep -v "^module insmod" && fault "not all of it works without a level: $(cat "$work/out.free")"

# Those that are there before: the first look is over when the one whose level is none is named.
for level in privileged baseline restricted; do doer "of-$level" "$level"; done
doer strict strict
start_levels
said "error: strict has the label ringfence.level=strict, which is none of privileged, baseline, restricted"
for level in privileged baseline restricted; do
    deeds "of-$level" >"$work/deeds.$level"
    expect "$level" >"$work/expected.$level"
    diff "$work/expected.$level" "$work/deeds.$level" || fault "$level: $(cat "$work/out.of-$level")"
    echo "$level tried after $(cut -d' ' -f1 /proc/uptime) s"
done
deeds strict >"$work/deeds.strict"
diff "$work/deeds.none" "$work/deeds.strict" || fault "under a level that is none something is denied"
# And one that comes.
doer late baseline
said "in force in late"
deeds late >"$work/deeds.late"
diff "$work/expected.baseline" "$work/deeds.late" || fault "one that came later: $(cat "$work/out.late")"
sleep 1
[ "$(jq -s 'map(select(.container.name == "of-baseline" and .policy.name == "level baseline")) | length' "$work/events")" -ge 8 ] ||
    fault "not each denial was told: $(cat "$work/events")"
jq -s -e 'all(.container.name | . == "of-baseline" or . == "of-restricted" or . == "late")' "$work/events" >"$work/null" || fault "others were denied: $(cat "$work/events")"

# Real workloads.
# Not a search in all of the cache: what shares it with the virtual machine keeps each file open that was looked at.
found=${WORKLOADS:-}
for folder in /root/.cache/ringfence/rootfs/*+postgresql-*/root; do
    [ -n "$found" ] || [ ! -d "$folder" ] || found=$folder
done
before=$(denied "level restricted")
if [ -z "$found" ]; then
    echo "skipped: workloads: there is no root file system of ./x prove"
else
    mkdir "$work/work"
    cat >"$work/work/nginx.conf" <<'CONF'
daemon off;
worker_processes 2;
pid /tmp/nginx.pid;
error_log /tmp/error.log;
events { }
http { access_log /tmp/access.log; server { listen 127.0.0.1:80; location / { return 200 hello; } } }
CONF
    cat >"$work/work/postgresql.sh" <<'SCRIPT'
set -e
bin=/usr/lib/postgresql/15/bin
mkdir -p /tmp/db
chown postgres /tmp/db
as() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
as $bin/initdb -D /tmp/db >/dev/null
as $bin/pg_ctl -D /tmp/db -t 300 -w -o '-h 127.0.0.1 -p 5432 -k /tmp' -l /tmp/log start >/dev/null
as $bin/psql -h 127.0.0.1 -c 'select sum(n) from generate_series(1, 1000) n' postgres | grep -q 500500 && echo works
as $bin/pg_ctl -D /tmp/db -m fast -w stop >/dev/null
SCRIPT
    cat >"$work/work/perl.sh" <<'SCRIPT'
perl -e 'my $n = `echo 100`; die unless $n == 100; my $pid = fork // die; if (!$pid) { exit 3 } waitpid $pid, 0; $? >> 8 == 3 or die; print "works\n"'
SCRIPT
    # serve COMMAND... : until it answers; the request is in ASK.
    cat >"$work/work/serve.sh" <<'SCRIPT'
busybox ip link set lo up 2>/dev/null
"$@" >/tmp/out 2>&1 &
for i in $(busybox seq 100); do
    busybox sh -c "$ASK" 2>/dev/null | grep -q hello && echo works && break
    sleep 1
done
kill $!
wait $!
SCRIPT
    page="ASK=busybox wget -qO- http://127.0.0.1:80/"
    names=
    # workload NAME COMMAND... : a container that will do this work.
    workload() {
        name=$1
        shift
        root "$name" "$found"
        create "$name" restricted "$work/$name/root" "$ordinary" "$work/work" "$@"
        names="$names $name"
    }
    # works NAME : its work, under its level.
    works() {
        name=$1
        said "in force in $name"
        runc start "$name"
        ended "$name"
        grep -q "^works" "$work/out.$name" || fault "$name does not work under restricted: $(cat "$work/out.$name" "$work/err.$name")"
        umount "$work/$name/root"
        rm -rf "${work:?}/$name"
        echo "$name done after $(cut -d' ' -f1 /proc/uptime) s"
    }
    workload shell /bin/sh -c "echo a >/tmp/a && cp /tmp/a /tmp/b && ls -la / | sort | wc -l >/tmp/c && echo works"
    workload perl /bin/sh /work/perl.sh
    workload drops-root /usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups /bin/sh -c "id | grep -q uid=1000 && echo works"
    workload drops-bounds /usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups --bounding-set=-all --inh-caps=-all --nnp /bin/sh -c 'echo works'
    workload nginx /usr/bin/env "$page" /bin/sh /work/serve.sh /usr/sbin/nginx -c /work/nginx.conf
    workload redis /usr/bin/env "ASK=printf 'ECHO hello\r\nQUIT\r\n' | busybox nc 127.0.0.1 80" /bin/sh /work/serve.sh \
        /usr/bin/redis-server --bind 127.0.0.1 --port 80 --appendonly no --dir /tmp
    workload python /usr/bin/env "$page" /bin/sh /work/serve.sh /usr/bin/python3 -c "
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'hello')
http.server.HTTPServer(('127.0.0.1', 80), Page).serve_forever()"
    workload go /usr/bin/env "ASK=busybox wget -qO- http://127.0.0.1:80/metrics | sed 's/^# HELP/hello/'" /bin/sh /work/serve.sh \
        /usr/bin/prometheus-node-exporter --web.listen-address=127.0.0.1:80
    workload node /usr/bin/env "$page" /bin/sh /work/serve.sh \
        /usr/bin/node -e "require('http').createServer((q, a) => a.end('hello')).listen(80, '127.0.0.1')"
    workload postgresql /bin/sh /work/postgresql.sh
    for name in $names; do works "$name"; done
    sleep 1
    [ "$(denied "level restricted")" = "$before" ] || fault "workloads were denied: $(tail -n +1 "$work/events" | tail -n 20)"
fi

# Only counted.
kill "$levels"
wait "$levels" || true
"$RINGFENCE_BIN" policy remove --all 2>"$work/null"
doer audited restricted
start_levels --audit
deeds audited >"$work/deeds.audited"
diff "$work/deeds.none" "$work/deeds.audited" || fault "what is only counted is another thing"
[ "$("$RINGFENCE_BIN" policy list --format json | jq '.[1] | .denied == 0 and .audited >= 12')" = true ] ||
    fault "counted: $("$RINGFENCE_BIN" policy list)"
kill "$levels"
wait "$levels" || true
"$RINGFENCE_BIN" policy remove --all 2>"$work/null"
[ ! -e /sys/fs/bpf/ringfence ] || fault "something stays pinned"
[ "$faults" = 0 ]
