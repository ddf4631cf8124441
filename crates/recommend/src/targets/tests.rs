//! What holds for all targets.

use proptest::prelude::*;

use super::*;
use crate::hardening::{Advice, Medium, Verdict, WritableDirectory};
use crate::{CapabilityAdvice, CapabilityNeed};

fn capability(name: &str) -> CapabilityNeed {
    serde_json::from_value(serde_json::json!({"capability": name, "evidence": []})).expect("a capability")
}

fn apply() -> Advice {
    Advice { verdict: Verdict::Apply, ..Advice::default() }
}

/// A recommendation with every setting, for a workload with these names.
fn recommendation(name: &str, path: &str) -> Recommendation {
    let json = serde_json::json!({
        "schema_version": 1, "ringfence_version": "0", "incomplete": [], "runtimes": ["runc"], "no_new_privileges": true,
        "exec": true, "notes": [],
        "sources": [{
            "name": Text::from(name), "image": Text::from(name), "kernel_release": "6", "architecture": "x86_64",
            "begin": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:01Z", "complete": true,
        }],
        "seccomp": {"architectures": ["x86_64"], "allowed": [{"name": "read", "reasons": []}], "left_out": []},
        "capabilities": {"add": [], "left_out": [], "now": []},
    });
    let mut recommendation: Recommendation = serde_json::from_value(json).expect("a recommendation");
    recommendation.capabilities =
        CapabilityAdvice { add: vec![capability("CAP_CHOWN"), capability("CAP_SYS_PTRACE")], ..Default::default() };
    let hardening = &mut recommendation.hardening;
    hardening.read_only_root.advice = apply();
    let directory = |path: &str, medium| WritableDirectory {
        path: path.into(),
        medium,
        reasons: Vec::new(),
        breaks: Text::default(),
        writers: vec![crate::UserIds { uid: 33, gid: 33 }],
        mode: "750".into(),
        written_bytes: 0,
        executed: false,
        image_files_used: false,
        evidence: Vec::new(),
        more: 0,
    };
    hardening.read_only_root.writable = vec![directory(path, Medium::Tmpfs), directory("/data", Medium::Volume)];
    hardening.user.advice = apply();
    hardening.user.user = Some(crate::UserIds { uid: 33, gid: 33 });
    for (limit, value) in [(&mut hardening.pids, 20), (&mut hardening.memory, 64 << 20), (&mut hardening.cpu, 1500)] {
        (limit.advice, limit.recommended) = (apply(), Some(value));
    }
    let nofile = crate::UlimitAdvice { name: "nofile".into(), advice: apply(), recommended: Some(1024) };
    hardening.ulimits.push(nofile);
    hardening.network.advice = apply();
    recommendation
}

fn written(target: Target, recommendation: &Recommendation) -> Output {
    let profile = Profile::new(&recommendation.seccomp);
    let config = r#"{"process":{"capabilities":{"ambient":["CAP_CHOWN","CAP_KILL"]}},"root":{"path":"r"}}"#;
    let beside = Beside { profile: Some("/etc/web.json"), config: Some(config) };
    target.write(recommendation, &profile, &beside).expect("a text")
}

#[test]
fn each_target_has_each_setting_or_says_that_it_cannot() {
    let recommendation = recommendation("web", "/run/web");
    // Of each: what stands in it, and what is said of what cannot.
    for (target, has) in [
        (
            Target::Docker,
            &[
                "--security-opt seccomp=/etc/web.json --security-opt no-new-privileges --cap-drop ALL --cap-add CHOWN --cap-add SYS_PTRACE",
                "--read-only --tmpfs /run/web:rw,nosuid,nodev,exec,mode=750,uid=33,gid=33",
                "--mount type=volume,target=/data",
                "--user 33:33 --pids-limit 20 --memory 67108864 --cpus 1.500 --ulimit nofile=1024:1024",
            ][..],
        ),
        (Target::Podman, &["--read-only --tmpfs /run/web:rw,nosuid,nodev,exec,mode=1777 "]),
        (
            Target::Ctr,
            &[
                "--cap-drop CAP_KILL",
                "--cap-add CAP_SYS_PTRACE",
                "--mount type=tmpfs,src=tmpfs,dst=/run/web,options=rw:nosuid",
                "no option for a user",
                "no option for a limit of processes",
                "/data is empty at each start",
            ],
        ),
        (
            Target::Compose,
            &[
                "read_only: true",
                "volumes:\n      - /data\n",
                "pids_limit: 20",
                "mem_limit: \"67108864b\"",
                "soft: 1024",
            ],
        ),
        (
            Target::Quadlet,
            &[
                "[Container]\nSeccompProfile=/etc/web.json",
                "Volume=/data\n",
                "PodmanArgs=--memory=67108864 --cpus=1.500",
            ],
        ),
        (
            Target::Kubernetes,
            &[
                "runAsNonRoot: true",
                "memory: \"67108864\"",
                "cpu: \"1500m\"",
                "mountPath: /run/web",
                "# A pod cannot say: a limit of 20",
            ],
        ),
        (Target::Operator, &["defaultAction: SCMP_ACT_ERRNO", "errnoRet: 38"]),
        (
            Target::Systemd,
            &[
                "SystemCallFilter=read\n",
                "AmbientCapabilities=CAP_CHOWN CAP_SYS_PTRACE",
                "CPUQuota=150.0%",
                "LimitNOFILE=1024",
            ],
        ),
        (Target::Apparmor, &["capability sys_ptrace,"]),
        (
            Target::Oci,
            &[
                "\"noNewPrivileges\": true",
                "\"ambient\": [\n        \"CAP_CHOWN\"\n      ]",
                "\"readonly\": true",
                "RLIMIT_NOFILE",
                "\"quota\": 150000",
            ],
        ),
    ] {
        let Output { text, notes, .. } = written(target, &recommendation);
        let all = text + &notes.join("\n");
        for part in has {
            assert!(all.contains(part), "{}: {part:?} is not in\n{all}", target.name());
        }
    }
}

#[test]
fn whom_it_is_started_as_already_is_not_named() {
    let mut recommendation = recommendation("web", "/run/web");
    recommendation.hardening.user.advice.now = Some(true);

    for (target, setting) in [
        (Target::Docker, "--user"),
        (Target::Podman, "--user"),
        (Target::Compose, "user:"),
        (Target::Quadlet, "User="),
        (Target::Kubernetes, "runAs"),
        (Target::Systemd, "User="),
        (Target::Oci, "\"uid\""),
    ] {
        let text = written(target, &recommendation).text;
        assert!(!text.contains(setting), "{}: {text}", target.name());
    }
}

#[test]
fn a_device_is_given_only_if_it_is_known_which_of_the_hosts_it_is() {
    let mut recommendation = recommendation("web", "/run/web");
    let device = |path: &str, host_path: Option<&str>| crate::DeviceNeed {
        path: path.into(),
        host_path: host_path.map(Text::from),
        file_type: event::FileType::CharacterDevice,
        read: true,
        write: false,
        make: false,
        evidence: Vec::new(),
    };
    recommendation.hardening.devices.needed = vec![device("/dev/a", Some("/dev/b")), device("/dev/c", None)];

    let docker = written(Target::Docker, &recommendation);

    assert!(docker.text.contains("--device /dev/b:/dev/a:r") && !docker.text.contains("/dev/c"), "{}", docker.text);
    assert!(docker.notes.iter().any(|note| note.contains("/dev/c is needed")), "{:?}", docker.notes);
}

#[test]
fn a_tmpfs_is_mounted_before_what_lies_below_it() {
    let recommendation = recommendation("web", "/run/web");
    let profile = Profile::new(&recommendation.seccomp);
    let config = r#"{"process":{},"root":{},"mounts":[{"destination":"/run/website"},{"destination":"/run/web/x"}]}"#;
    let beside = Beside { profile: None, config: Some(config) };

    let text = Target::Oci.write(&recommendation, &profile, &beside).expect("a text").text;

    let config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mounts = config["mounts"].as_array().expect("mounts").iter();
    let mounts: Vec<_> = mounts.map(|mount| mount["destination"].as_str().unwrap_or_default()).collect();
    assert_eq!(mounts, ["/run/website", "/run/web", "/run/web/x", "/data"]);
}

#[test]
fn a_service_keeps_what_it_found_in_tmp_its_devices_and_its_reading_of_the_clock() {
    let plain = recommendation("web", "/run/web");
    let has = |recommendation: &Recommendation, line: &str| {
        written(Target::Systemd, recommendation).text.lines().any(|one| one == line)
    };
    let need = |json: serde_json::Value| -> crate::FileNeed { serde_json::from_value(json).expect("a file") };
    let with = |file: crate::FileNeed| {
        let mut recommendation = plain.clone();
        recommendation.access_control.files = vec![file];
        recommendation
    };
    let (private, clock) = ("PrivateTmp=yes", "ProtectClock=yes");
    assert!(has(&plain, private) && has(&plain, clock));

    assert!(has(&with(file("/tmp/made")), private));
    assert!(!has(&with(file("/tmp/of-others/made")), private));
    let base = serde_json::json!({"path": "/tmp/found", "read": true, "write": false, "named": false});
    assert!(!has(&with(need(base.clone())), private));
    let mut tmp = base.clone();
    (tmp["path"], tmp["directory"]) = ("/tmp".into(), true.into());
    assert!(has(&with(need(tmp)), private));

    let mut device = base;
    (device["path"], device["device"]) = ("/dev/fuse".into(), true.into());
    assert!(!has(&with(need(device)), clock));
    let mut reads = plain.clone();
    reads.seccomp.allowed.insert(0, crate::AllowedCall { name: "adjtimex".into(), reasons: Vec::new() });
    assert!(!has(&reads, clock));
}

#[test]
fn what_is_not_to_be_applied_is_not_set() {
    let mut recommendation = recommendation("web", "/run/web");
    recommendation.no_new_privileges = false;
    recommendation.capabilities = CapabilityAdvice::default();
    recommendation.hardening = crate::Hardening::default();
    recommendation.hardening.pids.recommended = Some(7);
    recommendation.hardening.user.user = Some(crate::UserIds { uid: 7, gid: 7 });

    let docker = written(Target::Docker, &recommendation);

    assert_eq!(docker.text, "--security-opt seccomp=/etc/web.json --cap-drop ALL\n");
    for target in [Target::Compose, Target::Quadlet, Target::Kubernetes, Target::Systemd, Target::Oci] {
        let text = written(target, &recommendation).text;
        for part in
            ["pids", "PidsLimit", "TasksMax", "runAs", "User=", "user:", "rivileges", "eadonly", "ReadOnly=", "7\n"]
        {
            assert!(!text.contains(part), "{}: {part} in {text}", target.name());
        }
    }
}

#[test]
fn a_directory_that_no_format_can_name_leaves_the_root_writable() {
    for path in ["/a\nb", "/a:b", "/a,b", "relative", "/a\u{202e}"] {
        let recommendation = recommendation("web", path);
        for target in [Target::Docker, Target::Podman, Target::Ctr, Target::Compose, Target::Kubernetes, Target::Oci] {
            let Output { text, notes, .. } = written(target, &recommendation);
            let settings =
                ["--read-only", "eadonly\": true", "read_only: ", "ReadOnly=", "readOnlyRootFilesystem: true"];
            assert!(!settings.iter().any(|setting| text.contains(setting)), "{path:?}: {text}");
            assert!(
                text.contains("no format can name it")
                    || notes.iter().any(|note| note.contains("no format can name it"))
            );
        }
    }
}

#[test]
fn what_cannot_be_known_or_named_is_an_error() {
    let mut recommendation = recommendation("web", "/run/web");
    recommendation.hardening.network.advice = Advice::default();
    let profile = Profile::new(&recommendation.seccomp);
    let error = |target: Target, profile_file, config| {
        let beside = Beside { profile: profile_file, config };
        target.write(&recommendation, &profile, &beside).expect_err("an error").to_string()
    };

    assert!(error(Target::NetworkPolicy, None, None).contains("is not known"));
    assert!(error(Target::Docker, None, None).contains("names the file"));
    assert!(error(Target::Quadlet, Some("/a b.json"), None).contains("spaces"));
    assert!(error(Target::Kubernetes, Some("/var/lib/kubelet/seccomp/../x"), None).contains(".."));
    assert!(error(Target::Oci, None, None).contains("say which"));
    for config in
        ["", "[]", "{}", "{\"process\": [], \"root\": {}}", "{\"process\": {\"capabilities\": 1}, \"root\": {}}"]
    {
        assert!(error(Target::Oci, None, Some(config)).contains("no config.json"), "{config}");
    }
}

#[test]
fn for_old_runtimes_a_profile_has_no_errno_and_the_kernel_answers_enosys() {
    let recommendation = recommendation("web", "/run/web");

    let profile = Profile::new(&recommendation.seccomp).for_oci_1_0();

    assert!(!profile.to_json().contains("rrnoRet"));
    assert!(profile.answers_enosys());
    let action = |profile: &Profile, call: &str| {
        profile.syscalls.iter().find(|rule| rule.names.iter().any(|name| name == call)).map(|rule| rule.action.clone())
    };
    assert_eq!(profile.default_action, "SCMP_ACT_TRACE");
    assert_eq!(action(&profile, "clone3").as_deref(), Some("SCMP_ACT_TRACE"));
    assert_eq!(action(&profile, "mount").as_deref(), Some("SCMP_ACT_ERRNO"));
    assert_eq!(action(&profile, "read").as_deref(), Some("SCMP_ACT_ALLOW"));
}

#[test]
fn who_may_trace_itself_gets_no_action_that_a_tracer_decides_about() {
    let mut recommendation = recommendation("web", "/run/web");
    recommendation.seccomp.allowed.insert(0, crate::AllowedCall { name: "ptrace".into(), reasons: Vec::new() });

    let profile = Profile::new(&recommendation.seccomp).for_oci_1_0();

    assert!(!profile.to_json().contains("TRACE\"") && !profile.answers_enosys());
}

proptest! {
    /// A name makes no line of its own, whatever is in it: what stands at the beginnings of lines is ours.
    #[test]
    fn no_name_becomes_a_setting(name in any::<String>(), path in "/[^/\u{0}]{1,20}") {
        let mut hostile = recommendation(&name, &path);
        hostile.access_control.files = vec![file(&path)];
        for target in [Target::Systemd, Target::Quadlet, Target::Apparmor, Target::Compose, Target::Kubernetes] {
            let text = written(target, &hostile).text;
            for line in text.lines() {
                prop_assert!(is_ours(target, line), "{}: {:?}", target.name(), line);
            }
            prop_assert!(!text.chars().any(|c| c != '\n' && event::is_unsafe_on_a_terminal(c)));
        }
        let line = written(Target::Docker, &hostile).text;
        prop_assert_eq!(line.lines().count(), 1);
    }
}

fn file(path: &str) -> crate::FileNeed {
    serde_json::from_value(serde_json::json!({"path": Text::from(path), "read": true, "write": true, "named": true}))
        .expect("a file")
}

fn is_ours(target: Target, line: &str) -> bool {
    let line = line.trim_start();
    let key = |separator: char| {
        line.split(separator).next().is_some_and(|key| {
            let key = key.trim_start_matches("- ");
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        })
    };
    let is_quoted = |text: &str| {
        text.starts_with('"') && text.trim_end_matches(" {}").trim_end_matches(':').ends_with('"') && text.len() > 1
    };
    match target {
        _ if line.starts_with("# ") || line.is_empty() => true,
        Target::Systemd | Target::Quadlet => line.starts_with('[') || key('='),
        Target::Apparmor => {
            let begins = ["profile ringfence-", "capability ", "signal (", "ptrace (", "}", "\"/"];
            begins.iter().any(|begin| line.starts_with(begin))
                && (line.ends_with(',') || line.ends_with('{') || line == "}")
        }
        _ => {
            key(':')
                || is_quoted(line.trim_start_matches("- "))
                || line.trim_start_matches("- ").chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c))
        }
    }
}
