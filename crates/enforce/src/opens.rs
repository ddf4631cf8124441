//! Programs that are held back until their content is known. Those that a policy names by it are told to the guards, which deny
//! them, count them and tell of them.
//!
//! One thread answers, and does nothing else. What is of no container that is meant goes on at once. When this program ends, however it does, the
//! kernel lets all go on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use containers::cgroupfs::cgroup_id;
use containers::proc::{Mount, Proc, ReadError};
use rustix::fs::FlockOperation;
use sensors::exec_opens::{ExecOpen, ExecOpens, Marked};
use sensors::guard::{Denial, FileKey, GuardError, Reason};

use crate::canary::{LIVE, OWN_PROGRAM, SUBCOMMAND};
use crate::contents::{Contents, Unhashed};
use crate::files::{self, Stat};
use crate::{EnforceError, Enforcer, Hash};

/// Why contents are not looked at.
#[derive(Debug, thiserror::Error)]
pub enum OpensError {
    /// The kernel has no such thing, or does not let us.
    #[error("the kernel does not let us look at programs before they run (fanotify)")]
    Refused(#[source] io::Error),
    /// A process of our own ran though it was to be held back.
    #[error("a process of our own that was to be held back was not")]
    NotHeld,
    /// Nobody looks any more.
    #[error("the contents of programs are not looked at any more")]
    Ended,
}

/// While somebody looks at contents he holds this.
const HELD: &str = "/run/ringfence/contents.lock";
/// How long to wait before it is looked whether to go on.
const WAIT: Duration = Duration::from_millis(100);
/// No canary takes as long.
const LIMIT: Duration = Duration::from_secs(60);
/// So many files are told to the guards; more are denied without them.
const MOST: usize = 4096;
/// File systems from which no program runs.
const WITHOUT_PROGRAMS: [&[u8]; 13] = [
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"mqueue",
    b"nsfs",
    b"proc",
    b"pstore",
    b"securityfs",
    b"sysfs",
];
/// File systems that somebody serves who may be waiting for the answer himself.
const SERVED: [&[u8]; 9] = [b"9p", b"afs", b"ceph", b"cifs", b"coda", b"nfs", b"nfs4", b"orangefs", b"smb3"];

/// Files that were found by their contents, by policy.
type Told = BTreeMap<(u32, FileKey), Reason>;
/// What may not run, by policy.
type Hashes = BTreeMap<u32, BTreeSet<Hash>>;

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    hashes: Mutex<Arc<Hashes>>,
    told: Mutex<Told>,
    /// The last thing that went wrong, until somebody has said it.
    failed: Mutex<Option<String>>,
}

/// Why something was denied, if that was its content.
#[derive(Clone, Debug, Default)]
pub struct Contained(Arc<Shared>);

impl Contained {
    /// The reason of this denial: the guards know the file alone.
    pub fn reason(&self, denial: &Denial) -> Reason {
        let known = || lock(&self.0.told).get(&(denial.policy, denial.file)).copied();
        if denial.reason == Reason::File { known().unwrap_or(denial.reason) } else { denial.reason }
    }
}

/// Whether somebody on this machine looks at contents now.
pub fn are_contents_held() -> bool {
    let Ok(file) = File::open(HELD) else { return false };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Looks at what is to run.
#[derive(Debug)]
pub(crate) struct Opens {
    /// The thread has it: should that die, nothing is held back for ever.
    group: Weak<ExecOpens>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// The file systems that this program's own mounts show, and the one that its root is.
    own: BTreeSet<(u32, u32)>,
    own_root: Option<(u32, u32)>,
    _held: File,
}

impl Drop for Opens {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether contents can be looked at here: a process of our own was held back and refused.
pub(crate) fn try_out() -> Result<(), OpensError> {
    let opens = ExecOpens::new().map_err(OpensError::Refused)?;
    let own = File::open(OWN_PROGRAM).map_err(OpensError::Refused)?;
    opens.watch(own.as_fd(), Marked::File).map_err(OpensError::Refused)?;
    let is_over = AtomicBool::new(false);
    let end = Instant::now() + LIMIT;
    let spawned = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
                for open in opens.take(WAIT).unwrap_or_default() {
                    let is_canary = parent_of(open.pid) == Some(std::process::id());
                    let _ = open.answer(!is_canary);
                }
            }
        });
        let mut command = Command::new(OWN_PROGRAM);
        command.args([SUBCOMMAND, LIVE]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let spawned = command.spawn();
        is_over.store(true, Ordering::Relaxed);
        spawned
    });
    match spawned {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => Ok(()),
        Err(error) => Err(OpensError::Refused(error)),
        Ok(mut child) => {
            let _ = child.wait();
            Err(OpensError::NotHeld)
        }
    }
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

impl Opens {
    /// Begins.
    pub(crate) fn start(proc: &Proc) -> Result<Opens, EnforceError> {
        let mounts = proc.mountinfo(std::process::id())?;
        let own_root = containers::proc::root_mount(&mounts).map(|mount| mount.device);
        let own = mounts.into_iter().map(|mount| mount.device).collect();
        let held = File::options().create(true).truncate(false).write(true).open(HELD).map_err(OpensError::Refused)?;
        rustix::fs::flock(&held, FlockOperation::LockShared).map_err(|error| OpensError::Refused(error.into()))?;
        let shared = Arc::new(Shared::default());
        let (ready, is_ready) = sync_channel(1);
        let answering = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("contents".into())
            .spawn(move || answer(&answering, &ready))
            .map_err(OpensError::Refused)?;
        let group = is_ready.recv().map_err(|_| OpensError::Ended)??;
        Ok(Opens { group, shared, thread: Some(thread), own, own_root, _held: held })
    }

    /// What may not run, from now on.
    pub(crate) fn set(&self, hashes: Hashes) {
        *lock(&self.shared.hashes) = Arc::new(hashes);
    }

    /// Whether somebody still answers.
    pub(crate) fn is_alive(&self) -> bool {
        self.group.strong_count() > 0
    }

    /// For whoever tells of denials.
    pub(crate) fn contained(&self) -> Contained {
        Contained(Arc::clone(&self.shared))
    }

    /// What went wrong since this was asked last.
    pub(crate) fn failed(&self) -> Option<String> {
        lock(&self.shared.failed).take()
    }

    /// Looks at what is run in the mounts of this process.
    pub(crate) fn watch(&self, proc: &Proc, pid: u32) -> Result<(), String> {
        let group = self.group.upgrade().ok_or_else(|| OpensError::Ended.to_string())?;
        let mounts = proc.mountinfo(pid).map_err(|error| error.to_string())?;
        let (root, _) = files::root_of(pid).map_err(|error| error.to_string())?;
        let mut unseen = Vec::new();
        for mount in mounts.iter().filter(|mount| !WITHOUT_PROGRAMS.contains(&mount.fs_type.as_slice())) {
            let place = Path::new(std::ffi::OsStr::from_bytes(&mount.mount_point));
            if is_served(mount) {
                unseen.push(format!("{} is a file system that somebody serves", place.display()));
                continue;
            }
            // Another mount may lie over it, or it is gone.
            let Some(file) = files::find_any(&root, place) else { continue };
            // Where programs of the host lie nothing of the host waits for us.
            let is_of_container = mount.fs_type == b"overlay" && self.own_root != Some(mount.device);
            let whole = is_of_container || !self.own.contains(&mount.device);
            let marked = if whole { Marked::FileSystem } else { Marked::Mount };
            if let Err(error) = group.watch(file.as_fd(), marked) {
                unseen.push(format!("what runs below {} cannot be looked at: {error}", place.display()));
            }
        }
        match unseen.is_empty() {
            true => Ok(()),
            false => Err(unseen.join("; ")),
        }
    }
}

fn is_served(mount: &Mount) -> bool {
    mount.fs_type.starts_with(b"fuse") || SERVED.contains(&mount.fs_type.as_slice())
}

type Ready = SyncSender<Result<Weak<ExecOpens>, EnforceError>>;

/// The thread: from here on each open is answered, and it ends with what holds them back.
fn answer(shared: &Shared, ready: &Ready) {
    let begun = || -> Result<(Arc<ExecOpens>, Enforcer), EnforceError> {
        let enforcer = Enforcer::find()?.ok_or(OpensError::Ended)?;
        Ok((Arc::new(ExecOpens::new().map_err(OpensError::Refused)?), enforcer))
    };
    let (group, enforcer) = match begun() {
        Ok(begun) => begun,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(Arc::downgrade(&group)));
    let mut judge = Judge { enforcer, contents: Contents::default(), files: BTreeMap::new(), shared };
    while !shared.is_over.load(Ordering::Relaxed) {
        match group.take(WAIT) {
            Ok(opens) => {
                for open in opens {
                    let may_run = judge.may_run(&open);
                    if let Err(error) = open.answer(may_run) {
                        judge.fail(&format!("a process could not be answered: {error}"));
                    }
                }
            }
            Err(error) => {
                judge.fail(&format!("what is to run cannot be read: {error}"));
                std::thread::sleep(WAIT);
            }
        }
    }
}

struct Judge<'a> {
    enforcer: Enforcer,
    contents: Contents,
    /// What the guards were told, by policy.
    files: BTreeMap<(u32, Stat), FileKey>,
    shared: &'a Shared,
}

impl Judge<'_> {
    fn may_run(&mut self, open: &ExecOpen<'_>) -> bool {
        if open.pid == std::process::id() {
            return true;
        }
        let hashes = Arc::clone(&lock(&self.shared.hashes));
        // Who cannot be found has ended.
        let Ok(under) = self.policies_of(open.pid) else { return true };
        let meant: Vec<_> = hashes.iter().filter(|(number, _)| under & (1 << **number) != 0).collect();
        if meant.is_empty() {
            return true;
        }
        let content = self.contents.hash(open.file.as_fd());
        let mut may_run = true;
        for (number, hashes) in meant {
            let told = self.tell(*number, hashes, &content, &open.file);
            may_run &= told.unwrap_or_else(|why| {
                self.fail(&format!("a program was denied without its being counted: {why}"));
                !self.denies(*number)
            });
        }
        may_run
    }

    /// Tells the guards of a file whose content this policy means, or is not known; gives whether it is left to them.
    fn tell(
        &mut self,
        number: u32,
        hashes: &BTreeSet<Hash>,
        content: &Result<Hash, Unhashed>,
        file: &OwnedFd,
    ) -> Result<bool, String> {
        let said = |error: &dyn std::error::Error| error.to_string();
        let why = match content {
            Ok(hash) => hashes.contains(hash).then_some(Reason::Hash),
            Err(_) => Some(Reason::NotHashed),
        };
        let one = (number, Stat::of(file.as_fd()).map_err(|error| said(&error))?);
        let known = self.files.get(&one).copied();
        let guards = &self.enforcer.guards;
        let Some(why) = why else {
            // It was another when it was told of.
            if let Some(key) = known {
                guards.allow_file(key, number).map_err(|error| said(&error))?;
                self.files.remove(&one);
                lock(&self.shared.told).remove(&(number, key));
            }
            return Ok(true);
        };
        let key = match known {
            Some(key) => key,
            None if self.files.len() >= MOST => return Err(format!("{MOST} files are known by their contents")),
            None => guards.file_key(file.as_fd()).map_err(|error| said(&error))?,
        };
        lock(&self.shared.told).insert((number, key), why);
        self.files.insert(one, key);
        guards.deny_file(key, number).map_err(|error| said(&error))?;
        Ok(true)
    }

    /// Whether this policy is in force and does not only count.
    fn denies(&self, number: u32) -> bool {
        let found = self.enforcer.policy(number);
        found.is_ok_and(|status| !status.policy.audit && !status.is_over())
    }

    /// The policies that a process is under, as the guards would find them.
    fn policies_of(&self, pid: u32) -> Result<u64, WhomError> {
        let Enforcer { proc, layout, guards, .. } = &self.enforcer;
        let lines = proc.cgroup(pid)?;
        let identity = layout.identity();
        let mut mask = 0;
        let mut directory = identity.path_of(&lines).and_then(|path| identity.directory(path));
        while let Some(one) = directory {
            if let Ok(id) = cgroup_id(&one) {
                mask |= guards.policies_of_cgroup(id.0)?;
            }
            directory = one.parent().filter(|above| above.starts_with(&identity.mount_point)).map(Path::to_owned);
        }
        let namespaces = proc.namespaces(pid)?;
        for namespace in [namespaces.mount, namespaces.pid] {
            mask |= guards.policies_of_namespace(namespace)?;
        }
        Ok(mask)
    }

    fn fail(&self, why: &str) {
        *lock(&self.shared.failed) = Some(why.to_owned());
    }
}

#[derive(Debug, thiserror::Error)]
enum WhomError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Guard(#[from] GuardError),
}

/// What another thread left behind when it died is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
