//! Files of policies: JSON, or YAML by the end of their names.

use std::path::Path;

use ::enforce::{EnforceError, Policy, PolicyError};
use anyhow::Context as _;
use event::Text;

/// No longer file is read, in bytes: a policy is kept with the guards, where there is room for less.
const MAX_BYTES: u64 = 1 << 20;

/// Whether the name of a file says that it is a policy.
pub(crate) fn is_named_so(path: &Path) -> bool {
    is_yaml(path) || path.extension().is_some_and(|end| end == "json")
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

/// Reads a policy, checked; one that is none is an [`EnforceError::Policy`].
pub(crate) fn read(path: &Path) -> anyhow::Result<Policy> {
    let shown = Text::from(path.to_string_lossy().as_ref()).shown().into_owned();
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?.len();
    anyhow::ensure!(size <= MAX_BYTES, "{shown} is larger than {MAX_BYTES} bytes: no policy is");
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let policy = if is_yaml(path) { of_yaml(&shown, &bytes) } else { Policy::parse(&bytes) };
    policy.map_err(EnforceError::Policy).with_context(|| shown)
}

/// Reads a policy from YAML, checked.
pub(crate) fn of_yaml(name: &str, bytes: &[u8]) -> Result<Policy, PolicyError> {
    let text = std::str::from_utf8(bytes).map_err(|error| PolicyError::Json(error.to_string()))?;
    let value = rules::yaml_to_json(name, text).map_err(|problem| PolicyError::Json(problem.to_string()))?;
    Policy::from_value(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, text: &str) -> anyhow::Result<Policy> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        read(&path)
    }

    #[test]
    fn a_policy_in_yaml_is_the_same_as_in_json() {
        let yaml = "schema_version: 1\n# who\ncontainers:\n- image: nginx:*\n- label: tier=web\nexec: [sh, /usr/bin/curl]\naudit: true\n";
        let json = r#"{"schema_version":1,"containers":[{"image":"nginx:*"},{"label":"tier=web"}],"exec":["sh","/usr/bin/curl"],"audit":true}"#;

        let read = written("a.yaml", yaml).expect("a policy");
        assert_eq!(read, written("a.json", json).expect("a policy"));
        assert_eq!(read, written("a.yml", yaml).expect("a policy"));
        assert!(written("a.json", yaml).is_err());
    }

    #[test]
    fn the_same_is_wrong_in_yaml_as_in_json_and_is_a_refusal() {
        for wrong in [
            "schema_version: 1\ncontainers: []\nexec: [sh]\n",
            "schema_version: 2\ncontainers: [{container: web}]\nexec: [sh]\n",
            "schema_version: 1\ncontainers: [{container: web}]\nexec: [sh]\nfile: [a]\n",
            "schema_version: 1\ncontainers: [{container: web}]\nexec: [sh]\nexec: [sh]\n",
            "schema_version: 1\ncontainers: [{container: system.slice}]\nexec: [sh]\n",
            "schema_version: 1\ncontainers: [{container: 12}]\nexec: [sh]\n",
            "- a\n",
            "",
            "a: \0",
        ] {
            let error = written("a.yaml", wrong).expect_err(wrong);
            assert!(error.downcast_ref::<EnforceError>().is_some_and(EnforceError::is_refusal), "{wrong}: {error:#}");
        }
    }
}
