# shellcheck shell=bash
# `./x base-set`. Source this file after say.sh and build.sh.

# base_set [RUNTIME...] : what each runtime itself calls under a seccomp filter before it becomes the workload, and in how
# many of the starts; of calls that are filtered by an argument also what was passed, as CALL=NUMBER. Fails if a call is missing in
# crates/recommend/data/base-sets.csv, or what was passed in runtime-arguments.csv.
#
# Each container runs `true` under a filter that lets through all but one call that nobody makes. Every system call of the
# container is traced; those that a process of the runtime enters after it has loaded the filter are its own needs.
base_set() {
    local starts=${RINGFENCE_BASE_SET_STARTS:-60} program work runtime version setting user lacking=0 tool
    [ $# != 0 ] || set -- runc crun
    for tool in busybox jq "$@"; do
        command -v "$tool" >/dev/null || die "'$tool' is not here: ./x test installs what it needs"
    done
    program=${RINGFENCE_BIN:-$(build_program release)}
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of now
    trap "as_root rm -rf '$work'" EXIT
    mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/dev"
    cp "$(command -v busybox)" "$work/root/bin/true"
    printf '%-8s %-8s %-4s %-5s %-24s %s\n' RUNTIME VERSION NNP USER CALL STARTS
    for runtime; do
        version=$("$runtime" --version | sed -n '1s/[^0-9]*\([0-9][0-9.]*\).*/\1/p')
        for setting in false true; do
            for user in 0 1000; do
                base_set_bundle "$work" "$setting" "$user" >"$work/config.json"
                as_root flock "${TMPDIR:-/tmp}/ringfence-e2e.lock" tools/trace-starts \
                    "$program" "$runtime" "$work" "$starts" || die "the starts were not traced"
                base_set_of "$work/events.ndjson" >"$work/calls"
                [ -s "$work/calls" ] || die "no call was seen under the filter: was it loaded?"
                base_set_show "$runtime" "$version" "$setting" "$user" "$starts" <"$work/calls" || lacking=1
            done
        done
    done
    [ "$lacking" = 0 ] || die "crates/recommend/data/base-sets.csv or runtime-arguments.csv lacks what is marked"
}

# base_set_bundle FOLDER NO_NEW_PRIVILEGES USER : the config.json of the bundle in the folder.
base_set_bundle() {
    local caps='["CAP_CHOWN","CAP_SETGID","CAP_SETUID","CAP_SYS_CHROOT","CAP_KILL"]'
    jq -n --argjson nnp "$2" --argjson user "$3" --argjson caps "$caps" '{
        ociVersion: "1.0.2",
        process: {
            terminal: false, user: {uid: $user, gid: $user}, args: ["/bin/true"], cwd: "/", env: ["PATH=/bin"],
            noNewPrivileges: $nnp, capabilities: {bounding: $caps, effective: $caps, permitted: $caps}
        },
        root: {path: "root", readonly: false},
        mounts: [
            {destination: "/proc", type: "proc", source: "proc"},
            {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"]}
        ],
        linux: {
            namespaces: [{type: "pid"}, {type: "ipc"}, {type: "uts"}, {type: "mount"}],
            seccomp: {
                defaultAction: "SCMP_ACT_ALLOW",
                syscalls: [{names: ["kexec_load"], action: "SCMP_ACT_ERRNO"}]
            }
        }
    }'
}

# base_set_of EVENTS : the calls that runtimes entered under a filter, each with its process, one a line; and CALL=NUMBER for what
# was passed in an argument that is filtered.
base_set_of() {
    # An event of a call has the time of its return: that of its entry is so much earlier as it took. A filter is loaded by
    # seccomp(SECCOMP_SET_MODE_FILTER = 1), for all threads with SECCOMP_FILTER_FLAG_TSYNC = 1, or for one thread by
    # prctl(PR_SET_SECCOMP = 0x16).
    jq -rn --rawfile table crates/event/data/syscalls.csv --arg arch "$(uname -m)" \
        --rawfile filtered crates/recommend/data/arguments.csv '
        def number: ltrimstr("0x") | explode | reduce .[] as $digit (0; . * 16 + $digit - (if $digit > 57 then 87 else 48 end));
        def lower_half: . - 4294967296 * (. / 4294967296 | floor);
        ($filtered | split("\n") | map(select(length > 0 and (startswith("#") | not)) | split(","))[1:]
            | map(select(.[2] == "values" and .[3] == "0xffffffff") | .[1] as $position | .[0] | split(" ")[] | {(.): ($position | tonumber)}) | add)
            as $positions
        | ($table | split("\n") | map(select(length > 0 and (startswith("#") | not)) | split(","))) as $rows
        | ($rows[0] | index($arch)) as $column
        | ($rows[1:] | map(select(.[$column] != "") | {(.[$column]): .[0]}) | add) as $names
        | [inputs | select(.payload.kind == "syscall" and .payload.arch == $arch)
            | {process: [.run, .task.pid], tid: .task.tid, name: $names[.payload.number | tostring],
                args: .payload.args, ok: (.payload.result == 0),
                left: (.boot_ns | tonumber), took: (.payload.duration_ns | tonumber)}
            | .entered = .left - .took]
        | group_by(.process)[]
        | (map(select(.ok and ((.name == "seccomp" and .args[0] == "0x1") or (.name == "prctl" and .args[0] == "0x16"))))
            | min_by(.left)) as $load
        | select($load != null)
        | ($load.name == "seccomp" and ($load.args[1] | test("[13579bdf]$"))) as $all
        | (map(select(.name == "execve" and .ok and .entered >= $load.left) | .left) | min // infinite) as $became
        | map(select(($all or .tid == $load.tid) and .entered >= $load.left and .entered < $became))
        | map([(.process | tostring)] + ([.name], if $positions[.name] == null then empty
            else [.name + "=" + (.args[$positions[.name]] | number | lower_half | tostring)] end)) | unique[] | @tsv
    ' "$1"
}

# base_set_values RUNTIME : what runtime-arguments.csv has of it, as CALL=NUMBER.
base_set_values() {
    jq -rn --arg runtime "$1" --rawfile values crates/recommend/data/runtime-arguments.csv \
        --rawfile constants crates/event/src/constants.rs '
        def number: if startswith("0x") then ltrimstr("0x") | explode
            | reduce .[] as $digit (0; . * 16 + $digit - (if $digit > 57 then 87 else 48 end)) else tonumber end;
        ([$constants | scan("\\((0x[0-9a-f]+|[0-9]+), \"(\\w+)\"\\)") | {(.[1]): (.[0] | number)}] | add) as $numbers
        | $values | split("\n")[] | select(startswith($runtime + ",")) | split(",")
        | .[3] as $call | .[4] | split(" ")[] | select($numbers[.] != null) | $call + "=" + ($numbers[.] | tostring)
    ' | xargs
}

# base_set_show RUNTIME VERSION NO_NEW_PRIVILEGES USER STARTS : the table; fails if a call is missing in the data.
base_set_show() {
    local runtime=$1 version=$2 setting=yes known call starts mark status=0
    [ "$3" = true ] || setting=no
    known=" $(base_set_values "$runtime") $(grep "^$runtime,[^,]*,\($setting\|any\)," crates/recommend/data/base-sets.csv | cut -d, -f6 | xargs) "
    while read -r starts call; do
        mark=
        if [[ $known != *" $call "* ]]; then
            mark="  <- not in the table"
            status=1
        fi
        printf '%-8s %-8s %-4s %-5s %-24s %s of %s%s\n' "$runtime" "$version" "$setting" "$4" "$call" "$starts" "$5" "$mark"
    done < <(cut -f2 | sort | uniq -c)
    return "$status"
}
