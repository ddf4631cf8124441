//! `identity`: which task belongs to which container, decided in the kernel.
//!
//! A cgroup gets its slot in `cgroup_mkdir`, before anything can be in it; a task gets its own in `sched_process_fork`,
//! before it runs; `cgroup_attach_task` and the task's own next system call follow it when it is moved. A container
//! without a cgroup is seen at its first exec. What it misses: tasks that moved between the start of a recording and the
//! walk over what ran already.

use event::{ContainerCreated, ContainerEnded, ContainerStarted, Payload, TaskEntered};

use crate::{Program, Sensor};
use crate::bpf::types::{entered_sample, identity_kind, slot_sample};
use crate::record::{self, DecodeError, Plain};

// Before every other sensor where a task comes in, after them where it goes.
pub(crate) const SENSOR: Sensor = Sensor::new(PROGRAMS, decode);

const PROGRAMS: &[Program] = &[
    Program::on("tp_btf/cgroup_mkdir", "on_cgroup_mkdir"),
    Program::on("tp_btf/cgroup_rmdir", "on_cgroup_rmdir"),
    Program::on("tp_btf/cgroup_attach_task", "on_cgroup_attach_task"),
    Program::on("tp_btf/sched_process_fork", "on_fork_identity"),
    Program::on("tp_btf/sched_process_exec", "on_exec_identity"),
    Program { last: true, ..Program::on("tp_btf/sched_process_exit", "on_exit_identity") },
];

// SAFETY: integers and arrays of them only (`identity.bpf.c`).
unsafe impl Plain for slot_sample {}
// SAFETY: as above.
unsafe impl Plain for entered_sample {}

fn decode(kind: u8, bytes: &[u8]) -> Result<Payload, DecodeError> {
    match identity_kind(u32::from(kind)) {
        identity_kind::IDENTITY_CREATED => {
            let sample = record::read::<slot_sample>(bytes)?;
            Ok(Payload::ContainerCreated(ContainerCreated {
                cgroup_id: sample.cgroup_id,
                parent_slot: sample.parent,
                path: event::Text::default(),
            }))
        }
        identity_kind::IDENTITY_STARTED => {
            let sample = record::read::<slot_sample>(bytes)?;
            Ok(Payload::ContainerStarted(ContainerStarted {
                mount_namespace: sample.mount_ns,
                pid_namespace: sample.pid_ns,
                user_namespace: sample.user_ns,
            }))
        }
        identity_kind::IDENTITY_ENDED => Ok(Payload::ContainerEnded(ContainerEnded {})),
        identity_kind::IDENTITY_ENTERED => {
            let sample = record::read::<entered_sample>(bytes)?;
            Ok(Payload::TaskEntered(TaskEntered {
                image: record::image(&sample.task),
                whole_process: sample.whole_process != 0,
            }))
        }
        _ => Err(DecodeError::UnknownKind(kind)),
    }
}

#[cfg(test)]
mod tests;
