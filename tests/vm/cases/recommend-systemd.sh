#!/bin/sh
# A shell script and a Python program in ringfence's own sandbox, then as a service of systemd with the options that are recommended
# for them: they do their work, and are denied what they were not seen to do.
# Needs RINGFENCE_BIN, and systemd and python3 on the machine.
set -eu

work=/opt/ringfence-tested
units=$work/units
mkdir -p "$work/data" "$units/tested.service.d"
cp "$(dirname "$0")/../workload.py" "$work/"
cat >"$work/script" <<'SCRIPT'
echo line >"/opt/ringfence-tested/data/$$"
chmod 600 "/opt/ringfence-tested/data/$$"
rm "/opt/ringfence-tested/data/$$"
exec /usr/bin/python3 /opt/ringfence-tested/workload.py
SCRIPT

"$RINGFENCE_BIN" record --out "$work/reports" -- /bin/sh "$work/script"
"$RINGFENCE_BIN" recommend "$work"/reports/*.json --target systemd --out "$work/options"

# service COMMAND : runs it as a service of a systemd of its own, with the options; prints its result and what it said.
service() {
    cat >"$units/tested.service" <<UNIT
[Unit]
DefaultDependencies=no
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
Environment=PATH=/usr/bin:/bin
ExecStart=$1
StandardOutput=append:$work/data/said
StandardError=append:$work/data/said
ExecStopPost=+/bin/sh -c 'echo \$SERVICE_RESULT \$EXIT_STATUS >>$work/data/said'
UNIT
    rm -f "$work/data/said"
    unshare --fork --pid --mount --mount-proc --cgroup --propagation private sh -c "
        mount -t tmpfs tmpfs /run
        exec env container=ringfence SYSTEMD_UNIT_PATH=$units: SYSTEMD_COLORS=0 SYSTEMD_LOG_TARGET=null \
            /lib/systemd/systemd --system --show-status=no --unit=tested.service
    " >"$work/log" 2>&1 || true
    cat "$work/data/said" 2>/dev/null || cat "$work/log"
}

said=$(service "/bin/sh $work/script")
[ "$said" = '"worked"
success 0' ] || { echo "without the options: $said"; exit 1; }
cp "$work/options" "$units/tested.service.d/ringfence.conf"
said=$(service "/bin/sh $work/script")
[ "$said" = '"worked"
success 0' ] || { echo "$said"; cat "$work/options" "$work/log"; exit 1; }

cat >"$work/denied" <<'SCRIPT'
(: >/opt/elsewhere) && echo it writes in /opt
(: >/etc/elsewhere) && echo it writes in /etc
[ -e /tmp/of-the-host ] && echo it sees /tmp of the host
/usr/bin/unshare --net /bin/true && echo it makes a namespace
/usr/bin/chroot / /bin/true && echo it changes its root
echo end
SCRIPT
: >/tmp/of-the-host
said=$(service "/bin/sh $work/denied" | grep -v "^/\|^unshare\|^chroot")
[ "$said" = 'end
success 0' ] || { echo "$said"; cat "$work/options"; exit 1; }
