//! Which containers somebody wants a report of.

use crate::run::Run;

/// Which containers somebody wants a report of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All of them.
    All,
    /// The container with this name or id, or whose id begins so.
    Name(String),
    /// Containers whose image matches; `*` stands for anything.
    Image(String),
    /// Containers with this label.
    Label(String, String),
    /// The cgroup with this path below the root of its hierarchy.
    Cgroup(Vec<u8>),
    /// This process and all that it makes.
    Pid(u32),
}

impl Target {
    pub(crate) fn wants(&self, run: &Run) -> bool {
        let known = run.known();
        match self {
            Target::All => true,
            Target::Name(name) => {
                run.id_of_its_own().is_some_and(|id| id == name || (name.len() >= 4 && id.starts_with(name.as_str())))
                    || known.is_some_and(|known| known.name.as_deref() == Some(name) || known.id == *name)
            }
            Target::Image(pattern) => known
                .and_then(|known| known.image.as_deref())
                .is_some_and(|image| containers::matches_pattern(pattern, image)),
            Target::Label(key, value) => known.is_some_and(|known| known.labels.get(key) == Some(value)),
            Target::Cgroup(path) => run.slot.path == *path,
            Target::Pid(_) => run.slot.no_cgroup && run.slot.attached,
        }
    }
}
