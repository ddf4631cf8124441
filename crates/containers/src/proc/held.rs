//! One process, held so that nothing that is read is ever another's.
//!
//! A directory `/proc/PID` that is open stays that of the process it was opened for: once the process is reaped, nothing
//! in it can be opened any more, also if its pid has been given to another by then (`proc_pid_make_inode` in
//! fs/proc/base.c, 6.18, ties the inode to `struct pid`). So it is enough to look once, after opening, whether it is the
//! process that was meant.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, Statx, StatxFlags, openat, readlinkat, statx};

use super::reader::{Cmdline, ReadError, cmdline_of, failed};
use super::{
    CgroupLine, MappedFile, Mount, Namespace, ParseError, Proc, SocketEntry, SocketTable, Stat, Status,
    TICKS_PER_SECOND, parse_cgroup, parse_maps, parse_mountinfo, parse_namespace, parse_sockets, parse_stat,
    parse_status,
};

const MAX_SMALL_BYTES: usize = 1024 * 1024;
const MAX_LARGE_BYTES: usize = 64 * 1024 * 1024;

/// Why a process cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// It has ended.
    #[error("process {pid} has ended")]
    Gone {
        /// Which.
        pid: u32,
    },
    /// Its pid is another's by now.
    #[error("process {pid} has ended, and another one has its number")]
    Reused {
        /// Which.
        pid: u32,
    },
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A process that is held by its directory.
#[derive(Debug)]
pub struct Held {
    directory: OwnedFd,
    pid: u32,
    path: PathBuf,
    start_ticks: u64,
}

/// The descriptors of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// Their numbers, in order; of many the lowest.
    pub numbers: Vec<u32>,
    /// How many more there are.
    pub more: u64,
}

impl Proc {
    /// Holds the process that has this pid now and that started at this time, in nanoseconds since boot.
    pub fn hold(&self, pid: u32, start_ns: u64) -> Result<Held, HoldError> {
        let held = self.hold_any(pid)?;
        // `/proc` has clock ticks only: the kernel's own time lies within the tick.
        let tick_ns = 1_000_000_000 / TICKS_PER_SECOND;
        let read_ns = held.start_ticks.saturating_mul(tick_ns);
        if start_ns.abs_diff(read_ns) > tick_ns {
            return Err(HoldError::Reused { pid });
        }
        Ok(held)
    }

    /// Holds the process that has this pid now, whichever that is.
    pub fn hold_any(&self, pid: u32) -> Result<Held, HoldError> {
        let path = self.root().join(pid.to_string());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let gone = |error| match error {
            ReadError::Gone { pid } => HoldError::Gone { pid },
            other => HoldError::Read(other),
        };
        let directory = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|error| gone(failed(pid, path.clone(), error.into())))?;
        let mut held = Held { directory, pid, path, start_ticks: 0 };
        held.start_ticks = held.stat().map_err(gone)?.start_ticks;
        Ok(held)
    }
}

impl Held {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it started, in nanoseconds since boot, to the tick below.
    pub fn start_ns(&self) -> u64 {
        self.start_ticks.saturating_mul(1_000_000_000 / TICKS_PER_SECOND)
    }

    /// Whether it is there and not only waits to be reaped.
    pub fn lives(&self) -> bool {
        self.stat().is_ok_and(|stat| !stat.is_dead())
    }

    /// Start and parent.
    pub fn stat(&self) -> Result<Stat, ReadError> {
        self.parsed("stat", MAX_SMALL_BYTES, parse_stat)
    }

    /// Credentials and confinement.
    pub fn status(&self) -> Result<Status, ReadError> {
        self.parsed("status", MAX_SMALL_BYTES, parse_status)
    }

    /// Its cgroups.
    pub fn cgroup(&self) -> Result<Vec<CgroupLine>, ReadError> {
        self.parsed("cgroup", MAX_SMALL_BYTES, parse_cgroup)
    }

    /// The files in its memory; empty of a kernel thread and of one that waits to be reaped.
    pub fn maps(&self) -> Result<Vec<MappedFile>, ReadError> {
        let (bytes, path) = (self.read("maps", MAX_LARGE_BYTES)?, self.path.join("maps"));
        parse_maps(&bytes).map_err(|source| ReadError::Parse { path, source })
    }

    /// The mounts that it sees.
    pub fn mountinfo(&self) -> Result<Vec<Mount>, ReadError> {
        self.parsed("mountinfo", MAX_LARGE_BYTES, parse_mountinfo)
    }

    /// The sockets of one kind in its network namespace; none where the kernel has no such kind.
    pub fn sockets(&self, table: SocketTable) -> Result<Vec<SocketEntry>, ReadError> {
        let name = format!("net/{}", table.name());
        let bytes = match self.read(&name, MAX_LARGE_BYTES) {
            Err(ReadError::Gone { .. }) if self.stat().is_ok() => return Ok(Vec::new()),
            bytes => bytes?,
        };
        parse_sockets(table, &bytes).map_err(|source| ReadError::Parse { path: self.path.join(name), source })
    }

    /// Its command line.
    pub fn cmdline(&self) -> Result<Cmdline, ReadError> {
        Ok(cmdline_of(self.read_up_to("cmdline", Proc::MAX_CMDLINE_BYTES + 1)?))
    }

    /// The environment that it was started with, as much as fits into so many bytes: each variable, and whether there are more.
    pub fn environment(&self, most_bytes: usize) -> Result<(Vec<Vec<u8>>, bool), ReadError> {
        let mut bytes = self.read_up_to("environ", most_bytes + 1)?;
        let is_cut = bytes.len() > most_bytes;
        bytes.truncate(most_bytes);
        let variables = bytes.split(|&byte| byte == 0).filter(|variable| !variable.is_empty());
        Ok((variables.map(<[u8]>::to_vec).collect(), is_cut))
    }

    /// Who logged in; none if nobody did, or if the kernel does not keep it.
    pub fn login_uid(&self) -> Result<Option<u32>, ReadError> {
        let bytes = match self.read("loginuid", MAX_SMALL_BYTES) {
            Err(ReadError::Gone { .. }) if self.stat().is_ok() => return Ok(None),
            bytes => bytes?,
        };
        Ok(super::number(bytes.trim_ascii()).filter(|&uid| uid != u32::MAX))
    }

    /// The text of a link: `exe`, `cwd`, `root`, `fd/3`.
    pub fn link(&self, name: &str) -> Result<Vec<u8>, ReadError> {
        let target = readlinkat(&self.directory, name, Vec::new()).map_err(|error| self.failed(name, error.into()))?;
        Ok(target.into_bytes())
    }

    /// The number of one namespace; 0 if the kernel has none of the kind.
    pub fn namespace(&self, kind: Namespace) -> Result<u32, ReadError> {
        let name = format!("ns/{}", kind.name());
        match self.link(&name) {
            Ok(link) => parse_namespace(kind, &link).ok_or_else(|| ReadError::Parse {
                path: self.path.join(&name),
                source: ParseError { line: 1, field: "namespace number" },
            }),
            Err(ReadError::Gone { .. }) if self.stat().is_ok() => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Its descriptors, at most so many.
    pub fn descriptors(&self, most: usize) -> Result<Descriptors, ReadError> {
        let mut numbers: Vec<u32> = self.numbered("fd")?;
        numbers.sort_unstable();
        let more = numbers.len().saturating_sub(most) as u64;
        numbers.truncate(most);
        Ok(Descriptors { numbers, more })
    }

    /// How a descriptor was opened (`O_*`).
    pub fn open_flags(&self, descriptor: u32) -> Result<u32, ReadError> {
        let name = format!("fdinfo/{descriptor}");
        let bytes = self.read(&name, MAX_SMALL_BYTES)?;
        let flags = super::lines(&bytes).find_map(|(_, line)| line.strip_prefix(b"flags:"));
        let digits = flags.and_then(|digits| std::str::from_utf8(digits.trim_ascii()).ok());
        digits.and_then(|digits| u32::from_str_radix(digits, 8).ok()).ok_or_else(|| ReadError::Parse {
            path: self.path.join(&name),
            source: ParseError { line: 1, field: "flags" },
        })
    }

    /// The processes that its threads have as children. Which of them are missing while others come and go is not known.
    pub fn children(&self) -> Result<Vec<u32>, ReadError> {
        let mut children = Vec::new();
        for thread in self.numbered("task")? {
            match self.read(&format!("task/{thread}/children"), MAX_SMALL_BYTES) {
                Ok(bytes) => children.extend(bytes.split(|&byte| byte == b' ').filter_map(super::number::<u32>)),
                // A thread that has ended; its children are another one's now.
                Err(ReadError::Gone { .. }) if self.link(&format!("task/{thread}/cwd")).is_err() => {}
                Err(error) => return Err(error),
            }
        }
        children.sort_unstable();
        children.dedup();
        Ok(children)
    }

    /// Opens what a link of it leads to, as the process sees it: `exe` or `root`.
    pub fn open(&self, name: &str, flags: OFlags) -> Result<OwnedFd, ReadError> {
        openat(&self.directory, name, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| self.failed(name, error.into()))
    }

    /// What the kernel knows of the file that a link of it leads to, without asking its file system anew.
    pub fn metadata(&self, name: &str) -> Result<Statx, ReadError> {
        statx(&self.directory, name, AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS)
            .map_err(|error| self.failed(name, error.into()))
    }

    fn failed(&self, name: &str, error: io::Error) -> ReadError {
        failed(self.pid, self.path.join(name), error)
    }

    fn numbered(&self, name: &str) -> Result<Vec<u32>, ReadError> {
        let directory = self.open(name, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        let mut numbers = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|error| self.failed(name, error.into()))?;
            numbers.extend(super::number::<u32>(entry.file_name().to_bytes()));
        }
        Ok(numbers)
    }

    fn parsed<T>(&self, name: &str, limit: usize, parse: fn(&[u8]) -> Result<T, ParseError>) -> Result<T, ReadError> {
        let bytes = self.read(name, limit)?;
        if bytes.is_empty() {
            // A process that ends between open and read leaves an empty file.
            return Err(ReadError::Gone { pid: self.pid });
        }
        parse(&bytes).map_err(|source| ReadError::Parse { path: self.path.join(name), source })
    }

    fn read(&self, name: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        let bytes = self.read_up_to(name, limit + 1)?;
        if bytes.len() > limit {
            return Err(ReadError::TooLong { path: self.path.join(name), limit });
        }
        Ok(bytes)
    }

    fn read_up_to(&self, name: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        let file = File::from(self.open(name, OFlags::RDONLY)?);
        let mut bytes = Vec::new();
        file.take(limit as u64).read_to_end(&mut bytes).map_err(|error| self.failed(name, error))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::process::{Child, Command, Stdio};

    use rustix::fs::OFlags;

    use super::{HoldError, Proc};
    use crate::proc::{Namespace, SocketAddresses, SocketTable};

    fn sleeper() -> Child {
        let child =
            Command::new("sleep").arg("60").env("A", "b c").stdin(Stdio::null()).spawn().expect("sleep is there");
        // Whoever forked it goes on while the new program is still being set up.
        while Proc::default().stat(child.id()).expect("it lives").image.is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child
    }

    fn end(mut child: Child) {
        child.kill().expect("it lives");
        child.wait().expect("it is reaped");
    }

    #[test]
    fn it_says_the_same_as_the_files_by_their_paths() {
        let proc = Proc::default();
        let child = sleeper();
        let pid = child.id();
        let stat = proc.stat(pid).expect("its stat");

        let held = proc.hold(pid, stat.start_ns() + 3).expect("it is that process");

        assert_eq!((held.pid(), held.start_ns(), held.lives()), (pid, stat.start_ns(), true));
        assert_eq!(held.status().expect("status").tgid, pid);
        assert_eq!(held.cgroup().expect("cgroup"), proc.cgroup(pid).expect("cgroup"));
        assert_eq!(held.cmdline().expect("cmdline"), proc.cmdline(pid).expect("cmdline"));
        assert_eq!(held.link("exe").ok(), proc.exe(pid).expect("exe"));
        let net = held.namespace(Namespace::Net).expect("a namespace");
        assert_eq!(net, proc.namespace(pid, Namespace::Net).expect("a namespace"));
        let (environment, is_cut) = held.environment(64 * 1024).expect("its environment");
        assert!(environment.contains(&b"A=b c".to_vec()) && !is_cut);
        assert!(held.maps().expect("maps").iter().any(|file| file.is_executable));
        assert_eq!(held.descriptors(2).expect("descriptors").numbers, [0, 1]);
        assert_eq!(held.open_flags(0).expect("flags") & OFlags::WRONLY.bits(), 0);
        let metadata = held.metadata("exe").expect("its program");
        assert_eq!(metadata.stx_ino, std::fs::metadata(format!("/proc/{pid}/exe")).expect("the same").ino());
        assert!(proc.hold_any(std::process::id()).and_then(|own| Ok(own.children()?)).expect("ours").contains(&pid));
        end(child);
    }

    #[test]
    fn nothing_is_read_of_a_process_that_has_ended_nor_of_whoever_has_its_number_now() {
        let proc = Proc::default();
        let child = sleeper();
        let pid = child.id();
        let held = proc.hold_any(pid).expect("it lives");
        let start_ns = held.start_ns();

        end(child);

        assert!(!held.lives());
        assert!(held.status().is_err() && held.link("exe").is_err() && held.descriptors(9).is_err());
        assert!(held.environment(10).is_err() && held.maps().is_err() && held.open("exe", OFlags::RDONLY).is_err());
        assert!(matches!(proc.hold(pid, start_ns), Err(HoldError::Gone { .. })));
        let own = std::process::id();
        assert!(matches!(proc.hold(own, start_ns.saturating_sub(1_000_000_000_000)), Err(HoldError::Reused { .. })));
    }

    #[test]
    fn a_socket_is_found_by_the_number_in_its_descriptor() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let held = Proc::default().hold_any(std::process::id()).expect("we live");
        let number = std::os::fd::AsRawFd::as_raw_fd(&listener);
        let link = String::from_utf8(held.link(&format!("fd/{number}")).expect("a link")).expect("text");

        let sockets = held.sockets(SocketTable::Tcp).expect("a table");

        let inode = link.strip_prefix("socket:[").and_then(|it| it.strip_suffix(']')).and_then(|it| it.parse().ok());
        let found = sockets.iter().find(|socket| Some(socket.inode) == inode).expect("it is in the table");
        let address = listener.local_addr().expect("an address");
        assert!(matches!(&found.ends, SocketAddresses::Ip { local, .. } if *local == address), "{found:?}");
    }
}
