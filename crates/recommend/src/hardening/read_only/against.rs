//! What a read-only root file system with directories mounted over it would refuse, though each name can be written.

use event::{Phase, Text};
use report::Report;

use super::super::Advice;
use super::super::paths::{ancestors, is_below, shown, text, tidied};
use super::super::seen::Tally;
use super::{MAX_EVIDENCE, Written};

/// Files that engines mount into each container, read-only if its root file system is.
const OF_ENGINES: [&[u8]; 3] = [b"/etc/hostname", b"/etc/hosts", b"/etc/resolv.conf"];

impl Written {
    /// A change of a file that the engine mounts, unless a user mounted another there.
    pub(super) fn add_of_engine(
        &mut self,
        number: usize,
        run: &Report,
        path: &[u8],
        what: &str,
        phase: Phase,
        program: Text,
    ) {
        if !OF_ENGINES.contains(&path) {
            return;
        }
        let says_users_mounts =
            run.container.engine.as_ref().is_some_and(|engine| matches!(engine.as_bytes(), b"docker" | b"podman"));
        let given = run.container.settings.as_ref().and_then(|settings| settings.mounts.as_ref());
        let is_given = given.into_iter().flatten().any(|mount| tidied(mount.destination.as_bytes()) == path);
        if !(says_users_mounts && is_given) {
            self.of_engine.entry(path.to_vec()).or_default().add(number, what, &text(path), phase, program, 1);
        }
    }

    /// The advice against it, if files of the engine were changed.
    pub(super) fn refused(&self, now: Option<bool>) -> Option<Advice> {
        let paths: Vec<String> = self.of_engine.keys().map(|path| shown(path)).collect();
        let reason = format!("it changes what the engine mounts, which is read-only then, too: {}", paths.join(", "));
        let evidence = self.of_engine.values().flat_map(Tally::evidence).take(MAX_EVIDENCE).collect();
        (!paths.is_empty()).then(|| Advice::needed(now, &reason, evidence))
    }

    /// The advice against it, if something is renamed or linked from one mount to another then.
    pub(super) fn across(&self, now: Option<bool>, directories: &[Vec<u8>]) -> Option<Advice> {
        let place = |path: &[u8]| directories.iter().find(|directory| is_below(path, directory));
        let is_point = |path: &Vec<u8>| directories.contains(path);
        let mut pairs =
            self.pairs.iter().filter(|(from, to)| place(from) != place(to) || is_point(from) || is_point(to));
        let (from, to) = pairs.next()?;
        let names = [from, to].into_iter().filter_map(|path| self.writes.get(path));
        let evidence = names.flat_map(|write| write.tally.evidence()).take(MAX_EVIDENCE).collect();
        let reason = format!(
            "it renames or links {} to {}, which would lie in two mounts then, and fail with EXDEV",
            shown(from),
            shown(to)
        );
        Some(Advice::needed(now, &reason, evidence))
    }

    /// A directory that the program made itself, that would be there already, and of which it was not seen what it does then.
    pub(super) fn made_in_advance<'d>(&self, directories: &'d [Vec<u8>]) -> Option<&'d [u8]> {
        let own =
            directories.iter().flat_map(|directory| ancestors(directory).into_iter().chain([directory.as_slice()]));
        let mut made = own.filter(|path| self.made_directories.contains(*path));
        made.find(|path| !self.found_directories.contains(*path))
    }
}
