//! What commands that observe containers have in common: which ones, how long, and what is missing if it cannot be done.

use std::time::Duration;

use agent::{StartError, Target};
use clap::Args;

use crate::{privilege, units};

/// Which containers, and for how long.
#[derive(Args)]
pub(crate) struct ObserveArgs {
    /// Every container (the default if nothing is named).
    #[arg(long)]
    all: bool,

    /// Containers of this image; `*` stands for anything.
    #[arg(long, value_name = "PATTERN")]
    image: Vec<String>,

    /// Containers with this label.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,

    /// The cgroup with this path (as in /proc/PID/cgroup), also before it exists.
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<String>,

    /// A process that is in no container, with its children.
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,

    /// Stop after this time: 500ms, 30s, 5m, 2h.
    #[arg(long = "for", value_name = "DURATION", value_parser = units::duration)]
    pub(crate) duration: Option<Duration>,

    /// The size of the kernel's ring buffer: a power of two, such as 8M.
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = units::ring_bytes)]
    pub(crate) buffer: u32,

    /// Behave as on a kernel before 5.17.
    #[arg(long, hide = true)]
    pub(crate) as_old_kernel: bool,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no label: write KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

impl ObserveArgs {
    /// The containers that are meant, those with these names or ids among them.
    pub(crate) fn targets(&self, names: &[String]) -> Vec<Target> {
        let mut targets: Vec<Target> = names.iter().cloned().map(Target::Name).collect();
        targets.extend(self.image.iter().cloned().map(Target::Image));
        targets.extend(self.label.iter().cloned().map(|(key, value)| Target::Label(key, value)));
        targets.extend(self.cgroup.iter().map(|path| Target::Cgroup(path.clone().into_bytes())));
        targets.extend(self.pid.iter().copied().map(Target::Pid));
        if self.all || targets.is_empty() {
            targets = vec![Target::All];
        }
        targets
    }

    /// How it ends, behind what it does.
    pub(crate) fn ends_when(&self) -> String {
        match self.duration {
            Some(duration) => format!(" for {duration:?}; Ctrl-C ends it now"),
            None => "; Ctrl-C ends it".into(),
        }
    }
}

/// What is missing, in the words of somebody who can do something about it.
pub(crate) fn explain(error: StartError) -> anyhow::Error {
    let missing = privilege::missing();
    if missing.is_empty() {
        return error.into();
    }
    anyhow::Error::from(error).context(format!(
        "observing containers needs {}, which this process does not have: run it as root with these capabilities, as with \
         `sudo ringfence …`",
        missing.join(" and ")
    ))
}
