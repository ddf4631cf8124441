//! Sets that the kernel side keeps: each of their entries is told again and again, with what it has come to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};

use event::{Event, RunId};
use libbpf_rs::{Link, MapCore as _, MapHandle};

use crate::bpf::types::sample_header;
use crate::counts::ReadError;
use crate::kernel::Kernel;
use crate::{Set, ring};

/// A set, and the walk over it.
pub(crate) struct Kept {
    pub(crate) set: Set,
    pub(crate) map: MapHandle,
    pub(crate) walk: Link,
}

impl Kernel {
    /// What the kernel keeps of these runs now, as events at the time, and by the task, of the first occurrence. They come
    /// in no order, and an entry that is moved meanwhile may come twice.
    pub fn read_sets(&self, runs: &[RunId]) -> Result<BTreeMap<RunId, Vec<Event>>, ReadError> {
        let wanted: BTreeSet<RunId> = runs.iter().copied().collect();
        let mut events: BTreeMap<RunId, Vec<Event>> = BTreeMap::new();
        for kept in &self.sets {
            each_record(&kept.walk, kept.set.record_bytes, |record| {
                // The kernel writes what is read here; an entry of a run that is over may still be there.
                if let Ok(event) = ring::decode(record)
                    && wanted.contains(&event.run)
                {
                    events.entry(event.run).or_default().push(event);
                }
            })?;
        }
        Ok(events)
    }

    /// Forgets what the sets have of these slots.
    pub(crate) fn clear_sets(&self, slots: &BTreeSet<u32>) -> Result<(), ReadError> {
        for kept in &self.sets {
            let key_bytes = kept.map.key_size() as usize;
            let mut keys = BTreeSet::new();
            each_record(&kept.walk, kept.set.record_bytes, |record| {
                let key = record.get(size_of::<sample_header>()..).and_then(|rest| rest.get(..key_bytes));
                let slot = key.and_then(|key| key.first_chunk()).map(|slot| u32::from_ne_bytes(*slot));
                if let Some(key) = key.filter(|_| slot.is_some_and(|slot| slots.contains(&slot))) {
                    keys.insert(key.to_vec());
                }
            })?;
            for key in keys {
                delete(&kept.map, &key)?;
            }
        }
        Ok(())
    }
}

/// Takes an entry out of a map. That it is gone already is fine: a walk may come to one twice.
pub(crate) fn delete(map: &MapHandle, key: &[u8]) -> Result<(), ReadError> {
    match map.delete(key) {
        Err(error) if error.kind() != libbpf_rs::ErrorKind::NotFound => Err(ReadError::Release(error)),
        _ => Ok(()),
    }
}

/// Every record of a walk; some perhaps twice.
///
/// Unlike a batch of lookups, a walk keeps no program on this CPU from running.
pub(crate) fn each_record(walk: &Link, bytes: usize, mut found: impl FnMut(&[u8])) -> Result<(), ReadError> {
    let walk = libbpf_rs::Iter::new(walk).map_err(|error| ReadError::Walk(std::io::Error::other(error)))?;
    let mut walk = BufReader::with_capacity(64 * 1024, walk);
    let mut record = vec![0; bytes];
    while !walk.fill_buf().map_err(ReadError::Walk)?.is_empty() {
        walk.read_exact(&mut record).map_err(ReadError::Walk)?;
        found(&record);
    }
    Ok(())
}
