//! What an engine can deny by itself, without guards, at a container's next start: capabilities that it does not get, and Docker's
//! default seccomp profile without some calls.
//!
//! A filter sees a call's number and its arguments as numbers: no path, no address, no port. What needs those is not here.

use std::collections::BTreeSet;

use event::{Capability, CapabilitySet};
use serde_json::{Map, Value, json};

use crate::default_profile::{ProfileRule, rules};
use crate::targets::quoting::shell;

/// What may not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtStart {
    /// Nobody may use these.
    pub capabilities: CapabilitySet,
    /// Nobody may change mounts.
    pub mount: bool,
    /// Nobody may trace another process.
    pub ptrace: bool,
    /// Nobody may load a module.
    pub module: bool,
    /// Nobody may connect, wherever to.
    pub connect: bool,
    /// Nobody may listen, on whatever port.
    pub listen: bool,
}

const MOUNT: [&str; 12] = [
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "pivot_root",
    "umount",
    "umount2",
];
const PTRACE: [&str; 4] = ["pidfd_getfd", "process_vm_readv", "process_vm_writev", "ptrace"];
const MODULE: [&str; 3] = ["finit_module", "init_module", "delete_module"];
/// On 32-bit machines one call does all of sockets; rings do them without a call.
const SOCKETS: [&str; 4] = ["io_uring_enter", "io_uring_register", "io_uring_setup", "socketcall"];

impl AtStart {
    /// The calls that the profile does not let through.
    pub fn calls(&self) -> BTreeSet<&'static str> {
        let mut calls = BTreeSet::new();
        for (is_denied, of) in [
            (self.mount, &MOUNT[..]),
            (self.ptrace, &PTRACE),
            (self.module, &MODULE),
            (self.connect, &["connect"]),
            (self.listen, &["listen"]),
            (self.connect || self.listen, &SOCKETS),
        ] {
            calls.extend(of.iter().filter(|_| is_denied).copied());
        }
        calls
    }

    /// Capabilities that the container does not get: those that are denied, and those that a denied deed needs.
    pub fn dropped(&self) -> BTreeSet<Capability> {
        let mut dropped: BTreeSet<Capability> = self.capabilities.iter().collect();
        let named = [(self.ptrace, "CAP_SYS_PTRACE"), (self.module, "CAP_SYS_MODULE")];
        dropped.extend(
            named.iter().filter(|(is_denied, _)| *is_denied).filter_map(|(_, name)| name.parse::<Capability>().ok()),
        );
        dropped
    }

    /// Docker's default profile without these calls, as `--security-opt seccomp=FILE` takes it.
    pub fn profile(&self) -> String {
        let denied = self.calls();
        let mut allowed: Vec<Value> = vec![json!({
            // Who gets this goes on with clone, whose flags a filter sees.
            "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}
        })];
        for (call, rule) in rules().filter(|(call, _)| !denied.contains(call)) {
            let mut written = written(call, rule);
            // A datagram that names whom it goes to needs no connection. A filter sees whether there is an address.
            if self.connect && call == "sendto" {
                written["args"] = json!([{"index": 4, "value": 0, "op": "SCMP_CMP_EQ"}]);
            }
            allowed.push(written);
        }
        report::json(&json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            ],
            "syscalls": allowed,
        }))
    }

    /// The flags of `docker run` and `podman run`, as words of a shell. `profile` is the file that [`AtStart::profile`] was written
    /// to; none if it is not needed.
    pub fn flags(&self, profile: Option<&str>) -> String {
        let dropped = self.dropped();
        let mut flags: Vec<String> = dropped.iter().map(|capability| format!("--cap-drop={capability}")).collect();
        flags.extend(profile.map(|path| shell(&format!("--security-opt=seccomp={path}"))));
        flags.join(" ")
    }

    /// What is denied beside what was asked for, in a sentence.
    pub fn excess(&self) -> Option<&'static str> {
        (self.connect || self.listen).then_some(
            "the same calls of unix sockets, which a filter cannot tell apart, and all sockets of 32-bit programs that use socketcall",
        )
    }

    /// What is not covered of what was asked for, in sentences.
    pub fn gaps(&self) -> Vec<&'static str> {
        let all = [
            (
                self.ptrace,
                "/proc/PID/mem, which is opened as a file: who may do so is decided by user ids and capabilities alone",
            ),
            (self.module, "modules that the kernel loads by itself, as for a socket of a rare family"),
            (self.connect, "datagrams by sendmsg and sendmmsg, whose address a filter cannot see"),
            (self.connect, "sockets that the container is given already connected"),
            (self.listen, "datagrams that come to a bound socket: no call listens for them"),
        ];
        all.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, gap)| gap).collect()
    }
}

/// A rule as moby writes it.
fn written(call: &str, rule: &ProfileRule) -> Value {
    let mut written = json!({"names": [call], "action": "SCMP_ACT_ALLOW"});
    let mut includes = Map::new();
    let mut excludes = Map::new();
    let names = |set: CapabilitySet| set.iter().map(|capability| capability.to_string()).collect::<Vec<_>>();
    let (excluded, included): (Vec<&str>, Vec<&str>) = rule.arches.iter().partition(|arch| arch.starts_with('!'));
    let excluded: Vec<&str> = excluded.iter().map(|arch| arch.trim_start_matches('!')).collect();
    for (side, key, values) in
        [(&mut includes, "caps", names(rule.capabilities)), (&mut excludes, "caps", names(rule.without_capabilities))]
    {
        if !values.is_empty() {
            side.insert(key.to_owned(), json!(values));
        }
    }
    for (side, values) in [(&mut includes, included), (&mut excludes, excluded)] {
        if !values.is_empty() {
            side.insert("arches".to_owned(), json!(values));
        }
    }
    if let Some((major, minor)) = rule.kernel {
        includes.insert("minKernel".to_owned(), json!(format!("{major}.{minor}")));
    }
    let arguments: Vec<Value> = rule.arguments.iter().filter_map(|text| argument(text)).collect();
    for (key, value) in [("includes", json!(includes)), ("excludes", json!(excludes)), ("args", json!(arguments))] {
        let is_empty = value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            written[key] = value;
        }
    }
    written
}

/// `0&2114060288`: none of these bits may be in the argument.
fn argument(text: &str) -> Option<Value> {
    let comparisons = [("==", "SCMP_CMP_EQ"), ("<", "SCMP_CMP_LT"), (">", "SCMP_CMP_GT"), ("&", "SCMP_CMP_MASKED_EQ")];
    comparisons.into_iter().find_map(|(sign, op)| {
        let (index, value) = text.split_once(sign)?;
        let (index, value): (u32, u64) = (index.parse().ok()?, value.parse().ok()?);
        Some(json!({"index": index, "value": value, "op": op}))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(of: AtStart) -> Value {
        serde_json::from_str(&of.profile()).expect("JSON")
    }

    fn rules_of<'p>(profile: &'p Value, call: &str) -> Vec<&'p Value> {
        let rules = profile["syscalls"].as_array().expect("rules").iter();
        rules.filter(|rule| rule["names"][0] == call).collect()
    }

    #[test]
    fn what_is_denied_is_missing_and_the_rest_is_dockers_default() {
        let whole = profile(AtStart::default());
        let less = profile(AtStart { ptrace: true, ..AtStart::default() });

        for call in PTRACE {
            assert!(!rules_of(&whole, call).is_empty() && rules_of(&less, call).is_empty(), "{call}");
        }
        let count = |profile: &Value| profile["syscalls"].as_array().map_or(0, Vec::len);
        assert_eq!(count(&whole), rules().count() + 1);
        assert_eq!(count(&whole) - count(&less), rules().filter(|(call, _)| PTRACE.contains(call)).count());
        let clone = rules_of(&whole, "clone");
        assert_eq!(clone.len(), 3);
        assert!(
            clone.iter().any(|rule| rule["args"]
                == json!([{"index": 0, "value": 2_114_060_288_u64, "op": "SCMP_CMP_MASKED_EQ"}])
                && rule["excludes"] == json!({"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}))
        );
        assert_eq!(rules_of(&whole, "clone3")[0]["errnoRet"], 38);
    }

    #[test]
    fn every_condition_of_the_table_is_written() {
        for (call, rule) in rules() {
            let written = written(call, rule);
            assert_eq!(written["args"].as_array().map_or(0, Vec::len), rule.arguments.len(), "{call}");
        }
    }

    #[test]
    fn a_datagram_with_an_address_is_a_connection() {
        let found = profile(AtStart { connect: true, ..AtStart::default() });

        assert!(rules_of(&found, "connect").is_empty() && rules_of(&found, "socketcall").is_empty());
        assert_eq!(rules_of(&found, "sendto")[0]["args"], json!([{"index": 4, "value": 0, "op": "SCMP_CMP_EQ"}]));
        assert!(!rules_of(&found, "listen").is_empty());
    }

    #[test]
    fn a_capability_is_a_flag_and_needs_no_profile() {
        let of =
            AtStart { capabilities: ["CAP_NET_RAW".parse().expect("one")].into_iter().collect(), ..AtStart::default() };

        assert!(of.calls().is_empty() && of.gaps().is_empty());
        assert_eq!(of.flags(None), "--cap-drop=CAP_NET_RAW");
        assert_eq!(AtStart::default().flags(Some("/a b")), "'--security-opt=seccomp=/a b'");
    }
}
