//! Sets that the kernel side keeps: each of their entries is told again and again, with what it has come to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};

use event::{Kept, RunId, Total};
use libbpf_rs::{Link, MapCore as _, MapHandle};

use crate::bpf::types::sample_header;
use crate::counts::ReadError;
use crate::kernel::Kernel;
use crate::record::{self, DecodeError};
use crate::{Set, ring};

/// A set, and the walk over it.
pub(crate) struct KernelSet {
    pub(crate) set: Set,
    pub(crate) map: MapHandle,
    pub(crate) walk: Link,
    /// Whether the walk goes over the tasks that live, and not over the map.
    pub(crate) over_tasks: bool,
}

impl Kernel {
    /// What the kernel keeps of these runs now, in no order. An entry that is moved meanwhile may come twice.
    pub fn read_sets(&self, runs: &[RunId]) -> Result<BTreeMap<RunId, Vec<Kept>>, ReadError> {
        let wanted: BTreeSet<RunId> = runs.iter().copied().collect();
        let slots = runs.iter().map(|run| run.slot).collect();
        let mut found: BTreeMap<RunId, Vec<Kept>> = BTreeMap::new();
        let lives = runs.iter().any(|run| !self.is_over(*run));
        for of in self.sets.iter().filter(|of| lives || !of.over_tasks) {
            self.each_record(&of.walk, of.set.record_bytes, &slots, |record| {
                // The kernel writes what is read here; an entry of a run that is over may still be there.
                if let Ok(kept) = decode(&of.set, record)
                    && wanted.contains(&kept.run)
                {
                    found.entry(kept.run).or_default().push(kept);
                }
            })?;
        }
        Ok(found)
    }

    /// Forgets what the sets have of these slots.
    pub(crate) fn clear_sets(&self, slots: &BTreeSet<u32>) -> Result<(), ReadError> {
        for kept in self.sets.iter().filter(|kept| !kept.over_tasks) {
            let key_bytes = kept.map.key_size() as usize;
            let mut keys = BTreeSet::new();
            self.each_record(&kept.walk, kept.set.record_bytes, slots, |record| {
                let header = record::read::<sample_header>(record);
                let key = record.get(size_of::<sample_header>()..).and_then(|rest| rest.get(..key_bytes));
                if let (Ok(header), Some(key)) = (header, key)
                    && slots.contains(&header.slot)
                {
                    keys.insert(key.to_vec());
                }
            })?;
            for key in keys {
                delete(&kept.map, &key)?;
            }
        }
        Ok(())
    }

    /// Every record that a walk has of these slots, and perhaps of others; some perhaps twice.
    ///
    /// Unlike a batch of lookups, a walk keeps no program on this CPU from running.
    pub(crate) fn each_record(
        &self,
        walk: &Link,
        bytes: usize,
        slots: &BTreeSet<u32>,
        mut found: impl FnMut(&[u8]),
    ) -> Result<(), ReadError> {
        // One container ends at a time, mostly: then the kernel need not tell of the others.
        let only = if slots.len() == 1 { slots.first().copied().unwrap_or_default() } else { 0 };
        let _turn = self.walk_about(only);
        let walk = libbpf_rs::Iter::new(walk).map_err(|error| ReadError::Walk(std::io::Error::other(error)))?;
        let mut walk = BufReader::with_capacity(64 * 1024, walk);
        let mut record = vec![0; bytes];
        while !walk.fill_buf().map_err(ReadError::Walk)?.is_empty() {
            walk.read_exact(&mut record).map_err(ReadError::Walk)?;
            found(&record);
        }
        Ok(())
    }
}

/// One record -> what it says.
pub(crate) fn decode(set: &Set, bytes: &[u8]) -> Result<Kept, DecodeError> {
    let header = record::read::<sample_header>(bytes)?;
    Ok(Kept {
        run: record::run(header.slot, header.generation),
        phase: record::phase(header.phase)?,
        total: (set.decode)(bytes)?,
    })
}

/// What a record says whose form is that of the sample that told it first.
pub(crate) fn told(bytes: &[u8]) -> Result<Total, DecodeError> {
    ring::decode(bytes).map(|event| Total::Told(Box::new(event)))
}

/// Takes an entry out of a map. That it is gone already is fine: a walk may come to one twice.
pub(crate) fn delete(map: &MapHandle, key: &[u8]) -> Result<(), ReadError> {
    match map.delete(key) {
        Err(error) if error.kind() != libbpf_rs::ErrorKind::NotFound => Err(ReadError::Release(error)),
        _ => Ok(()),
    }
}
