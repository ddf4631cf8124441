//! Policies that are strict in a container only after something was read there (`src/guard_taint/guard_taint.bpf.c`).

use std::fmt;

use event::Text;
use libbpf_rs::MapCore as _;

use super::maps::{bit, find, look_up, write};
use super::{CHANGE_CGROUP, FileKey, GuardError, Guards, Step, ask, load_beside};
use crate::guard_bpf::types::{asked_change, cgroup_change, taint, taint_key, taint_trigger, tainting};
use crate::libbpf_log::said;
use crate::record::{self, Plain};

/// What a policy can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trigger {
    /// A read from a socket of the network.
    Network,
    /// A file that is opened to be read.
    File,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Trigger; 2] = [Trigger::Network, Trigger::File];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Trigger::Network => "network",
            Trigger::File => "file",
        }
    }

    /// What it is, for people.
    pub fn description(self) -> &'static str {
        match self {
            Trigger::Network => "a read from the network",
            Trigger::File => "a read of a file",
        }
    }

    fn bit(self) -> u32 {
        match self {
            Trigger::Network => 1,
            Trigger::File => 2,
        }
    }

    /// The programs that see it, beside [`SHARED`] ones; none at a step that cannot see it.
    pub(super) fn programs(self, step: Step) -> Option<&'static [&'static str]> {
        Some(match (self, step) {
            (Trigger::Network, Step::Lsm) => &["receive_lsm", "zerocopy_lsm", "on_splice_taint"],
            (Trigger::Network, Step::FmodRet) => &["receive_result", "zerocopy_result", "on_splice_taint"],
            (Trigger::Network, Step::Kill) => &["on_receive_taint"],
            (Trigger::File, Step::Lsm) => &["reading_lsm"],
            (Trigger::File, Step::FmodRet) => &["reading_result"],
            (Trigger::File, Step::Kill) => return None,
        })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.description())
    }
}

/// The programs that know where policies wait: there for every trigger.
const SHARED: [&str; 3] = ["on_mkdir_taint", "on_mkdir_taint_again", "on_rmdir_taint"];

/// What made a policy strict in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A read from a socket of the network.
    Network,
    /// A file that was opened to be read.
    File,
    /// A cgroup in it that was made deeper in the tree than is watched.
    Depth,
    /// There was no room for the policy to wait.
    NoRoom,
}

impl Cause {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Network => "network",
            Cause::File => "file",
            Cause::Depth => "depth",
            Cause::NoRoom => "no_room",
        }
    }

    pub(super) fn from_number(number: u32) -> Option<Cause> {
        match taint_trigger(number) {
            taint_trigger::TAINT_NETWORK => Some(Cause::Network),
            taint_trigger::TAINT_FILE => Some(Cause::File),
            taint_trigger::TAINT_DEPTH => Some(Cause::Depth),
            taint_trigger::TAINT_NO_ROOM => Some(Cause::NoRoom),
            _ => None,
        }
    }
}

/// Since when a policy is strict in a container, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// The container's cgroup in the identity hierarchy.
    pub cgroup_id: u64,
    /// Since when, in nanoseconds since boot.
    pub boot_ns: u64,
    /// By which process.
    pub pid: u32,
    /// Its name then.
    pub comm: Text,
    /// By what.
    pub cause: Cause,
}

// SAFETY: each is made of fixed-width integers and arrays of them (`guard_taint.bpf.c`).
unsafe impl Plain for tainting {}
// SAFETY: as above.
unsafe impl Plain for taint_key {}
// SAFETY: as above.
unsafe impl Plain for taint {}
// SAFETY: as above.
unsafe impl Plain for asked_change {}

impl Guards {
    /// What is watched for policies that wait.
    pub fn triggers(&self) -> Result<Vec<Trigger>, GuardError> {
        let facts: crate::guard_bpf::types::guard_facts = self.read("guard_facts", 0)?;
        Ok(Trigger::ALL.into_iter().filter(|trigger| facts.triggers & trigger.bit() != 0).collect())
    }

    /// Adds the programs that watch for this to what is pinned, if they are not there yet; gives whether they were not. Whether
    /// they see it is to be tried.
    pub fn add_trigger(&self, trigger: Trigger) -> Result<bool, GuardError> {
        let known = self.triggers()?;
        if known.contains(&trigger) {
            return Ok(false);
        }
        let step = self.step();
        let mut wanted = trigger.programs(step).ok_or(GuardError::NotSeenAtStep)?.to_vec();
        if known.is_empty() {
            wanted.splice(0..0, SHARED);
        }
        self.add_programs(&wanted, |source| GuardError::TriggerRefused { trigger, step, source, log: said() })?;
        self.change_facts(|facts| facts.triggers |= trigger.bit())?;
        Ok(true)
    }

    /// Takes these programs away.
    pub fn drop_trigger(&self, trigger: Trigger) -> Result<(), GuardError> {
        self.change_facts(|facts| facts.triggers &= !trigger.bit())?;
        let mut gone = trigger.programs(self.step()).unwrap_or_default().to_vec();
        if self.triggers()?.is_empty() {
            gone.extend(SHARED);
        }
        Ok(self.pins.forget(&gone)?)
    }

    /// From now on the policy waits in each container, until something there has read from the network.
    pub fn wait_for_network(&self, number: u32) -> Result<(), GuardError> {
        self.change_tainting(|tainting| tainting.network |= bit(number))
    }

    /// The same until a file was read that has been named with [`Guards::deny_place`] or [`Guards::deny_tree`]. Who has `host_root`
    /// as its root is a runtime, and no container.
    pub fn wait_for_file(&self, host_root: FileKey, number: u32) -> Result<(), GuardError> {
        self.change_facts(|facts| {
            facts.host_root_device = host_root.device;
            facts.host_root_inode = host_root.inode;
        })?;
        self.change_tainting(|tainting| tainting.file |= bit(number))
    }

    /// Whether the policy waits for something.
    pub fn waits(&self, number: u32) -> Result<bool, GuardError> {
        let tainting: tainting = self.read("tainting", 0)?;
        Ok((tainting.network | tainting.file) & bit(number) != 0)
    }

    /// Where the policy has become strict.
    pub fn taints(&self, number: u32) -> Result<Vec<Taint>, GuardError> {
        let map = find(self.object(), "taints")?;
        let mut taints = Vec::new();
        for bytes in map.keys() {
            let key = record::read::<taint_key>(&bytes).map_err(|error| wrong(&error))?;
            if key.policy != number {
                continue;
            }
            // Its container may just have ended.
            let Some(value) = look_up(&map, "taints", &bytes)? else { continue };
            let value = record::read::<taint>(&value).map_err(|error| wrong(&error))?;
            taints.push(Taint {
                cgroup_id: key.cgroup,
                boot_ns: value.boot_ns,
                pid: value.pid,
                comm: Text::new(record::until_nul(&value.comm)),
                cause: Cause::from_number(value.trigger).ok_or_else(|| wrong(&"a cause without a meaning"))?,
            });
        }
        taints.sort_by_key(|taint| taint.boot_ns);
        Ok(taints)
    }

    /// In how many cgroups the policy waits still.
    pub fn waiting(&self, number: u32) -> Result<usize, GuardError> {
        let waiting = self.cgroups_in("waiting_policies", number)?;
        let strict = self.cgroups_in("cgroup_policies", number)?;
        Ok(waiting.iter().filter(|id| !strict.contains(id)).count())
    }

    /// The policy is about no cgroup any more, and waits for nothing.
    pub(super) fn taint_no_more(&self, number: u32) -> Result<(), GuardError> {
        for id in self.cgroups_of(number)? {
            self.change_cgroup(id, number, cgroup_change::CHANGE_LEAVE)?;
        }
        self.change_tainting(|tainting| {
            tainting.network &= !bit(number);
            tainting.file &= !bit(number);
        })?;
        for bytes in find(self.object(), "taints")?.keys() {
            let key = record::read::<taint_key>(&bytes).map_err(|error| wrong(&error))?;
            if key.policy == number {
                self.drop_key("taints", &bytes)?;
            }
        }
        Ok(())
    }

    /// While something is watched the kernel changes the masks of cgroups, too, and so changes them for us. Not every kernel can.
    pub(super) fn change_cgroup(&self, id: u64, number: u32, kind: cgroup_change) -> Result<(), GuardError> {
        if self.triggers()?.is_empty() {
            let key = id.to_ne_bytes();
            return match kind {
                cgroup_change::CHANGE_LEAVE => self.unmark("cgroup_policies", &key, number),
                _ => self.mark("cgroup_policies", &key, number),
            };
        }
        let map = if kind == cgroup_change::CHANGE_WAIT { "waiting_policies" } else { "cgroup_policies" };
        let failed = |why: String| GuardError::Map { map, why };
        let changer = match self.changer.get() {
            Some(loaded) => loaded,
            None => {
                let refused = |source: libbpf_rs::Error| failed(format!("{source}: {}", said()));
                let loaded = load_beside(&self.pins, &self.hierarchy, self.key.0, &[CHANGE_CGROUP], refused)?;
                self.changer.get_or_init(|| loaded)
            }
        };
        let asked = asked_change { cgroup: id, policies: bit(number), kind: kind.0, ..asked_change::default() };
        write(&find(changer, "asked_changes")?, "asked_changes", &0_u32.to_ne_bytes(), record::bytes(&asked))?;
        let answer = ask(changer, CHANGE_CGROUP).map_err(|error| failed(error.to_string()))?;
        match answer.try_into().map(u32::from_ne_bytes) {
            Ok(0) => Err(failed("it is full".into())),
            Ok(_) => Ok(()),
            Err(_) => Err(failed("the kernel did not say that it was done".into())),
        }
    }

    fn change_tainting(&self, change: impl FnOnce(&mut tainting)) -> Result<(), GuardError> {
        let mut tainting: tainting = self.read("tainting", 0)?;
        change(&mut tainting);
        write(&find(self.object(), "tainting")?, "tainting", &0_u32.to_ne_bytes(), record::bytes(&tainting))
    }
}

fn wrong(why: &dyn fmt::Display) -> GuardError {
    GuardError::Map { map: "taints", why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_step_that_kills_only_the_network_is_watched() {
        for trigger in Trigger::ALL {
            assert!(trigger.programs(Step::Lsm).is_some() && trigger.programs(Step::FmodRet).is_some(), "{trigger}");
            assert_eq!(trigger.programs(Step::Kill).is_some(), trigger == Trigger::Network, "{trigger}");
        }
    }
}
