//! `docs/adding-a-sensor.md` is true: its sensor is added to a copy of the tree just as the page shows, and works.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::command::finish;
use e2e::machine::alone;

const PAGE: &str = "docs/adding-a-sensor.md";
/// The sensor that the page adds, and the test of it that needs the kernel.
const SENSOR: &str = "signal";
const KERNEL_TEST: &str = "test signal::tests::a_signal_has_its_target_and_what_became_of_it ... ok";

/// A block of the page below a line that is nothing but a path.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    path: String,
    is_diff: bool,
    text: String,
}

#[test]
fn the_page_adds_one_folder_one_line_and_one_fact() -> Result<()> {
    let blocks = blocks(&std::fs::read_to_string(tree().join(PAGE))?);

    let folder = format!("crates/sensors/src/{SENSOR}/");
    let (own, others): (Vec<&Block>, Vec<&Block>) = blocks.iter().partition(|block| block.path.starts_with(&folder));
    assert!(own.iter().all(|block| !block.is_diff), "{own:?}");
    let outside: Vec<&str> = others.iter().map(|block| block.path.as_str()).collect();
    assert_eq!(outside, ["crates/event/src/payload.rs", "crates/sensors/src/lib.rs"]);
    let added: Vec<&str> = others[1].text.lines().filter(|line| line.starts_with('+')).collect();
    assert_eq!(added, [format!("+    {SENSOR},")]);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn the_sensor_of_the_page_works() -> Result<()> {
    let _alone = alone()?;
    let copy = tempfile::tempdir()?;
    copy_sources(&tree(), copy.path())?;
    // Another version, so that what is built of the copy is never taken for what is built of the tree.
    let manifest = copy.path().join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest)?;
    let version = text.lines().find(|line| line.starts_with("version = ")).context("the workspace has a version")?;
    std::fs::write(&manifest, text.replacen(version, "version = \"0.0.0-copy\"", 1))?;
    for block in blocks(&std::fs::read_to_string(tree().join(PAGE))?) {
        apply(&block, copy.path()).with_context(|| format!("the block of {}", block.path))?;
    }

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = |args: &[&str]| {
        let mut command = Command::new(&cargo);
        command.args(args).current_dir(copy.path()).env("CARGO_TARGET_DIR", target_folder()?);
        finish(&mut command, Duration::from_secs(500))
    };
    let tests = run(&["test", "-p", "sensors", "--lib", SENSOR, "--", "--include-ignored", "--test-threads=1"])?;

    let said = tests.stdout() + &tests.stderr();
    ensure!(tests.status.success(), "{said}");
    ensure!(said.lines().any(|line| line == KERNEL_TEST), "its kernel test did not run: {said}");

    // Whoever uses the vocabulary or the sensors needs no change.
    let checked = run(&["check", "--workspace", "--all-targets"])?;
    ensure!(checked.status.success(), "{}", checked.stderr());
    Ok(())
}

/// The root of the workspace.
fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where this test itself was built: `TARGET/debug/deps/THIS`.
fn target_folder() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.ancestors().nth(3).context("this test is in no target folder")?.to_owned())
}

/// Everything but what is built and the history.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        let place = to.join(name);
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&place)?;
            copy_sources(&entry.path(), &place)?;
        } else {
            std::fs::copy(entry.path(), &place).with_context(|| format!("copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// The blocks of a page that stand, after one empty line, below a line with a path in backticks.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    let mut path: Option<&str> = None;
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: String = lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
            if let Some(path) = path.take() {
                blocks.push(Block { path: path.to_owned(), is_diff: language == "diff", text });
            }
        } else if !line.is_empty() {
            path = line.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).filter(|path| path.contains('/'));
        }
    }
    blocks
}

/// Writes a new file, or changes the one place of a file that is as the block shows it.
fn apply(block: &Block, root: &Path) -> Result<()> {
    let path = root.join(&block.path);
    if !block.is_diff {
        std::fs::create_dir_all(path.parent().context("a path has a folder")?)?;
        let mut file = std::fs::File::create_new(&path)?;
        return Ok(std::io::Write::write_all(&mut file, block.text.as_bytes())?);
    }
    let old = std::fs::read_to_string(&path)?;
    Ok(std::fs::write(&path, changed(&old, &block.text)?)?)
}

/// The text after a change that is shown with the lines around it.
fn changed(text: &str, diff: &str) -> Result<String> {
    let side = |mark: char| -> String {
        let lines = diff.lines().filter_map(|line| line.strip_prefix([' ', mark]));
        lines.flat_map(|line| [line, "\n"]).collect()
    };
    let (before, after) = (side('-'), side('+'));
    match text.matches(&before).count() {
        1 => Ok(text.replacen(&before, &after, 1)),
        count => bail!("these lines are in the file {count} times:\n{before}"),
    }
}

#[test]
fn a_block_belongs_to_the_path_above_it() {
    let page = "text\n\n`a/b.rs`\n\n```rust\nfn f() {}\n```\n\n```c\nnone\n```\n\n`c/d`\n\n```diff\n+x\n```\n";

    let block = |path: &str, is_diff, text: &str| Block { path: path.into(), is_diff, text: text.into() };
    assert_eq!(blocks(page), [block("a/b.rs", false, "fn f() {}\n"), block("c/d", true, "+x\n")]);
}

#[test]
fn a_change_is_made_where_the_file_is_as_shown_and_nowhere_else() {
    assert_eq!(changed("a\nb\nc\n", " a\n+x\n b\n").ok().as_deref(), Some("a\nx\nb\nc\n"));
    assert_eq!(changed("a\nb\nc\n", " a\n-b\n+x\n").ok().as_deref(), Some("a\nx\nc\n"));
    assert!(changed("a\nc\n", " a\n+x\n b\n").is_err());
    assert!(changed("a\na\n", " a\n+x\n").is_err());
}
