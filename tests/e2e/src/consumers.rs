//! Who takes what `ringfence recommend --target` writes: programs that only tests need, unpacked into the cache.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::command::{command, must_within};
use crate::recorder::ringfence;
use crate::rootfs::{cached_folder, unpacked};

const LIMIT: Duration = Duration::from_secs(60);
/// The checker of Kubernetes' own schemas, from the package registry of Python, with the versions that it has.
const VALIDATE: &str = "kubernetes-validate==1.37.0";

/// What a target is.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its text.
    pub text: String,
    /// What was said beside it.
    pub notes: String,
}

impl Written {
    /// The text as words, of targets that are one line without quotes.
    pub fn words(&self) -> Vec<&str> {
        self.text.split_whitespace().collect()
    }
}

/// Writes one target from a report; `more` are further options.
pub fn target<S: AsRef<std::ffi::OsStr>>(report: &Path, name: &str, more: &[S]) -> Result<Written> {
    let mut args: Vec<std::ffi::OsString> = vec!["recommend".into(), report.into(), "--target".into(), name.into()];
    args.extend(more.iter().map(|option| option.as_ref().to_owned()));
    let finished = ringfence(&args, LIMIT)?;
    ensure!(finished.status.success(), "{args:?}: {}", finished.stderr());
    Ok(Written { text: finished.stdout(), notes: finished.stderr() })
}

/// A program of the next Debian release.
pub fn newer(program: &str) -> Result<PathBuf> {
    let root = unpacked("trixie", &["docker-compose", "podman"])?;
    Ok(root.join(program.trim_start_matches('/')))
}

/// kubectl 1.20.
pub fn kubectl() -> Result<PathBuf> {
    Ok(unpacked("bookworm", &["kubernetes-client"])?.join("usr/bin/kubectl"))
}

/// A command that checks resources of Kubernetes by its own schema of one version.
pub fn kubernetes_validate(version: &str) -> Result<Command> {
    let python =
        must_within(&mut command("python3", ["-c", "import sys; print(sys.implementation.cache_tag)"]), LIMIT)?;
    let folder = cached_folder(&format!("{}-{}", VALIDATE.replace("==", "-"), python.trim()), |place| {
        let mut pip = command("python3", ["-m", "pip", "install", "--quiet", "--target"]);
        must_within(pip.arg(place).arg(VALIDATE), Duration::from_secs(300)).context("kubernetes-validate")?;
        Ok(())
    })?;
    let mut validate = command("python3", ["-m", "kubernetes_validate", "--strict", "-k", version]);
    validate.env("PYTHONPATH", folder);
    Ok(validate)
}
