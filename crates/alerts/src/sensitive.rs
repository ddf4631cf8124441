//! Files with secrets, and through which others are reached, by their paths.

/// What sort of secret a path has; none if it is an ordinary file.
pub(crate) fn secret_file(path: &[u8]) -> Option<&'static str> {
    let ends = |end: &[u8]| path.ends_with(end);
    let below = |directory: &[u8]| path.starts_with(directory);
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if matches!(path, b"/etc/shadow" | b"/etc/gshadow" | b"/etc/shadow-" | b"/etc/gshadow-" | b"/etc/sudoers")
        || below(b"/etc/sudoers.d/")
        || below(b"/etc/pam.d/")
    {
        return Some("passwords and who may become whom");
    }
    let is_key = name.starts_with(b"id_") || name == b"authorized_keys" || name == b"authorized_keys2";
    if (is_key && path.windows(6).any(|part| part == b"/.ssh/")) || (below(b"/etc/ssh/") && name.ends_with(b"_key")) {
        return Some("ssh keys");
    }
    if ends(b"/.aws/credentials")
        || ends(b"/.kube/config")
        || ends(b"/.docker/config.json")
        || ends(b"/.netrc")
        || ends(b"/.git-credentials")
        || ends(b"/.pgpass")
        || below(b"/run/secrets/")
        || below(b"/var/run/secrets/")
    {
        return Some("credentials");
    }
    if matches!(name, b"docker.sock" | b"containerd.sock" | b"podman.sock" | b"crio.sock") {
        return Some("socket of a container engine");
    }
    if path == b"/proc/kcore" {
        return Some("memory of the machine");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::secret_file;

    #[test]
    fn secrets_are_told_from_ordinary_files() {
        for path in [
            "/etc/shadow",
            "/root/.ssh/id_ed25519",
            "/home/a/.ssh/authorized_keys",
            "/etc/ssh/ssh_host_rsa_key",
            "/run/secrets/db",
            "/root/.aws/credentials",
            "/var/run/docker.sock",
            "/proc/kcore",
        ] {
            assert!(secret_file(path.as_bytes()).is_some(), "{path}");
        }
        for path in ["/etc/passwd", "/etc/ssh/ssh_host_rsa_key.pub", "/srv/id_list", "/etc/hosts", "", "/"] {
            assert_eq!(secret_file(path.as_bytes()), None, "{path}");
        }
    }
}
