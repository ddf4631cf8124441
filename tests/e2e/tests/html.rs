//! The HTML report in a browser: its policy lets its own style and script work, and nothing goes wrong on the console.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::command::finish;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/report/tests/golden").join(name)
}

#[test]
fn a_browser_runs_the_page_without_an_error() -> Result<()> {
    e2e::need!("chromium");
    for name in ["docker.html", "gaps.html", "bare.html"] {
        let (page, console) = opened(&golden(name))?;

        // Only the script makes heads into buttons.
        ensure!(
            name == "bare.html" || page.contains("<button type=\"button\">Count</button>"),
            "{name}: no script ran"
        );
        ensure!(!console.contains("CONSOLE"), "{name}: {console}");
    }
    Ok(())
}

#[test]
fn the_console_would_tell_of_a_style_that_the_policy_refuses() -> Result<()> {
    e2e::need!("chromium");
    let folder = tempfile::tempdir()?;
    let changed = folder.path().join("changed.html");
    let page = std::fs::read_to_string(golden("docker.html"))?.replace("</style>", " </style>");
    std::fs::write(&changed, page)?;

    let (_, console) = opened(&changed)?;

    ensure!(console.contains("CONSOLE"), "{console}");
    Ok(())
}

/// The page as it is once it was loaded, and what the browser said meanwhile.
fn opened(page: &Path) -> Result<(String, String)> {
    let profile = tempfile::tempdir()?;
    let mut browser = Command::new("chromium");
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.canonicalize()?.display()));
    let finished = finish(&mut browser, Duration::from_secs(60))?;
    ensure!(finished.status.success(), "{}", finished.stderr());
    Ok((String::from_utf8(finished.stdout.clone())?, finished.stderr().to_string()))
}
