//! `ringfence enforce --levels`: containers choose by a label what is denied in them.

use ::enforce::{EnforceError, LabelValues, Policy};
use anyhow::Context as _;
use clap::Args;

use crate::policy_file;

/// The label by which a container names its level.
pub(super) const LABEL: &str = "ringfence.level";
/// The level that denies nothing, and so has no policy.
const PRIVILEGED: &str = "privileged";

/// The other levels, each with its policy.
pub(super) const LEVELS: [(&str, &str); 2] = [
    ("baseline", include_str!("../../../../policies/levels/baseline.yaml")),
    ("restricted", include_str!("../../../../policies/levels/restricted.yaml")),
];

/// How containers are held to levels.
#[derive(Args)]
pub(crate) struct LevelsArgs {
    /// Hold containers to the level that their label `ringfence.level` names: privileged (nothing is denied), baseline or restricted;
    /// --print shows their policies. A level that is none of these is an error that names the container.
    #[arg(long, conflicts_with_all = ["baseline", "container", "image", "label"])]
    pub(super) levels: bool,
}

/// The policies of the levels, each with the name of its file.
pub(super) fn policies(audit: bool) -> anyhow::Result<Vec<(String, Policy)>> {
    let read = |(name, text): (&str, &str)| {
        let file = format!("level {name}");
        let policy = policy_file::of_yaml(&file, text.as_bytes()).map_err(EnforceError::Policy);
        let policy = policy.with_context(|| file.clone())?;
        Ok((file, Policy { audit: audit || policy.audit, ..policy }))
    };
    LEVELS.into_iter().map(read).collect()
}

/// What may stand in the label.
pub(super) fn label() -> LabelValues {
    let values = std::iter::once(PRIVILEGED).chain(LEVELS.iter().map(|(name, _)| *name)).map(str::to_owned).collect();
    LabelValues { key: LABEL.to_owned(), values }
}

/// The files, as one could be copied.
pub(super) fn printed(audit: bool) -> String {
    let privileged = format!("# The level {PRIVILEGED} has no policy: nothing is denied.\n");
    let end = if audit { "audit: true\n" } else { "" };
    LEVELS.iter().fold(privileged, |all, (name, text)| format!("{all}---\n# {name}.yaml\n{text}{end}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ::enforce::{Deed, Target};
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_level_is_a_policy_for_the_containers_that_name_it() {
        let policies = policies(false).expect("they are policies");
        for ((name, _), (file, policy)) in LEVELS.into_iter().zip(&policies) {
            policy.check().expect(file);
            assert_eq!(policy.containers, [Target::Label(LABEL.into(), name.into())], "{file}");
            assert!(!policy.audit && label().values.iter().any(|value| value == name), "{file}");
            for deed in [Deed::File, Deed::Capability, Deed::Mount, Deed::Ptrace, Deed::Module] {
                assert!(policy.deeds().contains(&deed), "{file}: {deed:?}");
            }
        }
        assert_eq!(label().values, ["privileged", "baseline", "restricted"]);
    }

    #[test]
    fn an_audit_is_one_of_all_levels() {
        assert!(policies(true).expect("they are policies").iter().all(|(_, policy)| policy.audit));
    }

    /// All that is denied: each as the field and what stands in it.
    fn denied(policy: &Policy) -> BTreeSet<(String, String)> {
        let Ok(Value::Object(fields)) = serde_json::to_value(policy) else { panic!("a policy is an object") };
        let rules = fields.into_iter().filter(|(field, _)| !matches!(field.as_str(), "name" | "containers"));
        let each = |(field, value): (String, Value)| match value {
            Value::Array(all) => all.into_iter().map(|one| (field.clone(), one.to_string())).collect::<Vec<_>>(),
            one => vec![(field, one.to_string())],
        };
        rules.flat_map(each).collect()
    }

    #[test]
    fn restricted_denies_all_that_baseline_does_and_more() {
        let [(_, baseline), (_, restricted)] = &policies(false).expect("they are policies")[..] else { panic!("two") };
        let (baseline, restricted) = (denied(baseline), denied(restricted));

        assert_eq!(baseline.difference(&restricted).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
        assert!(restricted.contains(&("image_binaries_only".into(), "true".into())));
    }

    #[test]
    fn a_service_that_starts_as_root_can_give_that_up_at_each_level() {
        let needed =
            ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID"];
        for (file, policy) in policies(false).expect("they are policies") {
            let denied: Vec<String> = policy.capability.iter().map(ToString::to_string).collect();
            assert!(!needed.iter().any(|name| denied.contains(&format!("CAP_{name}"))), "{file}: {denied:?}");
        }
    }

    #[test]
    fn what_is_printed_is_what_lies_in_the_folder() {
        for audit in [false, true] {
            let printed = printed(audit);
            for (name, text) in LEVELS {
                let document = printed.split("---\n").find(|part| part.contains(&format!("# {name}.yaml\n")));
                let read = policy_file::of_yaml(name, document.expect(name).as_bytes()).expect(name);
                let lies_there = policy_file::of_yaml(name, text.as_bytes()).expect(name);
                assert_eq!(read, Policy { audit, ..lies_there });
            }
        }
    }
}
