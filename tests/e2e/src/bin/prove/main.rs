//! `./x prove`: real workloads, started again and again under what is recommended for them.
//!
//! Each row is a workload on an engine and a runtime with one setting of no_new_privileges: recorded, recommended, proved. Rows
//! are appended to a file as they are done, so that the whole can be done in several sittings; rows that are there are not
//! done again. The table is printed from that file.

mod page;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::bundle::Bundle;
use e2e::engines::{Docker, Engine, Podman};
use e2e::machine::{alone, first_missing};
use e2e::overlay::Overlay;
use e2e::proven::{Workload, workload, workloads, write_work};
use e2e::recorder::{ringfence, ringfence_beside};
use e2e::reports::list;
use e2e::rootfs::{self, Rootfs};
use e2e::runtime::{Runtime, crun_words};
use serde_json::{Value, json};

use page::page;

const HELP: &str = "\
usage: ./x prove [OPTION...]

  --runs N         starts of each row (50)
  --starts N       starts of each row that are recorded before (3)
  --short N        starts of the short workload on each bare runtime and setting (1000); 0: none
  --only WORD      only rows with this word in their name: a workload, docker, podman, bundle, runc, crun, nnp; may be repeated
  --minutes N      begin no more rows after this time
  --results FILE   where rows are appended (target/prove.ndjson)
  --write FILE     also write the page with the table";

/// Longer than any row takes.
const LIMIT: Duration = Duration::from_secs(3600);
/// How long a check is tried: the whole of it where a call that is needed was taken away.
const READY: &str = "20s";
/// How long a workload may take to stop: one that is deaf to SIGTERM, as node is, takes it at every start.
const STOP: &str = "2s";
/// How long one that ends by itself may take: postgresql takes longer than usual on a machine that does other things.
const RUN: &str = "60s";
const IMAGE: &str = "ringfence.test/proven:1";
const BUSYBOX: &str = "ringfence.test/busybox:1";

/// What the command line asks for.
struct Wish {
    runs: u32,
    starts: u32,
    short: u32,
    only: Vec<String>,
    until: Option<Instant>,
    results: PathBuf,
    write: Option<PathBuf>,
}

fn wish() -> Result<Wish> {
    let mut wish = Wish {
        runs: 50,
        starts: 3,
        short: 1000,
        only: Vec::new(),
        until: None,
        results: PathBuf::from("target/prove.ndjson"),
        write: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(option) = args.next() {
        if matches!(option.as_str(), "-h" | "--help") {
            println!("{HELP}");
            std::process::exit(0);
        }
        let value = args.next().with_context(|| format!("{option} needs a value\n{HELP}"))?;
        let number = || value.parse::<u32>().with_context(|| format!("{option} {value}: a number"));
        match option.as_str() {
            "--runs" => wish.runs = number()?,
            "--starts" => wish.starts = number()?,
            "--short" => wish.short = number()?,
            "--only" => wish.only.push(value),
            "--minutes" => wish.until = Some(Instant::now() + Duration::from_secs(60 * u64::from(number()?))),
            "--results" => wish.results = value.into(),
            "--write" => wish.write = Some(value.into()),
            _ => bail!("{option} is no option\n{HELP}"),
        }
    }
    Ok(wish)
}

/// The rows that are done, by their names.
fn done(results: &Path) -> Result<BTreeMap<String, Value>> {
    let text = if results.exists() { std::fs::read_to_string(results)? } else { String::new() };
    let rows = text.lines().map(|line| {
        let row: Value =
            serde_json::from_str(line).with_context(|| format!("{} has a line that is none", results.display()))?;
        Ok((row["row"].as_str().context("a row has a name")?.to_owned(), row))
    });
    rows.collect()
}

/// Where workloads are started; what no row needs is not there.
struct Places {
    docker: Option<Docker>,
    podman: Option<Podman>,
    runtimes: [Runtime; 2],
    large: Option<Rootfs>,
    small: Rootfs,
    work: tempfile::TempDir,
}

impl Places {
    fn of(rows: &[&(Row<'_>, u32)]) -> Result<Places> {
        let needs = |of: &dyn Fn(&Row<'_>) -> bool| rows.iter().any(|(row, _)| of(row));
        let small = rootfs::busybox()?;
        let large = needs(&|row| !row.workload.small).then(rootfs::proven).transpose()?;
        let docker = needs(&|row| row.place == "docker").then(Docker::start).transpose()?;
        let podman = needs(&|row| row.place == "podman").then(|| Podman::new("runc")).transpose()?;
        let engines = [docker.as_ref().map(|one| one as &dyn Engine), podman.as_ref().map(|one| one as &dyn Engine)];
        for engine in engines.into_iter().flatten() {
            engine.import(&small, BUSYBOX)?;
            large.iter().try_for_each(|large| engine.import(large, IMAGE))?;
        }
        let work = tempfile::Builder::new().prefix("rf-prove").tempdir()?;
        write_work(work.path())?;
        Ok(Places { docker, podman, runtimes: [Runtime::new("runc")?, Runtime::new("crun")?], large, small, work })
    }

    /// Hardens a workload in one place, and gives the proof and the recommendation.
    fn harden(&self, row: &Row<'_>, starts: u32, runs: u32) -> Result<(Value, Value)> {
        let out = tempfile::tempdir()?;
        let numbers = [starts.to_string(), runs.to_string(), out.path().display().to_string()];
        let setting = if row.no_new_privileges { "yes" } else { "no" };
        let mut args: Vec<String> = [
            "harden",
            "--no-new-privileges",
            setting,
            "--ready",
            READY,
            "--stop",
            STOP,
            "--for",
            RUN,
            "--starts",
            &numbers[0],
            "--runs",
            &numbers[1],
            "--out",
            &numbers[2],
        ]
        .map(str::to_owned)
        .to_vec();
        if let Some(check) = &row.workload.check {
            args.extend(["--check".to_owned(), check.clone()]);
        }
        let work = self.work.path().display();
        let image = if row.workload.small { BUSYBOX } else { IMAGE };
        // Kept until it has ended.
        let mut kept: Option<(Bundle, Overlay)> = None;
        match row.place {
            "bundle" => {
                let rootfs = if row.workload.small { Some(&self.small) } else { self.large.as_ref() };
                let overlay = Overlay::above(&rootfs.context("the large root file system")?.folder)?;
                let bundle = Bundle::new(&overlay.root(), &row.workload.command)?.bind(self.work.path(), "/work");
                bundle.write()?;
                let runtime = self.runtimes.iter().find(|one| one.name() == row.runtime).context("a runtime")?;
                args.extend(["--engine", row.runtime, "--client", &runtime.words()].map(str::to_owned));
                args.extend(["--bundle".to_owned(), bundle.folder().display().to_string()]);
                kept = Some((bundle, overlay));
            }
            "docker" => {
                args.extend(
                    [
                        "--engine",
                        "docker",
                        "--client",
                        &self.docker.as_ref().context("docker")?.words(),
                        "--runtime",
                        row.runtime,
                    ]
                    .map(str::to_owned),
                );
                args.extend([
                    "--run-options".to_owned(),
                    format!("--network host --volume {work}:/work"),
                    image.to_owned(),
                    "--".to_owned(),
                ]);
                args.extend(row.workload.command.iter().cloned());
            }
            _ => {
                // Podman takes a path for a runtime that it does not know as it must be called.
                let crun = self.work.path().join("crun");
                if row.runtime == "crun" {
                    std::fs::write(&crun, format!("#!/bin/sh\nexec {} \"$@\"\n", crun_words()))?;
                    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
                    std::fs::set_permissions(&crun, mode)?;
                    args.extend(["--runtime".to_owned(), crun.display().to_string()]);
                }
                args.extend(
                    ["--engine", "podman", "--client", &self.podman.as_ref().context("podman")?.words()]
                        .map(str::to_owned),
                );
                let options =
                    format!("--network host --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 --volume {work}:/work");
                args.extend(["--run-options".to_owned(), options, image.to_owned(), "--".to_owned()]);
                args.extend(row.workload.command.iter().cloned());
            }
        }
        // Where docker listens at the usual place, it can be asked what the container has now.
        let finished = match (row.place, &self.docker) {
            ("docker", Some(docker)) => ringfence_beside(&docker.socket(), "docker.sock", &args, LIMIT)?,
            _ => ringfence(&args, LIMIT)?,
        };
        drop(kept);
        let code = finished.status.code();
        ensure!(matches!(code, Some(0 | 1)), "{args:?}: {}{}", finished.stdout(), finished.stderr());
        let read =
            |name: &str| -> Result<Value> { Ok(serde_json::from_slice(&std::fs::read(out.path().join(name))?)?) };
        Ok((read("proof.json")?, read("recommendation.json")?))
    }
}

struct Row<'a> {
    workload: &'a Workload,
    place: &'static str,
    runtime: &'static str,
    no_new_privileges: bool,
}

impl Row<'_> {
    fn name(&self) -> String {
        let setting = if self.no_new_privileges { "nnp" } else { "no-nnp" };
        format!("{} {} {} {setting}", self.workload.name, self.place, self.runtime)
    }
}

/// What is kept of a proof.
fn result(row: &Row<'_>, proof: &Value, recommendation: &Value, took: Duration) -> Value {
    let setting = &proof["settings"][0];
    let because = |call: &Value, wanted: &str| list(&call["reasons"]).iter().any(|reason| reason["because"] == wanted);
    let allowed = list(&recommendation["seccomp"]["allowed"]);
    let observed = allowed.iter().filter(|call| because(call, "observed")).count();
    json!({
        "row": row.name(),
        "verdict": proof["verdict"],
        "reasons": proof["reasons"],
        "starts": setting["starts"],
        "worked": setting["worked"],
        "denials": setting["denials"],
        "failures_below": setting["failures_below"],
        "missed": proof["needed"]["missed"],
        "refused": list(&proof["refused"]["refused"]).len(),
        "calls": allowed.len(),
        "observed": observed,
        "amended": allowed.iter().filter(|call| because(call, "denied")).count(),
        "capabilities": list(&recommendation["capabilities"]["add"]).len(),
        "filter_now": recommendation["changes"]["filter"],
        "calls_now": recommendation["changes"]["calls_now"],
        "calls_after": recommendation["changes"]["calls_after"],
        "capabilities_now": recommendation["changes"]["capabilities_now"],
        "escapes_closed": recommendation["score"]["closed"],
        "escapes_open": recommendation["score"]["open"],
        "runtime": proof["workload"]["runtime"],
        "engine": proof["workload"]["engine"],
        "kernel": proof["kernel_release"],
        "seconds": took.as_secs(),
    })
}

fn main() -> Result<()> {
    let wish = wish()?;
    if let Some(missing) = first_missing(&["dockerd", "podman", "runc", "crun", "mmdebstrap", "busybox", "gcc"]) {
        bail!("'{missing}' is not here: ./x test installs what is needed");
    }
    if let Some(folder) = wish.results.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let short = workload("short", &["/bin/true"], None);
    let workloads = workloads();
    let mut rows: Vec<(Row<'_>, u32)> = Vec::new();
    for no_new_privileges in [false, true] {
        for runtime in ["runc", "crun"] {
            rows.push((Row { workload: &short, place: "bundle", runtime, no_new_privileges }, wish.short));
            for place in ["bundle", "docker", "podman"] {
                rows.extend(
                    workloads.iter().map(|workload| (Row { workload, place, runtime, no_new_privileges }, wish.runs)),
                );
            }
        }
    }
    rows.retain(|(row, runs)| {
        let name = row.name();
        *runs > 0 && wish.only.iter().all(|word| name.split(' ').any(|one| one == word))
    });
    let mut all = done(&wish.results)?;
    // One that did not come to its end, or had fewer starts, is done again.
    let is_done = |row: &Row<'_>, runs: u32| {
        all.get(&row.name()).is_some_and(|done| done["starts"].as_u64().is_some_and(|starts| starts >= u64::from(runs)))
    };
    let todo: Vec<&(Row<'_>, u32)> = rows.iter().filter(|(row, runs)| !is_done(row, *runs)).collect();
    // With no time at all the page is written of what is there.
    if !todo.is_empty() && wish.until.is_none_or(|until| Instant::now() < until) {
        let _alone = alone()?;
        let places = Places::of(&todo)?;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&wish.results)?;
        for (number, (row, runs)) in (1..).zip(&todo) {
            if wish.until.is_some_and(|until| Instant::now() >= until) {
                eprintln!("prove: the time is over, {} rows are left", todo.len() + 1 - number);
                break;
            }
            eprintln!("prove: {number} of {}: {}", todo.len(), row.name());
            let began = Instant::now();
            let line = match places.harden(row, wish.starts, *runs) {
                Ok((proof, recommendation)) => result(row, &proof, &recommendation, began.elapsed()),
                Err(error) => json!({"row": row.name(), "verdict": "error", "reasons": [format!("{error:#}")]}),
            };
            writeln!(file, "{line}")?;
            all.insert(row.name(), line);
        }
    }
    let done: Vec<&Value> = rows.iter().filter_map(|(row, _)| all.get(&row.name())).collect();
    let (page, failed) = page(&done, rows.len())?;
    print!("{page}");
    if let Some(path) = &wish.write {
        std::fs::write(path, &page).with_context(|| format!("write {}", path.display()))?;
    }
    ensure!(failed == 0, "{failed} rows are not proved");
    Ok(())
}
