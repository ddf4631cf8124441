//! Root file systems for containers, built once and kept in the cache: no registry is needed.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::FlockOperation;

use crate::command::{command, must, must_within};
use crate::machine::{cache_folder, find_program};

/// The Debian release of the test images.
const RELEASE: &str = "bookworm";
/// What is installed in it beside the minimum.
const PACKAGES: [&str; 5] = ["nginx-light", "nodejs", "procps", "python3-minimal", "redis-server"];
/// What is installed in that of the proofs.
const PROVEN_PACKAGES: [&str; 8] = [
    "busybox-static",
    "nginx-light",
    "nodejs",
    "perl",
    "postgresql-15",
    "prometheus-node-exporter",
    "python3",
    "redis-server",
];
/// How long building it may take.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// The names under which busybox is called in the small image.
const APPLETS: [&str; 32] = [
    "sh", "ash", "cat", "chmod", "cp", "cut", "date", "dd", "echo", "env", "false", "grep", "head", "id", "kill", "ln",
    "ls", "mkdir", "mknod", "mount", "mv", "ps", "rm", "sed", "seq", "sleep", "sort", "tail", "touch", "true", "wc",
    "xargs",
];

/// A root file system as a folder and as an archive that engines import.
#[derive(Clone, Debug)]
pub struct Rootfs {
    /// The folder; do not write to it, but to an [`crate::overlay::Overlay`] above it.
    pub folder: PathBuf,
    /// The same as a tar archive.
    pub archive: PathBuf,
}

/// Busybox alone: 2 MB.
pub fn busybox() -> Result<Rootfs> {
    let program = find_program("busybox").context("no program busybox (package busybox-static)")?;
    cached("busybox-1", |root| {
        for folder in ["bin", "dev", "etc", "gate", "proc", "root", "run", "sys", "tmp", "var"] {
            std::fs::create_dir(root.join(folder))?;
        }
        std::fs::copy(&program, root.join("bin/busybox"))?;
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
        std::fs::write(root.join("etc/group"), "root:x:0:\n")?;
        Ok(())
    })
}

/// A minimal Debian with python3, nginx, redis and node.
pub fn debian() -> Result<Rootfs> {
    debian_with(&PACKAGES)
}

/// A Debian with what the proofs run: servers, databases, interpreters, and a program in Go.
pub fn proven() -> Result<Rootfs> {
    debian_with(&PROVEN_PACKAGES)
}

/// What the walk-through of an attack needs.
pub fn attacked() -> Result<Rootfs> {
    debian_with(&["python3", "curl"])
}

fn debian_with(packages: &[&str]) -> Result<Rootfs> {
    cached(&format!("{RELEASE}-{}", packages.join("+")), |root| {
        let mut bootstrap = command("mmdebstrap", ["--variant=minbase"]);
        bootstrap.arg(format!("--include={}", packages.join(","))).arg(RELEASE).arg(root).arg(mirror()?);
        must_within(&mut bootstrap, BUILD_LIMIT).context("build the Debian root file system")?;
        std::fs::create_dir_all(root.join("gate"))?;
        Ok(())
    })
}

/// The mirror that this machine's apt uses, or the one of `RINGFENCE_DEBIAN_MIRROR` (the address before `/debian`).
fn mirror() -> Result<String> {
    if let Ok(given) = std::env::var("RINGFENCE_DEBIAN_MIRROR") {
        return Ok(format!("{given}/debian"));
    }
    let sites = must(&mut command("apt-get", ["indextargets", "--format", "$(SITE)"]))?;
    let mirror = sites.lines().map(|site| site.trim_end_matches('/')).find(|site| site.ends_with("/debian"));
    mirror.map(str::to_owned).context("apt has no Debian mirror here: set RINGFENCE_DEBIAN_MIRROR")
}

/// The files of packages of a Debian release, unpacked and not set up: for programs that run as they are from anywhere.
pub fn unpacked(release: &str, packages: &[&str]) -> Result<PathBuf> {
    let packages = packages.join(",");
    cached_folder(&format!("{release}-files-{}", packages.replace(',', "+")), |place| {
        let mut bootstrap = command("mmdebstrap", ["--variant=extract"]);
        bootstrap.arg(format!("--include={packages}")).arg(release).arg(place.join("root")).arg(mirror()?);
        must_within(&mut bootstrap, BUILD_LIMIT).with_context(|| format!("unpack {packages} of {release}"))?;
        Ok(())
    })
    .map(|whole| whole.join("root"))
}

/// Builds a root file system, and an archive of it, unless it is in the cache.
fn cached(key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<Rootfs> {
    let whole = cached_folder(key, |place| {
        let root = place.join("root");
        std::fs::create_dir(&root)?;
        build(&root)?;
        let archive = place.join("root.tar");
        must_within(
            command("tar", ["--numeric-owner", "--exclude=./dev/*", "-C"]).arg(&root).arg("-cf").arg(&archive).arg("."),
            BUILD_LIMIT,
        )?;
        Ok(())
    })?;
    Ok(Rootfs { folder: whole.join("root"), archive: whole.join("root.tar") })
}

/// Fills a folder unless it is in the cache; only one test builds at a time, and a broken build leaves nothing that looks
/// whole.
pub(crate) fn cached_folder(key: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let base = cache_folder()?.join("rootfs");
    std::fs::create_dir_all(&base)?;
    let lock = File::create(base.join(format!("{key}.lock")))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    let whole = base.join(key);
    if !whole.exists() {
        let place = tempfile::Builder::new().prefix("build").tempdir_in(&base)?;
        build(place.path())?;
        must(command("chmod", ["755"]).arg(place.path()))?;
        std::fs::rename(place.keep(), &whole)?;
    }
    Ok(whole)
}
