use std::os::unix::fs::symlink;

use super::{Proc, ReadError};
use crate::proc::Namespace;

fn tree(pid: u32) -> (tempfile::TempDir, Proc) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir_all(directory.path().join(format!("{pid}/ns"))).expect("a directory in it");
    let proc = Proc::new(directory.path());
    (directory, proc)
}

#[test]
fn only_numbers_are_processes() {
    let (directory, proc) = tree(42);
    std::fs::create_dir(directory.path().join("7")).expect("a directory");
    std::fs::create_dir(directory.path().join("sys")).expect("a directory");

    let mut pids = proc.pids().expect("the tree can be read");

    pids.sort_unstable();
    assert_eq!(pids, [7, 42]);
}

#[test]
fn a_process_that_is_not_there_has_ended() {
    let (_directory, proc) = tree(42);

    assert!(matches!(proc.status(43), Err(ReadError::Gone { pid: 43 })));
    assert!(matches!(proc.cgroup(42), Err(ReadError::Gone { pid: 42 })));
}

#[test]
fn a_file_that_never_ends_is_refused() {
    let (directory, proc) = tree(42);
    symlink("/dev/zero", directory.path().join("42/status")).expect("a link");

    assert!(matches!(proc.status(42), Err(ReadError::TooLong { .. })));
}

#[test]
fn a_long_command_line_is_cut_and_says_so() {
    let (directory, proc) = tree(42);
    std::fs::write(directory.path().join("42/cmdline"), vec![b'a'; 100_000]).expect("a file");

    let cmdline = proc.cmdline(42).expect("it can be read");

    assert!(cmdline.is_truncated);
    assert_eq!(cmdline.args[0].len(), Proc::MAX_CMDLINE_BYTES);
}

#[test]
fn empty_arguments_are_kept() {
    let (directory, proc) = tree(42);
    std::fs::write(directory.path().join("42/cmdline"), b"sh\0\0-c\0").expect("a file");

    assert_eq!(proc.cmdline(42).expect("it can be read").args, [&b"sh"[..], b"", b"-c"]);
}

#[test]
fn a_kind_of_namespace_that_the_kernel_has_not_is_zero() {
    let (directory, proc) = tree(42);
    symlink("mnt:[77]", directory.path().join("42/ns/mnt")).expect("a link");

    assert_eq!(proc.namespace(42, Namespace::Mount).expect("it can be read"), 77);
    assert_eq!(proc.namespace(42, Namespace::Cgroup).expect("it can be read"), 0);
    assert!(matches!(proc.namespace(43, Namespace::Mount), Err(ReadError::Gone { .. })));
}

#[test]
fn this_process_can_be_read() {
    let (proc, pid) = (Proc::default(), std::process::id());

    assert_eq!(proc.status(pid).expect("status").tgid, pid);
    assert_eq!(proc.stat(pid).expect("stat").pid, pid);
    assert!(proc.stat(pid).expect("stat").start_ticks > 0);
    assert_ne!(proc.namespaces(pid).expect("namespaces").mount, 0);
    assert!(!proc.cgroup(pid).expect("cgroup").is_empty());
    assert!(proc.pids().expect("pids").contains(&pid));
    assert!(proc.threads(pid).expect("threads").contains(&pid));
    assert!(crate::proc::root_mount(&proc.mountinfo(pid).expect("mountinfo")).is_some());
    assert!(proc.exe(pid).expect("exe").is_some() && !proc.cwd(pid).expect("cwd").is_empty());
    assert_eq!(proc.root_id(pid).expect("root"), proc.root_id(pid).expect("root"));
}

#[test]
fn a_kernel_thread_has_no_program_but_has_not_ended() {
    let (directory, proc) = tree(2);
    std::fs::write(directory.path().join("2/stat"), "").expect("a file");

    assert_eq!(proc.exe(2).expect("it can be read"), None);
    assert!(matches!(proc.exe(3), Err(ReadError::Gone { .. })));
}

#[test]
fn what_is_outside_is_told_by_pid_1_else_by_the_kernels_threads_else_by_this_program() {
    let (directory, proc) = tree(1);
    let add = |pid: u32, mount: u32| {
        let process = directory.path().join(pid.to_string());
        std::fs::create_dir_all(process.join("ns")).expect("directories");
        symlink(format!("mnt:[{mount}]"), process.join("ns/mnt")).expect("a link");
        symlink("/", process.join("root")).expect("a link");
        let name = if pid == 2 { "kthreadd" } else { "sh" };
        let stat = format!("{pid} ({name}) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 1");
        std::fs::write(process.join("stat"), stat).expect("a file");
    };
    let told = || proc.outside().map(|outside| outside.mount_namespace).ok();
    assert_eq!(told(), None);

    add(std::process::id(), 30);
    assert_eq!(told(), Some(30));
    add(2, 20);
    assert_eq!(told(), Some(20));
    add(1, 10);
    assert_eq!(told(), Some(10));
}

#[test]
fn the_numbers_of_v1_hierarchies_are_read() {
    let (directory, proc) = tree(1);
    std::fs::write(
        directory.path().join("cgroups"),
        "#subsys_name\thierarchy\tnum_cgroups\tenabled\npids\t8\t1\t1\ncpu\t0\t1\t1\n",
    )
    .expect("a file");

    assert_eq!(proc.controller_hierarchies().expect("it can be read"), [("pids".into(), 8), ("cpu".into(), 0)]);
}
