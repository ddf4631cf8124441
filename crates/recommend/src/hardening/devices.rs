//! The devices that were used, and those that were given and not used.

use std::collections::{BTreeMap, BTreeSet};

use event::{FileAccess, FileType, NameOperation, Text};

use super::seen::{Seen, Tally, program_of};
use super::{Advice, DeviceAdvice, DeviceNeed, UnusedDevice, Verdict};

/// The devices that each container has: OCI runtime specification 1.1, `config-linux.md`, "Default Devices".
const USUAL: [&[u8]; 8] = [
    b"/dev/console",
    b"/dev/full",
    b"/dev/null",
    b"/dev/ptmx",
    b"/dev/random",
    b"/dev/tty",
    b"/dev/urandom",
    b"/dev/zero",
];

/// How one device was used.
#[derive(Default)]
struct Use {
    file_type: FileType,
    read: bool,
    write: bool,
    tally: Tally,
}

pub(super) fn devices(seen: &Seen<'_>) -> DeviceAdvice {
    let mut uses = BTreeMap::<Text, Use>::new();
    let mut made = BTreeSet::<Text>::new();
    for (number, (run, places)) in seen.runs().enumerate() {
        for used in run.behaviour.files.paths.iter().filter(|used| seen.counts(used.phase)) {
            let is_device = matches!(used.file_type, FileType::CharacterDevice | FileType::BlockDevice);
            // One that was handed in from outside is none of the container's; nor is what a hidden path of /proc leads to.
            if !is_device
                || used.unreachable
                || !used.path.as_bytes().starts_with(b"/")
                || is_hidden(used.path.as_bytes())
            {
                continue;
            }
            let one = uses.entry(used.path.clone()).or_default();
            one.file_type = used.file_type;
            one.read |= used.accesses.has_any(&[FileAccess::OpenedToRead, FileAccess::Read]);
            one.write |= used.accesses.has_any(&[FileAccess::OpenedToWrite, FileAccess::Written]);
            one.tally.add(number, "opened", &used.path, used.phase, program_of(&used.first), used.opens);
        }
        for used in run.behaviour.files.names.iter().filter(|used| seen.counts(used.phase)) {
            if used.operation == NameOperation::MakeNode && used.errno.is_none() {
                made.insert(Text::new(places.resolve(used.path.as_bytes())));
            }
        }
    }

    let given = seen.own.iter().filter_map(|run| run.container.settings.as_ref()?.devices.as_ref()).flatten();
    let given: BTreeMap<Text, Text> = given.map(|device| (device.path.clone(), device.host_path.clone())).collect();
    let is_given_known =
        seen.own.iter().all(|run| run.container.settings.as_ref().is_some_and(|settings| settings.devices.is_some()));
    let unused: Vec<UnusedDevice> = given
        .iter()
        .filter(|(path, _)| !uses.contains_key(path))
        .map(|(path, host_path)| UnusedDevice { path: path.clone(), host_path: host_path.clone() })
        .collect();
    let (usual, needed): (Vec<_>, Vec<_>) = uses.into_iter().partition(|(path, _)| is_usual(path.as_bytes()));
    let need = |(path, one): (Text, Use)| DeviceNeed {
        host_path: given.get(&path).cloned(),
        file_type: one.file_type,
        read: one.read,
        write: one.write,
        make: made.contains(&path),
        evidence: one.tally.evidence(),
        path,
    };
    let needed: Vec<DeviceNeed> = needed.into_iter().map(need).collect();
    let usual: Vec<DeviceNeed> = usual.into_iter().map(need).collect();

    let is_privileged = seen.flag("privileged");
    let now = match is_privileged {
        Some(true) => Some(false),
        _ if !is_given_known => None,
        _ => Some(unused.is_empty()),
    };
    let reason = match (needed.len(), unused.len()) {
        (0, 0) => "it opened no device but those that each container has",
        (0, _) => "it opened none of the devices that it was given",
        (_, 0) => "it opened these devices and no others beside those that each container has",
        _ => "it opened these devices; others that it was given it did not open",
    };
    let advice =
        Advice::apply(now, reason, "a program that opens another device finds none (ENOENT) or is refused (EPERM)");
    let advice = seen.judge(&["files"], advice);
    let unused = if advice.verdict == Verdict::Apply { unused } else { Vec::new() };
    DeviceAdvice { advice, needed, usual, unused }
}

fn is_usual(path: &[u8]) -> bool {
    USUAL.contains(&path) || path.starts_with(b"/dev/pts/")
}

/// Engines put `/dev/null` over what they hide.
fn is_hidden(path: &[u8]) -> bool {
    path.starts_with(b"/proc/") || path.starts_with(b"/sys/")
}
