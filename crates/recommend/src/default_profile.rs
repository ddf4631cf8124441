//! Docker's default seccomp profile and capabilities, as data.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use event::{Capability, CapabilitySet};

use crate::table::rows;

/// One condition under which a call is let through.
#[derive(Debug)]
pub(crate) struct ProfileRule {
    /// All of these must be held.
    pub(crate) capabilities: CapabilitySet,
    /// None of these may be.
    pub(crate) without_capabilities: CapabilitySet,
    /// From this kernel on.
    pub(crate) kernel: Option<(u32, u32)>,
    /// As Go names them; one with `!` before it is left out.
    pub(crate) arches: Vec<&'static str>,
    /// What each argument must be.
    pub(crate) arguments: Vec<&'static str>,
}

/// The rules, by call.
static RULES: LazyLock<BTreeMap<&'static str, Vec<ProfileRule>>> = LazyLock::new(|| {
    let mut rules = BTreeMap::<_, Vec<ProfileRule>>::new();
    for [call, with, without, kernel, arches, arguments] in rows(include_str!("../data/default-seccomp.csv")) {
        let rule = ProfileRule {
            capabilities: set(words(with)),
            without_capabilities: set(words(without)),
            kernel: version(kernel),
            arches: words(arches),
            arguments: words(arguments),
        };
        rules.entry(call).or_default().push(rule);
    }
    rules
});

/// The capabilities that docker gives by default: moby, `oci/defaults.go` (`DefaultCapabilities`, commit 0a8650917ad0).
static CAPABILITIES: LazyLock<CapabilitySet> = LazyLock::new(|| {
    set(vec![
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    ])
});

/// Where the profile is in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine<'r> {
    /// As `uname -m` prints it.
    pub(crate) architecture: &'r str,
    /// Its kernel's major and minor version; none if it is not known, and then the newest is taken.
    pub(crate) kernel: Option<(u32, u32)>,
}

/// How a call is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Not at all.
    Closed,
    /// With some arguments: the alternatives, of each all that must hold.
    Some(Vec<Vec<&'static str>>),
    /// With any.
    Open,
}

/// Each rule with its call.
pub(crate) fn rules() -> impl Iterator<Item = (&'static str, &'static ProfileRule)> {
    RULES.iter().flat_map(|(call, rules)| rules.iter().map(|rule| (*call, rule)))
}

/// How the default profile lets a call through to a container with these capabilities.
pub(crate) fn passage(call: &str, held: CapabilitySet, machine: Machine<'_>) -> Passage {
    let mut alternatives = Vec::new();
    for rule in RULES.get(call).into_iter().flatten() {
        let is_held = rule.capabilities.0 & !held.0 == 0 && rule.without_capabilities.0 & held.0 == 0;
        let is_new_enough = rule.kernel.is_none_or(|oldest| machine.kernel.is_none_or(|kernel| kernel >= oldest));
        if !is_held || !is_new_enough || !is_for(&rule.arches, machine.architecture) {
            continue;
        }
        if rule.arguments.is_empty() {
            return Passage::Open;
        }
        alternatives.push(rule.arguments.clone());
    }
    if alternatives.is_empty() { Passage::Closed } else { Passage::Some(alternatives) }
}

/// The capabilities that docker gives by default.
pub(crate) fn capabilities() -> CapabilitySet {
    *CAPABILITIES
}

/// The version at the head of a kernel's release.
pub(crate) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// The profile names architectures as Go does.
fn is_for(arches: &[&str], architecture: &str) -> bool {
    let name = match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let excluded = arches.iter().any(|arch| arch.strip_prefix('!') == Some(name));
    let mut listed = arches.iter().filter(|arch| !arch.starts_with('!')).peekable();
    !excluded && (listed.peek().is_none() || listed.any(|arch| *arch == name || *arch == "any"))
}

fn words(cell: &'static str) -> Vec<&'static str> {
    cell.split(' ').filter(|word| !matches!(*word, "any" | "")).collect()
}

fn set(names: Vec<&str>) -> CapabilitySet {
    let mut set = CapabilitySet::default();
    for name in names {
        set.insert(name.parse::<Capability>().expect("a capability that we know"));
    }
    set
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use event::{Arch, SyscallNames};

    use super::*;

    const MACHINE: Machine<'_> = Machine { architecture: "x86_64", kernel: Some((6, 1)) };

    #[test]
    fn what_docker_lets_through_by_default_depends_on_capabilities() {
        let admin = set(vec!["CAP_SYS_ADMIN"]);

        for call in ["read", "openat", "splice", "ptrace", "arch_prctl", "userfaultfd"] {
            let expected = if call == "userfaultfd" { Passage::Closed } else { Passage::Open };
            assert_eq!(passage(call, capabilities(), MACHINE), expected, "{call}");
        }
        for call in ["mount", "unshare", "clone3", "fsopen", "bpf", "setns"] {
            assert_eq!(passage(call, capabilities(), MACHINE), Passage::Closed, "{call}");
            assert_eq!(passage(call, admin, MACHINE), Passage::Open, "{call}");
        }
        let masked = Passage::Some(vec![vec!["0&2114060288"]]);
        assert_eq!(
            (passage("clone", capabilities(), MACHINE), passage("clone", admin, MACHINE)),
            (masked, Passage::Open)
        );
        assert!(matches!(passage("socket", capabilities(), MACHINE), Passage::Some(families) if families.len() == 3));
        assert_eq!(capabilities().0.count_ones(), 14);
    }

    #[test]
    fn conditions_on_kernel_and_architecture_hold() {
        let old = Machine { kernel: Some((4, 4)), ..MACHINE };
        let arm = Machine { architecture: "aarch64", ..MACHINE };

        assert_eq!(passage("ptrace", capabilities(), old), Passage::Closed);
        assert_eq!(passage("arch_prctl", capabilities(), arm), Passage::Closed);
        assert_eq!(version("5.10.0-8-amd64"), Some((5, 10)));
        assert_eq!((version("x"), version("")), (None, None));
    }

    #[test]
    fn nearly_all_of_its_calls_are_in_our_tables() {
        let names = SyscallNames::builtin();
        let known = |call: &&&str| Arch::ALL.iter().any(|&arch| names.number(arch, call).is_some());

        let unknown: BTreeSet<&str> = RULES.keys().filter(|call| !known(call)).copied().collect();

        // Those of other architectures, and those that are newer than the tables.
        assert!(unknown.len() < 40 && RULES.len() > 350, "{} {unknown:?}", RULES.len());
    }

    /// What moby's own file says of a call, read as its `profiles/seccomp` does: each rule whose conditions hold adds its action.
    fn by_the_file(profile: &serde_json::Value, call: &str, held: CapabilitySet) -> &'static str {
        let list = |rule: &serde_json::Value, side: &str, what: &str| -> Vec<String> {
            let values = rule[side][what].as_array().cloned().unwrap_or_default();
            values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let holds = |name: &String| held.contains(name.parse().expect("a capability"));
        let mut answer = "closed";
        for rule in profile["syscalls"].as_array().expect("rules") {
            let names = rule["names"].as_array().expect("names");
            let is_held =
                list(rule, "includes", "caps").iter().all(holds) && !list(rule, "excludes", "caps").iter().any(holds);
            let arches = list(rule, "includes", "arches");
            let is_here = (arches.is_empty() || arches.contains(&"amd64".to_owned()))
                && !list(rule, "excludes", "arches").contains(&"amd64".to_owned());
            if !names.iter().any(|name| name == call) || !is_held || !is_here || rule["action"] != "SCMP_ACT_ALLOW" {
                continue;
            }
            let has_arguments = rule["args"].as_array().is_some_and(|arguments| !arguments.is_empty());
            answer = if has_arguments && answer != "open" { "some" } else { "open" };
        }
        answer
    }

    #[test]
    fn the_table_says_what_mobys_own_file_says() {
        let Some(folder) = std::env::var_os("RINGFENCE_TEST_DATA") else {
            println!("skipped: RINGFENCE_TEST_DATA is not set");
            return;
        };
        let path = std::path::Path::new(&folder).join("moby/default-seccomp.json");
        let text = std::fs::read(&path).expect("moby's file");
        let profile: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let mut calls: BTreeSet<String> = RULES.keys().map(|call| (*call).to_owned()).collect();
        calls.extend(SyscallNames::builtin().all(Arch::X86_64).map(|(_, name)| name.to_owned()));

        let sets = (0..=Capability::LAST_NAMED.number()).map(|number| CapabilitySet(1 << number));
        for held in sets.chain([CapabilitySet::default(), capabilities(), CapabilitySet(u64::MAX)]) {
            for call in &calls {
                let ours = match passage(call, held, MACHINE) {
                    Passage::Closed => "closed",
                    Passage::Some(_) => "some",
                    Passage::Open => "open",
                };
                assert_eq!(ours, by_the_file(&profile, call, held), "{call} with {held:?}");
            }
        }
    }
}
