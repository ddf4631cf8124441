//! What a process says of itself while it is there.

mod descriptors;
mod tree;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use behaviour::Redaction;
use containers::proc::{Held, Namespace, Proc};
use event::{CapabilitySet, Device, ProcessId, Text};
use report::Timestamp;
use rustix::fs::{AtFlags, OFlags, Statx, StatxFlags, statx};

use crate::family::Family;
use crate::incident::FileFacts;
use crate::missing::Gaps;
use crate::{Executable, Library, Namespaces, Process, Rights, Source};

/// So many files of its memory are listed.
const MAX_LIBRARIES: usize = 512;
/// So much of an environment is looked at.
const MAX_ENVIRONMENT_BYTES: usize = 64 * 1024;
/// So many arguments are kept of a process, and so many bytes of them.
const MAX_ARGUMENTS: usize = 256;
const MAX_ARGUMENT_BYTES: usize = 16 * 1024;
/// What the kernel writes behind the path of a file that has no name any more.
const DELETED: &[u8] = b" (deleted)";
/// What the name of a memfd begins with.
const FROM_MEMORY: &[u8] = b"/memfd:";

/// Whom to look at.
pub(crate) struct Subject<'a> {
    pub(crate) id: ProcessId,
    /// The program that it ran, as the alert has it.
    pub(crate) executable: Option<Text>,
    /// The id of its container.
    pub(crate) container: Option<&'a Text>,
    pub(crate) now: Timestamp,
}

/// What is still in our hands when the process has ended.
#[derive(Debug, Default)]
pub(crate) struct Grip {
    /// Its program, open.
    pub(crate) program: Option<File>,
    /// Its root directory, as a place.
    pub(crate) root: Option<OwnedFd>,
}

/// Looks at a process; of one that has ended there is what the events told.
pub(crate) fn of_process(
    proc: &Proc,
    subject: &Subject<'_>,
    family: &Family<'_>,
    redaction: Option<&Redaction>,
) -> (Process, Grip) {
    let mut process = Process {
        id: subject.id,
        looked: subject.now,
        source: Source::Events,
        executable_then: subject.executable.clone(),
        told: family.told(subject.id),
        name: None,
        pid_inside: None,
        argv: Vec::new(),
        argv_truncated: false,
        executable: None,
        cwd: None,
        root: None,
        cgroups: Vec::new(),
        namespaces: None,
        rights: None,
        tree: Vec::new(),
        descriptors: Vec::new(),
        libraries: Vec::new(),
        environment: None,
        missing: Vec::new(),
    };
    let mut gaps = Gaps::default();
    let mut grip = Grip::default();
    match proc.hold(subject.id.pid, subject.id.start_ns) {
        Ok(held) if held.lives() => {
            process.source = Source::Process;
            // What outlives the process comes first, then what does not.
            grip.program = gaps
                .take("program", held.open("exe", OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY))
                .map(File::from);
            grip.root = gaps.take("root directory", held.open("root", OFlags::PATH | OFlags::DIRECTORY));
            look(proc, &held, subject, redaction, &mut process, &grip, &mut gaps);
        }
        Ok(_) => gaps.add("everything but the events", "the process has ended and waits to be reaped"),
        Err(error) => {
            gaps.take::<()>("everything but the events", Err(error));
        }
    }
    tree::complete(&mut process, family);
    process.missing = gaps.into_list();
    (process, grip)
}

fn look(
    proc: &Proc,
    held: &Held,
    subject: &Subject<'_>,
    redaction: Option<&Redaction>,
    process: &mut Process,
    grip: &Grip,
    gaps: &mut Gaps,
) {
    let before = gaps.take("state", held.stat());
    if let Some(command) = gaps.take("arguments", held.cmdline()) {
        (process.argv, process.argv_truncated) = arguments(command.args, command.is_truncated);
    }
    process.executable = executable(held, subject, grip, gaps);
    if let (Some(then), Some(now)) = (&subject.executable, &process.executable)
        && !is_of(now, then)
    {
        gaps.add(
            "program of that moment",
            format!(
                "it ran {then} when it did what the alert is about; what is described here is {}, which it had become by then",
                now.path
            ),
        );
    }
    process.cwd = gaps.take("working directory", held.link("cwd")).map(Text::new);
    process.root = gaps.take("root directory", held.link("root")).map(Text::new);
    (process.descriptors, process.tree) = (descriptors::of(held, gaps), tree::of(proc, held, subject.container, gaps));
    if let Some(status) = gaps.take("rights", held.status()) {
        process.pid_inside = Some(status.pid_inside());
        process.name = Some(Text::new(&status.name));
        process.rights = Some(Rights {
            uid: status.uid,
            gid: status.gid,
            effective: CapabilitySet(status.cap_effective),
            permitted: CapabilitySet(status.cap_permitted),
            inheritable: CapabilitySet(status.cap_inheritable),
            bounding: CapabilitySet(status.cap_bounding),
            ambient: CapabilitySet(status.cap_ambient),
            no_new_privileges: status.no_new_privileges,
            seccomp: status.seccomp.map(|mode| mode.name().into()),
            seccomp_filters: status.seccomp_filters,
            login_uid: gaps.take("who logged in", held.login_uid()).flatten(),
        });
    }
    process.namespaces = namespaces(held, gaps);
    if let Some(lines) = gaps.take("cgroups", held.cgroup()) {
        process.cgroups = lines
            .iter()
            .map(|line| {
                let names = line.name.iter().map(|name| format!("name={name}")).chain(line.controllers.iter().cloned());
                let mut text = Text::from(format!("{}:", names.collect::<Vec<_>>().join(",")));
                text.push(&line.path);
                text
            })
            .collect();
    }
    process.libraries = libraries(held, process.executable.as_ref(), gaps);
    if let Some(redaction) = redaction
        && let Some((variables, is_cut)) = gaps.take("environment", held.environment(MAX_ENVIRONMENT_BYTES))
    {
        process.environment = Some(variables.iter().map(|variable| redaction.of(&Text::new(variable)).0).collect());
        if is_cut {
            gaps.add("environment", format!("only its first {MAX_ENVIRONMENT_BYTES} bytes were read"));
        }
    }
    match (before, held.stat()) {
        (Some(before), Ok(after)) if before.image != after.image => {
            gaps.add("one moment", "the process became another program while it was looked at");
        }
        (_, Ok(_)) => {}
        (_, Err(error)) => {
            gaps.take::<()>("one moment", Err(error));
        }
    }
}

/// As many arguments as are kept, and whether there are more.
pub(super) fn arguments(args: Vec<Vec<u8>>, is_truncated: bool) -> (Vec<Text>, bool) {
    let mut left = MAX_ARGUMENT_BYTES;
    let mut kept = Vec::new();
    for argument in &args {
        if kept.len() == MAX_ARGUMENTS || left == 0 {
            return (kept, true);
        }
        let end = argument.len().min(left);
        kept.push(Text::new(&argument[..end]));
        left -= end;
        if end < argument.len() {
            return (kept, true);
        }
    }
    (kept, is_truncated)
}

fn executable(held: &Held, subject: &Subject<'_>, grip: &Grip, gaps: &mut Gaps) -> Option<Executable> {
    let link = gaps.take("program", held.link("exe"))?;
    let program = grip.program.as_ref()?;
    let facts = gaps.take("program", facts(program).map_err(std::io::Error::from))?;
    // A file may really be called so.
    let is_its_name = subject.executable.as_ref().is_some_and(|path| path.as_bytes() == link);
    let (path, deleted) = match link.strip_suffix(DELETED) {
        Some(path) if !is_its_name => (path, true),
        _ => (link.as_slice(), false),
    };
    let from_memory = deleted && facts.links == 0 && path.starts_with(FROM_MEMORY);
    Some(Executable { path: Text::new(path), deleted, from_memory, file: facts, sha256: None })
}

/// Whether a program is the one of this path: a memfd has no slash before its name in some places, and a deleted file has a mark.
pub(crate) fn is_of(program: &Executable, path: &Text) -> bool {
    let plain = |path: &'_ [u8]| {
        let path = path.strip_suffix(DELETED).unwrap_or(path);
        path.strip_prefix(b"/").unwrap_or(path).to_vec()
    };
    plain(program.path.as_bytes()) == plain(path.as_bytes())
}

/// What the kernel knows of an open file, without asking its file system anew.
pub(crate) fn facts(file: &impl std::os::fd::AsFd) -> rustix::io::Result<FileFacts> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    statx(file, "", flags, StatxFlags::BASIC_STATS).map(|it| facts_of(&it))
}

fn facts_of(it: &Statx) -> FileFacts {
    let time = |at: &rustix::fs::StatxTimestamp| {
        let seconds = u64::try_from(at.tv_sec).unwrap_or_default();
        Timestamp::from_unix_ns(seconds.saturating_mul(1_000_000_000).saturating_add(u64::from(at.tv_nsec)))
    };
    FileFacts {
        device: Device { major: it.stx_dev_major, minor: it.stx_dev_minor },
        inode: it.stx_ino,
        size_bytes: it.stx_size,
        mode: format!("{:o}", it.stx_mode).into(),
        uid: it.stx_uid,
        gid: it.stx_gid,
        links: it.stx_nlink,
        modified: time(&it.stx_mtime),
        changed: time(&it.stx_ctime),
    }
}

fn namespaces(held: &Held, gaps: &mut Gaps) -> Option<Namespaces> {
    let mut of = |kind| gaps.take("namespaces", held.namespace(kind));
    Some(Namespaces {
        mount: of(Namespace::Mount)?,
        pid: of(Namespace::Pid)?,
        user: of(Namespace::User)?,
        net: of(Namespace::Net)?,
        ipc: of(Namespace::Ipc)?,
        uts: of(Namespace::Uts)?,
        cgroup: of(Namespace::Cgroup)?,
    })
}

fn libraries(held: &Held, program: Option<&Executable>, gaps: &mut Gaps) -> Vec<Library> {
    let mut libraries: Vec<Library> = Vec::new();
    for file in gaps.take("files in its memory", held.maps()).unwrap_or_default() {
        let (major, minor) = file.device;
        let library = Library {
            path: Text::new(&file.path),
            device: Device { major, minor },
            inode: file.inode,
            deleted: file.is_deleted,
            executable: file.is_executable,
        };
        if program.is_some_and(|program| (&program.path, program.file.inode) == (&library.path, library.inode)) {
            continue;
        }
        let is_it = |known: &&mut Library| {
            (known.device, known.inode, known.deleted) == (library.device, library.inode, library.deleted)
                && known.path == library.path
        };
        if let Some(known) = libraries.iter_mut().find(is_it) {
            known.executable |= library.executable;
        } else if libraries.len() < MAX_LIBRARIES {
            libraries.push(library);
        } else {
            gaps.add("files in its memory", format!("only the first {MAX_LIBRARIES} are listed"));
        }
    }
    libraries
}

/// Reads what is at this place of a file, as much as fits.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
