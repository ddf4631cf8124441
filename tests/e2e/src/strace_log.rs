//! Reading what `strace -f -n -e raw=all -o FILE` wrote, exactly: a line that is not understood is an error, because a
//! call that is not counted would make the oracle wrong.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a value that is no error, or with a restart that the program does not see.
    Returned,
    /// With this errno.
    Failed(String),
    /// It never returned, by nature (`exit`) or because its thread was ended in it.
    NeverReturned,
    /// Its thread was ended before strace could ask which call it was: the number is that of the thread's call before.
    Unread,
}

/// One entered call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread.
    pub tid: u32,
    /// The number in the table of the calling thread.
    pub number: u32,
    /// The name in strace's table; question marks where it is [unread](Outcome::Unread).
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// All calls, in the order of their entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The calls.
    pub calls: Vec<Call>,
    /// For each successful exec in order of its return: which call it was, and how many calls had been entered when it
    /// returned.
    execs: Vec<(usize, usize)>,
}

/// How often one call was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Its name.
    pub name: String,
    /// How often it was entered.
    pub entered: u64,
    /// In how many of these the thread was ended: strace stops a thread before the kernel enters the call, so whether
    /// it was entered, and what it returned unseen, is not known.
    pub cut_short: u64,
    /// How often it failed, by errno.
    pub failures: BTreeMap<String, u64>,
}

/// How often each call was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By number.
    pub calls: BTreeMap<u32, Count>,
    /// How many calls, each in a thread that was ended at once, strace could not read: each may be any, and may have
    /// been entered or not.
    pub unread: u64,
}

impl Trace {
    /// Reads a whole file.
    pub fn parse(log: &str) -> Result<Trace> {
        let mut reader = Reader::default();
        for (at, line) in log.lines().enumerate() {
            reader.line(line).with_context(|| format!("line {} of strace's log: {line:?}", at + 1))?;
        }
        Ok(reader.trace)
    }

    /// The calls from the first successful exec of this thread on: that exec, and all that were entered by anybody
    /// after it returned.
    pub fn from_exec_of(&self, tid: u32) -> Result<Vec<&Call>> {
        let (exec, after) = self
            .execs
            .iter()
            .find(|(exec, _)| self.calls[*exec].tid == tid)
            .with_context(|| format!("strace saw no exec of {tid}"))?;
        Ok(std::iter::once(&self.calls[*exec]).chain(&self.calls[*after..]).collect())
    }
}

/// How often each call was made.
pub fn count<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Counts {
    let mut counts = Counts::default();
    for call in calls {
        if call.outcome == Outcome::Unread {
            counts.unread += 1;
            continue;
        }
        let count = counts.calls.entry(call.number).or_default();
        count.name.clone_from(&call.name);
        count.entered += 1;
        match &call.outcome {
            Outcome::Failed(errno) => *count.failures.entry(errno.clone()).or_default() += 1,
            Outcome::NeverReturned if !matches!(call.name.as_str(), "exit" | "exit_group") => count.cut_short += 1,
            Outcome::Returned | Outcome::NeverReturned | Outcome::Unread => {}
        }
    }
    counts
}

#[derive(Default)]
struct Reader {
    trace: Trace,
    /// The call that each thread is in.
    pending: HashMap<u32, usize>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<()> {
        let (tid, rest) = line.split_once(' ').context("no thread id")?;
        let tid: u32 = tid.parse().context("the thread id")?;
        let (number, rest) =
            rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("] ")).context("no call number")?;
        if rest.starts_with("--- ") {
            return Ok(());
        }
        if let Some(news) = rest.strip_prefix("+++ ") {
            return self.news_of(tid, news);
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let (name, rest) = resumed.split_once(" resumed>").context("no `resumed>`")?;
            let at = self.pending.remove(&tid).context("resumes what was not begun")?;
            let begun = &self.trace.calls[at];
            if begun.outcome != Outcome::Unread && begun.name != name {
                bail!("resumes {name}, but {} was begun", begun.name);
            }
            return self.returned(at, rest);
        }
        let number = number.trim().parse().context("the call number")?;
        let (name, rest) = rest.split_once('(').context("no call")?;
        let unread = !name.is_empty() && name.bytes().all(|byte| byte == b'?');
        if !unread && (name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')) {
            bail!("{name:?} is not the name of a call");
        }
        let at = self.trace.calls.len();
        let outcome = if unread { Outcome::Unread } else { Outcome::NeverReturned };
        self.trace.calls.push(Call { tid, number, name: name.into(), outcome });
        if rest.ends_with("<unfinished ...>") {
            self.pending.insert(tid, at);
            return Ok(());
        }
        self.returned(at, rest)
    }

    /// What follows the arguments: `) = 0x3`, `) = -1 ENOENT (No such file or directory)`, `) = ?`.
    fn returned(&mut self, at: usize, rest: &str) -> Result<()> {
        let (_, result) = rest.split_once(')').context("no end of the arguments")?;
        let result = result.trim_start().strip_prefix("= ").context("no result")?;
        let outcome = match result.split_once(' ') {
            // Seen of an exit, and of threads that another one ended.
            None if result == "?" => Outcome::NeverReturned,
            None => Outcome::Returned,
            // A restart: the program never sees it, and what it enters next is a call of its own.
            Some(("?", _)) => Outcome::Returned,
            Some(("-1", error)) if error.starts_with("ERESTART") => Outcome::Returned,
            // Its value is that of the call which the signal interrupted, put back: it never fails itself.
            Some(("-1", _)) if self.trace.calls[at].name.ends_with("sigreturn") => Outcome::Returned,
            Some(("-1", error)) => {
                let errno = error.split(' ').next().unwrap_or_default();
                if !errno.starts_with('E') {
                    bail!("{errno:?} is no errno");
                }
                Outcome::Failed(errno.into())
            }
            Some((_, note)) if note.starts_with('(') => Outcome::Returned,
            Some(_) => bail!("{result:?} is no result"),
        };
        let call = &mut self.trace.calls[at];
        if call.outcome == Outcome::Unread {
            if outcome != Outcome::NeverReturned {
                bail!("a call that strace could not read has returned");
            }
        } else if outcome == Outcome::Returned && matches!(call.name.as_str(), "execve" | "execveat") {
            self.trace.execs.push((at, self.trace.calls.len()));
            self.trace.calls[at].outcome = outcome;
        } else {
            call.outcome = outcome;
        }
        Ok(())
    }

    /// `exited with 0 +++`, `killed by SIGKILL +++`, `superseded by execve in pid 12 +++`.
    fn news_of(&mut self, tid: u32, news: &str) -> Result<()> {
        self.pending.remove(&tid);
        if let Some(other) = news.strip_prefix("superseded by execve in pid ") {
            // The thread that called exec goes on under the leader's id.
            let other: u32 = other.trim_end_matches(" +++").parse().context("the superseding thread")?;
            let at = self.pending.remove(&other).context("superseded by a thread that is in no call")?;
            self.trace.calls[at].tid = tid;
            self.pending.insert(tid, at);
        } else if !news.starts_with("exited with ") && !news.starts_with("killed by ") {
            bail!("unknown news");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNC: &str = "\
1518  [ 202] futex(0xc8c518, 0x80, 0, 0, 0, 0 <unfinished ...>
1514  [ 257] openat(0xffffffffffffff9c, 0xc00012b8f0, 0x80001, 0 <unfinished ...>
1515  [ 219] restart_syscall( <unfinished ...>
1514  [ 257] <... openat resumed>)      = 0x3
1514  [  59] execve(0xc00012b8d8, 0xc0000248a0, 0xc0000248c0 <unfinished ...>
1515  [ 219] <... restart_syscall resumed>) = 0
1515  [  35] nanosleep(0x7ff5295edd98, 0 <unfinished ...>
1518  [ 202] <... futex resumed>)       = ?
1518  [ 202] +++ exited with 0 +++
1515  [  35] +++ exited with 0 +++
1514  [  59] <... execve resumed>)      = 0
1514  [  12] brk(0)                     = 0x1e967000
1514  [  56] clone(0x1200011, 0, 0, 0x1e967690, 0) = 0x6
1514  [  61] wait4(0xffffffff, 0x7fff601357dc, 0, 0 <unfinished ...>
1532  [ 262] newfstatat(0xffffff9c, 0x1e969898, 0x7fff60135738, 0) = -1 ENOENT (No such file or directory)
1532  [ 262] newfstatat(0xffffff9c, 0x1e969898, 0x7fff60135738, 0) = 0
1532  [ 231] exit_group(0x1)            = ?
1532  [ 231] +++ exited with 1 +++
1514  [  61] <... wait4 resumed>)       = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
1514  [  61] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=6, si_uid=0, si_status=1} ---
1514  [  61] wait4(0xffffffff, 0x7fff601357dc, 0x1, 0) = -1 ECHILD (No child processes)
1514  [  34] pause()                   = -1 ERESTARTNOHAND (To be restarted if no handler)
1514  [  15] rt_sigreturn()            = -1 EINTR (Interrupted system call)
1514  [   7] poll(0x7ffc, 0x1, 0) = 0 (Timeout)
1514  [ 202] futex(0xc8c518, 0x80, 0, 0, 0, 0 <unfinished ...>
1514  [ 202] +++ killed by SIGKILL +++
";

    fn entered(counts: &Counts) -> Vec<(&str, u64, u64)> {
        counts.calls.values().map(|count| (count.name.as_str(), count.entered, count.cut_short)).collect()
    }

    #[test]
    fn main_begins_with_the_exec_and_goes_on_after_its_return() {
        let trace = Trace::parse(RUNC).expect("a log that strace wrote");

        let counts = count(trace.from_exec_of(1514).expect("an exec"));

        let expected = [
            ("poll", 1, 0),
            ("brk", 1, 0),
            ("rt_sigreturn", 1, 0),
            ("pause", 1, 0),
            ("clone", 1, 0),
            ("execve", 1, 0),
            ("wait4", 2, 0),
            ("futex", 1, 1),
            ("exit_group", 1, 0),
            ("newfstatat", 2, 0),
        ];
        assert_eq!(entered(&counts), expected);
    }

    #[test]
    fn failures_are_counted_by_errno_and_restarts_are_not_failures() {
        let counts = count(&Trace::parse(RUNC).expect("a log that strace wrote").calls);

        assert_eq!(counts.calls[&262].failures, BTreeMap::from([("ENOENT".into(), 1)]));
        assert_eq!(counts.calls[&61].failures, BTreeMap::from([("ECHILD".into(), 1)]));
        assert_eq!((&counts.calls[&34].failures, &counts.calls[&15].failures), (&BTreeMap::new(), &BTreeMap::new()));
    }

    #[test]
    fn an_exec_by_a_thread_goes_on_as_the_leader() {
        let log = "\
1467  [  34] pause( <unfinished ...>
1469  [  59] execve(0x7ffe7f1e0ac8, 0x7ffe7f1e0698, 0x7ffe7f1e06a8 <unfinished ...>
1467  [  34] <... pause resumed>)       = ?
1467  [  59] +++ superseded by execve in pid 1469 +++
1467  [  59] <... execve resumed>)      = 0
1467  [ 231] exit_group(0)              = ?
1467  [ 231] +++ exited with 0 +++
";
        let trace = Trace::parse(log).expect("a log that strace wrote");

        let from_exec = count(trace.from_exec_of(1467).expect("the exec is the leader's now"));

        assert_eq!(entered(&from_exec), [("execve", 1, 0), ("exit_group", 1, 0)]);
        assert_eq!(entered(&count(&trace.calls)), [("pause", 1, 1), ("execve", 1, 0), ("exit_group", 1, 0)]);
    }

    #[test]
    fn a_call_that_strace_could_not_read_is_none_of_the_number_beside_it() {
        let log = "\
9664  [ 202] futex(0xc8c518, 0x80, 0, 0, 0, 0 <unfinished ...>
9668  [  35] nanosleep(0x7ff5295edd98, 0) = 0
9668  [  35] ???( <unfinished ...>
9664  [ 202] <... futex resumed>)       = ?
9668  [  35] <... ??? resumed> <unavailable>) = ?
9668  [  35] +++ exited with 0 +++
9664  [ 231] ????( <unfinished ...>
9664  [ 231] +++ killed by SIGKILL +++
";
        let counts = count(&Trace::parse(log).expect("a log that strace wrote").calls);

        assert_eq!(entered(&counts), [("nanosleep", 1, 0), ("futex", 1, 1)]);
        assert_eq!(counts.unread, 2);
        assert!(Trace::parse("9 [  35] ???() = 0").is_err(), "what returns was read");
    }

    #[test]
    fn a_failed_exec_does_not_begin_main() {
        let log = "\
7  [  59] execve(0x1, 0x2, 0x3) = -1 ENOENT (No such file or directory)
7  [   1] write(0x1, 0x2, 0x3) = 0x3
7  [  59] execve(0x1, 0x2, 0x3) = 0
";
        let trace = Trace::parse(log).expect("a log that strace wrote");

        assert_eq!(entered(&count(trace.from_exec_of(7).expect("the second"))), [("execve", 1, 0)]);
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        for wrong in [
            "nonsense",
            "12 read(0x1) = 0",
            "12 [   0] read(0x1) 0",
            "12 [   0] read(0x1, 0x2, 0x3",
            "12 [   0] <... read resumed>) = 0x1",
            "12 [   0] +++ vanished +++",
            "12 [   0] read(0x1) = -1 nothing",
        ] {
            assert!(Trace::parse(wrong).is_err(), "{wrong}");
        }
    }
}
