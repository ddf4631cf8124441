//! Which kinds of hooks and maps the running kernel takes, found out by trying: load, attach, trigger, count.
//!
//! `bpf/probe.bpf.c` has a program of a few instructions for each kind. They change nothing: each lets what it sees go on.
//! A kind works only if its program was really called: a kernel may load and attach a program and never call it (BPF LSM
//! without `bpf` in the list of active LSMs).

use std::cell::Cell;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use event::Errno;
use libbpf_rs::libbpf_sys;
use libbpf_rs::{
    Iter, Link, MapCore as _, MapFlags, Object, ObjectBuilder, PrintCallback, PrintLevel, RingBufferBuilder,
};

use crate::{objects, perf};

/// A kind of hook, map or helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// A tracepoint with typed arguments.
    TpBtf,
    /// A tracepoint with its arguments as numbers.
    RawTp,
    /// A tracepoint by its number in tracefs.
    Tracepoint,
    /// A timer or counter of the processor.
    PerfEvent,
    /// A function of a program.
    Uprobe,
    /// Any instruction of the kernel.
    Kprobe,
    /// The beginning of a kernel function.
    Fentry,
    /// The end of a kernel function.
    Fexit,
    /// The result of a kernel function.
    FmodRet,
    /// A security hook.
    Lsm,
    /// What the processes of one cgroup (v2) do.
    Cgroup,
    /// A walk over the kernel's tasks.
    Iter,
    /// The buffer that events come through.
    RingBuffer,
    /// Memory that belongs to a task.
    TaskStorage,
    /// Memory that belongs to a cgroup (v2).
    CgroupStorage,
    /// A loop with any number of rounds.
    Loop,
}

impl HookKind {
    /// Every kind: what the sensors are made of first.
    pub const ALL: [HookKind; 16] = [
        HookKind::TpBtf,
        HookKind::Iter,
        HookKind::RingBuffer,
        HookKind::TaskStorage,
        HookKind::Loop,
        HookKind::RawTp,
        HookKind::Tracepoint,
        HookKind::PerfEvent,
        HookKind::Uprobe,
        HookKind::Cgroup,
        HookKind::CgroupStorage,
        HookKind::Fentry,
        HookKind::Fexit,
        HookKind::FmodRet,
        HookKind::Lsm,
        HookKind::Kprobe,
    ];

    /// Its name, as people who write BPF programs say it.
    pub fn name(self) -> &'static str {
        match self {
            HookKind::TpBtf => "tp_btf",
            HookKind::RawTp => "raw_tp",
            HookKind::Tracepoint => "tracepoint",
            HookKind::PerfEvent => "perf_event",
            HookKind::Uprobe => "uprobe",
            HookKind::Kprobe => "kprobe",
            HookKind::Fentry => "fentry",
            HookKind::Fexit => "fexit",
            HookKind::FmodRet => "fmod_ret",
            HookKind::Lsm => "lsm",
            HookKind::Cgroup => "cgroup",
            HookKind::Iter => "iter",
            HookKind::RingBuffer => "ring_buffer",
            HookKind::TaskStorage => "task_storage",
            HookKind::CgroupStorage => "cgroup_storage",
            HookKind::Loop => "loop",
        }
    }

    /// What it is tried on.
    pub fn tried_on(self) -> &'static str {
        match self {
            HookKind::TpBtf | HookKind::RawTp => "sys_enter",
            HookKind::Tracepoint => "sched/sched_process_fork",
            HookKind::PerfEvent => "the CPU clock",
            HookKind::Uprobe => "a function of ringfence",
            HookKind::Kprobe | HookKind::Fentry | HookKind::Fexit | HookKind::FmodRet => "security_file_open",
            HookKind::Lsm => "file_open",
            HookKind::Cgroup => "sock_create",
            HookKind::Iter => "task",
            HookKind::RingBuffer => "one record",
            HookKind::TaskStorage => "the own task",
            HookKind::CgroupStorage => "the own cgroup",
            HookKind::Loop => "one round",
        }
    }

    fn map(self) -> Option<&'static str> {
        match self {
            HookKind::RingBuffer => Some("ring"),
            HookKind::TaskStorage => Some("task_storage"),
            HookKind::CgroupStorage => Some("cgroup_storage"),
            _ => None,
        }
    }
}

/// How far a try came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The program and its map were to be loaded.
    Load,
    /// The program was to be attached.
    Attach,
    /// The program ran, and what it left was to be read.
    Read,
}

impl Step {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Step::Load => "load",
            Step::Attach => "attach",
            Step::Read => "read",
        }
    }
}

/// What a try came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program was called.
    Works,
    /// The program was loaded and attached, and was not called.
    NeverCalled,
    /// The kernel refused.
    Refused {
        /// At which step.
        step: Step,
        /// The kernel's answer, where it gave a number.
        errno: Option<Errno>,
        /// The answer in words.
        reason: String,
    },
    /// There was nothing to try it on.
    NotTried(String),
}

/// A cgroup of version 2, and how to make a process in it open a socket.
pub struct CgroupTrial<'a> {
    /// The cgroup's directory.
    pub directory: BorrowedFd<'a>,
    /// Makes a process in it open a socket.
    pub open_socket: &'a mut dyn FnMut(),
}

/// Tries one kind. [`HookKind::Cgroup`] needs a cgroup, the others need none.
pub fn try_hook(kind: HookKind, cgroup: Option<CgroupTrial<'_>>) -> Outcome {
    if kind == HookKind::Cgroup && cgroup.is_none() {
        return Outcome::NotTried("there is no cgroup of version 2 to try it in".into());
    }
    let _silence = Silence::begin();
    match attempt(kind, cgroup) {
        Ok(0) => Outcome::NeverCalled,
        Ok(_) => Outcome::Works,
        Err((step, error)) => Outcome::Refused { step, errno: errno_of(&error), reason: innermost(&error) },
    }
}

type Failure = (Step, libbpf_rs::Error);

/// How often the program was called.
fn attempt(kind: HookKind, cgroup: Option<CgroupTrial<'_>>) -> Result<u64, Failure> {
    let object = load(kind).map_err(|error| (Step::Load, error))?;
    let attached = |error| (Step::Attach, error);
    let read = |error| (Step::Read, error);
    match (kind, cgroup) {
        (HookKind::Cgroup, Some(trial)) => {
            let _link = program(&object, kind, |it| it.attach_cgroup(trial.directory.as_raw_fd())).map_err(attached)?;
            (trial.open_socket)();
            hits(&object).map_err(read)
        }
        (HookKind::PerfEvent, _) => {
            let clock = perf::cpu_clock(100_000).map_err(|error| attached(error.into()))?;
            let _link = program(&object, kind, |it| it.attach_perf_event(clock.as_raw_fd())).map_err(attached)?;
            // The link closes it.
            let _ = clock.into_raw_fd();
            let end = Instant::now() + Duration::from_millis(100);
            while Instant::now() < end && hits(&object).map_err(read)? == 0 {
                (0..10_000_u32).for_each(|number| {
                    black_box(number);
                });
            }
            hits(&object).map_err(read)
        }
        (HookKind::Uprobe, _) => {
            let offset = offset_in_own_file(uprobe_target as *const () as usize).map_err(|e| attached(e.into()))?;
            let attach = |it: &libbpf_rs::ProgramMut<'_>| it.attach_uprobe(false, 0, "/proc/self/exe", offset);
            let _link = program(&object, kind, attach).map_err(attached)?;
            black_box(uprobe_target as fn(u64) -> u64)(1);
            hits(&object).map_err(read)
        }
        (HookKind::Iter, _) => {
            let link = program(&object, kind, |it| it.attach()).map_err(attached)?;
            let mut tasks = Iter::new(&link).map_err(read)?;
            tasks.read_to_end(&mut Vec::new()).map_err(|error| read(error.into()))?;
            hits(&object).map_err(read)
        }
        (HookKind::RingBuffer, _) => {
            let _link = program(&object, kind, |it| it.attach()).map_err(attached)?;
            trigger(kind);
            records(&object).map_err(read)
        }
        _ => {
            let _link = program(&object, kind, |it| it.attach()).map_err(attached)?;
            trigger(kind);
            hits(&object).map_err(read)
        }
    }
}

fn load(kind: HookKind) -> libbpf_rs::Result<Object> {
    let mut open = ObjectBuilder::default().open_memory(&objects::PROBE.unpack())?;
    let wanted = format!("try_{}", kind.name());
    for mut program in open.progs_mut() {
        let is_wanted = program.name().to_str() == Some(wanted.as_str());
        program.set_autoload(is_wanted);
    }
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name.ends_with(".rodata") {
            map.set_initial_value(&(libc::SYS_getppid as u64).to_ne_bytes())?;
        } else if !name.ends_with(".bss") {
            map.set_autocreate(kind.map() == Some(name.as_str()))?;
        }
    }
    open.load()
}

fn program(
    object: &Object,
    kind: HookKind,
    attach: impl FnOnce(&libbpf_rs::ProgramMut<'_>) -> libbpf_rs::Result<Link>,
) -> libbpf_rs::Result<Link> {
    let wanted = format!("try_{}", kind.name());
    let found = object.progs_mut().find(|program| program.name().to_str() == Some(wanted.as_str()));
    attach(&found.expect("the object has a program of each kind"))
}

/// Does what the program is called at.
fn trigger(kind: HookKind) {
    match kind {
        HookKind::Tracepoint => drop(std::thread::spawn(|| {}).join()),
        HookKind::Fentry | HookKind::Fexit | HookKind::FmodRet | HookKind::Lsm | HookKind::Kprobe => {
            drop(File::open("/proc/self/stat"));
        }
        _ => drop(rustix::process::getppid()),
    }
}

#[inline(never)]
fn uprobe_target(number: u64) -> u64 {
    black_box(number)
}

fn hits(object: &Object) -> libbpf_rs::Result<u64> {
    let variables = object.maps().find(|map| map.name().to_string_lossy().ends_with(".bss"));
    let value = variables.expect("the object has variables").lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)?;
    Ok(value.and_then(|value| value.first_chunk().copied()).map_or(0, u64::from_ne_bytes))
}

/// How many records came through the ring.
fn records(object: &Object) -> libbpf_rs::Result<u64> {
    let map = object.maps().find(|map| map.name().to_str() == Some("ring")).expect("the object has a ring");
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    let mut builder = RingBufferBuilder::new();
    builder.add(&map, move |_| {
        counted.set(counted.get() + 1);
        0
    })?;
    builder.build()?.consume()?;
    Ok(count.get())
}

/// Where in this program's file the code at this address is.
fn offset_in_own_file(address: usize) -> io::Result<usize> {
    offset_in_file(&fs::read_to_string("/proc/self/maps")?, address)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the program's own code is not in /proc/self/maps"))
}

/// `maps` has lines of `BEGIN-END PERMISSIONS OFFSET DEVICE INODE PATH`, the numbers in hexadecimal.
fn offset_in_file(maps: &str, address: usize) -> Option<usize> {
    let hexadecimal = |digits| usize::from_str_radix(digits, 16).ok();
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (begin, end) = fields.next()?.split_once('-')?;
        let (begin, end) = (hexadecimal(begin)?, hexadecimal(end)?);
        let offset = hexadecimal(fields.nth(1)?)?;
        (begin..end).contains(&address).then_some(address - begin + offset)
    })
}

/// The kernel's number in an error of libbpf-rs, which keeps it only in its text: `… (os error 22)`.
fn errno_of(error: &libbpf_rs::Error) -> Option<Errno> {
    let text = innermost(error);
    let (_, number) = text.rsplit_once("(os error ")?;
    number.strip_suffix(')')?.parse().ok().map(Errno)
}

fn innermost(error: &libbpf_rs::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// Keeps libbpf from writing to standard error while things are tried that may well fail.
struct Silence(Option<(PrintLevel, PrintCallback)>);

impl Silence {
    fn begin() -> Silence {
        Silence(libbpf_rs::set_print(None))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        libbpf_rs::set_print(self.0.take());
    }
}

/// While it lives, the kernel counts how often each BPF program of the machine runs, and for how long.
///
/// It costs each run of each program two readings of a clock.
#[derive(Debug)]
pub struct RunCounting {
    _descriptor: OwnedFd,
}

impl RunCounting {
    /// Begins it. This needs `CAP_SYS_ADMIN`.
    pub fn begin() -> io::Result<RunCounting> {
        // SAFETY: a number in, a descriptor or a negative errno out.
        let descriptor = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
        if descriptor < 0 {
            return Err(io::Error::from_raw_os_error(-descriptor));
        }
        // SAFETY: the kernel has just given out this descriptor, and nobody else knows it.
        Ok(RunCounting { _descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) } })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use libbpf_rs::ErrorExt as _;

    use super::*;

    #[test]
    fn each_kind_has_a_program_of_its_name() {
        let open = ObjectBuilder::default().open_memory(&objects::PROBE.unpack()).expect("the object is valid");
        let mut programs: Vec<String> =
            open.progs().map(|program| program.name().to_string_lossy().into_owned()).collect();
        let mut kinds: Vec<String> = HookKind::ALL.iter().map(|kind| format!("try_{}", kind.name())).collect();
        programs.sort();
        kinds.sort();

        assert_eq!(programs, kinds);
    }

    #[test]
    fn the_kernels_number_is_found_below_what_libbpf_says_about_it() {
        let plain = libbpf_rs::Error::from_raw_os_error(22);
        let wrapped = libbpf_rs::Error::from_raw_os_error(1).context("failed to load object");

        assert_eq!((errno_of(&plain), errno_of(&wrapped)), (Some(Errno(22)), Some(Errno(1))));
        assert_eq!(errno_of(&io::Error::other("no number").into()), None);
    }

    #[test]
    fn an_address_is_found_in_the_mapping_that_holds_it() {
        let maps = "400000-401000 r--p 00000000 fe:00 1 /bin/x\n401000-480000 r-xp 00001000 fe:00 1 /bin/x\n";

        assert_eq!(offset_in_file(maps, 0x401234), Some(0x1234));
        assert_eq!(offset_in_file(maps, 0x480000), None);
        assert_eq!(offset_in_file("no line of maps\n", 1), None);
    }

    #[test]
    fn a_kind_that_needs_a_cgroup_is_not_tried_without_one() {
        assert!(matches!(try_hook(HookKind::Cgroup, None), Outcome::NotTried(_)));
    }

    fn outcomes() -> Vec<(HookKind, Outcome)> {
        HookKind::ALL
            .into_iter()
            .filter(|kind| *kind != HookKind::Cgroup)
            .map(|kind| (kind, try_hook(kind, None)))
            .collect()
    }

    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn what_the_sensors_are_made_of_works_and_what_is_refused_has_a_number() {
        let outcomes = outcomes();

        for (kind, outcome) in &outcomes {
            if let Outcome::Refused { errno, reason, .. } = outcome {
                assert!(errno.is_some(), "{}: {reason}", kind.name());
            }
        }
        for kind in [HookKind::TpBtf, HookKind::RawTp, HookKind::Iter, HookKind::RingBuffer] {
            assert!(outcomes.contains(&(kind, Outcome::Works)), "{outcomes:?}");
        }
    }

    /// A micro-VM's kernel in lockdown without kprobes, where the whole table is known.
    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn a_kernel_that_refuses_trampolines_and_kprobes_takes_all_the_rest() {
        let has_kprobes = Path::new("/sys/bus/event_source/devices/kprobe").exists();
        if has_kprobes || try_hook(HookKind::Fentry, None) == Outcome::Works {
            println!("skipped: this kernel takes kprobes or trampolines");
            return;
        }

        for (kind, outcome) in outcomes() {
            let refused = |at| matches!(&outcome, Outcome::Refused { step, .. } if *step == at);
            let is_as_expected = match kind {
                HookKind::Fentry | HookKind::Fexit | HookKind::FmodRet | HookKind::Lsm => {
                    matches!(outcome, Outcome::Refused { step: Step::Load, errno: Some(Errno(1)), .. })
                }
                HookKind::Kprobe => refused(Step::Attach),
                _ => outcome == Outcome::Works,
            };
            assert!(is_as_expected, "{}: {outcome:?}", kind.name());
        }
    }

    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn run_counting_counts_runs_of_programs() {
        use std::os::fd::AsFd as _;
        let object = load(HookKind::RawTp).expect("it loads");
        let runs = || {
            let wanted = object.progs().find(|program| program.name() == "try_raw_tp").expect("it is there");
            let path = format!("/proc/self/fdinfo/{}", wanted.as_fd().as_raw_fd());
            let info = fs::read_to_string(path).expect("a descriptor has it");
            let line = info.lines().find_map(|line| line.strip_prefix("run_cnt:")).expect("a program has it");
            line.trim().parse::<u64>().expect("a number")
        };
        let _link = program(&object, HookKind::RawTp, |it| it.attach()).expect("it attaches");
        let before = runs();
        let _counting = RunCounting::begin().expect("root may");
        trigger(HookKind::RawTp);

        assert!(runs() > before);
    }
}
