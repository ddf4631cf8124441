use std::collections::BTreeMap;

use event::{Payload, Phase, Text};

use crate::testing::Bench;

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn an_exec_has_the_resolved_path_the_argument_and_argv() {
    let bench = Bench::new();
    let folder = std::env::temp_dir().join(format!("ringfence-exec-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join("link");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink("/bin/true", &link).unwrap();
    let link = link.to_str().unwrap().to_owned();

    bench.run(&link, &["one", "", "th\nree"]);
    let execs: Vec<_> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event.payload {
            Payload::Exec(exec) if event.phase == Phase::Main => Some(exec),
            _ => None,
        })
        .collect();
    std::fs::remove_dir_all(&folder).unwrap();

    let [exec] = execs.as_slice() else { panic!("{execs:?}") };
    let target = std::fs::canonicalize("/bin/true").unwrap();
    assert_eq!(exec.executable, Text::from(target.to_str().unwrap()));
    assert_eq!(exec.argument, Text::from(link.as_str()));
    assert_eq!(exec.argv, [link.as_str(), "one", "", "th\nree"].map(Text::from));
    assert!(!exec.argv_truncated && !exec.path_truncated);
    assert_eq!(exec.interpreter, Text::default());
    assert_eq!(exec.cwd, Text::from(std::env::current_dir().unwrap().to_str().unwrap()));
    assert_eq!((exec.uid, exec.uid_inside), (0, Some(0)));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_script_names_its_interpreter_and_itself() {
    let bench = Bench::new();
    let script = std::env::temp_dir().join(format!("ringfence-script-{}", std::process::id()));
    std::fs::write(&script, "#!/bin/sh -e\nexit 3\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = script.to_str().unwrap().to_owned();

    let status = bench.run(&path, &["argument"]);
    let payloads = bench.payloads();
    std::fs::remove_file(&script).unwrap();

    assert_eq!(status.code(), Some(3));
    let exec = payloads
        .iter()
        .find_map(|payload| match payload {
            Payload::Exec(exec) if exec.argument == Text::from(path.as_str()) => Some(exec),
            _ => None,
        })
        .expect("the script was started");
    assert_eq!(exec.interpreter, Text::from("/bin/sh"));
    assert_eq!(exec.argv, ["/bin/sh", "-e", &path, "argument"].map(Text::from));
    let exits: Vec<_> = payloads
        .iter()
        .filter_map(|payload| match payload {
            Payload::Exit(exit) => Some((exit.status, exit.signal)),
            _ => None,
        })
        .collect();
    assert_eq!(exits, [(3, 0)]);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn arguments_beyond_the_limit_are_cut_and_marked() {
    let bench = Bench::new();
    let long = "x".repeat(10_000);

    bench.run("/bin/true", &[&long]);
    let exec = bench
        .payloads()
        .into_iter()
        .find_map(|payload| match payload {
            Payload::Exec(exec) => Some(exec),
            _ => None,
        })
        .unwrap();

    assert!(exec.argv_truncated);
    let kept: usize = exec.argv.iter().map(|argument| argument.as_bytes().len() + 1).sum();
    assert!((4000..=4097).contains(&kept), "{kept} bytes");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_path_deeper_than_a_page_keeps_its_tail() {
    let bench = Bench::new();
    let top = std::env::temp_dir().join(format!("ringfence-deep-{}", std::process::id()));
    let part = "d".repeat(250);
    // Deeper than one path can say: reached by the shell, one step at a time.
    let script = format!(
        "mkdir {top} && cd {top} && for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
         mkdir {part} && cd -P {part} || exit 9; done; cp /bin/true program && ./program",
        top = top.display()
    );

    let status = bench.run("/bin/bash", &["-c", &script]);
    let payloads = bench.payloads();
    let _ = std::process::Command::new("rm").arg("-r").arg(&top).status();

    assert!(status.success());
    let exec = payloads
        .iter()
        .find_map(|payload| match payload {
            Payload::Exec(exec) if exec.argument == Text::from("./program") => Some(exec),
            _ => None,
        })
        .expect("the program was started");
    assert!(exec.path_truncated);
    let shown = exec.executable.to_string();
    assert!(shown.starts_with('…') && shown.ends_with(&format!("/{part}/program")), "{shown}");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn every_process_of_a_storm_is_told_or_counted_as_lost() {
    const FORKS: u64 = 5_000;
    let mut bench = Bench::with(|options| options.ring_bytes = 1 << 16);

    // Nobody reads meanwhile: most of it cannot fit.
    bench.run("/bin/bash", &["-c", &format!("for ((i = 0; i < {FORKS}; i++)); do ( : ); done")]);
    bench.final_counts();
    let slot = bench.kernel.slot(bench.run).unwrap();
    let mut told: BTreeMap<&str, u64> = BTreeMap::new();
    for payload in bench.payloads() {
        *told.entry(payload.kind()).or_default() += 1;
    }

    assert_eq!(slot.processes, FORKS);
    let process = crate::sensor_names().position(|name| name == "process").unwrap();
    // A fork and an exit of each, the shell's own exec and exit, and the exit of the shell that stopped itself: none.
    let made = 2 * FORKS + 2;
    let received: u64 = ["fork", "exec", "exit"].iter().filter_map(|kind| told.get(kind)).sum();
    assert!(slot.losses.samples[process] > 0, "the ring was too large for this test");
    assert_eq!(received + slot.losses.samples[process], made);
}
