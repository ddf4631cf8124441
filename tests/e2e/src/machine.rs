//! What a test needs from the machine: to be root, to be alone, and programs that may not be there.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::FlockOperation;

/// While it lives, no other test of this suite runs containers on this machine.
#[derive(Debug)]
pub struct Alone {
    _lock: File,
}

/// Waits until this test has the machine for itself.
pub fn alone() -> Result<Alone> {
    let path = std::env::temp_dir().join("ringfence-e2e.lock");
    let lock = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).context("lock the machine for one test")?;
    Ok(Alone { _lock: lock })
}

/// Where a program is found in `PATH` (and the folders of system programs).
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// The first of these programs that is not there.
pub fn first_missing<'a>(programs: &[&'a str]) -> Option<&'a str> {
    programs.iter().copied().find(|program| find_program(program).is_none())
}

/// Ends a test that cannot run here, saying why; the reason is what the list of allowed skips is compared with.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        println!("skipped: {}", format_args!($($why)*));
        return Ok(());
    }};
}

/// Ends a test that needs programs which are not there.
#[macro_export]
macro_rules! need {
    ($($program:expr),+ $(,)?) => {
        if let Some(missing) = $crate::machine::first_missing(&[$($program),+]) {
            $crate::skip!("no program {missing}");
        }
    };
}

/// The folder for what is built once and kept: `$XDG_CACHE_HOME/ringfence`, else `~/.cache/ringfence`.
pub fn cache_folder() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) if Path::new(&folder).is_absolute() => PathBuf::from(folder),
        _ => PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    Ok(base.join("ringfence"))
}

/// A name that no other test uses now.
pub fn unique_name(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A TCP port of the loopback address that nothing listens on now.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
