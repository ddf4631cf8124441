//! Rule files on the command line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rules::{MAX_FILE_BYTES, Problem, Severity};

use super::shipped::shipped;

/// These files; without any those that come with the program.
pub(super) fn read_or_shipped(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    if paths.is_empty() { Ok(shipped().collect()) } else { read(paths) }
}

/// The files, those of a folder by name, each with its text.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let inside = of_folder(path)?;
            if inside.is_empty() {
                bail!("{} has no file whose name ends with .yaml or .yml", path.display());
            }
            for path in inside {
                files.push(one(&path)?);
            }
        } else {
            files.push(one(path)?);
        }
    }
    Ok(files)
}

fn of_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = || format!("cannot read the folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(read)? {
        let path = entry.with_context(read)?.path();
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn one(path: &Path) -> anyhow::Result<(String, String)> {
    let length = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if length > MAX_FILE_BYTES as u64 {
        bail!("{} is longer than {MAX_FILE_BYTES} bytes", path.display());
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes).with_context(|| format!("{} is no text in UTF-8", path.display()))?;
    Ok((path.display().to_string(), text))
}

/// Prints what is wrong to standard error, as notes to another answer.
pub(super) fn tell(problems: &[Problem]) {
    for problem in problems.iter().filter(|problem| problem.severity > Severity::Note) {
        eprintln!("{problem}");
    }
}
