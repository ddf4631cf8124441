//! Reads `/proc`, each file with a limit.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{
    CgroupLine, Interface, Mount, Namespace, Namespaces, ParseError, Stat, Status, parse_cgroup, parse_fib_trie,
    parse_if_inet6, parse_interfaces, parse_mountinfo, parse_namespace, parse_stat, parse_status,
};

/// Why a file of `/proc` could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The process has ended.
    #[error("process {pid} has ended")]
    Gone {
        /// Which.
        pid: u32,
    },
    /// The kernel refused.
    #[error("cannot read {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It is longer than any honest one.
    #[error("{path} is longer than {limit} bytes")]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// It is not as the kernel writes it.
    #[error("cannot understand {path}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where.
        source: ParseError,
    },
}

/// A file by its device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device of its file system.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

/// What sets nobody apart: a process that differs in it may be in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside {
    /// The mount namespace's number.
    pub mount_namespace: u32,
    /// The pid namespace's number.
    pub pid_namespace: u32,
    /// The root directory.
    pub root: FileId,
}

/// A command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmdline {
    /// The arguments, the program's own name first; empty with kernel threads and zombies.
    pub args: Vec<Vec<u8>>,
    /// Whether it was longer than [`Proc::MAX_CMDLINE_BYTES`].
    pub is_truncated: bool,
}

/// A proc file system, or a tree that looks like one.
#[derive(Clone, Debug)]
pub struct Proc {
    root: PathBuf,
}

impl Default for Proc {
    fn default() -> Proc {
        Proc::new("/proc")
    }
}

impl Proc {
    /// How much of a command line is read.
    pub const MAX_CMDLINE_BYTES: usize = 64 * 1024;
    const MAX_SMALL_BYTES: usize = 1024 * 1024;
    const MAX_MOUNTINFO_BYTES: usize = 64 * 1024 * 1024;
    /// Above the largest `pid_max`.
    const MAX_PIDS: usize = 1 << 22;

    /// The one mounted at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Proc {
        Proc { root: root.into() }
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All processes, in no order.
    pub fn pids(&self) -> Result<Vec<u32>, ReadError> {
        self.numbered(&self.root).map_err(|source| ReadError::Io { path: self.root.clone(), source })
    }

    /// The threads of a process.
    pub fn threads(&self, pid: u32) -> Result<Vec<u32>, ReadError> {
        let path = self.path(pid, "task");
        self.numbered(&path).map_err(|source| failed(pid, path, source))
    }

    /// The cgroups of a process.
    pub fn cgroup(&self, pid: u32) -> Result<Vec<CgroupLine>, ReadError> {
        self.parsed(pid, "cgroup", Proc::MAX_SMALL_BYTES, parse_cgroup)
    }

    /// Credentials and confinement of a process.
    pub fn status(&self, pid: u32) -> Result<Status, ReadError> {
        self.parsed(pid, "status", Proc::MAX_SMALL_BYTES, parse_status)
    }

    /// Start and parent of a process.
    pub fn stat(&self, pid: u32) -> Result<Stat, ReadError> {
        self.parsed(pid, "stat", Proc::MAX_SMALL_BYTES, parse_stat)
    }

    /// The mounts that a process sees.
    pub fn mountinfo(&self, pid: u32) -> Result<Vec<Mount>, ReadError> {
        self.parsed(pid, "mountinfo", Proc::MAX_MOUNTINFO_BYTES, parse_mountinfo)
    }

    /// The interfaces of the network namespace that a process is in.
    pub fn interfaces(&self, pid: u32) -> Result<Vec<Interface>, ReadError> {
        self.parsed(pid, "net/dev", Proc::MAX_SMALL_BYTES, parse_interfaces)
    }

    /// The command line of a process.
    pub fn cmdline(&self, pid: u32) -> Result<Cmdline, ReadError> {
        let path = self.path(pid, "cmdline");
        let bytes = read_up_to(&path, Proc::MAX_CMDLINE_BYTES + 1).map_err(|source| failed(pid, path, source))?;
        Ok(cmdline_of(bytes))
    }

    /// The path of the program that a process runs, from its own root; none with a kernel thread or a zombie.
    pub fn exe(&self, pid: u32) -> Result<Option<Vec<u8>>, ReadError> {
        match self.link(pid, "exe") {
            Ok(path) => Ok(Some(path)),
            Err(ReadError::Gone { .. }) if self.path(pid, "stat").exists() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The working directory of a process, from the reader's root where it can be reached from there.
    pub fn cwd(&self, pid: u32) -> Result<Vec<u8>, ReadError> {
        self.link(pid, "cwd")
    }

    /// The directory that a process sees as `/`.
    pub fn root_id(&self, pid: u32) -> Result<FileId, ReadError> {
        let path = self.path(pid, "root");
        let metadata = fs::metadata(&path).map_err(|source| failed(pid, path, source))?;
        Ok(FileId { device: metadata.dev(), inode: metadata.ino() })
    }

    /// The number of one namespace; 0 if the kernel has none of the kind.
    pub fn namespace(&self, pid: u32, kind: Namespace) -> Result<u32, ReadError> {
        let name = format!("ns/{}", kind.name());
        match self.link(pid, &name) {
            Ok(link) => parse_namespace(kind, &link).ok_or_else(|| ReadError::Parse {
                path: self.path(pid, &name),
                source: ParseError { line: 1, field: "namespace number" },
            }),
            Err(ReadError::Gone { .. }) if self.path(pid, "ns").exists() => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The namespaces that set a container apart.
    pub fn namespaces(&self, pid: u32) -> Result<Namespaces, ReadError> {
        Ok(Namespaces {
            mount: self.namespace(pid, Namespace::Mount)?,
            pid: self.namespace(pid, Namespace::Pid)?,
            user: self.namespace(pid, Namespace::User)?,
            net: self.namespace(pid, Namespace::Net)?,
            cgroup: self.namespace(pid, Namespace::Cgroup)?,
        })
    }

    /// The addresses of the network namespace that a process is in, those of loopback too, each once and in order.
    pub fn addresses(&self, pid: u32) -> Result<Vec<IpAddr>, ReadError> {
        let read = |name| {
            let path = self.path(pid, name);
            read_whole(&path, Proc::MAX_SMALL_BYTES).map_err(|error| match error {
                ReadError::Io { path, source } => failed(pid, path, source),
                other => other,
            })
        };
        let mut addresses = parse_fib_trie(&read("net/fib_trie")?);
        // A kernel without IPv6 has no such file.
        addresses.extend(parse_if_inet6(&read("net/if_inet6").unwrap_or_default()));
        Ok(addresses)
    }

    /// What processes outside of every container have: as pid 1 has it or, where reading that is refused (it has
    /// capabilities that this program lacks), the kernel's own threads, else this program.
    pub fn outside(&self) -> Result<Outside, ReadError> {
        self.as_outside(|pid| {
            let (mount, pid_namespace) = (self.namespace(pid, Namespace::Mount)?, self.namespace(pid, Namespace::Pid)?);
            Ok(Outside { mount_namespace: mount, pid_namespace, root: self.root_id(pid)? })
        })
    }

    /// The number of the network namespace that processes outside of every container are in, and its addresses: as
    /// [`Proc::outside`] finds them.
    pub fn outside_network(&self) -> Result<(u32, Vec<IpAddr>), ReadError> {
        self.as_outside(|pid| Ok((self.namespace(pid, Namespace::Net)?, self.addresses(pid)?)))
    }

    fn as_outside<T>(&self, of: impl Fn(u32) -> Result<T, ReadError>) -> Result<T, ReadError> {
        const KTHREADD: u32 = 2;
        let is_kernel_thread = |pid| self.stat(pid).is_ok_and(|stat| stat.ppid == 0 && stat.comm == b"kthreadd");
        let refused = match of(1) {
            Ok(outside) => return Ok(outside),
            Err(error) => error,
        };
        let kernel = if is_kernel_thread(KTHREADD) { of(KTHREADD).ok() } else { None };
        kernel.or_else(|| of(std::process::id()).ok()).ok_or(refused)
    }

    /// The hierarchy number of each v1 controller that is compiled in (`/proc/cgroups`); 0 if it is on v2 or nowhere.
    pub fn controller_hierarchies(&self) -> Result<Vec<(String, u32)>, ReadError> {
        let path = self.root.join("cgroups");
        let bytes = read_whole(&path, Proc::MAX_SMALL_BYTES)?;
        Ok(parse_controllers(&bytes))
    }

    pub(crate) fn own_cgroup(&self) -> Result<Vec<CgroupLine>, ReadError> {
        let path = self.root.join("self/cgroup");
        let bytes = read_whole(&path, Proc::MAX_SMALL_BYTES)?;
        parse_cgroup(&bytes).map_err(|source| ReadError::Parse { path, source })
    }

    pub(crate) fn own_mountinfo(&self) -> Result<Vec<Mount>, ReadError> {
        let path = self.root.join("self/mountinfo");
        let bytes = read_whole(&path, Proc::MAX_MOUNTINFO_BYTES)?;
        parse_mountinfo(&bytes).map_err(|source| ReadError::Parse { path, source })
    }

    fn path(&self, pid: u32, name: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(name)
    }

    fn link(&self, pid: u32, name: &str) -> Result<Vec<u8>, ReadError> {
        let path = self.path(pid, name);
        let target = fs::read_link(&path).map_err(|source| failed(pid, path, source))?;
        Ok(target.as_os_str().as_bytes().to_vec())
    }

    fn parsed<T>(
        &self,
        pid: u32,
        name: &str,
        limit: usize,
        parse: fn(&[u8]) -> Result<T, ParseError>,
    ) -> Result<T, ReadError> {
        let path = self.path(pid, name);
        let bytes = read_whole(&path, limit).map_err(|error| match error {
            ReadError::Io { path, source } => failed(pid, path, source),
            other => other,
        })?;
        if bytes.is_empty() && name != "mountinfo" {
            // A process that ends between open and read leaves an empty file.
            return Err(ReadError::Gone { pid });
        }
        parse(&bytes).map_err(|source| ReadError::Parse { path, source })
    }

    fn numbered(&self, directory: &Path) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)?.take(Proc::MAX_PIDS) {
            if let Some(number) = super::number(entry?.file_name().as_bytes()) {
                found.push(number);
            }
        }
        Ok(found)
    }
}

/// `/proc/cgroups`: a comment line, then name, hierarchy, number of cgroups, enabled.
fn parse_controllers(bytes: &[u8]) -> Vec<(String, u32)> {
    super::lines(bytes)
        .filter_map(|(_, line)| {
            let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
            let name = std::str::from_utf8(fields.next()?).ok().filter(|name| !name.starts_with('#'))?;
            Some((name.to_owned(), super::number(fields.next()?)?))
        })
        .collect()
}

/// The command line that these bytes are, of which at most one more was read than is kept.
pub(super) fn cmdline_of(mut bytes: Vec<u8>) -> Cmdline {
    let is_truncated = bytes.len() > Proc::MAX_CMDLINE_BYTES;
    bytes.truncate(Proc::MAX_CMDLINE_BYTES);
    if bytes.last() == Some(&0) {
        bytes.pop();
    } else if bytes.is_empty() {
        return Cmdline::default();
    }
    Cmdline { args: bytes.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect(), is_truncated }
}

pub(super) fn failed(pid: u32, path: PathBuf, source: io::Error) -> ReadError {
    let gone = source.kind() == io::ErrorKind::NotFound
        || source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error());
    if gone { ReadError::Gone { pid } } else { ReadError::Io { path, source } }
}

fn read_up_to(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_whole(path: &Path, limit: usize) -> Result<Vec<u8>, ReadError> {
    let bytes = read_up_to(path, limit + 1).map_err(|source| ReadError::Io { path: path.into(), source })?;
    if bytes.len() > limit {
        return Err(ReadError::TooLong { path: path.into(), limit });
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
