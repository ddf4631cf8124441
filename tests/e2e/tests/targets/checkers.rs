//! Targets that are taken by their own checkers, with names in them that a container may have chosen to break out of a format.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::{command, finish, must_within};
use e2e::consumers::{kubectl, kubernetes_validate, newer, target};
use e2e::machine::find_program;
use e2e::{need, skip};
use serde_json::{Value, json};
use tempfile::TempDir;

const STEP: Duration = Duration::from_secs(60);
/// What is in the example that is checked in.
const EXAMPLES: [&str; 6] = ["app", "cache", "client", "db", "names", "web"];
/// Names that mean something in one format or another.
const HOSTILE: [&str; 8] = [
    "a: b #c",
    "- $HOME ${x} $(id) `id`",
    "%n %%h \"quoted\" 'so' \\",
    "line\nspec:\n  hostPID: true",
    "*?[a-z]{x,y}^@{PROC} #",
    "\u{1b}[31m\u{202e}\u{2028}\u{85}",
    "yes",
    "}\nprofile other { capability, }",
];

/// A folder for what is written, with the reports of the example and those that were given hostile names.
struct Reports {
    folder: TempDir,
    paths: Vec<PathBuf>,
}

impl Reports {
    fn new() -> Result<Reports> {
        let folder = tempfile::tempdir()?;
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example");
        let mut paths: Vec<PathBuf> = EXAMPLES.iter().map(|name| example.join(format!("{name}.json"))).collect();
        for (at, name) in HOSTILE.iter().enumerate() {
            let mut report: Value = serde_json::from_slice(&std::fs::read(&paths[5])?)?;
            // In a report a backslash stands doubled.
            let name = name.replace('\\', "\\\\");
            report["container"]["name"] = json!(name);
            report["container"]["image"] = json!(name);
            let files = &mut report["behaviour"]["files"];
            for list in ["paths", "names"] {
                for used in files[list].as_array_mut().context("a list")?.iter_mut().step_by(3) {
                    let path = used["path"].as_str().context("a path")?;
                    used["path"] = json!(format!("{path}/{name}"));
                }
            }
            let path = folder.path().join(format!("hostile-{at}.json"));
            std::fs::write(&path, report.to_string())?;
            paths.push(path);
        }
        Ok(Reports { folder, paths })
    }

    /// Writes a target of each; the files, and the profile's path if the target names one.
    fn targets(&self, name: &str, with_profile: bool) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for (at, report) in self.paths.iter().enumerate() {
            let file = self.folder.path().join(format!("{name}-{at}"));
            let profile = self.folder.path().join(format!("profile-{at}.json"));
            let text = if with_profile {
                target(report, name, &["--out".as_ref(), profile.as_os_str()])?.text
            } else {
                target::<&str>(report, name, &[])?.text
            };
            std::fs::write(&file, text)?;
            files.push(file);
        }
        Ok(files)
    }
}

/// The documents as Python's reader of YAML 1.1 has them.
fn read_yaml(files: &[PathBuf]) -> Result<Vec<Value>> {
    let script = "import json, sys, yaml; print(json.dumps([yaml.safe_load(open(f)) for f in sys.argv[1:]]))";
    let printed = must_within(command("/usr/bin/python3", ["-c", script]).args(files), STEP)?;
    Ok(serde_json::from_str(&printed)?)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn has_yaml() -> Result<bool> {
    let python = find_program("python3").is_some();
    Ok(python && finish(&mut command("/usr/bin/python3", ["-c", "import yaml"]), STEP)?.status.success())
}

#[test]
#[ignore = "needs the built program"]
fn no_name_changes_what_yaml_says() -> Result<()> {
    if !has_yaml()? {
        skip!("no module yaml for python3");
    }
    let reports = Reports::new()?;
    for document in read_yaml(&reports.targets("compose", true)?)? {
        ensure!(keys(&document).is_subset(&["services", "volumes"].into()), "{document:#}");
        let services = document["services"].as_object().context("services")?;
        ensure!(services.len() == 1, "{document:#}");
        let known =
            ["security_opt", "cap_drop", "cap_add", "read_only", "tmpfs", "volumes", "user", "pids_limit", "mem_limit"];
        let known: BTreeSet<&str> = known.into_iter().chain(["cpus", "ulimits", "devices"]).collect();
        for service in services.values() {
            ensure!(keys(service).is_subset(&known), "{service:#}");
            ensure!(service["cap_drop"] == json!(["ALL"]), "{service:#}");
        }
    }
    for document in read_yaml(&reports.targets("kubernetes", true)?)? {
        ensure!(keys(&document) == ["apiVersion", "kind", "metadata", "spec"].into(), "{document:#}");
        ensure!(keys(&document["spec"]).is_subset(&["containers", "volumes"].into()), "{document:#}");
        let containers = document["spec"]["containers"].as_array().context("containers")?;
        ensure!(containers.len() == 1 && containers[0]["image"].is_string(), "{document:#}");
    }
    Ok(())
}

/// What the custom resource's definition has, v1beta1 as of release 0.9 of the operator.
#[test]
#[ignore = "needs the built program"]
fn the_operators_resource_has_the_fields_of_its_definition() -> Result<()> {
    if !has_yaml()? {
        skip!("no module yaml for python3");
    }
    let reports = Reports::new()?;
    for document in read_yaml(&reports.targets("seccomp-operator", false)?)? {
        ensure!(
            document["apiVersion"] == "security-profiles-operator.x-k8s.io/v1beta1"
                && document["kind"] == "SeccompProfile"
        );
        let spec = &document["spec"];
        ensure!(keys(spec) == ["architectures", "defaultAction", "syscalls"].into(), "{spec:#}");
        let rules = spec["syscalls"].as_array().context("rules")?;
        ensure!(rules.len() > 2, "{spec:#}");
        for rule in rules {
            ensure!(keys(rule).is_subset(&["action", "args", "errnoRet", "names"].into()), "{rule:#}");
            ensure!(rule["names"].as_array().is_some_and(|names| !names.is_empty()), "{rule:#}");
            ensure!(rule["errnoRet"].is_null() || rule["errnoRet"].is_u64(), "{rule:#}");
        }
    }
    Ok(())
}

/// By Kubernetes' own schemas, strictly: an unknown field is an error.
#[test]
#[ignore = "needs the built program"]
fn kubernetes_takes_pods_and_policies() -> Result<()> {
    need!("python3", "pip3");
    let reports = Reports::new()?;
    let mut files = reports.targets("kubernetes", true)?;
    files.extend(reports.targets("network-policy", false)?);
    for version in ["1.25", "1.37"] {
        must_within(kubernetes_validate(version)?.args(&files), STEP)
            .with_context(|| format!("Kubernetes {version}"))?;
        // The checker checks.
        let wrong = reports.folder.path().join("wrong.yaml");
        let text = std::fs::read_to_string(&files[0])?.replace("readOnlyRootFilesystem", "readOnlyRoot");
        std::fs::write(&wrong, text)?;
        ensure!(!finish(kubernetes_validate(version)?.arg(&wrong), STEP)?.status.success(), "{version} takes anything");
    }
    Ok(())
}

/// kubectl 1.20 reads the pod into its own types, which know no field of later versions, and loses nothing.
#[test]
#[ignore = "needs the built program"]
fn kubectl_1_20_knows_each_field() -> Result<()> {
    need!("mmdebstrap");
    if !has_yaml()? {
        skip!("no module yaml for python3");
    }
    let reports = Reports::new()?;
    let files = reports.targets("kubernetes", true)?;
    for (file, document) in files.iter().zip(read_yaml(&files)?) {
        let mut set = command(kubectl()?, ["set", "env", "--local", "-o", "json", "ADDED=1", "-f"]);
        let read: Value = serde_json::from_str(&must_within(set.arg(file), STEP)?)?;
        is_in(&document, &read).with_context(|| format!("{}: {read:#}", file.display()))?;
    }
    Ok(())
}

/// Everything of one is in the other.
fn is_in(one: &Value, other: &Value) -> Result<()> {
    match (one, other) {
        (Value::Object(fields), _) => {
            fields.iter().try_for_each(|(key, value)| is_in(value, &other[key]).with_context(|| key.clone()))
        }
        (Value::Array(items), Value::Array(others)) => {
            ensure!(items.len() == others.len(), "{items:?}, {others:?}");
            items.iter().zip(others).try_for_each(|(item, other)| is_in(item, other))
        }
        _ => {
            // Quantities are written anew.
            let is_quantity =
                |value: &Value| value.as_str().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()));
            ensure!(one == other || is_quantity(one) && is_quantity(other), "{one} is not {other}");
            Ok(())
        }
    }
}

/// systemd of this machine reads the drop-in without a complaint but about calls that its libseccomp has no name for.
#[test]
#[ignore = "needs the built program"]
fn systemd_takes_the_options_and_finds_the_service_less_exposed() -> Result<()> {
    need!("systemd-analyze");
    let reports = Reports::new()?;
    for (at, file) in reports.targets("systemd", false)?.iter().enumerate() {
        let name = format!("tested-{at}.service");
        let unit = reports.folder.path().join(&name);
        let exposure = |text: &str| -> Result<f64> {
            std::fs::write(&unit, format!("[Service]\nExecStart=/bin/true\n{text}"))?;
            let mut verify = command("systemd-analyze", ["--man=no", "verify"]);
            let verified = finish(verify.arg(&unit), STEP)?;
            let said = verified.stderr();
            let of_ours = said.lines().filter(|line| line.contains(&name));
            let complaints: Vec<&str> =
                of_ours.filter(|line| !line.contains("Failed to parse system call, ignoring: ")).collect();
            ensure!(complaints.is_empty(), "{complaints:?} of\n{text}");
            let mut security = command("systemd-analyze", ["--no-pager", "security", "--offline=1"]);
            let printed = must_within(security.arg(&unit), STEP)?;
            let level = printed.split("level for").nth(1).and_then(|rest| rest.split(' ').nth(2));
            level.context("a level")?.parse().with_context(|| printed.clone())
        };
        let (plain, hardened) = (exposure("")?, exposure(&std::fs::read_to_string(file)?)?);
        ensure!(plain > 9.0 && hardened < 4.0, "{}: {plain}, then {hardened}", file.display());
    }
    Ok(())
}

#[test]
#[ignore = "needs the built program"]
fn apparmor_compiles_the_profile() -> Result<()> {
    need!("apparmor_parser");
    let reports = Reports::new()?;
    for file in reports.targets("apparmor", false)? {
        let names = must_within(command("apparmor_parser", ["-Q", "-K", "-N"]).arg(&file), STEP)?;
        ensure!(names.lines().count() == 1 && names.starts_with("ringfence-"), "{}: {names}", file.display());
        let compiled = finish(command("apparmor_parser", ["-Q", "-K", "-S"]).arg(&file), STEP)?;
        ensure!(compiled.status.success() && compiled.stdout.len() > 1000, "{}: {}", file.display(), compiled.stderr());
    }
    Ok(())
}

/// The generator of podman 5 makes `podman run` of the drop-in.
#[test]
#[ignore = "needs the built program"]
fn quadlet_makes_a_command_of_each_key() -> Result<()> {
    need!("mmdebstrap");
    let generator = newer("/usr/libexec/podman/quadlet")?;
    let reports = Reports::new()?;
    for (at, file) in reports.targets("quadlet", true)?.iter().enumerate() {
        let units = reports.folder.path().join(format!("units-{at}"));
        std::fs::create_dir_all(units.join("tested.container.d"))?;
        std::fs::write(units.join("tested.container"), "[Container]\nImage=localhost/tested:1\n")?;
        std::fs::copy(file, units.join("tested.container.d/ringfence.conf"))?;
        let mut dry = command(&generator, ["-dryrun", "-no-kmsg-log"]);
        let finished = finish(dry.env("QUADLET_UNIT_DIRS", &units), STEP)?;
        let made = finished.stdout();
        ensure!(finished.status.success(), "{}", finished.stderr());
        let start = made.lines().find(|line| line.starts_with("ExecStart=")).with_context(|| finished.stderr())?;
        let profile = reports.folder.path().join(format!("profile-{at}.json"));
        for part in
            [format!("--security-opt seccomp={}", profile.display()), "--cap-drop all".into(), "--read-only ".into()]
        {
            ensure!(start.contains(&part), "{part} is not in {start}");
        }
    }
    Ok(())
}
