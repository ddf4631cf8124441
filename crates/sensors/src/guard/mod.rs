//! Guards: programs that deny. They are pinned, and so go on without ringfence.
//!
//! All guards are one BPF object, `src/guard_<name>/guard_<name>.bpf.c`, apart from that of the sensors. Its maps, programs and
//! links lie in a folder of the BPF file system. Only programs of the kinds of deeds that some policy denies are loaded and
//! attached, and those of others are added to them when they are needed ([`Guards::add`]). Whoever comes later finds all there is to know in these maps. What a policy is
//! called, and whom it is about, is decided elsewhere: here it is a number below [`Guards::POLICIES`].

mod counts;
mod deed;
mod denial;
mod hash;
mod listed;
mod maps;
mod pins;
mod places;
mod rules;
mod taint;

use std::cell::OnceCell;
use std::fmt;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use libbpf_rs::btf::{Btf, types::Struct};
use libbpf_rs::{Iter, Link, MapCore as _, Object, ObjectBuilder, OpenObject};

pub use deed::Deed;
pub use denial::{Action, Denial, DenialReader, Details, Reason, Tainted, Told};
pub use maps::{FileKey, PolicyRecord, PolicyState, Tally};
pub use pins::{PinError, Pins};
pub use places::{Access, FileAct};
pub use rules::Network;
pub use taint::{Cause, Taint, Trigger};

use crate::configure::{controller, initial_value};
use crate::guard_bpf::types::{asked_file, file_key, guard_facts, guard_limit, guard_losses, guard_step, settings};
use crate::libbpf_log::{capture, said};
use crate::load::{Hierarchy, said_by_libbpf};
use crate::objects;
use crate::record::{self, Plain};
use deed::{NEWCOMERS, SHARED, WITH_STRUCTURES};
use hash::HashKey;

/// What this kernel lets us do to a program that may not run, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A security hook of BPF LSM: the call fails before anything has happened.
    Lsm,
    /// The result of the kernel's function that calls the security hooks: as good, and independent of the list of LSMs.
    FmodRet,
    /// SIGKILL at the end of the exec, before the program's first instruction. Programs only.
    Kill,
}

impl Step {
    /// All steps, in the order in which they are tried.
    pub const LADDER: [Step; 3] = [Step::Lsm, Step::FmodRet, Step::Kill];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Step::Lsm => "lsm",
            Step::FmodRet => "fmod_ret",
            Step::Kill => "kill",
        }
    }

    /// What it guarantees.
    pub fn guarantee(self) -> &'static str {
        match self {
            Step::Lsm => "the call fails with EPERM before anything has happened (BPF LSM)",
            Step::FmodRet => {
                "the call fails with EPERM before anything has happened (fmod_ret on the kernel's security functions)"
            }
            Step::Kill => "the process is killed with SIGKILL before the first instruction of the program",
        }
    }

    fn number(self) -> u32 {
        match self {
            Step::Lsm => guard_step::STEP_LSM.0,
            Step::FmodRet => guard_step::STEP_FMOD_RET.0,
            Step::Kill => guard_step::STEP_KILL.0,
        }
    }

    fn from_number(number: u32) -> Option<Step> {
        Step::LADDER.into_iter().find(|step| step.number() == number)
    }

    /// The programs that are attached for it from the beginning.
    fn programs(self) -> impl Iterator<Item = &'static str> {
        Deed::Exec.programs(self).unwrap_or_default().iter().copied().chain(SHARED)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why guards could not be set up, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The kernel has no description of its types.
    #[error("this kernel has no BTF (/sys/kernel/btf/vmlinux), which every program here needs")]
    NoBtf(#[source] libbpf_rs::Error),
    /// The v1 hierarchy's controller is unknown to this kernel.
    #[error("the kernel's types do not name the cgroup controller {0}")]
    NoController(String),
    /// The kernel refused it.
    #[error("the kernel refused the guards at the step {step}{}", said_by_libbpf(.log))]
    Refused {
        /// Which.
        step: Step,
        /// The kernel's answer.
        source: libbpf_rs::Error,
        /// The last lines that libbpf said.
        log: String,
    },
    /// The kernel refused the programs of one kind of deed.
    #[error("the kernel refused the guards of {deed} at the step {step}{}", said_by_libbpf(.log))]
    DeedRefused {
        /// Which.
        deed: Deed,
        /// At which step.
        step: Step,
        /// The kernel's answer.
        source: libbpf_rs::Error,
        /// The last lines that libbpf said.
        log: String,
    },
    /// The kernel refused the programs that watch for something that policies wait for.
    #[error("the kernel refused the guards that watch for {trigger} at the step {step}{}", said_by_libbpf(.log))]
    TriggerRefused {
        /// For what.
        trigger: Trigger,
        /// At which step.
        step: Step,
        /// The kernel's answer.
        source: libbpf_rs::Error,
        /// The last lines that libbpf said.
        log: String,
    },
    /// The step cannot watch for it.
    #[error("only a read from the network can be seen there")]
    NotSeenAtStep,
    /// The step cannot deny it.
    #[error("only running a program can be denied there, by ending the process")]
    NotAtStep,
    /// What is pinned is not what this program knows.
    #[error("the guards in {folder} cannot be used by this version of ringfence{}", said_by_libbpf(.log))]
    Foreign {
        /// Where they are.
        folder: PathBuf,
        /// What it was.
        source: libbpf_rs::Error,
        /// The last lines that libbpf said.
        log: String,
    },
    /// Something was pinned or removed in vain.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A map has no room or refused a change.
    #[error("the map {map} of the guards cannot be changed: {why}")]
    Map {
        /// The map.
        map: &'static str,
        /// What it was.
        why: String,
    },
    /// A file could not be told.
    #[error("the kernel did not say which file it is")]
    File(#[source] std::io::Error),
}

impl GuardError {
    /// What the verifier did not like, if it said so.
    pub fn objection(&self) -> Option<&str> {
        match self {
            GuardError::Refused { log, .. }
            | GuardError::DeedRefused { log, .. }
            | GuardError::TriggerRefused { log, .. } => crate::load::objection(log),
            _ => None,
        }
    }
}

/// The guards of this machine.
pub struct Guards {
    object: Object,
    pins: Pins,
    hierarchy: Hierarchy,
    step: Step,
    key: HashKey,
    /// Has [`CHANGE_CGROUP`]; loaded when it is needed.
    changer: OnceCell<Object>,
}

impl Guards {
    /// How many policies there are, those of canaries included.
    pub const POLICIES: u32 = guard_limit::POLICIES.0;
    /// The policy that tries whether anything is denied.
    pub const CANARY: u32 = guard_limit::CANARY_POLICY.0;
    /// The longest description of a policy.
    pub const TEXT_BYTES: usize = guard_limit::POLICY_TEXT_BYTES.0 as usize;

    /// Those that are in force; none if there are none. What an earlier attempt left half done is taken away.
    pub fn find(pins: Pins, hierarchy: &Hierarchy) -> Result<Option<Guards>, GuardError> {
        let Some(facts) = pins.facts()? else { return Ok(None) };
        let Some(step) = Step::from_number(facts.step).filter(|_| facts.complete == 1) else {
            pins.remove()?;
            return Ok(None);
        };
        let foreign = |source| GuardError::Foreign { folder: pins.folder().to_owned(), source, log: said() };
        let object = load_beside(&pins, hierarchy, facts.hash_key, &[TELL_FILE], foreign)?;
        let (key, changer) = (HashKey(facts.hash_key), OnceCell::new());
        Ok(Some(Guards { object, key, pins, hierarchy: hierarchy.clone(), step, changer }))
    }

    /// Loads, attaches and pins them at this step. Nothing is denied until a policy says so.
    pub fn load(pins: Pins, hierarchy: &Hierarchy, step: Step) -> Result<Guards, GuardError> {
        capture();
        let key = [crate::configure::random_number(), crate::configure::random_number()];
        let refused = |source| GuardError::Refused { step, source, log: said() };
        let mut open = open(hierarchy, key)?;
        let programs: Vec<&str> = step.programs().chain([TELL_FILE]).collect();
        load_only(&mut open, &programs);
        let mut object = open.load().map_err(refused)?;
        pins.make()?;
        let pinned = Guards::attach(&mut object, &pins, hierarchy, step, key);
        if let Err(error) = pinned {
            pins.remove()?;
            return Err(error);
        }
        let changer = OnceCell::new();
        Ok(Guards { object, key: HashKey(key), pins, hierarchy: hierarchy.clone(), step, changer })
    }

    /// The kinds of deeds whose programs are attached.
    pub fn deeds(&self) -> Result<Vec<Deed>, GuardError> {
        let facts: guard_facts = maps::read(&maps::find(&self.object, "guard_facts")?, "guard_facts", 0)?;
        Ok(Deed::ALL.into_iter().filter(|deed| facts.deeds & deed.bit() != 0).collect())
    }

    /// Adds the programs of this kind of deed to what is pinned, if they are not there yet; gives whether they were not. Whether
    /// they deny anything is to be tried.
    pub fn add(&self, deed: Deed) -> Result<bool, GuardError> {
        let known = self.deeds()?;
        if known.contains(&deed) {
            return Ok(false);
        }
        let step = self.step;
        let programs = deed.programs(step).ok_or(GuardError::NotAtStep)?;
        let takes_structures = takes_structures()?;
        let can_be_had = |name: &&str| takes_structures || !WITH_STRUCTURES.contains(name);
        let mut wanted: Vec<&str> = programs.iter().copied().filter(can_be_had).collect();
        if deed.is_of_runtimes() && !known.iter().any(|known| known.is_of_runtimes()) {
            wanted.extend(NEWCOMERS);
        }
        self.add_programs(&wanted, |source| GuardError::DeedRefused { deed, step, source, log: said() })?;
        self.change_facts(|facts| facts.deeds |= deed.bit())?;
        Ok(true)
    }

    fn add_programs(
        &self,
        wanted: &[&str],
        refused: impl Fn(libbpf_rs::Error) -> GuardError,
    ) -> Result<(), GuardError> {
        let mut object = load_beside(&self.pins, &self.hierarchy, self.key.0, wanted, &refused)?;
        if let Err(error) = attach_and_pin(&mut object, &self.pins, wanted, &refused) {
            self.pins.forget(wanted)?;
            return Err(error);
        }
        Ok(())
    }

    /// Takes the programs of this kind of deed away.
    pub fn drop_deed(&self, deed: Deed) -> Result<(), GuardError> {
        self.change_facts(|facts| facts.deeds &= !deed.bit())?;
        let mut gone = deed.programs(self.step).unwrap_or_default().to_vec();
        if !self.deeds()?.iter().any(|known| known.is_of_runtimes()) {
            gone.extend(NEWCOMERS);
        }
        Ok(self.pins.forget(&gone)?)
    }

    fn object(&self) -> &Object {
        &self.object
    }

    fn key(&self) -> HashKey {
        self.key
    }

    fn attach(
        object: &mut Object,
        pins: &Pins,
        hierarchy: &Hierarchy,
        step: Step,
        key: [u64; 2],
    ) -> Result<(), GuardError> {
        let refused = |source| GuardError::Refused { step, source, log: said() };
        for mut map in object.maps_mut() {
            let name = map.name().to_string_lossy().into_owned();
            if is_pinned(&name) {
                map.pin(pins.map(&name)).map_err(|source| PinError::pin(pins.map(&name), source))?;
            }
        }
        attach_and_pin(object, pins, &step.programs().collect::<Vec<_>>(), refused)?;
        let (ends, names) = (maps::find(object, "many_ends")?, maps::find(object, "many_names")?);
        for name in PROGRAMS_OF_MANY.map(str::as_bytes) {
            maps::write(&ends, "many_ends", &hash::end_of(name).to_ne_bytes(), &1_u64.to_ne_bytes())?;
            maps::write(&names, "many_names", &HashKey(key).of_name(name).to_ne_bytes(), &1_u64.to_ne_bytes())?;
        }
        let (is_v2, hierarchy) = match hierarchy {
            Hierarchy::Unified => (1, 0),
            Hierarchy::Controller { id, .. } => (0, *id),
        };
        let facts = guard_facts {
            hash_key: key,
            loaded_boot_ns: boot_ns(),
            complete: 1,
            step: step.number(),
            identity_is_v2: is_v2,
            identity_hierarchy: hierarchy,
            deeds: Deed::Exec.bit(),
            ..guard_facts::default()
        };
        let map = maps::find(object, "guard_facts")?;
        maps::write(&map, "guard_facts", &0_u32.to_ne_bytes(), record::bytes(&facts))
    }

    /// At which step they are.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Where they are pinned.
    pub fn folder(&self) -> &Path {
        self.pins.folder()
    }

    /// Whether they are still those that are pinned. If not, somebody has taken them away, and nobody but us knows of their maps.
    pub fn are_pinned(&self) -> Result<bool, GuardError> {
        Ok(self.pins.facts()?.is_some_and(|facts| facts.hash_key == self.key.0))
    }

    /// Takes them away: nothing is denied any more.
    pub fn remove(self) -> Result<(), GuardError> {
        Ok(self.pins.remove()?)
    }

    /// How often the kernel skipped one of them, since another task was in the middle of it on the same CPU. What was skipped
    /// denied nothing.
    pub fn skipped(&self) -> u64 {
        let deeds = self.deeds().unwrap_or_default();
        let programs = deeds.into_iter().filter_map(|deed| deed.programs(self.step)).flatten().copied();
        let watching = self.triggers().unwrap_or_default().into_iter();
        let watching = watching.filter_map(|trigger| trigger.programs(self.step)).flatten().copied();
        programs.chain(watching).chain(["on_rmdir_guard"]).filter_map(|name| self.pins.skipped(name)).sum()
    }

    /// Cgroups that were to be under a policy and found no room.
    pub fn cgroups_lost(&self) -> u64 {
        let losses = maps::find(&self.object, "guard_losses")
            .and_then(|map| maps::read::<guard_losses>(&map, "guard_losses", 0));
        losses.map_or(0, |losses| losses.cgroups)
    }

    /// Which file a descriptor of this process is, as the kernel numbers it.
    pub fn file_key(&self, file: BorrowedFd<'_>) -> Result<FileKey, GuardError> {
        let asked = asked_file { pid: std::process::id(), descriptor: file.as_raw_fd().unsigned_abs() };
        let map = maps::find(&self.object, "asked_files")?;
        maps::write(&map, "asked_files", &0_u32.to_ne_bytes(), record::bytes(&asked))?;
        let answer = ask(&self.object, TELL_FILE).map_err(GuardError::File)?;
        let key = record::read::<file_key>(&answer).map_err(|error| GuardError::File(std::io::Error::other(error)))?;
        Ok(FileKey::from(key))
    }

    /// What is denied, from now on and what nobody has read yet. Each is given once, to whoever reads first.
    pub fn denials(&self) -> Result<DenialReader, GuardError> {
        let map = maps::find(&self.object, "denials")?;
        DenialReader::new(&map).map_err(|source| GuardError::Map { map: "denials", why: source.to_string() })
    }
}

/// What a program says that is run once for it.
fn ask(object: &Object, name: &str) -> std::io::Result<Vec<u8>> {
    let program = object.progs_mut().find(|program| program.name().to_str() == Some(name));
    let program = program.unwrap_or_else(|| panic!("the object has no program {name}"));
    let link = program.attach().map_err(std::io::Error::other)?;
    let mut answer = Vec::new();
    Iter::new(&link).map_err(std::io::Error::other)?.read_to_end(&mut answer)?;
    Ok(answer)
}

const TELL_FILE: &str = "tell_file";
const CHANGE_CGROUP: &str = "change_cgroup";

/// Programs that are many: an argument says which.
const PROGRAMS_OF_MANY: [&str; 5] = ["busybox", "busybox.static", "toybox", "coreutils", "box"];

// SAFETY: each is made of fixed-width integers and arrays of them (`bpf/guard.h`).
unsafe impl Plain for guard_facts {}
// SAFETY: as above.
unsafe impl Plain for guard_losses {}
// SAFETY: as above (`guard_exec.bpf.c`).
unsafe impl Plain for asked_file {}

/// Whether a map is one that the guards and whoever comes later share.
fn is_pinned(map: &str) -> bool {
    !map.contains('.') && !map.starts_with("asked_")
}

fn open(hierarchy: &Hierarchy, key: [u64; 2]) -> Result<OpenObject, GuardError> {
    let btf = Btf::from_vmlinux().map_err(GuardError::NoBtf)?;
    let mut open = ObjectBuilder::default()
        .name("ringfence_guard")
        .and_then(|builder| builder.open_memory(&objects::GUARDS.unpack()))
        .map_err(|source| GuardError::Map { map: "of constants", why: source.to_string() })?;
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if name.ends_with(".rodata.settings") {
            // SAFETY: integers only; this struct alone is in that section, and the map is a value of it.
            let settings = unsafe { initial_value::<settings>(&mut map) };
            settings.hash_key = key;
            settings.identity_is_v2.write(matches!(hierarchy, Hierarchy::Unified));
            if let Hierarchy::Controller { name, id } = hierarchy {
                settings.identity_hierarchy = *id;
                settings.identity_controller =
                    controller(&btf, name).ok_or_else(|| GuardError::NoController(name.clone()))?;
            }
        }
    }
    Ok(open)
}

/// Some programs of the object, with the maps that are pinned.
fn load_beside(
    pins: &Pins,
    hierarchy: &Hierarchy,
    key: [u64; 2],
    programs: &[&str],
    refused: impl Fn(libbpf_rs::Error) -> GuardError,
) -> Result<Object, GuardError> {
    capture();
    let mut open = open(hierarchy, key)?;
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if is_pinned(&name) {
            map.reuse_pinned_map(pins.map(&name)).map_err(&refused)?;
        }
    }
    load_only(&mut open, programs);
    open.load().map_err(refused)
}

fn attach_and_pin(
    object: &mut Object,
    pins: &Pins,
    programs: &[&str],
    refused: impl Fn(libbpf_rs::Error) -> GuardError,
) -> Result<(), GuardError> {
    for name in programs {
        let program = object.progs_mut().find(|program| program.name().to_str() == Some(name));
        let mut program = program.unwrap_or_else(|| panic!("the object has no program {name}"));
        program.pin(pins.program(name)).map_err(|source| PinError::pin(pins.program(name), source))?;
        let mut link: Link = program.attach().map_err(&refused)?;
        link.pin(pins.link(name)).map_err(|source| PinError::pin(pins.link(name), source))?;
    }
    Ok(())
}

/// Whether this kernel takes programs on functions that are given structures by value: 6.1 and later do.
fn takes_structures() -> Result<bool, GuardError> {
    let btf = Btf::from_vmlinux().map_err(GuardError::NoBtf)?;
    let model = btf.type_by_name::<Struct<'_>>("btf_func_model");
    let has_flags = |model: Struct<'_>| {
        let mut members = model.iter();
        members.any(|member| member.name.is_some_and(|name| name == "arg_flags"))
    };
    Ok(model.is_some_and(has_flags))
}

fn load_only(open: &mut OpenObject, wanted: &[&str]) {
    for mut program in open.progs_mut() {
        let is_wanted = program.name().to_str().is_some_and(|name| wanted.contains(&name));
        program.set_autoload(is_wanted);
    }
}

fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
