//! Reports as a stranger reads them: JSON, with small accessors that know the documented fields and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The name of the machine's own table of system calls, as in reports.
pub const NATIVE: &str = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };

/// One report file.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub json: Value,
}

/// One entry of `behaviour.syscalls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `runtime-init`, `main` or `exec`.
    pub phase: String,
    /// `x86_64`, `x86` …
    pub arch: String,
    /// The number in that table.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// How often it was entered.
    pub count: u64,
    /// How often it was refused before it was entered.
    pub refused: u64,
    /// The name of the thread that was refused first, if it is known.
    pub refused_comm: Option<String>,
    /// How often it failed, by errno.
    pub failures: BTreeMap<String, u64>,
    /// The name of the thread that entered it first, if it is known.
    pub first_comm: Option<String>,
    /// The executable of that thread, if it is known.
    pub first_executable: Option<String>,
}

impl Report {
    /// Reads one file.
    pub fn read(path: &Path) -> Result<Report> {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let json = serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))?;
        Ok(Report { path: path.into(), json })
    }

    /// Reads all reports of a folder, by file name.
    pub fn read_all(folder: &Path) -> Result<Vec<Report>> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Report::read(path)).collect()
    }

    /// A text field of the container; empty if it has none.
    pub fn container(&self, field: &str) -> &str {
        self.json["container"][field].as_str().unwrap_or_default()
    }

    /// The path of the container's cgroup; empty if it has none.
    pub fn cgroup_path(&self) -> &str {
        self.json["container"]["cgroup"]["path"].as_str().unwrap_or_default()
    }

    /// Whether it is about this container, by the full id, the name, or the last part of the cgroup's path.
    pub fn is_of(&self, wanted: &str) -> bool {
        self.container("id") == wanted
            || self.container("name") == wanted
            || self.cgroup_path().rsplit('/').next() == Some(wanted)
    }

    /// Whether it calls itself complete.
    pub fn complete(&self) -> bool {
        self.json["complete"] == true
    }

    /// The codes of the reasons why it is not complete.
    pub fn reasons(&self) -> Vec<&str> {
        list(&self.json["reasons"]).iter().filter_map(|reason| reason["code"].as_str()).collect()
    }

    /// An error unless it is complete.
    pub fn must_be_complete(&self) -> Result<()> {
        ensure!(self.complete(), "{} is not complete: {}", self.path.display(), self.json["reasons"]);
        Ok(())
    }

    /// An error unless its counts are exact: nothing was lost, and no other reason than these is given.
    pub fn must_be_exact_except(&self, allowed: &[&str]) -> Result<()> {
        ensure!(list(&self.json["losses"]).is_empty(), "{}: lost: {}", self.path.display(), self.json["losses"]);
        ensure!(self.json["counts"] == "exact", "{}: counts are {}", self.path.display(), self.json["counts"]);
        for reason in self.reasons() {
            ensure!(allowed.contains(&reason), "{}: incomplete: {}", self.path.display(), self.json["reasons"]);
        }
        Ok(())
    }

    /// Whether the container's start was seen.
    pub fn from_start(&self) -> bool {
        self.json["window"]["observed_from"] == "start"
    }

    /// All entries of `behaviour.syscalls`.
    pub fn syscalls(&self) -> Result<Vec<Entry>> {
        let entries = self.json["behaviour"]["syscalls"].as_array().context("behaviour.syscalls is not a list")?;
        entries.iter().map(|entry| parse(entry).with_context(|| format!("the entry {entry}"))).collect()
    }

    /// The entries of one phase.
    pub fn phase(&self, phase: &str) -> Result<Vec<Entry>> {
        Ok(self.syscalls()?.into_iter().filter(|entry| entry.phase == phase).collect())
    }

    /// How often a call of the native table was entered in one phase.
    pub fn count(&self, phase: &str, name: &str) -> Result<u64> {
        self.count_in(phase, NATIVE, name)
    }

    /// How often a call of one table was entered in one phase.
    pub fn count_in(&self, phase: &str, arch: &str, name: &str) -> Result<u64> {
        Ok(self.entry(phase, arch, name)?.map_or(0, |entry| entry.count))
    }

    /// One entry.
    pub fn entry(&self, phase: &str, arch: &str, name: &str) -> Result<Option<Entry>> {
        let mut found: Vec<Entry> = self.phase(phase)?;
        found.retain(|entry| entry.arch == arch && entry.name == name);
        if found.len() > 1 {
            bail!("{} has {name} of {arch} twice in {phase}", self.path.display());
        }
        Ok(found.pop())
    }

    /// The listed processes.
    pub fn processes(&self) -> &[Value] {
        list(&self.json["behaviour"]["processes"]["processes"])
    }

    /// `total`, `total_threads` or `total_execs` of the process tree.
    pub fn tree_total(&self, field: &str) -> Result<u64> {
        number(&self.json["behaviour"]["processes"][field])
    }

    /// All programs of all listed processes, in order.
    pub fn programs(&self) -> Vec<&Value> {
        self.processes().iter().flat_map(|process| list(&process["programs"])).collect()
    }
}

/// A list; empty if there is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A 64-bit number: reports have them as strings.
pub fn number(value: &Value) -> Result<u64> {
    value.as_str().with_context(|| format!("{value} is not a number in a string"))?.parse().context("a decimal number")
}

fn parse(entry: &Value) -> Result<Entry> {
    let text = |field: &str| entry[field].as_str().map(str::to_owned).with_context(|| format!("no {field}"));
    let failures = list(&entry["failures"]).iter().map(|failure| {
        let errno = failure["errno"].as_str().context("no errno")?;
        Ok((errno.to_owned(), number(&failure["count"])?))
    });
    let first = &entry["first"];
    Ok(Entry {
        phase: text("phase")?,
        arch: text("arch")?,
        number: entry["number"].as_u64().and_then(|number| u32::try_from(number).ok()).context("no number")?,
        name: text("name")?,
        count: number(&entry["count"])?,
        refused: entry.get("refused").map_or(Ok(0), number)?,
        failures: failures.collect::<Result<_>>()?,
        refused_comm: entry["first_refused"]["comm"].as_str().map(str::to_owned),
        first_comm: first["comm"].as_str().map(str::to_owned),
        first_executable: first["executable"].as_str().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Report {
        let syscalls = json!([
            {"phase": "main", "arch": "x86_64", "number": 110, "name": "getppid", "count": "18446744073709551615",
                "first": {"comm": "a", "executable": "/a"}, "last_boot_ns": "1"},
            {"phase": "main", "arch": "x86", "number": 64, "name": "getppid", "count": "7", "first": null,
                "failures": [{"errno": "EPERM", "count": "2"}]},
        ]);
        let json = json!({
            "complete": false, "counts": "exact", "reasons": [{"code": "loss", "text": "t"}], "losses": [],
            "container": {"id": "abc", "cgroup": {"path": "/x/of-it", "id": "1"}},
            "behaviour": {"syscalls": syscalls},
        });
        Report { path: "r.json".into(), json }
    }

    #[test]
    fn calls_of_two_tables_are_told_apart() {
        let report = report();

        assert_eq!(report.count_in("main", "x86_64", "getppid").expect("a number"), u64::MAX);
        assert_eq!(report.count_in("main", "x86", "getppid").expect("a number"), 7);
        assert_eq!(report.count_in("exec", "x86", "getppid").expect("none"), 0);
    }

    #[test]
    fn a_reason_that_is_not_allowed_is_an_error() {
        assert!(report().must_be_exact_except(&[]).is_err());
        assert!(report().must_be_exact_except(&["loss"]).is_ok());
        assert!(report().must_be_complete().is_err());
    }

    #[test]
    fn a_container_is_found_by_id_and_by_cgroup() {
        assert!(report().is_of("abc") && report().is_of("of-it") && !report().is_of("x"));
    }

    #[test]
    fn a_number_that_is_not_a_string_is_an_error() {
        assert!(number(&json!(3)).is_err());
    }
}
