//! The fields of Falco's that rules can name here: one line for each.

use crate::fields::Type;

/// How many values a field has at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// One, or none.
    One,
    /// Several: a comparison holds if it holds of any, `!=` if it holds of all.
    Any,
}

/// What may stand in brackets behind a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing.
    Nothing,
    /// How many generations up an ancestor is: `[2]`; without it any ancestor is meant.
    Level,
    /// A number or a name, or nothing.
    MaybeKey,
    /// A number or a name.
    Key,
}

/// With which events a field can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// With any.
    Any,
    /// With what is a system call: an action, an exec.
    Call,
    /// With a single system call that is about a file or socket.
    Action,
    /// With a single system call that opens.
    Open,
}

/// What is said of one field.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) direct: Direct,
    pub(crate) name: &'static str,
    pub(crate) of: Type,
    pub(crate) values: Values,
    pub(crate) takes: Takes,
    pub(crate) scope: Scope,
    pub(crate) doc: &'static str,
    pub(crate) example: &'static str,
}

macro_rules! table {
    ($($direct:ident $name:literal $of:ident $values:ident $takes:ident $scope:ident $doc:literal $example:literal;)*) => {
        /// A field that is picked directly from what is known.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Direct {
            $($direct,)*
        }

        /// Every field, in the order of the page.
        pub(crate) const TABLE: &[Entry] = &[$(Entry {
            direct: Direct::$direct,
            name: $name,
            of: Type::$of,
            values: Values::$values,
            takes: Takes::$takes,
            scope: Scope::$scope,
            doc: $doc,
            example: $example,
        },)*];
    };
}

table! {
    EvtNum "evt.num" Number One Nothing Any "Which of the events it is that rules looked at, the first being 1." "evt.num > 0";
    EvtTime "evt.time" Text One Nothing Any "When, by the wall clock in UTC." "evt.time exists";
    EvtDatetime "evt.datetime" Text One Nothing Any "The day and the time, by the wall clock in UTC." "evt.datetime exists";
    EvtRawtime "evt.rawtime" Number One Nothing Any "When, in nanoseconds since 1970." "evt.rawtime > 0";
    EvtType "evt.type" Text One Nothing Call "The system call's name; `execve` of a program that begins, `clone` of a new process, `procexit` of one that ended." "evt.type in (open, openat, openat2)";
    SyscallType "syscall.type" Text One Nothing Call "The same as evt.type." "syscall.type = connect";
    EvtDir "evt.dir" Text One Nothing Any "Always `<`: a call is looked at when it has returned." "evt.dir = <";
    EvtSource "evt.source" Text One Nothing Any "Always `syscall`." "evt.source = syscall";
    EvtCount "evt.count" Number One Nothing Any "Always 1." "evt.count = 1";
    EvtHostname "evt.hostname" Text One Nothing Any "The host's name." "evt.hostname = node-1";
    EvtArg "evt.arg" Text One Key Call "An argument of the call by its name (`evt.arg.flags`) or place (`evt.arg[0]`), in words." "evt.arg.flags contains O_TRUNC";
    EvtRawarg "evt.rawarg" Number One Key Call "The same as a number, if it is one." "evt.rawarg.flags != 0";
    EvtArgs "evt.args" Text One Nothing Call "All arguments whose names are known." "evt.args contains AF_PACKET";
    EvtRes "evt.res" Text One Nothing Call "`SUCCESS`, or the name of the error." "evt.res = EACCES";
    EvtRawres "evt.rawres" Number One Nothing Call "What the call returned; a negative number is an error." "evt.rawres >= 0";
    EvtFailed "evt.failed" Bool One Nothing Call "Whether the call failed." "evt.failed = true";
    EvtIsOpenRead "evt.is_open_read" Bool One Nothing Open "Of a call that opens: whether it was to be read." "evt.is_open_read = true";
    EvtIsOpenWrite "evt.is_open_write" Bool One Nothing Open "Of a call that opens: whether it was to be written." "evt.is_open_write = true";
    EvtIsOpenExec "evt.is_open_exec" Bool One Nothing Open "Of a call that makes a file: whether the mode lets somebody execute it." "evt.is_open_exec = true";
    EvtIsOpenCreate "evt.is_open_create" Bool One Nothing Open "Of a call that opens: whether it may make the file." "evt.is_open_create = true";
    FdNum "fd.num" Number One Nothing Action "The descriptor's number; -1 if it could not be opened." "fd.num >= 0";
    FdType "fd.type" Text One Nothing Action "What the descriptor is: `file`, `directory`, `ipv4`, `ipv6`, `unix`, `pipe` …" "fd.type in (ipv4, ipv6)";
    FdTypechar "fd.typechar" Text One Nothing Action "The same in one character: `f`, `d`, `4`, `6`, `u`, `p` …" "fd.typechar = 4";
    FdName "fd.name" Text One Nothing Action "Of a file its path, resolved by the kernel; of a socket both ends. Of an open that failed: the path that was asked for." "fd.name startswith /etc/";
    FdNameraw "fd.nameraw" Text One Nothing Action "The path as the program wrote it." "fd.nameraw contains ../";
    FdDirectory "fd.directory" Text One Nothing Action "The directory of the file." "fd.directory = /etc";
    FdFilename "fd.filename" Text One Nothing Action "The file's name without its directory." "fd.filename = shadow";
    FdContainername "fd.containername" Text One Nothing Action "The container's id and fd.name, with a colon between." "fd.containername exists";
    FdContainerdirectory "fd.containerdirectory" Text One Nothing Action "The container's id and fd.directory, with a colon between." "fd.containerdirectory exists";
    FdIsUpperLayer "fd.is_upper_layer" Bool One Nothing Action "Whether the file is written in the container's own layer of an overlay file system." "fd.is_upper_layer = true";
    FdIp "fd.ip" Address Any Nothing Action "The address of either end." "fd.ip != 0.0.0.0";
    FdCip "fd.cip" Address One Nothing Action "The client's address." "fd.cip = 10.0.0.7";
    FdSip "fd.sip" Address One Nothing Action "The server's address." "fd.sip = 169.254.169.254";
    FdLip "fd.lip" Address One Nothing Action "The address here." "fd.lip = 127.0.0.1";
    FdRip "fd.rip" Address One Nothing Action "The address at the other end." "fd.rip = 10.0.0.7";
    FdNet "fd.net" Address Any Nothing Action "The network of either end." "fd.net = 127.0.0.0/8";
    FdCnet "fd.cnet" Address One Nothing Action "The client's network." "fd.cnet in (10.0.0.0/8)";
    FdSnet "fd.snet" Address One Nothing Action "The server's network." "fd.snet in (10.0.0.0/8)";
    FdLnet "fd.lnet" Address One Nothing Action "The network here." "fd.lnet in (10.0.0.0/8)";
    FdRnet "fd.rnet" Address One Nothing Action "The network of the other end." "fd.rnet in (10.0.0.0/8)";
    FdCipName "fd.cip.name" Text Any Nothing Action "The names that the container was told stand for the client's address." "fd.cip.name exists";
    FdSipName "fd.sip.name" Text Any Nothing Action "The names that the container was told stand for the server's address." "fd.sip.name = example.com";
    FdLipName "fd.lip.name" Text Any Nothing Action "The names that the container was told stand for the address here." "fd.lip.name exists";
    FdRipName "fd.rip.name" Text Any Nothing Action "The names that the container was told stand for the other end's address." "fd.rip.name exists";
    FdPort "fd.port" Number Any Nothing Action "The port of either end." "fd.port in (53, 123)";
    FdCport "fd.cport" Number One Nothing Action "The client's port." "fd.cport > 1023";
    FdSport "fd.sport" Number One Nothing Action "The server's port." "fd.sport = 443";
    FdLport "fd.lport" Number One Nothing Action "The port here." "fd.lport = 80";
    FdRport "fd.rport" Number One Nothing Action "The port at the other end." "fd.rport = 443";
    FdL4proto "fd.l4proto" Text One Nothing Action "What carries it: `tcp`, `udp`, `icmp`, `raw`." "fd.l4proto = udp";
    FdSockfamily "fd.sockfamily" Text One Nothing Action "`ip` or `unix`." "fd.sockfamily = ip";
    FdIsServer "fd.is_server" Bool One Nothing Action "Whether this end is the server's." "fd.is_server = true";
    FdConnected "fd.connected" Bool One Nothing Action "Whether the socket is connected." "fd.connected = false";
    FdNameChanged "fd.name_changed" Bool One Nothing Action "Whether the call gave the socket another end, as a datagram to an address does." "fd.name_changed = true";
    FsName "fs.path.name" Text One Nothing Action "The path that the call is about, made absolute." "fs.path.name endswith .sh";
    FsNameraw "fs.path.nameraw" Text One Nothing Action "The same as the program wrote it." "fs.path.nameraw exists";
    FsSource "fs.path.source" Text One Nothing Action "Of a call with two paths, the one that was there before." "fs.path.source startswith /etc";
    FsSourceraw "fs.path.sourceraw" Text One Nothing Action "The same as the program wrote it." "fs.path.sourceraw exists";
    FsTarget "fs.path.target" Text One Nothing Action "Of a call with two paths, the one that is made." "fs.path.target startswith /etc";
    FsTargetraw "fs.path.targetraw" Text One Nothing Action "The same as the program wrote it." "fs.path.targetraw exists";
    ProcName "proc.name" Text One Nothing Any "The thread's name (`comm`), at most 15 bytes." "proc.name in (sh, bash)";
    ProcExe "proc.exe" Text One Nothing Any "The first argument, by which the program was called." "proc.exe startswith ./";
    ProcExepath "proc.exepath" Text One Nothing Any "The path of the program, resolved by the kernel; of a script that of its interpreter." "proc.exepath = /usr/bin/curl";
    ProcArgs "proc.args" Text One Nothing Any "The arguments without the first, with blanks between." "proc.args contains --exec";
    ProcCmdline "proc.cmdline" Text One Nothing Any "proc.name and proc.args, with a blank between." "proc.cmdline contains ' -e '";
    ProcExeline "proc.exeline" Text One Nothing Any "proc.exe and proc.args, with a blank between." "proc.exeline startswith ./";
    ProcCmdnargs "proc.cmdnargs" Number One Nothing Any "How many arguments there are without the first." "proc.cmdnargs > 20";
    ProcCmdlenargs "proc.cmdlenargs" Number One Nothing Any "How long the arguments are together without the first." "proc.cmdlenargs > 1000";
    ProcCwd "proc.cwd" Text One Nothing Any "The working directory when the program began, with a slash at its end." "proc.cwd startswith /tmp/";
    ProcEnv "proc.env" Text One MaybeKey Any "The environment when the program began, or one variable of it." "proc.env[LD_PRELOAD] exists";
    ProcTty "proc.tty" Number One Nothing Any "The terminal's number; 0 if there is none." "proc.tty != 0";
    ProcPid "proc.pid" Number One Nothing Any "The process id." "proc.pid > 1";
    ProcVpid "proc.vpid" Number One Nothing Any "The process id in its own pid namespace." "proc.vpid = 1";
    ProcPpid "proc.ppid" Number One Nothing Any "The parent's process id." "proc.ppid > 1";
    ProcPvpid "proc.pvpid" Number One Nothing Any "The parent's process id in its own pid namespace." "proc.pvpid = 1";
    ProcApid "proc.apid" Number Any Level Any "The process id of an ancestor." "proc.apid[2] > 1";
    ProcPname "proc.pname" Text One Nothing Any "The parent's name." "proc.pname = nginx";
    ProcAname "proc.aname" Text Any Level Any "The name of an ancestor; without a number that of any." "proc.aname in (sshd)";
    ProcPexe "proc.pexe" Text One Nothing Any "The parent's first argument." "proc.pexe endswith java";
    ProcAexe "proc.aexe" Text Any Level Any "The first argument of an ancestor." "proc.aexe[2] endswith java";
    ProcPexepath "proc.pexepath" Text One Nothing Any "The path of the parent's program." "proc.pexepath = /usr/sbin/nginx";
    ProcAexepath "proc.aexepath" Text Any Level Any "The path of an ancestor's program." "proc.aexepath[2] exists";
    ProcPcmdline "proc.pcmdline" Text One Nothing Any "The parent's name and arguments." "proc.pcmdline contains -jar";
    ProcAcmdline "proc.acmdline" Text Any Level Any "The name and arguments of an ancestor." "proc.acmdline[2] exists";
    ProcSid "proc.sid" Number One Nothing Any "The session's leader, in the process's own pid namespace; 0 if it is not in there." "proc.sid = 1";
    ProcSname "proc.sname" Text One Nothing Any "The name of the session's leader." "proc.sname = sshd";
    ProcSidExe "proc.sid.exe" Text One Nothing Any "The first argument of the session's leader." "proc.sid.exe exists";
    ProcSidExepath "proc.sid.exepath" Text One Nothing Any "The path of the program of the session's leader." "proc.sid.exepath exists";
    ProcIsSidLeader "proc.is_sid_leader" Bool One Nothing Any "Whether it leads its session." "proc.is_sid_leader = true";
    ProcVpgid "proc.vpgid" Number One Nothing Any "The process group's leader, in the process's own pid namespace; 0 if it is not in there." "proc.vpgid = 1";
    ProcPgid "proc.pgid" Number One Nothing Any "The process group's leader." "proc.pgid > 1";
    ProcVpgidName "proc.vpgid.name" Text One Nothing Any "The name of the process group's leader." "proc.vpgid.name exists";
    ProcVpgidExe "proc.vpgid.exe" Text One Nothing Any "The first argument of the process group's leader." "proc.vpgid.exe exists";
    ProcVpgidExepath "proc.vpgid.exepath" Text One Nothing Any "The path of the program of the process group's leader." "proc.vpgid.exepath exists";
    ProcIsVpgidLeader "proc.is_vpgid_leader" Bool One Nothing Any "Whether it leads its process group." "proc.is_vpgid_leader = true";
    ProcDuration "proc.duration" Number One Nothing Any "How long the process has lived, in nanoseconds." "proc.duration <= 5000000000";
    ProcPpidDuration "proc.ppid.duration" Number One Nothing Any "How long its parent has lived, in nanoseconds." "proc.ppid.duration > 0";
    ProcPidTs "proc.pid.ts" Number One Nothing Any "When the process started, in nanoseconds since 1970." "proc.pid.ts > 0";
    ProcPpidTs "proc.ppid.ts" Number One Nothing Any "When its parent started, in nanoseconds since 1970." "proc.ppid.ts > 0";
    ProcIsExeUpperLayer "proc.is_exe_upper_layer" Bool One Nothing Any "Whether the program is written in the container's own layer of an overlay file system." "proc.is_exe_upper_layer = true";
    ProcIsExeFromMemfd "proc.is_exe_from_memfd" Bool One Nothing Any "Whether the program is in memory only (`memfd_create`)." "proc.is_exe_from_memfd = true";
    ProcIsExeDeleted "proc.is_exe_deleted" Bool One Nothing Any "Whether the program's file has no name any more. Falco has no such field." "proc.is_exe_deleted = true";
    ProcExeIno "proc.exe_ino" Number One Nothing Any "The inode number of the program's file." "proc.exe_ino > 0";
    ProcExeInoCtime "proc.exe_ino.ctime" Number One Nothing Any "When that inode was changed last, in nanoseconds since 1970." "proc.exe_ino.ctime > 0";
    ProcExeInoMtime "proc.exe_ino.mtime" Number One Nothing Any "When that file was written last, in nanoseconds since 1970." "proc.exe_ino.mtime > 0";
    ProcExeInoCtimeDurationProcStart "proc.exe_ino.ctime_duration_proc_start" Number One Nothing Any "From that change to the start of the process, in nanoseconds; unset if it came later." "proc.exe_ino.ctime_duration_proc_start < 1000000000";
    ThreadTid "thread.tid" Number One Nothing Any "The thread id." "thread.tid > 1";
    ThreadIsMain "thread.ismain" Bool One Nothing Any "Whether it is the first thread of its process." "thread.ismain = true";
    ThreadCapEffective "thread.cap_effective" Text One Nothing Any "The effective capabilities, with blanks between." "thread.cap_effective contains CAP_SYS_ADMIN";
    ThreadCapPermitted "thread.cap_permitted" Text One Nothing Any "The permitted capabilities, with blanks between." "thread.cap_permitted contains CAP_SYS_ADMIN";
    ThreadCapInheritable "thread.cap_inheritable" Text One Nothing Any "The inheritable capabilities, with blanks between." "thread.cap_inheritable contains CAP_SYS_ADMIN";
    UserUid "user.uid" Number One Nothing Any "The effective user id, as the first user namespace numbers it." "user.uid = 0";
    UserName "user.name" Text One Nothing Any "The effective user's name in the container; `<NA>` if it has none." "user.name = www-data";
    UserLoginuid "user.loginuid" Number One Nothing Any "Who logged in; -1 if nobody did." "user.loginuid = -1";
    UserLoginname "user.loginname" Text One Nothing Any "The name of who logged in; `<NA>` if nobody did." "user.loginname exists";
    GroupGid "group.gid" Number One Nothing Any "The effective group id, as the first user namespace numbers it." "group.gid = 0";
    GroupName "group.name" Text One Nothing Any "The effective group's name in the container; `<NA>` if it has none." "group.name = root";
    ContainerId "container.id" Text One Nothing Any "The first 12 characters of the container's id; `<NA>` while it is not known." "container.id != host";
    ContainerName "container.name" Text One Nothing Any "The container's name." "container.name = web";
    ContainerImage "container.image" Text One Nothing Any "The image, as it was asked for." "container.image = nginx:1.27";
    ContainerFullId "container.full_id" Text One Nothing Any "The container's id, in full." "container.full_id exists";
    ContainerType "container.type" Text One Nothing Any "The engine or the runtime that made the container." "container.type = docker";
    ContainerImageId "container.image.id" Text One Nothing Any "The image's own id." "container.image.id exists";
    ContainerImageRepository "container.image.repository" Text One Nothing Any "The image's name without tag and digest." "container.image.repository endswith nginx";
    ContainerImageTag "container.image.tag" Text One Nothing Any "The image's tag." "container.image.tag = latest";
    ContainerImageDigest "container.image.digest" Text One Nothing Any "The digest of the image's manifest." "container.image.digest exists";
    ContainerPrivileged "container.privileged" Bool One Nothing Any "Whether the container has all privileges." "container.privileged = true";
    ContainerMounts "container.mounts" Text One Nothing Any "All that is mounted from outside." "container.mounts contains /var/run/docker.sock";
    ContainerMount "container.mount" Text One Key Any "One mount, by its place or a pattern of its source; `<NA>` if there is none." "container.mount[/etc*] != <NA>";
    ContainerMountSource "container.mount.source" Text One Key Any "The source of a mount, by its place or a pattern of its destination; `<NA>` if there is none." "container.mount.source[/etc] != <NA>";
    ContainerMountDest "container.mount.dest" Text One Key Any "The destination of a mount, by its place or a pattern of its source; `<NA>` if there is none." "container.mount.dest[/proc*] != <NA>";
    ContainerMountMode "container.mount.mode" Text One Key Any "The mode of a mount, by its place or a pattern of its source; `<NA>` if there is none." "container.mount.mode[/etc] = ro";
    ContainerMountRdwr "container.mount.rdwr" Text One Key Any "Whether a mount can be written, by its place or a pattern of its source; `<NA>` if there is none." "container.mount.rdwr[/etc] = true";
    ContainerMountPropagation "container.mount.propagation" Text One Key Any "How a mount spreads, by its place or a pattern of its source; `<NA>` if there is none." "container.mount.propagation[/etc] = rshared";
    ContainerStartTs "container.start_ts" Number One Nothing Any "When the container was started, in nanoseconds since 1970." "container.start_ts > 0";
    ContainerDuration "container.duration" Number One Nothing Any "How long the container has run, in nanoseconds." "container.duration > 0";
    ContainerLabel "container.label" Text One Key Any "The value of a label." "container.label[tier] = front";
    ContainerLabels "container.labels" Text One Nothing Any "All labels." "container.labels contains tier";
    ContainerHostPid "container.host_pid" Bool One Nothing Any "Whether it has the host's pid namespace." "container.host_pid = true";
    ContainerHostNetwork "container.host_network" Bool One Nothing Any "Whether it has the host's network namespace." "container.host_network = true";
    ContainerHostIpc "container.host_ipc" Bool One Nothing Any "Whether it has the host's ipc namespace." "container.host_ipc = true";
    ContainerIp "container.ip" Text One Nothing Any "The container's address." "container.ip exists";
    K8sNsName "k8s.ns.name" Text One Nothing Any "The namespace of its pod in Kubernetes." "k8s.ns.name = kube-system";
    K8sPodName "k8s.pod.name" Text One Nothing Any "The name of its pod in Kubernetes." "k8s.pod.name startswith web-";
    K8sPodUid "k8s.pod.uid" Text One Nothing Any "The uid of its pod in Kubernetes." "k8s.pod.uid exists";
    K8sPodId "k8s.pod.id" Text One Nothing Any "The same as k8s.pod.uid." "k8s.pod.id exists";
}
