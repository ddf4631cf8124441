//! Names that somebody chose to do harm: stored exactly, never raw on a terminal.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::machine::alone;
use e2e::need;
use e2e::programs::program;
use e2e::recorder::{Recording, record_command, ringfence};
use e2e::reports::{NATIVE, list};
use e2e::sealed::LIMIT;
use e2e::text::{text_form, unsafe_on_a_terminal};

/// Clears a screen, forges a line, is not UTF-8, hides what follows, has what JSON and tables escape.
const EVIL: [&[u8]; 7] = [
    b"\x1b[2J\x1b]0;owned\x07",
    b"line\nnext line",
    b"\xff\xfe\x80",
    "\u{202e}gpj.exe".as_bytes(),
    b"back\\slash\\x41",
    b"quote\" | pipe, comma\t tab",
    b"\r\x08 \x7f\xc2\x9b1m",
];

const NONE: [&str; 0] = [];

fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// Records a copy of a program of ours under this path.
fn record(path: &Path, name: &str, args: &[&[u8]]) -> Result<Recording> {
    std::fs::copy(program(name)?, path).with_context(|| format!("copy to {path:?}"))?;
    let command: Vec<&OsStr> = std::iter::once(path.as_os_str()).chain(args.iter().map(|arg| os(arg))).collect();
    let recording = record_command(&NONE, &command, LIMIT)?;
    ensure!(recording.status.success(), "ended with {}: {}", recording.status, recording.stderr);
    Ok(recording)
}

fn folder() -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("ringfence-names").tempdir()?)
}

#[test]
#[ignore = "needs root"]
fn the_name_that_a_thread_gave_itself_is_stored_exactly() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    for evil in EVIL {
        let folder = folder()?;
        let recording = record(&folder.path().join("rename"), "rename", &[evil, b"3"])?;

        let report = recording.only()?;
        let entry = report.entry("main", NATIVE, "getppid")?.context("no getppid")?;
        // The kernel keeps 15 bytes.
        assert_eq!(entry.first_comm, Some(text_form(&evil[..evil.len().min(15)])));
        assert_eq!(entry.count, 3);
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn arguments_and_paths_are_stored_exactly() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    for evil in EVIL {
        let folder = folder()?;
        let path = folder
            .path()
            .join(os(&evil.iter().map(|byte| if *byte == b'/' { b'_' } else { *byte }).collect::<Vec<_>>()));
        let recording = record(&path, "rename", &[b"x", b"1"])?;
        let with_argument = record(&folder.path().join("rename"), "rename", &[evil, b"1"])?;

        let path = text_form(path.as_os_str().as_bytes());
        let report = recording.only()?;
        let programs = report.programs();
        let program = programs.iter().find(|program| program["executable"] == path.as_str()).context("not its path")?;
        assert_eq!(program["argument"], path.as_str());
        assert_eq!(program["argv"][0], path.as_str());

        let report = with_argument.only()?;
        let programs = report.programs();
        let program = programs.last().context("no program")?;
        assert_eq!(program["argv"][1], text_form(evil).as_str());
        assert_eq!(program["argv_truncated"], false);
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn the_working_directory_is_stored_exactly() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = folder()?;
    let cwd = folder.path().join(os(b"a\x1b[31m\xff\nb"));
    std::fs::create_dir(&cwd)?;
    let short_life = program("short_life")?;
    let script = OsString::from_vec(
        [b"cd '", cwd.as_os_str().as_bytes(), b"' && exec ", short_life.as_os_str().as_bytes()].concat(),
    );

    let recording = record_command(&NONE, &[OsStr::new("/bin/sh"), OsStr::new("-c"), &script], LIMIT)?;

    let report = recording.only()?;
    let programs = report.programs();
    assert_eq!(programs.last().context("no program")?["cwd"], text_form(cwd.as_os_str().as_bytes()).as_str());
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_is_cut_says_so_and_what_is_not_is_whole() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = folder()?;
    let long = vec![b'x'; 100_000];
    let long_name: Vec<u8> = vec![b'n'; 255];

    let recording = record(&folder.path().join("exact"), "exact", &[&long, b"1"]);
    // A mode that it does not know: it ends with an error, which is passed on.
    ensure!(recording.is_err(), "the exit code was not passed on");
    let recording = record(&folder.path().join(os(&long_name)), "rename", &[&long, b"1"])?;

    let report = recording.only()?;
    let programs = report.programs();
    let program = programs.last().context("no program")?;
    assert_eq!(program["argv_truncated"], true);
    let argv: usize = list(&program["argv"]).iter().filter_map(|argument| argument.as_str()).map(str::len).sum();
    ensure!(argv > 255 && argv < 70_000, "{argv} bytes of argv");
    let expected = text_form(folder.path().join(os(&long_name)).as_os_str().as_bytes());
    assert_eq!(program["executable"], expected.as_str());
    assert_eq!(program["path_truncated"], false);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_path_of_maximum_length_is_stored_or_says_that_it_was_cut() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = folder()?;
    let mut deep = folder.path().to_path_buf();
    while deep.as_os_str().len() + 201 < 4000 {
        deep.push("d".repeat(200));
    }
    std::fs::create_dir_all(&deep)?;
    let path = deep.join("exact");

    let recording = record(&path, "exact", &[b"getppid", b"2"])?;

    let report = recording.only()?;
    let programs = report.programs();
    let program = programs.last().context("no program")?;
    let stored = program["executable"].as_str().context("no executable")?;
    if program["path_truncated"] == true {
        let tail = stored.trim_start_matches('…');
        ensure!(path.display().to_string().ends_with(tail), "not its tail: {} bytes", tail.len());
        ensure!(stored.len() > 255, "only {} bytes", stored.len());
    } else {
        assert_eq!(stored, path.display().to_string());
    }
    assert_eq!(report.count("main", "getppid")?, 2);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn no_name_reaches_a_terminal_raw() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    for evil in EVIL {
        let folder = folder()?;
        let recording = record(&folder.path().join("rename"), "rename", &[evil, b"3"])?;
        let bad = unsafe_on_a_terminal(recording.stderr.as_bytes());
        ensure!(bad.is_none(), "record writes {bad:?} for {}", text_form(evil));

        let file = recording.only()?.path.display().to_string();
        for format in ["table", "markdown"] {
            let shown = ringfence(&["report", &file, "--format", format], LIMIT)?;
            ensure!(shown.status.success(), "report --format {format}: {}", shown.stderr());
            for output in [&shown.stdout, &shown.stderr] {
                let bad = unsafe_on_a_terminal(output);
                ensure!(bad.is_none(), "report --format {format} writes {bad:?} for {}", text_form(evil));
            }
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn an_error_about_a_name_does_not_write_it_raw() -> Result<()> {
    let _alone = alone()?;
    for evil in EVIL {
        let missing = OsString::from_vec([b"/nothing/".as_slice(), evil].concat());
        for args in [
            vec![OsStr::new("record"), OsStr::new("--events"), &missing],
            vec![OsStr::new("record"), OsStr::new("--"), &missing],
            vec![OsStr::new("report"), &missing],
        ] {
            let finished = ringfence(&args, LIMIT)?;
            ensure!(!finished.status.success(), "{args:?} succeeds");
            let bad = unsafe_on_a_terminal(&finished.stderr);
            ensure!(bad.is_none(), "{args:?} writes {bad:?}: {:?}", finished.stderr());
        }
    }
    Ok(())
}
