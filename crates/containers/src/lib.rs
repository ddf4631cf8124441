//! What user space can know about containers beside the kernel: names, paths and engines.
//!
//! The kernel says *that* something is a container; this crate says *which*. It reads `/proc` and the cgroup file
//! systems, and asks the container engines through their unix sockets. It loads nothing into the kernel and watches
//! nothing. Every parser is a pure function over bytes, so it can be fuzzed; every reader takes the root of the tree it
//! reads, has a limit for its size, and never trusts what it reads.
//!
//! - [`path`]: which container a cgroup path belongs to, by name alone;
//! - [`proc`]: what `/proc` says of a process;
//! - [`cgroupfs`]: the cgroup hierarchies of this host, their cgroups, and cgroups of our own;
//! - [`engine`]: names, images, labels and security settings, from the engines;
//! - [`list`]: what runs now;
//! - [`image`]: the files of an image, by its layers;
//! - [`accounts`]: what a container calls its users, groups and addresses.

pub mod accounts;
pub mod cgroupfs;
pub mod engine;
pub mod image;
pub mod list;
pub mod path;
pub mod proc;

/// Whether the text matches a pattern in which `*` stands for anything.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches_pattern;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("nginx", "nginx", true),
            ("nginx", "nginx:1", false),
            ("nginx:*", "nginx:1.25", true),
            ("*/nginx:*", "registry/nginx:1", true),
            ("*", "", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
        }
    }
}
