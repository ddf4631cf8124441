//! `./x bench`: what ringfence costs, beside what it costs at least.
//!
//! Everything is measured as a ratio of things that ran in turns in the same minutes, and printed with its spread and the
//! load of the machine. The exit code is 1 if a target was missed.

mod host;
mod items;
mod measure;
mod outcome;
mod page;
mod programs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde::Serialize;

use crate::host::{Host, Load};
use crate::items::{ITEMS, Item, Settings};
use crate::outcome::Outcome;

const HELP: &str = "\
Examples:
  ./x bench                                everything, about half an hour
  ./x bench --quick --only getppid,eagain  two items, rough numbers
  ./x bench --write docs/performance.md    everything, and the page
  ./x bench --only storm --write docs/performance.md   one item, anew in that page

Items: getppid, eagain, open, commands, servers, peers, storm, containers, rules, detect,
redis-rules, guards, scale.
Exit codes: 0 every target met; 1 a target was missed; 2 not measured, the message says why.";

/// Measures what ringfence costs, and says which targets were met.
///
/// Needs root and (Debian's names) gcc, bpftool, iproute2, util-linux, busybox-static, mmdebstrap and runc; for load and
/// comparison git, redis-tools, wrk, strace, linux-perf, bpftrace and bpfcc-tools, which `./x bench` installs, too, where
/// it can. What is missing of the latter is named in the result. RINGFENCE_BIN names the program that is measured.
#[derive(Parser)]
#[command(name = "bench", after_help = HELP)]
struct Args {
    /// Only these items, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = item)]
    only: Vec<&'static str>,

    /// Short, to see that it works: the numbers are rough.
    #[arg(long)]
    quick: bool,

    /// Also write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Also write the page; with --only, renew these items in the page that is there.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// All that is written to the JSON file.
#[derive(Serialize)]
struct Everything<'a> {
    host: &'a Host,
    quick: bool,
    items: &'a [Outcome],
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn item(name: &str) -> Result<&'static str, String> {
    let names: Vec<&str> = ITEMS.iter().map(|item| item.name).collect();
    let found = ITEMS.iter().find(|item| item.name == name);
    found.map(|item| item.name).ok_or_else(|| format!("`{name}` is not one of {}", names.join(", ")))
}

/// Whether every target was met.
fn run(args: &Args) -> Result<bool> {
    ensure!(rustix::process::geteuid().is_root(), "measuring needs root");
    let host = Host::this();
    println!("{host}\n");
    let settings = Settings { quick: args.quick };
    let mut outcomes = Vec::new();
    for item in ITEMS.iter().filter(|item| args.only.is_empty() || args.only.contains(&item.name)) {
        eprintln!("{} ...", item.name);
        let outcome = measure(item, settings).with_context(|| format!("item {}", item.name))?;
        println!("{}", outcome.markdown());
        outcomes.push(outcome);
    }
    if let Some(path) = &args.json {
        let everything = Everything { host: &host, quick: args.quick, items: &outcomes };
        write(path, &serde_json::to_vec_pretty(&everything)?)?;
    }
    if let Some(path) = &args.write {
        let page = match std::fs::read_to_string(path) {
            Ok(old) if !args.only.is_empty() => page::renewed(&old, &host, args.quick, &outcomes)
                .with_context(|| format!("{} cannot be renewed in part", path.display()))?,
            _ => page::page(&host, args.quick, &outcomes),
        };
        write(path, page.as_bytes())?;
    }
    Ok(outcomes.iter().all(Outcome::is_met))
}

fn measure(item: &Item, settings: Settings) -> Result<Outcome> {
    // No other test runs containers, and records them, meanwhile.
    let _alone = e2e::machine::alone()?;
    let before = host::load();
    let began = Instant::now();
    let found = (item.run)(settings)?;
    let load = Load { before, after: host::load(), cpus: host::cpus() };
    let seconds = began.elapsed().as_secs_f64();
    let (tables, checks, notes) = (found.tables, found.checks, found.notes);
    Ok(Outcome { name: item.name, title: item.title, tables, checks, notes, load, seconds })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_is_not_there_is_named_with_those_that_are() {
        let error = item("nothing").expect_err("no such item");

        assert!(error.contains("`nothing`") && error.contains("getppid"));
        assert_eq!(item("eagain"), Ok("eagain"));
    }

    #[test]
    fn names_of_items_are_unique() {
        let mut names: Vec<&str> = ITEMS.iter().map(|item| item.name).collect();
        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), ITEMS.len());
    }

    #[test]
    fn the_help_names_every_item() {
        use clap::CommandFactory as _;
        let help = Args::command().render_help().to_string();

        for item in ITEMS {
            assert!(help.contains(item.name), "{}", item.name);
        }
    }
}
