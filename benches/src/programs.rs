//! Small C programs that are measured, compiled at first use.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use e2e::command::{command, must};
use e2e::machine::cache_folder;

const FLAGS: [&str; 5] = ["-static", "-O1", "-Wall", "-Wextra", "-pthread"];

/// The static program built from `programs/NAME.c`; each one says in its first lines what it does.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(format!("{name}.c"));
    let text = std::fs::read(&source).with_context(|| format!("read {}", source.display()))?;
    let mut key = DefaultHasher::new();
    (&text, FLAGS).hash(&mut key);
    let folder = cache_folder()?.join("programs");
    let built = folder.join(format!("bench-{name}-{:016x}", key.finish()));
    if !built.exists() {
        std::fs::create_dir_all(&folder)?;
        let place = tempfile::Builder::new().prefix("build").tempdir_in(&folder)?;
        let fresh = place.path().join(name);
        must(command("gcc", FLAGS).arg(&source).arg("-o").arg(&fresh)).context("compile with gcc")?;
        std::fs::rename(&fresh, &built)?;
    }
    Ok(built)
}
