//! Small C programs that make an exact number of calls, compiled at first use.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::must;
use crate::machine::cache_folder;

/// The static program built from `programs/NAME.c`; each one says in its first lines what it does.
pub fn program(name: &str) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(format!("{name}.c"));
    let text = std::fs::read(&source).with_context(|| format!("read {}", source.display()))?;
    let flags = flags(name);
    let mut key = DefaultHasher::new();
    (&text, flags).hash(&mut key);
    let folder = cache_folder()?.join("programs");
    let built = folder.join(format!("{name}-{:016x}", key.finish()));
    if !built.exists() {
        std::fs::create_dir_all(&folder)?;
        let place = tempfile::Builder::new().prefix("build").tempdir_in(&folder)?;
        let fresh = place.path().join(name);
        must(Command::new("gcc").args(flags).arg(&source).arg("-o").arg(&fresh)).context("compile with gcc")?;
        std::fs::rename(&fresh, &built)?;
    }
    Ok(built)
}

fn flags(name: &str) -> &'static [&'static str] {
    match name {
        "gate" => &["-static", "-O1", "-Wall", "-Wextra", "-nostdlib", "-ffreestanding", "-fno-stack-protector"],
        _ => &["-static", "-O1", "-Wall", "-Wextra", "-pthread"],
    }
}
