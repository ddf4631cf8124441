//! Files whose readers people ask for: what lies in them lets somebody in somewhere.

/// What a file at this path most likely is, if that is a secret. By name alone: the place may hold something else.
pub fn secret(path: &[u8]) -> Option<&'static str> {
    let Ok(path) = std::str::from_utf8(path) else { return None };
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_in = |folder: &str| path.contains(folder);
    let is_private_key = name.starts_with("id_") && !name.ends_with(".pub");
    Some(match path {
        "/etc/shadow" | "/etc/shadow-" | "/etc/gshadow" | "/etc/gshadow-" => "password hashes",
        _ if is_in("/secrets/kubernetes.io/serviceaccount/") && name == "token" => "Kubernetes service account token",
        _ if path.starts_with("/run/secrets/") || path.starts_with("/var/run/secrets/") => {
            "secret given to the container"
        }
        _ if is_in("/.ssh/") && is_private_key => "SSH private key",
        _ if path.starts_with("/etc/ssh/") && name.ends_with("_key") => "SSH host key",
        _ if is_in("/.aws/") && (name == "credentials" || is_in("/sso/cache/")) => "AWS credentials",
        _ if is_in("/gcloud/") && (name.ends_with("credentials.json") || name == "credentials.db") => {
            "Google Cloud credentials"
        }
        _ if is_in("/.azure/") && name.to_ascii_lowercase().contains("token") => "Azure tokens",
        _ if is_in("/.kube/") && name == "config" => "Kubernetes credentials",
        _ if path.starts_with("/etc/kubernetes/") && name.ends_with(".conf") => "Kubernetes credentials",
        _ if is_in("/.docker/") && name == "config.json" => "registry credentials",
        _ if name == ".netrc" || name == ".git-credentials" || name == ".pgpass" => "passwords",
        _ if name == "docker.sock" || name == "containerd.sock" || name == "crio.sock" => "container engine socket",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::secret;

    #[test]
    fn secrets_are_told_by_their_usual_places() {
        for path in [
            "/etc/shadow",
            "/var/run/secrets/kubernetes.io/serviceaccount/token",
            "/root/.ssh/id_ed25519",
            "/home/a/.aws/credentials",
            "/run/secrets/db",
            "/root/.kube/config",
        ] {
            assert!(secret(path.as_bytes()).is_some(), "{path}");
        }
        for path in ["/etc/passwd", "/root/.ssh/id_rsa.pub", "/root/.ssh/known_hosts", "/data/credentials", "/"] {
            assert_eq!(secret(path.as_bytes()), None, "{path}");
        }
        assert_eq!(secret(b"/etc/\xff"), None);
    }
}
