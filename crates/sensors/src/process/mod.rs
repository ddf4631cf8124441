//! `process`: processes as they come and go, and the programs that they run.
//!
//! Sees every fork, exec and exit of a watched task (`sched_process_fork`, `…_exec`, `…_exit`), on every kernel. Paths are
//! walked in the kernel from the file's own objects, up to 4 KiB and 256 names and mounts; of a longer one the tail is kept and marked. Of the arguments the first 4 KiB are kept. It
//! misses threads that end while their process runs on: they are counted by their slot. Of a user namespace with more than
//! five ranges the inner ids are not known.

use event::{Exec, Exit, Fork, Payload, Text};

use crate::{Program, Sensor};
use crate::bpf::types::{exec_flag, exec_sample, exit_sample, fork_sample, process_kind};
use crate::record::{self, DecodeError, Plain};
use crate::texts::{Texts, path};

pub(crate) const SENSOR: Sensor = Sensor::new(PROGRAMS, decode);

const PROGRAMS: &[Program] = &[
    Program::on("tp_btf/sched_process_fork", "on_fork_process"),
    Program::on("tp_btf/sched_process_exec", "on_exec_process"),
    Program::on("tp_btf/sched_process_exit", "on_exit_process"),
];

// SAFETY: integers and arrays of them only (`process.bpf.c`).
unsafe impl Plain for fork_sample {}
// SAFETY: as above.
unsafe impl Plain for exec_sample {}
// SAFETY: as above.
unsafe impl Plain for exit_sample {}

fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, DecodeError> {
    match process_kind(u32::from(kind)) {
        process_kind::PROCESS_FORK => {
            let sample = record::read::<fork_sample>(bytes)?;
            Ok(Payload::Fork(Fork {
                child: record::process(&sample.child),
                child_tid: sample.child.tid,
                child_tid_inside: sample.child_tid_inside,
                parent: record::process(&sample.parent),
            }))
        }
        process_kind::PROCESS_EXEC => decode_exec(bytes).map(Payload::Exec),
        process_kind::PROCESS_EXIT => {
            let sample = record::read::<exit_sample>(bytes)?;
            Ok(Payload::Exit(Exit {
                // As wait(2) packs them.
                status: (sample.wait_status >> 8) as u8,
                signal: (sample.wait_status & 0x7f) as u8,
                last_thread: true,
                run_time_ns: sample.run_time_ns,
            }))
        }
        _ => Err(DecodeError::UnknownKind(kind)),
    }
}

fn decode_exec(bytes: &[u8]) -> Result<Exec, DecodeError> {
    let sample = record::read::<exec_sample>(bytes)?;
    let mut texts = Texts::behind::<exec_sample>(bytes);
    let has = |flag: exec_flag| sample.flags & flag.0 != 0;

    let mut executable = path(texts.next(sample.executable_bytes)?, has(exec_flag::EXEC_PATH_CUT));
    // In the words of getcwd(2).
    if has(exec_flag::EXEC_UNREACHABLE) {
        executable.splice(..0, *b"(unreachable)");
    }
    if has(exec_flag::EXEC_DELETED) {
        executable.extend_from_slice(b" (deleted)");
    }
    let cwd = path(texts.next(sample.cwd_bytes)?, has(exec_flag::EXEC_PATH_CUT));
    let argument = texts.next(sample.argument_bytes)?;
    let interpreter = texts.next(sample.interpreter_bytes)?;
    let argv = texts.next(sample.argv_bytes)?;

    Ok(Exec {
        executable: Text::new(executable),
        argument: Text::new(argument),
        interpreter: Text::new(interpreter),
        cwd: Text::new(cwd),
        argv: arguments(argv),
        argv_truncated: has(exec_flag::EXEC_ARGV_CUT),
        path_truncated: has(exec_flag::EXEC_PATH_CUT),
        parent: record::process(&sample.parent),
        pid_inside: sample.pid_inside,
        uid: sample.uid,
        gid: sample.gid,
        uid_inside: mapped(sample.uid_inside),
        gid_inside: mapped(sample.gid_inside),
        user_namespace: sample.user_ns,
        pid_namespace: sample.pid_ns,
        mount_namespace: sample.mount_ns,
    })
}

fn arguments(argv: &[u8]) -> Vec<Text> {
    let whole = argv.strip_suffix(&[0]).unwrap_or(argv);
    if argv.is_empty() {
        return Vec::new();
    }
    whole.split(|&byte| byte == 0).map(Text::new).collect()
}

fn mapped(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

#[cfg(test)]
mod unit {
    use super::*;

    fn exec_record(sample: exec_sample, texts: &[&[u8]]) -> Vec<u8> {
        // SAFETY: a struct of integers without padding, read as the bytes it consists of.
        let fixed = unsafe {
            std::slice::from_raw_parts((&raw const sample).cast::<u8>(), size_of::<exec_sample>())
        };
        [fixed, &texts.concat()].concat()
    }

    #[test]
    fn names_come_leaf_first_and_paths_root_first() {
        let sample = exec_sample { executable_bytes: 8, cwd_bytes: 0, argv_bytes: 7, ..Default::default() };
        let record = exec_record(sample, &[b"\x02sh\x04/bin"[..3].as_ref(), b"\x04/bin"[..5].as_ref(), b"sh\0-c\0\0"]);

        let exec = decode_exec(&record).unwrap();

        assert_eq!(exec.executable, Text::from("//bin/sh"));
        assert_eq!(exec.cwd, Text::from("/"));
        assert_eq!(exec.argv, [Text::from("sh"), Text::from("-c"), Text::from("")]);
    }

    #[test]
    fn a_text_longer_than_the_record_is_refused() {
        let sample = exec_sample { executable_bytes: 4000, ..Default::default() };

        let result = decode_exec(&exec_record(sample, &[b"\x02sh"]));

        assert!(matches!(result, Err(DecodeError::TooShort { .. })));
    }

    #[test]
    fn the_wait_status_is_split_into_status_and_signal() {
        let mut sample = exit_sample { wait_status: 3 << 8, ..Default::default() };
        let status = |sample: exit_sample| {
            // SAFETY: a struct of integers without padding, read as the bytes it consists of.
            let bytes = unsafe {
                std::slice::from_raw_parts((&raw const sample).cast::<u8>(), size_of::<exit_sample>())
            };
            match decode(process_kind::PROCESS_EXIT.0 as u8, bytes) {
                Ok(Payload::Exit(exit)) => (exit.status, exit.signal),
                other => panic!("{other:?}"),
            }
        };

        assert_eq!(status(sample), (3, 0));
        sample.wait_status = 0x80 | 11;
        assert_eq!(status(sample), (0, 11));
    }
}

#[cfg(test)]
mod tests;
