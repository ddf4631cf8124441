//! `./x quiet`: real workloads under all rules, and which alerts they make.
//!
//! The ten workloads of `./x prove` run at once, each in a network of its own, and are started again and again: servers after a
//! minute of requests, all else when it has ended. What the rules that come with ringfence say of them is false, and a failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, finish};
use e2e::machine::{first_missing, unique_name};
use e2e::netns::Netns;
use e2e::overlay::Overlay;
use e2e::proven::{Workload, workloads, write_work};
use e2e::rootfs::{self, Rootfs};
use e2e::runtime::Runtime;
use e2e::watching::Watching;
use rustix::process::Signal;
use serde_json::Value;

const HELP: &str = "\
usage: ./x quiet [--seconds N]

  --seconds N   how long (600)

RINGFENCE_TEST_DATA names the folder with falco-rules: without it only the rules that come with ringfence are asked.";

/// The public rule files, and what each tags its rules with.
const PUBLIC: [(&str, &str); 3] = [
    ("falco_rules.yaml", "maturity_stable"),
    ("falco-incubating_rules.yaml", "maturity_incubating"),
    ("falco-sandbox_rules.yaml", "maturity_sandbox"),
];
/// How long a server runs, between two requests, and after one that ended by itself.
const SERVES: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(500);
/// How long one request may take, one that ends by itself, and the end of a server.
const REQUEST: Duration = Duration::from_secs(30);
const RUN: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(5);

/// What one workload did.
#[derive(Default)]
struct Done {
    starts: u32,
    requests: u32,
}

struct Stage {
    runtime: Runtime,
    small: Rootfs,
    large: Rootfs,
    work: tempfile::TempDir,
    prefix: String,
    until: Instant,
}

impl Stage {
    /// Starts a workload again and again until the time is over.
    fn play(&self, workload: &Workload) -> Result<Done> {
        let network = Netns::new()?;
        let mut done = Done::default();
        while Instant::now() < self.until {
            let overlay = Overlay::above(if workload.small { &self.small.folder } else { &self.large.folder })?;
            let bundle = Bundle::new(&overlay.root(), &workload.command)?
                .bind(self.work.path(), "/work")
                .join_namespace("network", &network.path());
            let id = format!("{}-{}-{}", self.prefix, workload.name, done.starts);
            let container = self.runtime.create(&bundle, &id)?;
            container.start()?;
            done.starts += 1;
            match &workload.check {
                Some(check) => {
                    done.requests += self.ask(check, &network).with_context(|| container.stderr())?;
                    container.signal(Signal::TERM)?;
                    // One that is deaf to it is killed below, as engines do.
                    let _ = container.wait(STOP);
                }
                None => container.wait(RUN)?,
            }
            container.delete()?;
            std::thread::sleep(PAUSE);
        }
        Ok(done)
    }

    /// Asks a server from outside of its container for a while; how often it answered as it must.
    fn ask(&self, check: &str, network: &Netns) -> Result<u32> {
        let began = Instant::now();
        let mut answered = 0;
        let mut failed = None;
        while Instant::now() < self.until && began.elapsed() < SERVES {
            let args = [&format!("--net={}", network.path()), "sh", "-c", check];
            let asked = finish(&mut command("nsenter", args), REQUEST)?;
            match asked.status.success() {
                true => answered += 1,
                // It may not listen yet.
                false if answered > 0 => bail!("it answers no more: {}", asked.stderr()),
                false => failed = Some(asked.stderr()),
            }
            std::thread::sleep(BETWEEN);
        }
        let too_short = Instant::now() >= self.until;
        ensure!(answered > 0 || too_short, "it never answered: {}", failed.unwrap_or_default());
        Ok(answered)
    }
}

/// How often each rule fired, by workload; alerts that were not told because there were too many are `suppressed`.
fn count(alerts: &[Value], prefix: &str) -> Result<(Counts, u64)> {
    let mut last: BTreeMap<String, (Rule, String, u64)> = BTreeMap::new();
    let mut suppressed = 0;
    for alert in alerts {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| text(value).parse::<u64>().with_context(|| format!("a number: {value}"));
        let Some(of_it) = alert["container"]["id"].as_str().and_then(|id| id.strip_prefix(prefix)) else { continue };
        let workload = of_it.trim_start_matches('-').rsplit_once('-').map_or(of_it, |(name, _)| name).to_owned();
        let tags: Vec<String> = alert["tags"].as_array().into_iter().flatten().map(text).collect();
        let file = PUBLIC.iter().find(|(_, tag)| tags.iter().any(|one| one == tag)).map(|(file, _)| *file);
        let rule = Rule { file, name: text(&alert["rule"]), priority: text(&alert["priority"]) };
        if file.is_none() && alert["state"] == "new" {
            eprintln!("quiet: {}: {}", alert["container"]["id"], text(&alert["output"]));
        }
        suppressed += number(&alert["suppressed"])?;
        last.insert(text(&alert["id"]), (rule, workload, number(&alert["count"])?));
    }
    let mut counts = Counts::new();
    for (rule, workload, count) in last.into_values() {
        *counts.entry(rule).or_default().entry(workload).or_default() += count;
    }
    Ok((counts, suppressed))
}

type Counts = BTreeMap<Rule, BTreeMap<String, u64>>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    /// None of those that come with ringfence.
    file: Option<&'static str>,
    name: String,
    priority: String,
}

fn print(said: &str, counts: &Counts, suppressed: u64, done: &[(&str, Done)], took: Duration) {
    let (starts, requests) = done.iter().fold((0, 0), |(a, b), (_, one)| (a + one.starts, b + one.requests));
    println!("{} workloads, {} s, {starts} starts, {requests} requests.\n", done.len(), took.as_secs());
    println!("| workload | starts | requests |\n|---|---:|---:|");
    for (name, done) in done {
        let requests = if done.requests == 0 { String::new() } else { done.requests.to_string() };
        println!("| {name} | {} | {requests} |", done.starts);
    }
    println!("\n| rule | of | priority | alerts | by |\n|---|---|---|---:|---|");
    for (rule, by) in counts {
        let all: u64 = by.values().sum();
        let by: Vec<String> = by.iter().map(|(workload, count)| format!("{workload} {count}")).collect();
        let of = rule.file.unwrap_or("ringfence");
        println!("| {} | {of} | {} | {all} | {} |", rule.name, rule.priority, by.join(", "));
    }
    println!("\nRules that come with ringfence: {} alerts.", false_alerts(counts));
    println!(
        "Public rules: {} alerts of {} rules.",
        public_alerts(counts),
        counts.keys().filter(|it| it.file.is_some()).count()
    );
    println!("Not told because there were too many of one rule in one container: {suppressed}.");
    let said = said.lines().filter(|line| line.contains("are active") || line.contains("alerts, "));
    println!("\n```\n{}\n```", said.collect::<Vec<_>>().join("\n"));
}

fn false_alerts(counts: &Counts) -> u64 {
    counts.iter().filter(|(rule, _)| rule.file.is_none()).flat_map(|(_, by)| by.values()).sum()
}

fn public_alerts(counts: &Counts) -> u64 {
    counts.iter().filter(|(rule, _)| rule.file.is_some()).flat_map(|(_, by)| by.values()).sum()
}

fn seconds() -> Result<u64> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(600),
        ["--seconds", number] => number.parse().with_context(|| format!("--seconds {number}: a number")),
        ["-h" | "--help"] => {
            println!("{HELP}");
            std::process::exit(0);
        }
        _ => bail!("{}: no such options\n{HELP}", args.join(" ")),
    }
}

fn main() -> Result<()> {
    let long = Duration::from_secs(seconds()?);
    if let Some(missing) = first_missing(&["runc", "ip", "nsenter", "mmdebstrap", "busybox", "gcc"]) {
        bail!("'{missing}' is not here: ./x test installs what is needed");
    }
    let state = tempfile::Builder::new().prefix("rf-quiet").tempdir()?;
    let mut arguments = vec!["--state".to_owned(), state.path().display().to_string()];
    match std::env::var_os("RINGFENCE_TEST_DATA").map(PathBuf::from) {
        Some(folder) => {
            for (file, _) in PUBLIC {
                let path: &Path = &folder.join("falco-rules").join(file);
                ensure!(path.is_file(), "{}: no such file", path.display());
                arguments.extend(["--rules".to_owned(), path.display().to_string()]);
            }
        }
        None => eprintln!("quiet: RINGFENCE_TEST_DATA is not set: only the rules that come with ringfence"),
    }
    let (small, large) = (rootfs::busybox()?, rootfs::proven()?);
    let work = tempfile::Builder::new().prefix("rf-quiet").tempdir()?;
    write_work(work.path())?;
    let watching = Watching::detect(&arguments)?;
    let began = Instant::now();
    let stage = Stage {
        runtime: Runtime::new("runc")?,
        small,
        large,
        work,
        prefix: unique_name("rf-quiet"),
        until: began + long,
    };
    let all = workloads();
    let done: Vec<(&str, Done)> = std::thread::scope(|scope| {
        let playing: Vec<_> = all.iter().map(|one| (one.name, scope.spawn(|| stage.play(one)))).collect();
        let ended = playing.into_iter().map(|(name, thread)| {
            let done = thread.join().map_err(|_| anyhow::anyhow!("a thread failed")).and_then(|done| done);
            Ok((name, done.with_context(|| name)?))
        });
        ended.collect::<Result<_>>()
    })?;
    let took = began.elapsed();
    // What waits for the name of a container is told within a second.
    std::thread::sleep(Duration::from_secs(2));
    let until_then = watching.events()?;
    let watched = watching.stop().or_else(|error| {
        let (counts, suppressed) = count(&until_then, &stage.prefix)?;
        print("", &counts, suppressed, &done, took);
        Err(error)
    })?;

    let (counts, suppressed) = count(&watched.events()?, &stage.prefix)?;
    print(&watched.stderr, &counts, suppressed, &done, took);
    let lost: Vec<&str> = watched.stderr.lines().filter(|line| line.contains("lost")).collect();
    ensure!(lost.is_empty(), "events were lost: {}", lost.join("; "));
    ensure!(false_alerts(&counts) == 0, "rules that come with ringfence made {} alerts", false_alerts(&counts));
    Ok(())
}
