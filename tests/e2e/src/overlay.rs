//! A root file system that a test may write to, above one that is shared and never changed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::command::{command, must};

/// An overlay mount; dropped, it is unmounted and what was written is gone.
#[derive(Debug)]
pub struct Overlay {
    folder: TempDir,
}

impl Overlay {
    /// Mounts an empty layer above `lower`.
    pub fn above(lower: &Path) -> Result<Overlay> {
        let folder = tempfile::Builder::new().prefix("ringfence-overlay").tempdir()?;
        for name in ["upper", "work", "root"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            folder.path().join("upper").display(),
            folder.path().join("work").display()
        );
        let overlay = Overlay { folder };
        must(command("mount", ["-t", "overlay", "-o", &options, "overlay"]).arg(overlay.root()))?;
        Ok(overlay)
    }

    /// The root file system.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = must(command("umount", ["-l"]).arg(self.root()));
    }
}
