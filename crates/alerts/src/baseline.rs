//! What is normal, container by container, and what is new beside it.

use std::collections::{BTreeMap, BTreeSet};

use event::Text;
use report::{FormatVersion, Report, Runs, Workload};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::facts;
use crate::{Container, Fact};

/// The version of the format of files with exceptions from baselines that this program writes, and the newest that it reads.
pub const ALLOWED_VERSION: u32 = 1;

/// Beyond so many different files that were written in a directory, another one there is nothing new.
const MANY_FILES: usize = 16;
/// In these directories every new file is, however many there are already.
const ALWAYS_NEW: [&[u8]; 14] = [
    b"/",
    b"/etc",
    b"/bin",
    b"/sbin",
    b"/lib",
    b"/lib64",
    b"/usr",
    b"/boot",
    b"/root",
    b"/home",
    b"/tmp",
    b"/var/tmp",
    b"/dev/shm",
    b"/var/spool/cron",
];

/// What containers of some workloads do.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    normal: Vec<Normal>,
    allowed: Vec<AllowedFact>,
}

/// What one workload does.
#[derive(Clone, Debug)]
pub struct Normal {
    /// Which one.
    pub workload: Workload,
    /// How many runs of it are in here.
    pub runs: usize,
    /// Whether something was missing of one of them.
    pub is_incomplete: bool,
    facts: BTreeSet<Fact>,
    /// Directories with so many files that another one is nothing new.
    directories: BTreeSet<Vec<u8>>,
}

/// The answer of a baseline about one fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in there.
    Normal,
    /// It is not.
    New,
    /// Nothing is known of such a container.
    Unknown,
}

impl Normal {
    /// What these facts make normal.
    pub fn of(workload: Workload, seen: impl IntoIterator<Item = Fact>, runs: usize) -> Normal {
        let facts: BTreeSet<Fact> = seen.into_iter().collect();
        let mut files = BTreeMap::<Vec<u8>, usize>::new();
        for fact in &facts {
            if let Fact::Write { path } = fact {
                *files.entry(parent(path.as_bytes()).to_vec()).or_default() += 1;
            }
        }
        let is_ordinary = |directory: &[u8]| {
            !ALWAYS_NEW.iter().any(|one| {
                directory == *one
                    || (matches!(*one, b"/etc" | b"/bin" | b"/sbin" | b"/lib" | b"/usr" | b"/root")
                        && directory.strip_prefix(*one).is_some_and(|rest| rest.first() == Some(&b'/')))
            })
        };
        let many = files.into_iter().filter(|(directory, count)| *count >= MANY_FILES && is_ordinary(directory));
        let directories = many.map(|(directory, _)| directory).collect();
        Normal { workload, runs, is_incomplete: false, facts, directories }
    }

    /// How many things are normal.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// How many of each sort are normal: by the name that a new one has.
    pub fn of_each(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for fact in &self.facts {
            *counts.entry(fact.rule()).or_default() += 1;
        }
        counts
    }

    /// Whether this is normal.
    pub fn has(&self, fact: &Fact) -> bool {
        self.facts.contains(fact)
            || matches!(fact, Fact::Write { path } if self.directories.contains(parent(path.as_bytes())))
    }
}

impl Baseline {
    /// What the runs of these reports did, by their workloads, and what was allowed beside it.
    pub fn of(reports: &[Report], allowed: Vec<AllowedFact>) -> Baseline {
        let mut baseline = Baseline { normal: Vec::new(), allowed };
        let mut found = Vec::<(Workload, Vec<&Report>)>::new();
        for run in Runs::of(reports).own {
            let workload = Workload::of(run);
            match found.iter_mut().find(|(known, _)| known.is_same(&workload)) {
                Some((_, runs)) => runs.push(run),
                None => found.push((workload, vec![run])),
            }
        }
        for (workload, runs) in found {
            let mut seen: BTreeSet<Fact> = runs.iter().flat_map(|run| facts(&run.behaviour).into_keys()).collect();
            let mut directories = Vec::new();
            for run in &runs {
                for used in &run.behaviour.files.directories {
                    directories.push(used.path.as_bytes().to_vec());
                }
            }
            let mut normal = Normal::of(workload, std::mem::take(&mut seen), runs.len());
            normal.directories.extend(directories.into_iter().filter(|directory| !directory.is_empty()));
            normal.is_incomplete = runs.iter().any(|run| !run.complete);
            baseline.normal.push(normal);
        }
        baseline
    }

    /// What is normal, by workload.
    pub fn normal(&self) -> &[Normal] {
        &self.normal
    }

    /// What was allowed beside it.
    pub fn allowed(&self) -> &[AllowedFact] {
        &self.allowed
    }

    /// Adds what was learnt of a workload.
    pub fn learn(&mut self, normal: Normal) {
        self.normal.push(normal);
    }

    /// Whether anything is known of such containers.
    pub fn knows(&self, workload: &Workload) -> bool {
        self.normal.iter().any(|normal| normal.workload.is_same(workload))
    }

    /// Whether a fact is new in a container of this workload.
    pub fn verdict(&self, workload: &Workload, container: &Container, fact: &Fact) -> Verdict {
        let mut of_workload = self.normal.iter().filter(|normal| normal.workload.is_same(workload)).peekable();
        if of_workload.peek().is_none() {
            return Verdict::Unknown;
        }
        let is_normal = of_workload.any(|normal| normal.has(fact))
            || self.allowed.iter().any(|allowed| allowed.is_of(container) && allowed.fact == *fact);
        if is_normal { Verdict::Normal } else { Verdict::New }
    }
}

/// The file with what is allowed beside baselines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Allowed {
    /// The version of this format.
    pub schema_version: FormatVersion<ALLOWED_VERSION>,
    /// What is allowed.
    pub allowed: Vec<AllowedFact>,
}

impl Allowed {
    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Allowed);
        schema.insert("title".into(), format!("ringfence allowed, version {ALLOWED_VERSION}").into());
        report::json(&schema)
    }
}

/// One thing that is allowed in one container, or in all of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AllowedFact {
    /// The name of the container; none if the image decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Text>,
    /// The image, as it was asked for; none if the name decides alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Text>,
    /// What is allowed.
    pub fact: Fact,
    /// The alert that it was allowed after.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub alert: Text,
}

impl AllowedFact {
    /// Whether it is about this container. One that names neither name nor image is about none.
    fn is_of(&self, container: &Container) -> bool {
        let matches = |wanted: &Option<Text>, is: &Option<Text>| wanted.is_none() || wanted == is;
        (self.container.is_some() || self.image.is_some())
            && matches(&self.container, &container.name)
            && matches(&self.image, &container.image)
    }
}

/// The directory that a path lies in.
fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) => b"/",
        Some(at) => &path[..at],
        None => b"",
    }
}
