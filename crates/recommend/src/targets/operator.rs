//! A `SeccompProfile` of the security-profiles-operator, which puts profiles on the nodes of a cluster.

use super::Output;
use super::settings::Settings;
use super::yaml::{Entry, Yaml, pair, texts};
use crate::Profile;

/// The resource.
pub(super) fn profile(settings: &Settings, profile: &Profile) -> Output {
    let rules = profile.syscalls.iter().map(|rule| yaml(serde_json::to_value(rule).unwrap_or_default()));
    let mut document = vec![Entry::Comment(format!(
        "Refer to it in pods by seccompProfile: type: Localhost, localhostProfile: operator/{}.json (see its status)",
        settings.name
    ))];
    if profile.default_errno_ret.is_some() {
        document.push(Entry::Comment(
            "The resource has no errno for the default: calls that nobody has a name for yet get EPERM".to_owned(),
        ));
    }
    document.extend([
        pair("apiVersion", "security-profiles-operator.x-k8s.io/v1beta1"),
        pair("kind", "SeccompProfile"),
        pair("metadata", vec![pair("name", settings.name.as_str())]),
        pair(
            "spec",
            vec![
                pair("defaultAction", profile.default_action.as_str()),
                pair("architectures", texts(profile.architectures.iter().map(String::as_str))),
                pair("syscalls", Yaml::List(rules.collect())),
            ],
        ),
    ]);
    Output::of(Yaml::document(document))
}

/// A rule has in the resource what it has in a profile.
fn yaml(value: serde_json::Value) -> Yaml {
    match value {
        serde_json::Value::Null => Yaml::Map(Vec::new()),
        serde_json::Value::Bool(is) => Yaml::Bool(is),
        serde_json::Value::Number(number) => number.as_u64().map_or_else(|| number.to_string().into(), Yaml::Number),
        serde_json::Value::String(text) => Yaml::Text(text),
        serde_json::Value::Array(items) => Yaml::List(items.into_iter().map(yaml).collect()),
        serde_json::Value::Object(fields) => {
            Yaml::Map(fields.into_iter().map(|(key, value)| Entry::Pair(key, yaml(value))).collect())
        }
    }
}
