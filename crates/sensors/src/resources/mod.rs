//! `resources`: how long the tasks of a container waited for a CPU, and how long block devices took for what it asked of
//! them. What else a container uses of the machine is in its cgroup's own files, which no sensor has to watch.
//!
//! - *Waiting for a CPU.* The kernel adds up for each task how long it was ready to run and did not (`sched_info.run_delay`,
//!   CONFIG_SCHED_INFO). It is taken when the task ends (`sched_process_exit`), and from the tasks that live when counts are
//!   read. A task that came in from outside counts from when it was moved in; one that was there before the recording, and
//!   further threads of a process that was moved in, from the first reading on.
//! - *Block devices.* From `block_rq_issue`, when a request goes to the driver, to `block_rq_complete`, when the first part of
//!   it is done; so neither waiting in the I/O scheduler nor throttling is in it. With cgroup v2 a request belongs to the cgroup
//!   that its data is charged to, if the controller `io` is there. Else, and with v1, it belongs to the task that issues it:
//!   what it reads, writes directly (`O_DIRECT`) or waits for, but not what the kernel writes out later. Flushes and discards
//!   are left out, and so are devices without requests (loop in part, zram, network file systems).
//!
//! Nothing is done when the kernel changes from one task to another. Both are sums in a kernel map: no event, nothing on the
//! ring. All tracepoints are there from 5.10 on; `block_rq_issue` handed over the queue, too, before 5.11.

use event::{BlockDirection, Payload, ResourceTotal, Total};
use libbpf_rs::btf::Btf;

use crate::bpf::types::{resource_limit, resource_record, resource_what};
use crate::kernel_types::tracepoint;
use crate::record::{self, DecodeError, Plain};
use crate::{Program, Sensor, Set};

pub(crate) const SENSOR: Sensor = Sensor {
    // The ended ones first: a task that ends in between is missed in this reading, never counted twice.
    sets: &[set("read_resource"), set("read_living_delay")],
    ..Sensor::new(PROGRAMS, decode)
};

const PROGRAMS: &[Program] = &[
    Program::on("tp_btf/cgroup_attach_task", "on_attach_resources"),
    Program::on("tp_btf/sched_process_exit", "on_exit_resources"),
    Program::on("tp_btf/block_rq_issue", "on_block_issue"),
    Program { only_with: Some("on_block_issue"), ..Program::on("tp_btf/block_rq_complete", "on_block_complete") },
];

const fn set(walk: &'static str) -> Set {
    Set { map: "resource_totals", walk, record_bytes: size_of::<resource_record>(), decode: total }
}

// SAFETY: integers and arrays of them only (`resources.bpf.c`).
unsafe impl Plain for resource_record {}

/// Whether this kernel's `block_rq_issue` hands over the queue before the request.
pub(crate) fn issue_has_queue(btf: &Btf<'_>) -> bool {
    // The first is the tracepoint's own.
    tracepoint(btf, "block_rq_issue").is_some_and(|function| function.len() == 3)
}

/// It writes no samples.
fn decode(kind: u8, _bytes: &[u8]) -> Result<Payload, DecodeError> {
    Err(DecodeError::UnknownKind(kind))
}

fn total(bytes: &[u8]) -> Result<Total, DecodeError> {
    let resource_record { key, total, .. } = record::read::<resource_record>(bytes)?;
    let blocks = |direction| {
        if u32::from(key.bucket) >= resource_limit::LATENCY_BUCKETS.0 {
            return Err(DecodeError::UnknownValue(key.bucket));
        }
        let (requests, bytes, ns) = (total.count, total.bytes, total.ns);
        Ok(ResourceTotal::Blocks { direction, bucket: key.bucket, requests, bytes, ns })
    };
    let resource = match resource_what(u32::from(key.what)) {
        resource_what::RESOURCE_ENDED_DELAYS => ResourceTotal::EndedDelays { tasks: total.count, ns: total.ns },
        resource_what::RESOURCE_LIVING_DELAY => ResourceTotal::LivingDelay { ns: total.ns },
        resource_what::RESOURCE_READS => blocks(BlockDirection::Read)?,
        resource_what::RESOURCE_WRITES => blocks(BlockDirection::Write)?,
        _ => return Err(DecodeError::UnknownValue(key.what)),
    };
    Ok(Total::Resource(resource))
}

#[cfg(test)]
mod tests;
