//! Files: paths against what the kernel itself says of a descriptor, names and failures against strace, and floods.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::machine::alone;
use e2e::need;
use e2e::programs::program;
use e2e::recorder::record_command;
use e2e::reports::Report;
use e2e::text::text_form;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

/// A folder on the root file system, gone with the value.
fn folder() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("ringfence-files").tempdir_in("/var/tmp")?)
}

fn recorded(args: &[&str], command: &[&str]) -> Result<(Report, String)> {
    let recording = record_command(args, command, LIMIT)?;
    ensure!(recording.status.success(), "ended with {}: {}", recording.status, recording.stderr);
    Ok((recording.only()?.clone(), recording.stdout.clone()))
}

fn list<'a>(report: &'a Report, name: &str) -> &'a [Value] {
    report.json["behaviour"]["files"][name].as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> u64 {
    value.as_str().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// How often each path was opened in `main`, by the path's text form.
fn opens(report: &Report) -> BTreeMap<String, u64> {
    let mut opens = BTreeMap::new();
    for path in list(report, "paths").iter().filter(|path| path["phase"] == "main") {
        *opens.entry(text(&path["path"]).to_owned()).or_default() += number(&path["opens"]);
    }
    opens
}

fn must_be_whole(report: &Report) -> Result<()> {
    ensure!(report.json["sections"]["files"] == true, "files are not complete: {}", report.json["reasons"]);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn every_open_is_booked_on_the_path_that_the_kernel_gives_its_descriptor() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = folder()?;
    let program = program("files")?;
    let command = [program.to_str().context("UTF-8")?, folder.path().to_str().context("UTF-8")?];

    let (report, said) = recorded(&[], &command)?;

    must_be_whole(&report)?;
    let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
    for line in said.lines().filter(|line| *line != "chrooted") {
        let digits = line.as_bytes().chunks(2).map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
        let path: Vec<u8> = digits.collect::<Result<_>>()?;
        *wanted.entry(text_form(path.strip_suffix(b" (deleted)").unwrap_or(&path))).or_default() += 1;
    }
    ensure!(wanted.len() > 20, "the program said too little: {said}");
    let found = opens(&report);
    for (path, times) in &wanted {
        ensure!(found.get(path) == Some(times), "{path:?}: {:?} opens, not {times}", found.get(path));
    }
    // What the program did not say is not the program's.
    for (path, times) in found.iter().filter(|(_, times)| **times > 0) {
        ensure!(wanted.contains_key(path), "{path:?}: {times} opens that were never made");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn names_and_failures_are_those_that_strace_shows() -> Result<()> {
    need!("strace");
    let _alone = alone()?;
    let folder = folder()?;
    let log = folder.path().join("log");
    let script = "mkdir a; echo x >a/b; mv a/b a/c; ln a/c a/d; ln -s nowhere a/e; chmod 600 a/c; chown 1:1 a/c; \
                  truncate -s 5 a/c; mkfifo a/f; cat a/missing ./a/../gone /nowhere/x; rm -f a/c a/d a/e a/f; rmdir a; rmdir a; :";
    let calls = "open,openat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,mknod,\
                 mknodat,chmod,fchmodat,chown,fchownat,rmdir";
    let command = [
        "strace",
        "-f",
        "-s",
        "4096",
        "-e",
        &format!("trace={calls}"),
        "-e",
        "signal=none",
        "-o",
        log.to_str().context("UTF-8")?,
        "sh",
        "-c",
        &format!("cd {}; {script}", folder.path().display()),
    ];

    let (report, _) = recorded(&[], &command)?;

    must_be_whole(&report)?;
    let found: BTreeSet<(String, String, String, Option<String>)> = list(&report, "names")
        .iter()
        .map(|name| {
            let text = |field: &str| name[field].as_str().unwrap_or_default().to_owned();
            (text("operation"), text("path"), text("second_path"), name["errno"].as_str().map(str::to_owned))
        })
        .collect();
    let mut checked = 0;
    for line in std::fs::read_to_string(&log)?.lines() {
        let Some(wanted) = name_of_line(line, folder.path()) else { continue };
        ensure!(found.contains(&wanted), "{wanted:?} (of {line}) is not in the report: {found:#?}");
        checked += 1;
    }
    ensure!(checked > 20, "strace showed only {checked} calls");
    Ok(())
}

/// What a line of strace's should be in the report; none if it is a call that goes by its descriptor.
fn name_of_line(line: &str, folder: &Path) -> Option<(String, String, String, Option<String>)> {
    let (call, rest) = line.split_once(' ')?.1.trim_start().split_once('(')?;
    let errno = rest.rsplit_once(" = -1 ").and_then(|(_, errno)| errno.split(' ').next()).map(str::to_owned);
    let operation = match call {
        "open" | "openat" if errno.is_some() => "open",
        "unlink" | "unlinkat" | "rmdir" => "delete",
        "rename" | "renameat" | "renameat2" => "rename",
        "link" | "linkat" => "link",
        "symlink" | "symlinkat" => "symlink",
        "mkdir" | "mkdirat" => "make-directory",
        "mknod" | "mknodat" => "make-node",
        "chmod" | "fchmodat" => "change-mode",
        "chown" | "fchownat" => "change-owner",
        _ => return None,
    };
    let mut texts = rest.split('"').skip(1).step_by(2).map(str::to_owned);
    let first = texts.next()?;
    let second = texts.next();
    // Only what starts from the working directory, which the script has changed to.
    if !rest.starts_with("AT_FDCWD") && !rest.starts_with('"') {
        return None;
    }
    let absolute = |name: String| if name.starts_with('/') { name } else { format!("{}/{name}", folder.display()) };
    let first = if operation == "symlink" { first } else { absolute(first) };
    Some((operation.into(), first, second.map(absolute).unwrap_or_default(), errno))
}

#[test]
#[ignore = "needs root"]
fn bytes_are_counted_for_mounts_and_on_request_for_files() -> Result<()> {
    let _alone = alone()?;
    let folder = folder()?;
    let file = folder.path().join("data");
    let script = format!(
        "dd if=/dev/zero of={0} bs=1000 count=1234 status=none; dd if={0} of=/dev/null bs=777 status=none; cat {0} >/dev/null",
        file.display()
    );

    let (report, _) = recorded(&["--file-bytes"], &["sh", "-c", &script])?;

    must_be_whole(&report)?;
    let found = list(&report, "paths").iter().find(|path| text(&path["path"]) == file.to_str().unwrap_or_default());
    let found = found.context("the file is in the report")?;
    ensure!(number(&found["written_bytes"]) == 1_234_000, "{found}");
    ensure!(number(&found["read_bytes"]) == 2 * 1_234_000, "{found}");
    let null = list(&report, "mounts").iter().find(|mount| mount["place"] == "dev").context("a mount of devices")?;
    ensure!(number(&null["read_bytes"]) == 1_234_000, "from /dev/zero: {null}");
    ensure!(number(&null["written_bytes"]) == 2 * 1_234_000, "to /dev/null: {null}");
    let root = list(&report, "mounts").iter().find(|mount| mount["place"] == "root").context("the root")?;
    ensure!(number(&root["written_bytes"]) == 1_234_000, "{root}");
    ensure!(number(&root["read_bytes"]) >= 2 * 1_234_000, "{root}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_flood_of_names_is_counted_by_directory_and_none_is_lost() -> Result<()> {
    need!("python3");
    let _alone = alone()?;
    let folder = tempfile::Builder::new().prefix("ringfence-flood").tempdir_in("/dev/shm")?;
    const NAMES: u64 = 200_000;
    let script = format!(
        "import os\nfor i in range({NAMES}):\n  os.close(os.open('{}/f%d' % i, os.O_CREAT | os.O_WRONLY))\n  os.unlink('{0}/f%d' % i)",
        folder.path().display()
    );

    let (report, _) = recorded(&[], &["python3", "-c", &script])?;

    ensure!(report.json["losses"] == Value::Array(Vec::new()), "lost: {}", report.json["losses"]);
    let place = folder.path().to_str().context("UTF-8")?.to_owned();
    let listed: u64 = opens(&report).iter().filter(|(path, _)| path.starts_with(&place)).map(|(_, times)| times).sum();
    let directory = list(&report, "directories").iter().find(|one| text(&one["path"]) == place);
    let directory = directory.context("the directory is counted")?;
    ensure!(listed + number(&directory["opens"]) == NAMES, "{listed} listed, and {directory}");
    let distinct = number(&directory["distinct"]) as f64;
    let really = (NAMES - listed) as f64;
    ensure!((distinct - really).abs() < 0.26 * really, "about {distinct} different ones, really {really}");
    let deletes: u64 = list(&report, "names")
        .iter()
        .filter(|name| name["operation"] == "delete")
        .map(|name| number(&name["count"]))
        .sum();
    ensure!(deletes == NAMES, "{deletes} deletes");
    // The reader is told that names are missing, and of the opens none is.
    ensure!(
        report.json["sections"]["files"] == false && report.json["sections"]["syscalls"] == true,
        "{}",
        report.json["sections"]
    );
    Ok(())
}
