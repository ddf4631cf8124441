# shellcheck shell=bash
# An engine of its own for scripts that record containers: they run in mount, network and UTS namespaces of their own, so that
# it meets no other one, has the usual paths, and reaches nothing outside. Source this file after say.sh, with `work` set to a
# folder for logs.

daemon=''

# end_within SECONDS SIGNAL PID : one that was started here; by force if it takes longer.
end_within() {
    local end=$((SECONDS + $1))
    kill -s "$2" "$3" 2>/dev/null || return 0
    while kill -0 "$3" 2>/dev/null; do
        if [ "$SECONDS" -ge "$end" ]; then
            kill -s KILL "$3" 2>/dev/null || true
            break
        fi
        sleep 0.1
    done
    wait "$3" 2>/dev/null || true
}

# within SECONDS WHAT COMMAND... : tries until it succeeds.
within() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || die "$what: not in time"
        sleep 0.1
    done
}

# usual_places : empty; nobody else sees these mounts.
usual_places() {
    mkdir -p /var/lib/docker
    # In memory: a folder of the disk would be shown with its own path where a container mounts what is below it.
    mount -t tmpfs -o size=3g none /var/lib/docker
    mount -t tmpfs none /run
    ip link set lo up
}

start_engine() {
    # shellcheck disable=SC2154 # whoever sources this has it
    echo '{}' >"$work/daemon.json"
    export DOCKER_CONFIG=$work
    dockerd --config-file "$work/daemon.json" >"$work/dockerd.log" 2>&1 &
    daemon=$!
    within 60 "dockerd" docker version
}

# end_engine : with all its containers.
end_engine() {
    [ -n "$daemon" ] || return 0
    docker ps --all --quiet 2>/dev/null | xargs -r docker rm --force >/dev/null 2>&1 || true
    end_within 20 TERM "$daemon"
}
