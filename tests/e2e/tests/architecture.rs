//! The invariants of `docs/architecture.md` that can be read off the tree. They need no root and no program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::finish;
use serde_json::Value;

/// What each crate may use of the others. A new crate is entered here.
const DIRECTION: [(&str, &[&str]); 15] = [
    ("event", &[]),
    ("behaviour", &["event"]),
    ("containers", &["event"]),
    ("enforce", &["containers", "event", "sensors"]),
    ("forensics", &["behaviour", "containers", "event", "report", "rules", "store"]),
    ("prove", &["agent", "behaviour", "containers", "event", "recommend", "report"]),
    ("recommend", &["behaviour", "event", "report"]),
    ("report", &["behaviour", "event"]),
    ("rules", &["event"]),
    ("sensors", &["event"]),
    ("alerts", &["behaviour", "event", "report", "rules"]),
    ("sinks", &["alerts", "event", "report"]),
    ("store", &["event", "report"]),
    ("agent", &["behaviour", "containers", "event", "report", "rules", "sensors", "store"]),
    (
        "ringfence",
        &[
            "agent",
            "alerts",
            "behaviour",
            "containers",
            "enforce",
            "event",
            "forensics",
            "prove",
            "recommend",
            "report",
            "rules",
            "sensors",
            "sinks",
            "store",
        ],
    ),
];

/// The crates of which the same input gives the same output.
const PURE: [&str; 6] = ["alerts", "event", "behaviour", "recommend", "report", "rules"];
/// What they may use of others: nothing here opens, asks or waits for anything.
const PURE_DEPENDENCIES: [&str; 13] = [
    "aho-corasick",
    "csv",
    "memchr",
    "regex",
    "rustc-hash",
    "saphyr-parser",
    "schemars",
    "serde",
    "serde_json",
    "sha2",
    "smallvec",
    "thiserror",
    "unicode-width",
];
/// What they may not use of the standard library.
const IMPURE: [&str; 8] = ["env", "fs", "net", "os", "process", "thread", "time::Instant", "time::SystemTime"];

/// A package of the workspace: its folder, and what it uses when it is built and run (not in tests).
struct Package {
    folder: PathBuf,
    dependencies: BTreeSet<String>,
}

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn packages() -> Result<BTreeMap<String, Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version=1"]).current_dir(tree());
    let finished = finish(&mut command, Duration::from_secs(60))?;
    ensure!(finished.status.success(), "{}", finished.stderr());
    let all: Value = serde_json::from_slice(&finished.stdout)?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
    let mut packages = BTreeMap::new();
    for package in all["packages"].as_array().context("a list of packages")? {
        let manifest = PathBuf::from(text(&package["manifest_path"])?);
        let folder = manifest.parent().context("a manifest is in a folder")?.to_owned();
        let dependencies = package["dependencies"].as_array().context("a list of dependencies")?;
        let used = dependencies.iter().filter(|used| used["kind"] != "dev").map(|used| text(&used["name"]));
        packages.insert(text(&package["name"])?, Package { folder, dependencies: used.collect::<Result<_>>()? });
    }
    Ok(packages)
}

/// The files below a folder whose names end like this, with their texts.
fn files(folder: &Path, end: &str) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, end)?);
        } else if path.to_string_lossy().ends_with(end) {
            let text = std::fs::read_to_string(&path)?;
            found.push((path, text));
        }
    }
    ensure!(folder.is_dir(), "{} is no folder", folder.display());
    Ok(found)
}

/// The lines of Rust before the tests, without comments.
fn code(text: &str) -> String {
    let before_tests = text.split("[cfg(test)]").next().unwrap_or_default();
    let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn each_crate_uses_only_those_below_it() -> Result<()> {
    let packages = packages()?;
    let crates: BTreeSet<&str> = packages
        .iter()
        .filter(|(_, it)| it.folder.parent().is_some_and(|at| at.ends_with("crates")))
        .map(|it| &**it.0)
        .collect();
    assert_eq!(crates, DIRECTION.iter().map(|(name, _)| *name).collect());
    for (name, may_use) in DIRECTION {
        let used: Vec<&str> =
            packages[name].dependencies.iter().map(String::as_str).filter(|used| crates.contains(used)).collect();
        assert!(used.iter().all(|used| may_use.contains(used)), "{name} uses {used:?}");
    }
    Ok(())
}

#[test]
fn only_sensors_has_libbpf_and_unsafe() -> Result<()> {
    let root = std::fs::read_to_string(tree().join("Cargo.toml"))?;
    ensure!(root.contains("\nunsafe_code = \"forbid\"\n"), "the workspace does not forbid unsafe");
    for (name, package) in packages()? {
        let links = package.dependencies.iter().any(|used| used.contains("bpf"));
        let manifest = std::fs::read_to_string(package.folder.join("Cargo.toml"))?;
        let forbids = manifest.contains("\n[lints]\nworkspace = true\n");
        assert_eq!((links, forbids), if name == "sensors" { (true, false) } else { (false, true) }, "{name}");
    }
    Ok(())
}

#[test]
fn pure_crates_do_no_input_and_output() -> Result<()> {
    let packages = packages()?;
    for name in PURE {
        let package = &packages[name];
        for used in &package.dependencies {
            assert!(PURE.contains(&&**used) || PURE_DEPENDENCIES.contains(&&**used), "{name} uses {used}");
        }
        for (path, text) in files(&package.folder.join("src"), ".rs")? {
            let code = code(&text);
            assert!(
                !code.contains("use std::{"),
                "{}: one `use` for each module of std, to be seen here",
                path.display()
            );
            let found = IMPURE.iter().find(|impure| code.contains(&format!("std::{impure}")));
            assert!(found.is_none(), "{} uses std::{}", path.display(), found.unwrap_or(&""));
        }
    }
    Ok(())
}

#[test]
fn the_layout_of_kernel_structs_is_written_in_c_alone_and_their_bytes_are_never_reinterpreted() -> Result<()> {
    for (path, text) in files(&packages()?["sensors"].folder.join("src"), ".rs")? {
        for wrong in ["repr(C", "repr(packed", "transmute", "from_utf8_unchecked", "unwrap_unchecked"] {
            assert!(!text.contains(wrong), "{} has {wrong}", path.display());
        }
    }
    Ok(())
}

#[test]
fn every_queue_between_threads_is_bounded() -> Result<()> {
    let packages = packages()?;
    for (name, _) in DIRECTION {
        for (path, text) in files(&packages[name].folder.join("src"), ".rs")? {
            let code = code(&text);
            let found = code
                .split(|it: char| !it.is_alphanumeric() && it != '_')
                .find(|word| matches!(*word, "channel" | "unbounded" | "unbounded_channel"));
            assert!(found.is_none(), "{} has {}", path.display(), found.unwrap_or(""));
        }
    }
    Ok(())
}

fn is_of_guard(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("guard_"))
}

/// The programs of the sensors: hook and name, in each folder.
fn programs() -> Result<BTreeMap<PathBuf, BTreeSet<(String, String)>>> {
    let programs = programs_in(false)?;
    ensure!(programs.len() >= 3, "the programs were not found: {programs:?}");
    Ok(programs)
}

/// The programs of the sensors, or those of the guards.
fn programs_in(of_guards: bool) -> Result<BTreeMap<PathBuf, BTreeSet<(String, String)>>> {
    let mut programs: BTreeMap<PathBuf, BTreeSet<(String, String)>> = BTreeMap::new();
    for (path, text) in files(&packages()?["sensors"].folder.join("src"), ".bpf.c")? {
        let folder = path.parent().context("a file is in a folder")?.to_owned();
        if is_of_guard(&folder) != of_guards {
            continue;
        }
        let programs = programs.entry(folder).or_default();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            if let Some(rest) = pair[0].strip_prefix("GUARD(") {
                let mut words = rest.split(", ");
                let (name, hook) = (words.next().unwrap_or_default(), words.next().context("a hook")?);
                programs.insert((format!("lsm/{hook}"), format!("{name}_lsm")));
                programs.insert((format!("fmod_ret/security_{hook}"), format!("{name}_result")));
                continue;
            }
            let found = if let Some(hook) = pair[0].strip_prefix("SEC(\"").and_then(|rest| rest.strip_suffix("\")")) {
                let signature =
                    pair[1].strip_prefix("int ").with_context(|| format!("what is on {hook} in {}", path.display()))?;
                (hook.to_owned(), signature.trim_start_matches("BPF_PROG("))
            } else if let Some(rest) = pair[0].strip_prefix("HOOK(\"") {
                let (hook, rest) = rest.split_once("\", ").with_context(|| format!("a name in {}", pair[0]))?;
                (format!("tp_btf/{hook}"), rest)
            } else if let Some(rest) = pair[0].strip_prefix("HOOK_OF_EXIT(") {
                ("tp_btf/sched_process_exit".to_owned(), rest)
            } else {
                continue;
            };
            let name = found.1.split([',', '(', ')']).next().unwrap_or_default();
            programs.insert((found.0, name.to_owned()));
        }
    }
    Ok(programs)
}

#[test]
fn every_program_of_a_guard_is_attached_at_some_step_and_none_shares_a_map_with_the_sensors() -> Result<()> {
    let folder = packages()?["sensors"].folder.join("src");
    let list = std::fs::read_to_string(folder.join("guard/mod.rs"))?
        + &std::fs::read_to_string(folder.join("guard/deed.rs"))?
        + &std::fs::read_to_string(folder.join("guard/taint.rs"))?;
    let programs = programs_in(true)?;
    ensure!(!programs.is_empty(), "no guards were found");
    for (folder, programs) in &programs {
        for (hook, name) in programs {
            assert!(list.contains(&format!("\"{name}\"")), "{name} on {hook} is not in the list of any step");
        }
        for (path, text) in files(folder, ".bpf.c")? {
            let foreign = ["slots.h", "tasks.h", "notes.h", "sample.h"].into_iter().find(|name| text.contains(name));
            assert_eq!(foreign, None, "{} includes what the sensors share", path.display());
        }
    }
    Ok(())
}

#[test]
fn each_hook_of_the_system_calls_has_exactly_one_program() -> Result<()> {
    let programs = programs()?;
    for call in ["sys_enter", "sys_exit"] {
        let on_hook: Vec<_> = programs.values().flatten().filter(|(hook, _)| hook.ends_with(call)).collect();
        // The other two are loaded on kernels from 7.0 on, in the place of the first.
        let names = on_hook.iter().map(|(_, name)| name.as_str()).collect::<BTreeSet<_>>();
        let name = format!("on_{call}");
        assert_eq!(names, [name.clone(), name.clone() + "_again", name + "_held"].iter().map(String::as_str).collect());
    }
    Ok(())
}

#[test]
fn every_program_is_in_the_list_of_its_sensor_under_its_hook() -> Result<()> {
    for (folder, programs) in programs()? {
        let list = std::fs::read_to_string(folder.join("mod.rs"))?;
        // The walk over all tasks is started, not attached; the other forms of a program are attached in its place.
        let is_listed = |hook: &str, name: &str| {
            !hook.starts_with("iter/") && !name.ends_with("_held") && !name.ends_with("_again")
        };
        for (hook, name) in programs.iter().filter(|(hook, name)| is_listed(hook, name)) {
            let entry = format!("Program::on(\"{hook}\", \"{name}\")");
            assert!(list.contains(&entry), "{} has no {entry}", folder.display());
        }
    }
    Ok(())
}

#[test]
fn the_core_needs_no_more_of_a_kernel_than_tracepoints_with_types() -> Result<()> {
    for (folder, programs) in programs()? {
        let list = std::fs::read_to_string(folder.join("mod.rs"))?;
        for (hook, name) in &programs {
            // Loaded on kernels from 7.0 on, in the place of the same without `_held`.
            let is_held = name.ends_with("_held") && hook.starts_with("tracepoint/");
            // Where the kernel refuses it, all the rest goes on.
            let entry = format!("..Program::on(\"{hook}\", \"{name}\") }}");
            let stands_in = list.lines().any(|line| {
                (line.contains("instead_of: Some(") || line.contains("only_with: Some(")) && line.contains(&entry)
            });
            let is_of_the_core = hook.starts_with("tp_btf/") || hook.starts_with("iter/");
            assert!(is_of_the_core || is_held || stands_in, "{name} is on {hook}");
        }
    }
    Ok(())
}
