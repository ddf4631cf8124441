//! Events of the kernel's perf subsystem that programs are attached to.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{FromRawFd as _, OwnedFd};

use libbpf_rs::libbpf_sys::{self, perf_event_attr};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// CONFIG_NR_CPUS is nowhere higher (arch/x86/Kconfig, 7.3).
const MAX_CPUS: i32 = 8192;

/// An event every so many nanoseconds of CPU time of the calling thread.
pub(crate) fn cpu_clock(period_ns: u64) -> io::Result<OwnedFd> {
    let mut wanted = attr(libbpf_sys::PERF_TYPE_SOFTWARE, libbpf_sys::PERF_COUNT_SW_CPU_CLOCK.into());
    wanted.__bindgen_anon_1.sample_period = period_ns;
    open(&wanted, 0, -1)
}

/// A tracepoint by its name in tracefs; a program that is attached to it is called on every CPU.
pub(crate) fn tracepoint(group: &str, event: &str) -> io::Result<OwnedFd> {
    let id = tracepoint_id(&format!("events/{group}/{event}/id"))?;
    let wanted = attr(libbpf_sys::PERF_TYPE_TRACEPOINT, id);
    // The first CPU may be offline.
    let mut opened = open(&wanted, -1, 0);
    for cpu in 1..MAX_CPUS {
        match &opened {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => opened = open(&wanted, -1, cpu),
            _ => break,
        }
    }
    opened
}

/// From tracefs where it is mounted, else from a mount of our own that nobody sees.
fn tracepoint_id(path: &str) -> io::Result<u64> {
    let mounted = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let text = match mounted.iter().find_map(|folder| std::fs::read_to_string(format!("{folder}/{path}")).ok()) {
        Some(text) => text,
        None => read_in_own_mount(path)?,
    };
    text.trim().parse().map_err(|_| io::Error::other(format!("tracefs: {path} is no number but {text:?}")))
}

fn read_in_own_mount(path: &str) -> io::Result<String> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    let file = rustix::fs::openat(&mount, path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())?;
    let mut text = String::new();
    File::from(file).read_to_string(&mut text)?;
    Ok(text)
}

fn attr(kind: u32, config: u64) -> perf_event_attr {
    perf_event_attr { type_: kind, size: size_of::<perf_event_attr>() as u32, config, ..perf_event_attr::default() }
}

fn open(wanted: &perf_event_attr, pid: i32, cpu: i32) -> io::Result<OwnedFd> {
    let flags = libbpf_sys::PERF_FLAG_FD_CLOEXEC;
    // SAFETY: the kernel reads `size` bytes of `wanted`, which outlives the call; the other arguments are numbers.
    let number = unsafe { libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(wanted), pid, cpu, -1, flags) };
    match i32::try_from(number) {
        // SAFETY: the kernel has just given out this descriptor, and nobody else knows it.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}
