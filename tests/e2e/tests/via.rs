//! What an engine denies by itself, with the flags and the profile that `ringfence block --via` makes.

use anyhow::{Context, Result, ensure};
use e2e::blocking::run;
use e2e::engines::{Docker, Engine};
use e2e::machine::alone;
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs};

/// What is denied, what it takes to be able to do it at all, and what tries it.
const DEEDS: [(&[&str], &str, &str); 4] = [
    (&["--mount"], "--cap-add=SYS_ADMIN", "mount -t tmpfs none /tmp"),
    // Docker gives it by default; a flag that adds it would win.
    (&["--capability", "chown"], "--network=none", "chown 7 /etc/passwd"),
    (
        &["--listen", "*"],
        "--network=none",
        "nc -l -p 4444 -w 1 & sleep 0.2; grep -q ':115C .* 0A ' /proc/net/tcp /proc/net/tcp6",
    ),
    (&["--connect", "*"], "--network=none", "! nc -w 1 127.0.0.1 9 2>&1 | grep -q 'not permitted'"),
];

#[test]
#[ignore = "needs root"]
fn what_a_profile_denies_is_denied_by_docker_and_nothing_else_is() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("profile.json").display().to_string();
    for (denied, needs, script) in DEEDS {
        let is_flag_alone = denied[0] == "--capability";
        let out = if is_flag_alone { &[][..] } else { &["--out", profile.as_str()] };
        let made = run(None, &[&["block"], denied, &["--via", "docker"], out].concat())?;
        ensure!(made.status.success(), "{denied:?}: {}", made.stderr());
        let flags = made.stdout();
        let flags: Vec<&str> = flags.split_whitespace().collect();
        ensure!(!flags.is_empty(), "{denied:?}: no flags");
        let try_with = |flags: &[&str]| {
            let with = ["run", "--rm", needs];
            docker.try_docker(&[&with, flags, &[BUSYBOX_IMAGE, "/bin/busybox", "sh", "-c", script]].concat())
        };
        let before = try_with(&[])?;
        ensure!(before.status.success(), "{denied:?} does not work without: {} {}", before.stdout(), before.stderr());
        let after = try_with(&flags)?;
        ensure!(
            after.status.code() == Some(1),
            "{denied:?} ends with {} under {flags:?}: {}",
            after.status,
            after.stderr()
        );
        let rest = docker
            .try_docker(&[&["run", "--rm"], &flags[..], &[BUSYBOX_IMAGE, "/bin/busybox", "id", "-u"]].concat())?;
        ensure!(rest.stdout().trim() == "0", "nothing runs under {flags:?}: {}", rest.stderr());
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_no_filter_can_tell_is_refused() -> Result<()> {
    for (args, why) in [
        (&["--exec", "whoami"][..], "not which file"),
        (&["--image-binaries-only"], "image"),
        (&["--file", "/etc/shadow:r"], "no path"),
        (&["--connect", "10.0.0.0/8"], "no address"),
        (&["--listen", "80", "--mount"], "no port"),
    ] {
        let refused = run(None, &[&["block", "--via", "seccomp"], args].concat())?;
        ensure!(refused.status.code() == Some(3), "{args:?} ends with {}: {}", refused.status, refused.stderr());
        ensure!(refused.stderr().contains(why) && refused.stdout().is_empty(), "{args:?}: {}", refused.stderr());
    }
    for args in [&["--mount"][..], &["--container", "x", "--mount"], &["--status"], &[]] {
        let wrong = run(None, &[&["block", "--via", "docker"], args].concat())?;
        ensure!(wrong.status.code() == Some(2), "{args:?} ends with {}", wrong.status);
    }
    let printed = run(None, &["block", "--ptrace", "--via", "seccomp"])?;
    let profile: serde_json::Value = serde_json::from_str(&printed.stdout()).context("no JSON")?;
    ensure!(profile["defaultAction"] == "SCMP_ACT_ERRNO", "{profile}");
    ensure!(printed.stderr().contains("/proc/PID/mem"), "{}", printed.stderr());
    Ok(())
}
