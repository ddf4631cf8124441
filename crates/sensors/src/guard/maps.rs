//! What the guards are told: whom, what, and in which state a policy is.

use libbpf_rs::{ErrorKind, MapCore as _, MapFlags, MapHandle, Object};

use super::counts::Change;
use super::hash::end_of;
use super::{GuardError, Guards};
use crate::guard_bpf::types::{
    cgroup_change, cgroup_name, deny_reason, file_key, guard_facts, policy, policy_state, policy_tally,
};
use crate::record::{self, Plain};

use super::denial::Reason;

/// A file, as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileKey {
    /// The file system.
    pub device: u32,
    /// The inode in it.
    pub inode: u64,
}

impl From<file_key> for FileKey {
    fn from(key: file_key) -> FileKey {
        FileKey { device: key.device, inode: key.inode }
    }
}

/// Whether a policy denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyState {
    /// It only counts what it would deny.
    Audit,
    /// It denies.
    Enforce,
}

impl PolicyState {
    fn number(self) -> policy_state {
        match self {
            PolicyState::Audit => policy_state::POLICY_AUDIT,
            PolicyState::Enforce => policy_state::POLICY_ENFORCE,
        }
    }
}

/// A policy, as the guards keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRecord {
    /// Whether it denies.
    pub state: PolicyState,
    /// From when on it is not in force any more, in nanoseconds since boot.
    pub expires_boot_ns: Option<u64>,
    /// Its description, which the guards only keep.
    pub text: Vec<u8>,
}

/// What a policy has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often something was denied.
    pub denied: u64,
    /// How often something would have been.
    pub audited: u64,
    /// How often the kernel did not send the signal that denies.
    pub failed: u64,
    /// Both of the first, by why; only those that there were.
    pub by_reason: Vec<(Reason, u64)>,
    /// What nobody was told of by an event of its own: there was no room for it.
    pub untold: u64,
    /// When the first was, in nanoseconds since boot; 0 if there was none.
    pub first_boot_ns: u64,
    /// When the last was.
    pub last_boot_ns: u64,
}

// SAFETY: each is made of fixed-width integers and arrays of them (`bpf/guard.h`).
unsafe impl Plain for policy {}
// SAFETY: as above.
unsafe impl Plain for policy_tally {}
// SAFETY: as above.
unsafe impl Plain for file_key {}
// SAFETY: as above.
unsafe impl Plain for cgroup_name {}

/// Maps from a key to the policies that are about it.
const MASKS: [&str; 30] = [
    "namespace_policies",
    "awaited_cgroups",
    "waiting_names",
    "denied_files",
    "denied_paths",
    "denied_names",
    "denied_texts",
    "denied_ends",
    "many_files",
    "listed_files",
    "listed_paths",
    "listed_texts",
    "listed_applets",
    "written_paths",
    "written_folders",
    "written_names",
    "container_roots",
    "unreadable_paths",
    "unwritable_paths",
    "unreadable_files",
    "unwritable_files",
    "fixed_paths",
    "fixed_files",
    "unreadable_ends",
    "unwritable_ends",
    "tainting_paths",
    "tainting_files",
    "tainting_ends",
    "denied_peers",
    "denied_ports",
];

impl Guards {
    /// A policy; none if the number is free.
    pub fn policy(&self, number: u32) -> Result<Option<PolicyRecord>, GuardError> {
        let state: policy = self.read("policies", number)?;
        let known = match policy_state(state.state) {
            policy_state::POLICY_AUDIT => PolicyState::Audit,
            policy_state::POLICY_ENFORCE => PolicyState::Enforce,
            _ => return Ok(None),
        };
        let map = find(self.object(), "policy_texts")?;
        let text = look_up(&map, "policy_texts", &number.to_ne_bytes())?.unwrap_or_default();
        let expires_boot_ns = (state.expires_boot_ns != 0).then_some(state.expires_boot_ns);
        Ok(Some(PolicyRecord { state: known, expires_boot_ns, text: record::until_nul(&text).to_vec() }))
    }

    /// Puts a policy in force: what it is about is added behind it.
    pub fn set_policy(&self, number: u32, record: &PolicyRecord) -> Result<(), GuardError> {
        let mut text = record.text.clone();
        if text.len() >= Guards::TEXT_BYTES {
            return Err(GuardError::Map { map: "policy_texts", why: "the policy is too long".into() });
        }
        text.resize(Guards::TEXT_BYTES, 0);
        write(&find(self.object(), "policy_texts")?, "policy_texts", &number.to_ne_bytes(), &text)?;
        let state = record.state.number().0;
        let value = policy { expires_boot_ns: record.expires_boot_ns.unwrap_or(0), state, ..policy::default() };
        write(&find(self.object(), "policies")?, "policies", &number.to_ne_bytes(), record::bytes(&value))
    }

    /// From now on a policy that is in force denies, or only counts: all else of it stays as it is.
    pub fn set_state(&self, number: u32, state: PolicyState) -> Result<(), GuardError> {
        let known: policy = self.read("policies", number)?;
        let value = policy { state: state.number().0, ..known };
        write(&find(self.object(), "policies")?, "policies", &number.to_ne_bytes(), record::bytes(&value))
    }

    /// Takes a policy away with all that it is about.
    pub fn clear_policy(&self, number: u32) -> Result<(), GuardError> {
        let zero = policy::default();
        write(&find(self.object(), "policies")?, "policies", &number.to_ne_bytes(), record::bytes(&zero))?;
        self.list_nothing_more(number)?;
        for map in MASKS {
            self.forget(map, number)?;
        }
        self.taint_no_more(number)?;
        self.forget_rules(number)?;
        self.change_facts(|facts| {
            facts.naming &= !bit(number);
            facts.image_only &= !bit(number);
            facts.filing &= !bit(number);
        })?;
        let none = policy_tally::default();
        write(&find(self.object(), "policy_tallies")?, "policy_tallies", &number.to_ne_bytes(), record::bytes(&none))
    }

    /// What a policy has come to.
    pub fn tally(&self, number: u32) -> Result<Tally, GuardError> {
        let tally: policy_tally = self.read("policy_tallies", number)?;
        let counted = tally.by_reason.iter().enumerate().filter(|(_, count)| **count > 0);
        let by_reason = counted.filter_map(|(at, &count)| Some((Reason::from_number(deny_reason(at as u32))?, count)));
        Ok(Tally {
            denied: tally.denied,
            audited: tally.audited,
            failed: tally.failed,
            by_reason: by_reason.collect(),
            untold: tally.untold,
            first_boot_ns: tally.first_boot_ns,
            last_boot_ns: tally.last_boot_ns,
        })
    }

    /// From now on the policy is about this cgroup of the identity hierarchy and all in it; one that waits for something waits
    /// there for it, unless it is strict there already.
    pub fn watch_cgroup(&self, id: u64, number: u32) -> Result<(), GuardError> {
        let change = if self.waits(number)? { cgroup_change::CHANGE_WAIT } else { cgroup_change::CHANGE_WATCH };
        self.change_cgroup(id, number, change)
    }

    /// The cgroups that the policy is about, also where it waits.
    pub fn cgroups_of(&self, number: u32) -> Result<Vec<u64>, GuardError> {
        // Where it becomes strict meanwhile it is found by both.
        let mut ids = self.cgroups_in("waiting_policies", number)?;
        ids.extend(self.cgroups_in("cgroup_policies", number)?);
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    pub(super) fn cgroups_in(&self, name: &'static str, number: u32) -> Result<Vec<u64>, GuardError> {
        let map = find(self.object(), name)?;
        let mut ids = Vec::new();
        for key in map.keys() {
            let mask = look_up(&map, name, &key)?;
            if mask.is_some_and(|mask| mask_of(&mask) & bit(number) != 0)
                && let Ok(key) = key.try_into()
            {
                ids.push(u64::from_ne_bytes(key));
            }
        }
        Ok(ids)
    }

    /// The policies that are about this cgroup itself, one bit each.
    pub fn policies_of_cgroup(&self, id: u64) -> Result<u64, GuardError> {
        let map = find(self.object(), "cgroup_policies")?;
        Ok(look_up(&map, "cgroup_policies", &id.to_ne_bytes())?.map_or(0, |mask| mask_of(&mask)))
    }

    /// The policies that are about the tasks in this namespace, one bit each.
    pub fn policies_of_namespace(&self, namespace: u32) -> Result<u64, GuardError> {
        let map = find(self.object(), "namespace_policies")?;
        Ok(look_up(&map, "namespace_policies", &namespace.to_ne_bytes())?.map_or(0, |mask| mask_of(&mask)))
    }

    /// From now on the policy is about the tasks in this mount or pid namespace.
    pub fn watch_namespace(&self, namespace: u32, number: u32) -> Result<(), GuardError> {
        let key = namespace.to_ne_bytes();
        // What had this number before is not meant any more.
        self.drop_key("namespace_ids", &key)?;
        self.mark("namespace_policies", &key, number)?;
        self.change_facts(|facts| facts.namespaces = 1)
    }

    /// A cgroup with this name is under the policy from the moment it is made, or the policy waits there. Gives whether names may be so long.
    pub fn await_cgroup(&self, name: &str, number: u32) -> Result<bool, GuardError> {
        let Some(key) = cgroup_key(name) else { return Ok(false) };
        let map = if self.waits(number)? { "waiting_names" } else { "awaited_cgroups" };
        self.mark(map, record::bytes(&key), number)?;
        Ok(true)
    }

    /// No longer.
    pub fn await_no_more(&self, name: &str, number: u32) -> Result<(), GuardError> {
        let Some(key) = cgroup_key(name) else { return Ok(()) };
        ["awaited_cgroups", "waiting_names"]
            .into_iter()
            .try_for_each(|map| self.unmark(map, record::bytes(&key), number))
    }

    /// Denies programs with this name, wherever they lie.
    pub fn deny_name(&self, name: &[u8], number: u32) -> Result<(), GuardError> {
        self.change_facts(|facts| facts.naming |= bit(number))?;
        self.mark("denied_ends", &end_of(name).to_ne_bytes(), number)?;
        self.mark("denied_names", &self.key().of_name(name).to_ne_bytes(), number)
    }

    /// Denies the program with this path, as the container sees it.
    pub fn deny_path(&self, path: &[u8], number: u32) -> Result<(), GuardError> {
        self.change_facts(|facts| facts.naming |= bit(number))?;
        // Of the text what is behind its last slash, of the path its last name.
        let mut names = path.rsplit(|&byte| byte == b'/');
        for name in [names.clone().next(), names.find(|name| !name.is_empty())].into_iter().flatten() {
            self.mark("denied_ends", &end_of(name).to_ne_bytes(), number)?;
        }
        self.mark("denied_paths", &self.key().of_path(path).to_ne_bytes(), number)?;
        // Of a script, where only the text is known.
        self.mark("denied_texts", &self.key().of_name(path).to_ne_bytes(), number)
    }

    /// Denies this file under whatever name.
    pub fn deny_file(&self, file: FileKey, number: u32) -> Result<(), GuardError> {
        self.mark("denied_files", record::bytes(&file_key::of(file)), number)
    }

    /// No longer.
    pub fn allow_file(&self, file: FileKey, number: u32) -> Result<(), GuardError> {
        self.unmark("denied_files", record::bytes(&file_key::of(file)), number)
    }

    /// Denies all programs that did not come with the container's image. `host_root` is any file in the root of the host.
    pub fn deny_what_is_not_of_the_image(&self, host_root: FileKey, number: u32) -> Result<(), GuardError> {
        self.change_facts(|facts| {
            facts.host_root_device = host_root.device;
            facts.image_only |= bit(number);
        })
    }

    /// This file is many programs: the policy looks at the argument that picks one.
    pub fn name_many(&self, file: FileKey, number: u32) -> Result<(), GuardError> {
        self.mark("many_files", record::bytes(&file_key::of(file)), number)
    }

    pub(super) fn read<T: Plain>(&self, map: &'static str, number: u32) -> Result<T, GuardError> {
        read(&find(self.object(), map)?, map, number)
    }

    pub(super) fn change_facts(&self, change: impl FnOnce(&mut guard_facts)) -> Result<(), GuardError> {
        let _alone = self.pins.alone()?;
        let mut facts: guard_facts = self.read("guard_facts", 0)?;
        change(&mut facts);
        write(&find(self.object(), "guard_facts")?, "guard_facts", &0_u32.to_ne_bytes(), record::bytes(&facts))
    }

    pub(super) fn mark(&self, map: &'static str, key: &[u8], number: u32) -> Result<(), GuardError> {
        let _alone = self.pins.alone()?;
        let handle = find(self.object(), map)?;
        let old = look_up(&handle, map, key)?.map_or(0, |mask| mask_of(&mask));
        if old & bit(number) != 0 {
            return Ok(());
        }
        if old == 0 {
            self.count(map, key, Change::Comes)?;
        }
        let written = write(&handle, map, key, &(old | bit(number)).to_ne_bytes());
        if old == 0 && written.is_err() {
            self.count(map, key, Change::IsGone)?;
        }
        written
    }

    pub(super) fn unmark(&self, map: &'static str, key: &[u8], number: u32) -> Result<(), GuardError> {
        let _alone = self.pins.alone()?;
        let handle = find(self.object(), map)?;
        let Some(old) = look_up(&handle, map, key)? else { return Ok(()) };
        let left = mask_of(&old) & !bit(number);
        if left != 0 {
            return write(&handle, map, key, &left.to_ne_bytes());
        }
        self.drop_key(map, key)?;
        self.count(map, key, Change::IsGone)?;
        if map == "namespace_policies" { self.drop_key("namespace_ids", key) } else { Ok(()) }
    }

    pub(super) fn drop_key(&self, map: &'static str, key: &[u8]) -> Result<(), GuardError> {
        match find(self.object(), map)?.delete(key) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(changed(map, &error)),
            _ => Ok(()),
        }
    }

    fn forget(&self, map: &'static str, number: u32) -> Result<(), GuardError> {
        let keys: Vec<Vec<u8>> = find(self.object(), map)?.keys().collect();
        keys.iter().try_for_each(|key| self.unmark(map, key, number))
    }
}

impl file_key {
    pub(super) fn of(file: FileKey) -> file_key {
        file_key { inode: file.inode, device: file.device, ..file_key::default() }
    }
}

fn cgroup_key(name: &str) -> Option<cgroup_name> {
    let mut key = cgroup_name::default();
    // The last byte stays zero, as in the kernel's text.
    (!name.is_empty() && name.len() < key.bytes.len()).then(|| {
        key.bytes[..name.len()].copy_from_slice(name.as_bytes());
        key
    })
}

pub(super) fn bit(number: u32) -> u64 {
    1 << number
}

pub(super) fn mask_of(value: &[u8]) -> u64 {
    value.try_into().map_or(0, u64::from_ne_bytes)
}

pub(super) fn find(object: &Object, name: &'static str) -> Result<MapHandle, GuardError> {
    let map = object.maps().find(|map| map.name().to_str() == Some(name));
    let map = map.unwrap_or_else(|| panic!("the object has no map {name}"));
    MapHandle::try_from(&map).map_err(|error| changed(name, &error))
}

pub(super) fn write(map: &MapHandle, name: &'static str, key: &[u8], value: &[u8]) -> Result<(), GuardError> {
    map.update(key, value, MapFlags::ANY).map_err(|error| match error.kind() {
        // The kernel's E2BIG.
        _ if error.to_string().contains("too long") => GuardError::Map { map: name, why: "it is full".into() },
        _ => changed(name, &error),
    })
}

pub(super) fn read<T: Plain>(map: &MapHandle, name: &'static str, number: u32) -> Result<T, GuardError> {
    let value = look_up(map, name, &number.to_ne_bytes())?.unwrap_or_default();
    record::read(&value).map_err(|error| GuardError::Map { map: name, why: error.to_string() })
}

pub(super) fn look_up(map: &MapHandle, name: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, GuardError> {
    map.lookup(key, MapFlags::ANY).map_err(|error| changed(name, &error))
}

fn changed(map: &'static str, error: &libbpf_rs::Error) -> GuardError {
    GuardError::Map { map, why: error.to_string() }
}
