//! A container of a user who is not root: Podman without a daemon, in user namespaces, with no cgroup of its own where
//! the machine delegates none.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::command::must_within;
use e2e::machine::{alone, unique_name};
use e2e::recorder::Recorder;
use e2e::reports::NATIVE;
use e2e::{need, sealed};

/// A user of this test alone, known in the test's own mount namespace only.
const USER: u32 = 64_321;

/// Gives the namespace its own lists of users, and becomes the user. `$1` is the test's folder, `$2` the runtime, `$3`
/// the container's name, then come the arguments of the container.
const AS_USER: &str = r#"
set -e
folder=$1 runtime=$2 name=$3
shift 3
mkdir -p "$folder/home" "$folder/run"
for list in passwd group subuid subgid; do
    cp "/etc/$list" "$folder/$list" 2>/dev/null || : >"$folder/$list"
    [ -e "/etc/$list" ] || touch "/etc/$list"
done
echo "rf-rootless:x:USER:USER::$folder/home:/bin/sh" >>"$folder/passwd"
echo "rf-rootless:x:USER:" >>"$folder/group"
echo "rf-rootless:600000:65536" >>"$folder/subuid"
echo "rf-rootless:600000:65536" >>"$folder/subgid"
chown -R USER:USER "$folder/home" "$folder/run" "$folder/root"
for list in passwd group subuid subgid; do mount --bind "$folder/$list" "/etc/$list"; done
cd /
exec setpriv --reuid USER --regid USER --clear-groups env -i "PATH=$PATH" "HOME=$folder/home" \
    "XDG_RUNTIME_DIR=$folder/run" podman --cgroup-manager=cgroupfs --runtime "$runtime" run --rm --network=none \
    --name "$name" --rootfs "$folder/root" "$@"
"#;

#[test]
#[ignore = "needs root"]
fn a_container_of_a_user_who_is_not_root_is_recorded_exactly() -> Result<()> {
    need!("gcc", "podman", "runc", "newuidmap", "setpriv", "busybox", "unshare");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let folder = tempfile::Builder::new().prefix("rf-rootless-").tempdir()?;
    open_to_all(folder.path())?;
    // Files that the user owns: overlays of root's are not.
    must_within(Command::new("cp").arg("-a").arg(overlay.root()).arg(folder.path().join("root")), sealed::LIMIT)?;
    let name = unique_name("rf-rootless");

    let recorder = Recorder::start(&["--all"])?;
    let script = AS_USER.replace("USER", &USER.to_string());
    let mut podman = Command::new("unshare");
    podman.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(folder.path());
    podman.args(["runc", &name, "/bin/exact", "half", "650"]);
    must_within(&mut podman, sealed::LIMIT)?;
    let recording = recorder.stop()?;

    let runs_exact =
        |report: &&e2e::reports::Report| report.programs().iter().any(|program| program["executable"] == "/bin/exact");
    let report = recording.reports.iter().find(runs_exact).context("no report of a container that ran /bin/exact")?;
    ensure!(report.complete(), "incomplete: {:?}", report.reasons());
    let read = report.entry("main", NATIVE, "read")?.context("no read in main")?;
    assert_eq!((read.count, read.failures.get("EAGAIN")), (650, Some(&325)));
    let first = report.processes().first().context("no process")?;
    assert_eq!(first["programs"][0]["uid"].as_u64(), Some(u64::from(USER)), "{first}");
    assert_eq!(first["programs"][0]["uid_inside"].as_u64(), Some(0), "{first}");
    Ok(())
}

fn open_to_all(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).context("the folder's mode")
}
