//! The seeds keep every law, and every target has some. What a fuzzer once found is among them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect()
}

#[test]
fn every_target_is_in_the_manifest_and_has_seeds() {
    let in_folder: BTreeSet<String> =
        files(&folder("targets")).iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();

    let manifest = fs::read_to_string(folder("Cargo.toml")).expect("a manifest");
    let listed: BTreeSet<String> = manifest
        .lines()
        .filter_map(|line| Some(line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\"")?.to_owned()))
        .collect();

    assert_eq!(in_folder, listed);
    assert!(in_folder.iter().all(|target| folder("seeds").join(target).is_dir()));
}

/// One test per target, so that what breaks a law of one does not hide another.
macro_rules! every_seed_keeps_the_laws_of {
    ($($target:ident)*) => { $(
        #[test]
        fn $target() {
            check_seeds(stringify!($target), fuzz::$target::check);
        }
    )* };
}

every_seed_keeps_the_laws_of! {
    cgroup_paths conditions dns engine_grpc engine_http engine_json incidents policies proc_files profiles recommendations
    reports ring_records rule_files syscall_tables texts tls
}

fn check_seeds(target: &str, check: fn(&[u8])) {
    let seeds = files(&folder("seeds").join(target));
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for seed in seeds {
        println!("{}", seed.display());
        check(&fs::read(&seed).expect("a seed"));
    }
}

#[test]
fn the_seeds_are_not_all_refused() {
    let read = |path: &str| fs::read(folder("seeds").join(path)).expect("a seed");

    assert!(containers::path::classify(&read("cgroup_paths/docker-systemd")).container().is_some());
    assert!(containers::proc::parse_status(&read("proc_files/docker-status")).is_ok());
    assert!(containers::engine::parse::parse_inspect(&read("engine_json/docker-inspect.json")).is_ok());
    assert!(containers::engine::parse::parse_response(&read("engine_http/podman-inspect.http")).is_ok());
    let message = read("engine_grpc/cri-container.grpc");
    let message = containers::engine::parse::parse_message(&message).expect("a message");
    assert!(containers::engine::parse::parse_container_status(message).is_ok());
    assert!(report::Report::parse(&read("reports/small.json")).is_ok());
    assert!(report::parse_reports(&read("reports/merged.json")).is_ok_and(|reports| reports.len() == 2));
    for name in ["oci.json", "conditions.json", "docker.json"] {
        recommend::Filter::parse(&read(&format!("profiles/{name}"))).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let server = event::Text::from("192.0.2.53");
    assert!(sensors::parse_dns(&read("dns/aliases"), &server).0.is_some_and(|it| it.addresses.len() == 2));
    assert_eq!(sensors::parse_dns(&read("dns/two-over-tcp"), &server).1.len(), 2);
    assert!(
        sensors::parse_tls(&read("tls/openssl"), &server, 443)
            .is_some_and(|(it, is_cut)| !is_cut && !it.server_name.is_empty())
    );
    for name in ["texts", "numbers", "lists", "quoted"] {
        let text = String::from_utf8(read(&format!("conditions/{name}"))).expect("text");
        rules::Condition::parse(&text).unwrap_or_else(|error| panic!("{error}"));
    }
}
