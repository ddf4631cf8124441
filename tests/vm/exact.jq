# What is wrong with a report about one run of exact.c: a line for each fault, nothing if it is right.
# $arch is the machine's own table.
#
# With MAY_MISS in the environment the kernel may have skipped very few runs of programs: then the report must not call
# itself complete, must say how often, and no count may be above the truth nor further below it than that.

def uses($table; $name):
  [.behaviour.syscalls[] | select(.phase == "main" and .arch == $table and .name == $name)];
def total($table; $name):
  [uses($table; $name)[].count | tonumber] | add // 0;
def failures($table; $name; $errno):
  [uses($table; $name)[] | .failures // [] | .[] | select(.errno == $errno) | .count | tonumber] | add // 0;
def checks($capability; $verdict):
  [.behaviour.capabilities[] | select(.phase == "main" and .capability == $capability and .verdict == $verdict)
   | select(.audit == "yes" and .namespace == "initial" and .credentials == "own")];
def checked($capability; $verdict):
  [checks($capability; $verdict)[].count | tonumber] | add // 0;
def privileged($operation):
  [.behaviour.privileged.operations[] | select(.phase == "main" and .operation == $operation)];
def done($operation):
  [privileged($operation)[].count | tonumber] | add // 0;
def passed($table; $name):
  [.behaviour.arguments[] | select(.phase == "main" and .arch == $table and .name == $name) | .values[].words];
def flows($direction; $protocol; $errno):
  [.behaviour.network.flows[] | select(.phase == "main" and .direction == $direction and .protocol == $protocol)
   | select([.failures // [] | .[].errno] == $errno)];
def moved($direction; $protocol):
  flows($direction; $protocol; []) | [([.[].connections | tonumber] | add), ([.[].sent_bytes | tonumber] | add),
   ([.[].received_bytes | tonumber] | add)];
def state($sensor): .sensors[] | select(.name == $sensor) | .state;
def skipped: [.losses[] | select(.stage == "recursion") | .count | tonumber] | add // 0;
def tolerated($found; $wanted):
  env.MAY_MISS == "1" and (.complete | not) and skipped > 0 and skipped <= 5
  and (if ($wanted | type) == "number" then $found <= $wanted and $wanted - $found <= skipped else true end);
def must($what; $found; $wanted):
  if $found == $wanted or tolerated($found; $wanted) then empty else "\($what): \($found | tojson), not \($wanted | tojson)" end;

. as $report
# Where a kernel cannot show capabilities, all the rest must be complete.
| if state("capabilities") == "unsupported" then
    must("what is not complete"; [.sections | to_entries[] | select(.value | not) | .key]; ["capabilities"]),
    must("why not all"; [.reasons[] | [.code, .sensor]]; [["sensor-missing", "capabilities"]])
  else
    must("complete"; .complete; true),
    must("NET_BIND_SERVICE, used"; checked("CAP_NET_BIND_SERVICE"; "used"); 100),
    must("NET_BIND_SERVICE, denied"; checked("CAP_NET_BIND_SERVICE"; "denied"); 0),
    must("the call of NET_BIND_SERVICE"; checks("CAP_NET_BIND_SERVICE"; "used")[0].first.syscall.name; "bind"),
    must("SYS_BOOT"; [checked("CAP_SYS_BOOT"; "used", "denied")] | sort; [0, 50]),
    must("SETPCAP"; [checked("CAP_SETPCAP"; "used", "denied")] | sort; [0, 50]),
    must("checks of which it is not known whether they are audited";
         [.behaviour.capabilities[] | select(.audit == "unknown")]; []),
    must("SYS_ADMIN, asked for with audit"; checked("CAP_SYS_ADMIN"; "used", "denied"); 0)
  end,
(([.behaviour.files.paths[] | select(.phase == "main" and (.accesses | index("executed")) and (.path | endswith("exact")))]) as $own
 | must("opens of its executable"; [$own[].opens | tonumber] | add; 123),
   must("what was done with it"; [$own[].accesses[] | select(. == "opened-to-read" or . == "read")] | unique; ["opened-to-read", "read"])),
must("opens of what is not there";
     [.behaviour.files.names[] | select(.operation == "open" and .errno == "ENOENT" and .path == "/nowhere/missing") | .count | tonumber] | add; 45),
must("chroot"; [privileged("chroot")[] | [.errno, .object, .outcome]]; [["ENOENT", "/nowhere/missing", "failed"]]),
must("chroots"; done("chroot"); 40),
must("setresuid"; done("setresuid"); 25),
must("requests through io_uring"; [privileged("io_uring-request")[] | [.details[0], (.count | tonumber)]]; [["IORING_OP_NOP", 60]]),
must("setresuid, from and to"; [privileged("setresuid")[] | .after] | unique | length; 1),
must("mmap of code"; [privileged("mmap")[].details]; [["writable", "anonymous"]]),
must("mmaps of code"; done("mmap"); 15),
# Where the mapping cannot be looked up, as before 5.17, that is said.
must("mprotect of code"; [privileged("mprotect")[].details | . == ["anonymous"] or . == ["origin-unknown"]] | unique; [true]),
must("mprotects of code"; done("mprotect"); 12),
must("process_vm_readv"; [privileged("process_vm_readv")[] | [.target_comm, (.target_run != null)]]; [["exact", true]]),
must("process_vm_readvs"; done("process_vm_readv"); 10),
must("reboot"; done("reboot"); 50),
must("capset"; done("capset"); 30),
must("prctl"; done("prctl"); 20),
must("signals that leave the container"; done("kill") + done("tgkill"); 0),
must("rights"; [.behaviour.privileged.confinement[] | select(.phase == "main") | .ids.uid] | unique; [0]),
must("connections made by TCP, with bytes"; moved("out"; "tcp"); [20, 20000, 200]),
must("connections taken by TCP, with bytes"; moved("in"; "tcp"); [20, 200, 20000]),
must("how they ended"; [flows("out", "in"; "tcp"; [])[].ends]; [{"closed-here": 20}, {"closed-by-peer": 20}]),
must("who was at the other end"; [flows("out", "in"; "tcp"; [])[].other_ends[] | [.connections, .address_there]];
     [["20", "127.0.0.1"], ["20", "127.0.0.1"]]),
must("refusals"; [flows("out"; "tcp"; ["ECONNREFUSED"])[].failures[].count | tonumber] | add; 7),
must("messages sent by UDP"; [moved("out"; "udp")[1], (flows("out"; "udp"; [])[].sent_packets | tonumber)]; [3000, 30]),
must("messages taken by UDP"; [moved("in"; "udp")[2], (flows("in"; "udp"; [])[].received_packets | tonumber)]; [3000, 30]),
must("connections made by unix sockets"; moved("out"; "unix-stream"); [5, 250, 0]),
must("connections taken by unix sockets"; moved("in"; "unix-stream"); [5, 0, 250]),
must("families of sockets"; passed($arch; "socket"); ["AF_UNIX", "AF_INET"]),
must("options of prctl"; passed($arch; "prctl"); ["PR_GET_SECUREBITS", "PR_SET_SECUREBITS"]),
must("flags of unshare"; passed($arch; "unshare"); []),
must("calls with more values than are kept"; [.behaviour.arguments[] | select(.others)]; []),
must("where it was reached"; [.behaviour.network.listeners[] | select(.phase == "main") | .protocol] | unique; ["tcp", "unix-stream"]),
must("getppid"; total($arch; "getppid"); 1000),
must("getpgid, in 4 threads"; total($arch; "getpgid"); 10000),
must("getsid, in 10 children"; total($arch; "getsid"); 1000),
must("dup"; total($arch; "dup"); 777),
must("dup, failed with EBADF"; failures($arch; "dup"; "EBADF"); 777),
must("capset"; total($arch; "capset"); 30),
must("execve"; total($arch; "execve"); 1),
must("exit_group, of the program and its children"; total($arch; "exit_group"); 11),
(if $arch == "x86_64" then must("getppid of the 32-bit table"; total("x86"; "getppid"); 321) else empty end),
(("mount", "pivot_root", "unshare", "setns") | . as $name
  | $report | must("\($name), which only a runtime calls"; total($arch; $name); 0))
