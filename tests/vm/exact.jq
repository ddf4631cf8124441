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
def skipped: [.losses[] | select(.stage == "recursion") | .count | tonumber] | add // 0;
def tolerated($found; $wanted):
  env.MAY_MISS == "1" and (.complete | not) and skipped > 0 and skipped <= 5
  and (if ($wanted | type) == "number" then $found <= $wanted and $wanted - $found <= skipped else true end);
def must($what; $found; $wanted):
  if $found == $wanted or tolerated($found; $wanted) then empty else "\($what): \($found | tojson), not \($wanted | tojson)" end;

. as $report
| must("complete"; .complete; true),
must("getppid"; total($arch; "getppid"); 1000),
must("getpgid, in 4 threads"; total($arch; "getpgid"); 10000),
must("getsid, in 10 children"; total($arch; "getsid"); 1000),
must("dup"; total($arch; "dup"); 777),
must("dup, failed with EBADF"; failures($arch; "dup"; "EBADF"); 777),
must("execve"; total($arch; "execve"); 1),
must("exit_group, of the program and its children"; total($arch; "exit_group"); 11),
(if $arch == "x86_64" then must("getppid of the 32-bit table"; total("x86"; "getppid"); 321) else empty end),
(("mount", "pivot_root", "unshare", "setns", "capset") | . as $name
  | $report | must("\($name), which only a runtime calls"; total($arch; $name); 0))
