//! A profile for AppArmor: apparmor.d(5). What it does not allow is denied.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use event::PrivilegedOperation as Operation;

use super::settings::Settings;
use super::{Output, quoting};
use crate::Recommendation;
use crate::access_control::{AccessControl, FileNeed};
use crate::names::{Part, TEMPORARY, parts};

/// What a runtime hands over at the start, whatever the workload does.
const HANDED_OVER: [(&str, &str); 3] = [("/dev/console", "rw"), ("/dev/null", "rw"), ("/dev/pts/[0-9]*", "rw")];

/// The profile.
pub(super) fn profile(recommendation: &Recommendation, settings: &Settings) -> Output {
    let used = &recommendation.access_control;
    let name = format!("ringfence-{}", settings.name);
    let mut text = String::new();
    let mut line = |rule: String| {
        let _ = writeln!(text, "{rule}");
    };
    line(quoting::comment(
        "Load it: apparmor_parser -r FILE. To see first what it would deny: apparmor_parser -r -C FILE.",
    ));
    line(format!("profile {name} flags=(attach_disconnected,mediate_deleted) {{"));
    for capability in &settings.capabilities {
        let capability = capability.name().trim_start_matches("CAP_").to_ascii_lowercase();
        if capability.starts_with(|c: char| c.is_ascii_digit()) {
            line(format!("  {}", quoting::comment(&format!("capability {capability} has no name"))));
        } else {
            line(format!("  capability {capability},"));
        }
    }
    for rule in sockets(used) {
        line(format!("  {rule}"));
    }
    line(format!("  signal (send, receive) peer={name},"));
    line("  signal (receive) peer=unconfined,".to_owned());
    if used.did(&[
        Operation::Kill,
        Operation::Tkill,
        Operation::Tgkill,
        Operation::RtSigqueueinfo,
        Operation::RtTgsigqueueinfo,
        Operation::PidfdSendSignal,
    ]) {
        line("  signal (send),".to_owned());
    }
    line(format!("  ptrace (read, readby) peer={name},"));
    if used.did(&[
        Operation::Ptrace,
        Operation::ProcessVmReadv,
        Operation::ProcessVmWritev,
        Operation::PidfdGetfd,
        Operation::Kcmp,
    ]) {
        line(format!("  ptrace (trace, tracedby) peer={name},"));
    }
    for rule in mounts(used) {
        line(format!("  {rule}"));
    }
    for rule in files(used) {
        line(format!("  {rule}"));
    }
    line("}".to_owned());
    Output::of(text)
}

fn sockets(used: &AccessControl) -> BTreeSet<String> {
    let mut rules = BTreeSet::new();
    for one in &used.sockets {
        let (family, kind) = (one.family.name(), one.socket_type.name());
        let is_named = |name: &str| !name.starts_with(|c: char| c.is_ascii_digit());
        let kind = if kind == "datagram" { "dgram".into() } else { kind };
        rules.insert(match (family.as_ref(), is_named(&family)) {
            ("unix", _) => "unix,".to_owned(),
            ("unspecified", _) => continue,
            (_, true) if ["stream", "dgram", "raw", "rdm", "seqpacket", "packet"].contains(&kind.as_ref()) => {
                format!("network {family} {kind},")
            }
            (_, true) => format!("network {family},"),
            (_, false) => quoting::comment(&format!("network {family}: the family has no name")),
        });
    }
    rules
}

/// Mounts, without their options: those are in the filter's hands.
fn mounts(used: &AccessControl) -> BTreeSet<String> {
    let quoted = |text: &event::Text| path_of(text).map(|path| format!("\"{}\"", quoting::apparmor(path)));
    let mut rules = BTreeSet::new();
    for one in &used.operations {
        match one.operation {
            Operation::Mount => {
                let target = quoted(&one.object);
                let mut rule = "mount".to_owned();
                if let Some(source) = quoted(&one.source) {
                    let _ = write!(rule, " {source}");
                }
                if let Some(target) = target {
                    let _ = write!(rule, " -> {target}");
                }
                rules.insert(rule + ",");
            }
            Operation::Fsmount | Operation::MoveMount | Operation::OpenTree | Operation::MountSetattr => {
                rules.insert("mount,".to_owned());
            }
            Operation::Umount | Operation::Umount2 => {
                let target = quoted(&one.object).map(|target| format!(" {target}")).unwrap_or_default();
                rules.insert(format!("umount{target},"));
            }
            Operation::PivotRoot => {
                rules.insert("pivot_root,".to_owned());
            }
            _ => {}
        }
    }
    rules
}

fn files(used: &AccessControl) -> Vec<String> {
    let mut rules = BTreeMap::<String, BTreeSet<char>>::new();
    let mut unsaid = BTreeSet::new();
    for (path, letters) in HANDED_OVER {
        rules.entry(path.to_owned()).or_default().extend(letters.chars());
    }
    for file in &used.files {
        let Some(path) = path_of(&file.path) else {
            unsaid.insert(quoting::comment(&format!("{} cannot be written here: it is denied", file.path.shown())));
            continue;
        };
        rules.entry(pattern(path, file)).or_default().extend(letters(file));
    }
    for link in &used.links {
        let (Some(path), Some(target)) = (path_of(&link.path), path_of(&link.target)) else {
            unsaid.insert(quoting::comment(&format!(
                "the link {} cannot be written here: it is denied",
                link.path.shown()
            )));
            continue;
        };
        unsaid.insert(format!("link \"{}\" -> \"{}\",", name_pattern(path), name_pattern(target)));
    }
    let rule = |(path, letters): (String, BTreeSet<char>)| {
        // `ix` stands for running it under the same profile.
        let order = "mrwkx".chars().filter(|letter| letters.contains(letter));
        let letters: String =
            order.map(|letter| if letter == 'x' { "ix".to_owned() } else { letter.to_string() }).collect();
        format!("\"{path}\" {letters},")
    };
    let rules = rules.into_iter().filter(|(_, letters)| !letters.is_empty()).map(rule);
    rules.chain(unsaid).collect()
}

/// The path, if it can be written between quotes: how a quote or a backslash is escaped there differs between parsers.
fn path_of(path: &event::Text) -> Option<&str> {
    quoting::writable(path).filter(|path| !path.contains(['"', '\\']))
}

fn letters(file: &FileNeed) -> Vec<char> {
    let mut letters = Vec::new();
    if file.read {
        letters.push('r');
    }
    if file.write || file.named {
        // Locks are not recorded: who writes a file may lock it.
        letters.extend(['w', 'k']);
    }
    if file.map {
        letters.extend(['m', 'r']);
    }
    if file.execute {
        letters.extend(['m', 'r', 'x']);
    }
    letters
}

/// The path, or a pattern where parts of it are of chance.
fn pattern(path: &str, file: &FileNeed) -> String {
    let pattern = if file.named { name_pattern(path) } else { process_pattern(path) };
    if file.any_below {
        return format!("{}/*", pattern.trim_end_matches('/'));
    }
    match (file.directory, file.named) {
        _ if pattern == "/" || pattern.ends_with("/**") => pattern,
        // What is made or removed is a directory or none: the slash tells them apart.
        (_, true) => format!("{pattern}{{,/}}"),
        (true, false) => format!("{pattern}/"),
        (false, false) => pattern,
    }
}

/// Processes and terminals have other numbers the next time.
fn process_pattern(path: &str) -> String {
    let is_counted = path.starts_with("/proc/") || path.starts_with("/dev/pts/");
    let parts = path.split('/').map(|part| {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_counted && is_number { "[0-9]*".to_owned() } else { quoting::apparmor(part) }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The name of a file that the workload makes: what is of chance in it is left open.
fn name_pattern(path: &str) -> String {
    if let Some(folder) = TEMPORARY.iter().find(|folder| path.starts_with(**folder)) {
        return format!("{folder}**");
    }
    let Some((folder, name)) = path.rsplit_once('/') else { return quoting::apparmor(path) };
    let mut pattern = process_pattern(folder) + "/";
    for part in parts(name) {
        match part {
            Part::Fixed(text) => pattern.push_str(&quoting::apparmor(text)),
            Part::Number(_) => pattern.push_str("[0-9]*"),
            Part::Chance => pattern.push('*'),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_chance_in_a_name_is_left_open_and_nothing_else() {
        for (path, expected) in [
            ("/data/base/5/pg_internal.init.19", "/data/base/5/pg_internal.init.[0-9]*"),
            ("/tmp/tmpab12cd/x", "/tmp/**"),
            ("/var/lib/x/conf-aB3dE9.tmp", "/var/lib/x/conf-*.tmp"),
            ("/run/nginx.pid", "/run/nginx.pid"),
            ("/srv/a*b", "/srv/a\\*b"),
        ] {
            assert_eq!(name_pattern(path), expected, "{path}");
        }
        assert_eq!(process_pattern("/proc/12/task/13/comm"), "/proc/[0-9]*/task/[0-9]*/comm");
        assert_eq!(process_pattern("/srv/12"), "/srv/12");
    }
}
