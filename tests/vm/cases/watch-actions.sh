#!/bin/sh
# `ringfence watch --calls` with all the calls that public rules name, on bare runc: opens, a rename, a connection and a failure, each
# once however often it was made; which files are in the container's own layer of an overlay; and images before their execs.
# Needs RINGFENCE_BIN, and runc, jq and busybox on the machine.
set -eu

calls=open,openat,openat2,creat,connect,accept,accept4,listen,bind,sendto,sendmsg,recvfrom,recvmsg,socket,dup,dup2,dup3
calls=$calls,ptrace,init_module,finit_module,symlink,symlinkat,link,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir
calls=$calls,mkdirat,chmod,fchmod,fchmodat,setuid,setresuid,setns,unshare,clone,mount,umount2,pivot_root,chroot,bpf,userfaultfd
calls=$calls,memfd_create,keyctl,execve,execveat,prctl

work=$(mktemp -d /dev/shm/tested.XXXXXX)
mkdir -p "$work/image/bin" "$work/image/proc" "$work/image/dev" "$work/image/sys" "$work/image/var" "$work/image/etc"
mkdir "$work/upper" "$work/work" "$work/rootfs"
cp "$(command -v busybox)" "$work/image/bin/busybox"
echo root:x:0:0:::/bin/sh >"$work/image/etc/passwd"
mount -t overlay -o "lowerdir=$work/image,upperdir=$work/upper,workdir=$work/work" overlay "$work/rootfs"

cat >"$work/rootfs/script" <<'SCRIPT'
b=/bin/busybox
$b cp $b /var/busybox
exec /var/busybox sh -c 'for i in 1 2 3; do read x </etc/passwd; echo x >/var/made; done; /bin/busybox mv /var/made /var/moved
    /bin/busybox wget -qO- http://127.0.0.1:9/ || cat </nowhere/x; true'
SCRIPT
(cd "$work" && runc spec)
jq '.process.terminal = false | .process.args = ["/bin/busybox", "sh", "/script"] | .root.readonly = false' \
    "$work/config.json" >"$work/config.new"
mv "$work/config.new" "$work/config.json"

"$RINGFENCE_BIN" watch tested --calls "$calls" --buffer 16M --format json >"$work/events" 2>"$work/stderr" &
watching=$!
waited=0
until grep -q ^watching "$work/stderr"; do
    waited=$((waited + 1))
    if [ $waited -gt 600 ] || ! kill -0 $watching; then
        cat "$work/stderr"
        echo "ringfence watch was not ready"
        exit 1
    fi
    sleep 0.1
done
runc --root "$work/state" run --bundle "$work" tested </dev/null 2>/dev/null
waited=0
until grep -q '"container_ended":{}' "$work/events" || [ $waited -gt 100 ]; do
    waited=$((waited + 1))
    sleep 0.1
done
kill -INT $watching
(sleep 60; kill -KILL $watching) 2>/dev/null & # if it does not end by itself
status=0
wait $watching || status=$?
[ $status = 0 ] || { echo "ringfence watch ended with $status"; cat "$work/stderr"; exit 1; }

faults=$(jq -rs '
    def must($what; $found; $wanted): if $found == $wanted then empty else "\($what): \($found | tojson), not \($wanted | tojson)" end;
    [.[] | select(.event.phase == "main")] as $main
    | [$main[] | select(.event.kind == "action")] as $actions
    | [$main[] | select(.event.kind == "image" or .event.kind == "exec")] as $programs
    | [range(0; $programs | length; 2) as $i | [$programs[$i, $i + 1].event.kind]] as $pairs
    | def opened($path; $own): [$actions[] | select(.action.path == $path and .action.file.path == $path)
        | select(.process.executable == $own) | .action.file.upper_layer];
    must("images before execs"; $pairs | unique; [["image", "exec"]]),
    must("own layers"; [$programs[] | select(.event.kind == "image") | .image.upper_layer] | .[0:3]; [false, false, true]),
    must("opens of /etc/passwd"; opened("/etc/passwd"; "/var/busybox"); [false]),
    must("opens of /var/made"; opened("/var/made"; "/var/busybox"); [true]),
    must("renames"; [$actions[] | select(.action.second_path == "/var/moved") | .action.path]; ["/var/made"]),
    must("connects"; [$actions[] | select(.action.address.port == 9) | [.action.address.address, .action.file.socket.family, .action.result]] | unique;
        [["127.0.0.1", "inet", ($actions[] | select(.action.address.port == 9) | .action.result)]]),
    must("opens that fail"; [$actions[] | select(.action.path == "/nowhere/x") | .action.result | tonumber]; [-2]),
    must("without rights"; [$actions[] | select(.action.rights.effective | length == 0)] | length; 0)
' "$work/events") || { echo "no sense in:"; head -c 4000 "$work/events"; exit 1; }
umount -l "$work/rootfs"
if [ -n "$faults" ]; then
    echo "$faults"
    jq -c 'select(.event.phase == "main" and (.event.kind == "action" or .event.kind == "image" or .event.kind == "exec"))' "$work/events" | head -60 | cut -c -700
    exit 1
fi
