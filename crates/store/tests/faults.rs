//! A full disk and one that is read-only, each on a file system of the test's own: the test starts itself again in a
//! mount namespace of its own. Where that is not allowed it says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use report::Report;
use store::{Folder, FolderError};

const PLACE: &str = "RINGFENCE_TEST_PLACE";
const KIB: usize = 1024;

fn report() -> Report {
    Report::parse(include_bytes!("../../report/tests/reports/1-docker.json")).expect("a kept report")
}

/// In the child the place to test in, a tmpfs of 64 KiB; in the parent none, after the child has passed.
fn place(test: &str) -> Option<PathBuf> {
    if let Some(place) = std::env::var_os(PLACE) {
        return Some(place.into());
    }
    let place = tempfile::tempdir().expect("folder");
    let mount = "mount -t tmpfs -o size=64k none \"$0\" || exit 77; exec \"$@\"";
    for flags in [&["--mount"][..], &["--mount", "--user", "--map-root-user"]] {
        let output = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", mount])
            .arg(place.path())
            .arg(std::env::current_exe().expect("own path"))
            .args(["--exact", test, "--nocapture"])
            .env(PLACE, place.path())
            .output();
        match output {
            Ok(output) if output.status.success() => return None,
            Ok(output) if String::from_utf8_lossy(&output.stdout).contains("running 1 test") => {
                panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            }
            Ok(_) | Err(_) => {}
        }
    }
    println!("skipped: no mount namespace of one's own can be had here");
    None
}

fn files(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).expect("folder").map(|entry| entry.expect("entry").path()).collect()
}

#[test]
fn a_full_disk_is_one_error_and_leaves_nothing_behind() {
    let Some(place) = place("a_full_disk_is_one_error_and_leaves_nothing_behind") else { return };
    let folder = Folder::open(Some(&place)).expect("room for names");
    let filler = place.join("filler");
    fs::write(&filler, vec![1; 56 * KIB]).expect("room for most");

    let error = folder.write(&report()).expect_err("no room");

    assert_eq!(error.source.kind(), std::io::ErrorKind::StorageFull);
    assert!(error.to_string().contains("make room on that disk"), "{error}");
    assert_eq!(files(&place), std::slice::from_ref(&filler));

    fs::remove_file(filler).expect("removed");
    folder.write(&report()).expect("room again");
}

#[test]
fn a_read_only_disk_is_one_error_before_and_during_a_recording() {
    let Some(place) = place("a_read_only_disk_is_one_error_before_and_during_a_recording") else { return };
    let opened_before = Folder::open(Some(&place)).expect("writable");
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&place).status().expect("mount");
    assert!(remounted.success());

    let at_start = Folder::open(Some(&place)).expect_err("read-only");
    let below = Folder::open(Some(&place.join("new"))).expect_err("read-only");
    let at_end = opened_before.write(&report()).expect_err("read-only");

    assert!(matches!(at_start, FolderError::NotWritable { .. }), "{at_start:?}");
    assert!(matches!(below, FolderError::Create { .. }), "{below:?}");
    for text in [at_start.to_string(), below.to_string(), at_end.to_string()] {
        assert!(text.contains("that disk is mounted read-only: give another folder with --out"), "{text}");
    }
    assert_eq!(files(&place), [""; 0].map(PathBuf::from));
}
