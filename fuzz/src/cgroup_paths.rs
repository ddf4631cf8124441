//! Which container a cgroup path belongs to.

use containers::path::{Kind, chain, classify, is_valid_id};

/// No kernel makes a longer path; the classification itself cuts at more.
const MAX_BYTES: usize = 16 * 1024;
/// Beyond so many containers in one another the rest of a path says nothing.
const MAX_NESTED: usize = 64;

/// The answer does not depend on how the path is spelt, agrees with the chain of containers, and every identity is plain.
pub fn check(path: &[u8]) {
    let path = &path[..path.len().min(MAX_BYTES)];
    let kind = classify(path);
    let containers = chain(path);

    for respelt in [[path, b"/"].concat(), [b"/", path].concat(), with_doubled_slashes(path)] {
        assert_eq!(classify(&respelt), kind, "{:?}", String::from_utf8_lossy(&respelt));
    }

    let mut before = 0;
    for found in &containers {
        let identity = &found.identity;
        assert!(before < found.length && found.length <= path.len(), "{containers:?}");
        assert_eq!(classify(&path[..found.length]), Kind::Container(identity.clone()));
        assert_ne!(path[found.length - 1], b'/');
        assert!(is_valid_id(&identity.id), "{identity:?}");
        assert!(identity.pod.as_deref().is_none_or(is_plain), "{identity:?}");
        before = found.length;
    }

    match &kind {
        Kind::Container(identity) | Kind::Inside(identity) => {
            assert_eq!(Some(identity), containers.last().map(|found| &found.identity));
        }
        Kind::Ordinary => assert_eq!(containers, []),
        Kind::PodParent { pod } => assert!(pod.as_deref().is_none_or(is_plain), "{pod:?}"),
        Kind::EngineParent(_) | Kind::Monitor => {}
    }
    if let Kind::Container(identity) = kind
        && containers.len() < MAX_NESTED
    {
        let made_by_its_workload = [path, b"/made-by-its-workload"].concat();
        assert_eq!(classify(&made_by_its_workload), Kind::Inside(identity));
    }
}

fn with_doubled_slashes(path: &[u8]) -> Vec<u8> {
    path.iter().flat_map(|&byte| std::iter::repeat_n(byte, if byte == b'/' { 2 } else { 1 })).collect()
}

/// A pod's uid or id: it goes into file names and requests.
fn is_plain(word: &str) -> bool {
    (1..=64).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
