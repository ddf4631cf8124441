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
