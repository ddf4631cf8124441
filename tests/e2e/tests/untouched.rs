//! Files of an image that were not touched, beside what docker says is in the image.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::{command, must};
use e2e::engines::{Docker, Engine as _, Wish};
use e2e::machine::{alone, unique_name};
use e2e::recorder::{Recorder, ringfence};
use e2e::reports::number;
use e2e::rootfs;
use e2e::workloads::BUSYBOX_IMAGE;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Regular files of an image with their sizes, as `docker export` has them. Without what docker makes for each container.
fn exported(docker: &Docker, image: &str) -> Result<BTreeMap<String, u64>> {
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("all.tar").display().to_string();
    let name = unique_name("rf-export");
    docker.docker(&["create", "--name", &name, image, "true"])?;
    docker.docker(&["export", "--output", &archive, &name])?;
    docker.docker(&["rm", &name])?;
    // Mode, owner, size, date, time, path.
    let lines = must(&mut command("tar", ["--numeric-owner", "-tvf", &archive]))?;
    let mut files = BTreeMap::new();
    for line in lines.lines().filter(|line| line.starts_with('-')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        files.insert(format!("/{}", words[5]), words[2].parse()?);
    }
    let made_for_it = ["/.dockerenv", "/dev/console", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
    files.retain(|path, _| !made_for_it.contains(&path.as_str()));
    Ok(files)
}

fn shown(report: &Path, more: &[&str]) -> Result<Value> {
    let path = report.display().to_string();
    let args: Vec<&str> = ["report", &path, "--format", "json"].into_iter().chain(more.iter().copied()).collect();
    let shown = ringfence(&args, LIMIT)?;
    ensure!(shown.status.success(), "{}", shown.stderr());
    Ok(serde_json::from_str(&shown.stdout())?)
}

#[test]
#[ignore = "needs root and docker"]
fn what_no_program_used_is_what_the_image_has_beside() -> Result<()> {
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    // An image of several layers: one hides files and a directory of the one below.
    let (first, second) = (unique_name("rf-first"), unique_name("rf-second"));
    let fill = "mkdir -p /data/used /data/unused /gone /new; for i in 1 2 3; do echo $i > /data/unused/$i; done; \
                echo used > /data/used/read; echo run > /data/used/renamed; echo left > /data/used/left; \
                echo 1 > /gone/a; echo 1 > /data/deleted; echo old > /new/old; ln -s data /link";
    let change = "rm -r /gone /data/deleted /new; mkdir /new; echo new > /new/file";
    let run = |name: &str, image: &str, script: &str| {
        docker.docker(&["run", "--name", name, "--network", "none", image, "sh", "-c", script])
    };
    run(&first, BUSYBOX_IMAGE, fill)?;
    docker.docker(&["commit", &first, "rf-one"])?;
    run(&second, "rf-one", change)?;
    docker.docker(&["commit", &second, "rf-two"])?;
    let image = exported(&docker, "rf-two")?;
    ensure!(image.contains_key("/new/file") && !image.contains_key("/new/old"), "{image:?}");

    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    let name = unique_name("rf-untouched");
    let args = ["sh", "-c", "cat /data/used/read; mv /link/used/renamed /tmp; echo made > /made"].map(str::to_owned);
    docker.run(&Wish { name: &name, image: "rf-two", args: &args, mounts: &[], more: &[] })?;
    docker.docker(&["wait", &name])?;
    let recording = recorder.stop()?;
    // Its own layers are gone then, those of the image stay.
    docker.docker(&["rm", &name])?;
    let report = recording.of(&name)?;

    let json = shown(&report.path, &["--untouched"])?;

    let untouched = &json["untouched"];
    ensure!(number(&untouched["files"])? == image.len() as u64, "{untouched:#} and {image:#?}");
    ensure!(number(&untouched["bytes"])? >= image.values().sum(), "{untouched:#} and {image:#?}");
    let parts: BTreeMap<String, u64> = untouched["parts"]
        .as_array()
        .context("no parts")?
        .iter()
        .map(|part| Ok((part["path"].as_str().unwrap_or_default().to_owned(), number(&part["files"])?)))
        .collect::<Result<_>>()?;
    for (path, files) in [("/data/unused", 3), ("/data/used/left", 1), ("/new", 1)] {
        ensure!(parts.get(path) == Some(&files), "{path}: {parts:#?}");
    }
    let touched = ["/data/used/read", "/data/used/renamed", "/bin/busybox"];
    ensure!(touched.iter().all(|path| image.contains_key(*path) && !parts.contains_key(*path)), "{parts:#?}");
    let listed = parts.values().sum::<u64>();
    ensure!(image.len() as u64 - listed >= touched.len() as u64, "{parts:#?} of {image:#?}");

    // The same from a directory.
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("new"))?;
    std::fs::write(folder.path().join("new/other"), "1")?;
    let json = shown(&report.path, &[&format!("--untouched={}", folder.path().display())])?;
    ensure!(json["untouched"]["parts"][0]["path"] == "/", "{}", json["untouched"]);

    // People see it, too; and if the image is gone they are told.
    let path = report.path.display().to_string();
    let table = ringfence(&["report", path.as_str(), "--untouched", "--all"], LIMIT)?;
    ensure!(table.stdout().contains("Files of the image that were never touched"), "{}", table.stdout());
    for image in ["rf-two", "rf-one"] {
        docker.docker(&["rm", "-f", &first, &second]).ok();
        docker.docker(&["rmi", "-f", image])?;
    }
    let refused = ringfence(&["report", path.as_str(), "--untouched"], LIMIT)?;
    ensure!(
        refused.status.code() == Some(2) && refused.stderr().contains("of the image: No such file"),
        "{}",
        refused.stderr()
    );
    Ok(())
}
