//! What `docker run` and `podman run` take.

use event::Capability;

use crate::Recommendation;

/// The arguments for `docker run` (and `podman run`), in pairs of an option and its value; the profile is in this file.
pub fn docker_flags(recommendation: &Recommendation, profile: &str) -> Vec<String> {
    let mut flags = vec!["--security-opt".to_owned(), format!("seccomp={profile}")];
    if recommendation.no_new_privileges {
        flags.extend(["--security-opt".to_owned(), "no-new-privileges".to_owned()]);
    }
    flags.extend(["--cap-drop".to_owned(), "ALL".to_owned()]);
    for need in &recommendation.capabilities.add {
        flags.extend(["--cap-add".to_owned(), short_name(need.capability)]);
    }
    flags
}

/// The name without `CAP_`, as every version of docker takes it.
fn short_name(capability: Capability) -> String {
    let name = capability.name();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}
