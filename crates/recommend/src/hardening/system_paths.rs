//! Paths of `/proc` and `/sys` that engines hide or make read-only, and which of them were used otherwise.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use behaviour::Place;
use event::{FileAccess, NameOperation};
use report::Report;

use super::paths::{Places, is_below, text};
use super::seen::{Seen, Tally, program_of};
use super::{Advice, SystemPath, SystemPathKind, SystemPaths};
use crate::table::rows;

/// What docker hides and makes read-only.
static PATHS: LazyLock<Vec<(&'static [u8], SystemPathKind)>> = LazyLock::new(|| {
    rows(include_str!("../../data/system-paths.csv"))
        .map(|[path, kind]| {
            let kind = match kind {
                "masked" => SystemPathKind::Masked,
                other => {
                    assert_eq!(other, "read-only", "a path is masked or read-only");
                    SystemPathKind::ReadOnly
                }
            };
            (path.as_bytes(), kind)
        })
        .collect()
});

const READS: [FileAccess; 3] = [FileAccess::OpenedToRead, FileAccess::Read, FileAccess::Listed];
const WRITES: [FileAccess; 3] = [FileAccess::OpenedToWrite, FileAccess::Written, FileAccess::Created];

pub(super) fn system_paths(seen: &Seen<'_>) -> SystemPaths {
    let mut used = BTreeMap::<(&'static [u8], SystemPathKind), Tally>::new();
    for (number, (run, places)) in seen.runs().enumerate() {
        add(seen, number, run, places, &mut used);
    }
    let needed: Vec<SystemPath> = used
        .into_iter()
        .map(|((path, kind), tally)| SystemPath { path: text(path), kind, evidence: tally.few(5).0 })
        .collect();
    let now = seen.agreed(|run| {
        let settings = run.container.settings.as_ref()?;
        let (masked, read_only) = (settings.masked_paths.as_ref()?, settings.read_only_paths.as_ref()?);
        Some(!masked.is_empty() && !read_only.is_empty())
    });
    let now = now.or_else(|| (seen.flag("privileged") == Some(true)).then_some(false));
    let advice = if needed.is_empty() {
        let reason = "nothing that engines hide by default was read, and nothing that they make read-only was written";
        Advice::apply(now, reason, "a program that reads such a path finds it empty, one that writes it gets EROFS")
    } else {
        let evidence = needed.iter().flat_map(|one| one.evidence.clone()).collect();
        let reason = "paths were used that engines hide or make read-only by default; a setting below /proc/sys can be made with `--sysctl` instead";
        Advice::needed(now, reason, evidence)
    };
    SystemPaths { advice: seen.judge(&["files"], advice), needed }
}

fn add(
    seen: &Seen<'_>,
    number: usize,
    run: &Report,
    places: &Places,
    found: &mut BTreeMap<(&'static [u8], SystemPathKind), Tally>,
) {
    // What its engine does not hide by default was no exception.
    let lists = run.container.settings.as_ref().and_then(|settings| {
        let (masked, read_only) = (settings.masked_paths.as_ref()?, settings.read_only_paths.as_ref()?);
        (!masked.is_empty()).then(|| masked.iter().chain(read_only).map(|path| path.as_bytes()).collect::<Vec<_>>())
    });
    let is_default = |listed: &[u8]| lists.as_ref().is_none_or(|lists| listed == b"/sys" || lists.contains(&listed));
    let mounts: BTreeMap<_, _> =
        run.behaviour.files.mounts.iter().map(|mount| ((mount.phase, mount.mount), mount)).collect();
    for used in run.behaviour.files.paths.iter().filter(|used| seen.counts(used.phase) && !used.unreachable) {
        let path = used.path.as_bytes();
        if !path.starts_with(b"/proc/") && !path.starts_with(b"/sys/") {
            continue;
        }
        // A hidden path is reached through a mount of something else than the kernel's view.
        let mount = mounts.get(&(used.phase, used.mount));
        let is_real = mount.is_none_or(|mount| matches!(mount.place, Place::Proc | Place::Sys));
        for &(listed, kind) in
            PATHS.iter().filter(|(listed, _)| is_default(listed) && (path == *listed || is_below(path, listed)))
        {
            // The cgroups have a mount of their own.
            let is_cgroup = listed == b"/sys" && is_below(path, b"/sys/fs/cgroup");
            let is_used = match kind {
                SystemPathKind::Masked => is_real && used.accesses.has_any(&READS),
                SystemPathKind::ReadOnly => !is_cgroup && used.accesses.has_any(&WRITES),
            };
            if is_used {
                let what = if kind == SystemPathKind::Masked { "read" } else { "written" };
                let tally = found.entry((listed, kind)).or_default();
                tally.add(number, what, &used.path, used.phase, program_of(&used.first), used.opens.max(1));
            }
        }
    }
    for used in run.behaviour.files.names.iter().filter(|used| seen.counts(used.phase) && used.errno.is_none()) {
        if matches!(used.operation, NameOperation::Open | NameOperation::RunScript) {
            continue;
        }
        let path = places.resolve(used.path.as_bytes());
        if path.starts_with(b"/sys/") && !is_below(&path, b"/sys/fs/cgroup") {
            let tally = found.entry((b"/sys", SystemPathKind::ReadOnly)).or_default();
            tally.add(number, used.operation.name(), &text(&path), used.phase, program_of(&used.first), used.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_what_docker_hides_and_makes_read_only() {
        let of = |wanted| PATHS.iter().filter(|(_, kind)| *kind == wanted).count();

        assert_eq!((of(SystemPathKind::Masked), of(SystemPathKind::ReadOnly)), (12, 6));
        assert!(PATHS.iter().all(|(path, _)| path.starts_with(b"/proc/") || path.starts_with(b"/sys")));
    }
}
