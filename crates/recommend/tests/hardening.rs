//! The rest of the hardening, what changes, and the score: from the reports in `docs/example` and from such that are made of them.

use std::path::Path;
use std::time::Duration;

use behaviour::{MountUse, NameUse, PathUse, Place};
use event::{
    Capability, CapabilitySet, Errno, FileAccess, FileType, NameOperation, Phase, PrivilegedOperation, Protocol,
    Resource, SeccompMode, Text, UserNamespace,
};
use proptest::prelude::*;
use recommend::{
    Access, EscapeState, FilterNow, Hardening, Medium, Missing, MissingPermission, MountAction, Options,
    Recommendation, SystemPathKind, UserIds, Verdict, WritableDirectory, recommend,
};
use report::{GivenDevice, GivenMount, PublishedPort, Reason, ReasonCode, Report, Settings};

fn example(name: &str) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/example/{name}.json"));
    Report::parse(&std::fs::read(path).expect("it is checked in")).expect("a report")
}

fn recommended(report: &Report) -> Recommendation {
    recommended_with(report, &Options::default())
}

fn recommended_with(report: &Report, options: &Options) -> Recommendation {
    recommend(std::slice::from_ref(report), options, "0.0.0").expect("a recommendation")
}

fn hardening(report: &Report) -> Hardening {
    recommended(report).hardening
}

/// The redis of the examples writes nothing.
fn quiet() -> Report {
    let mut report = example("cache");
    // Long enough for limits.
    report.window.end.boot_ns += 600_000_000_000;
    let files = &mut report.behaviour.files;
    let root = files.mounts.iter().find(|mount| (mount.phase, mount.place) == (Phase::Main, Place::Root));
    let root = root.expect("it has a root").mount;
    let mounts = files.mounts.iter_mut().map(|mount| &mut mount.mount);
    mounts.chain(files.paths.iter_mut().map(|used| &mut used.mount)).filter(|mount| **mount == root).for_each(
        |mount| {
            *mount = ROOT;
        },
    );
    report
}

/// The number of the root's mount, which no other has.
const ROOT: u32 = 999_153;

fn used(report: &Report, path: &str, mount: u32, accesses: &[FileAccess]) -> PathUse {
    let first = report.behaviour.files.paths.iter().find(|used| used.phase == Phase::Main).expect("a path").clone();
    PathUse {
        path: path.into(),
        argument: Text::default(),
        file_type: FileType::Regular,
        accesses: accesses.iter().copied().collect(),
        mount,
        opens: 3,
        ..first
    }
}

fn with_paths(mut report: Report, paths: &[(&str, &[FileAccess])]) -> Report {
    for (path, accesses) in paths {
        let one = used(&report, path, ROOT, accesses);
        report.behaviour.files.paths.push(one);
    }
    report
}

fn with_name(mut report: Report, operation: NameOperation, path: &str, second: &str, errno: Option<u16>) -> Report {
    report.behaviour.files.names.push(NameUse {
        phase: Phase::Main,
        operation,
        errno: errno.map(Errno),
        path: path.into(),
        second_path: second.into(),
        count: 1,
        first: None,
        last_boot_ns: 1,
        truncated: false,
    });
    report
}

fn with_mount(mut report: Report, number: u32, point: &str, place: Place) -> Report {
    let mounts = &mut report.behaviour.files.mounts;
    let like = mounts.iter().find(|mount| mount.phase == Phase::Main && mount.place == Place::Root).expect("a root");
    mounts.push(MountUse { mount: number, point: point.into(), place, ..like.clone() });
    report
}

const MADE: &[FileAccess] = &[FileAccess::OpenedToWrite, FileAccess::Created, FileAccess::Written];
const WRITTEN: &[FileAccess] = &[FileAccess::OpenedToWrite, FileAccess::Written];
const READ: &[FileAccess] = &[FileAccess::OpenedToRead, FileAccess::Read];

fn media(hardening: &Hardening) -> Vec<(String, Medium)> {
    let all = hardening.read_only_root.writable.iter();
    all.map(|one| (one.path.shown().into_owned(), one.medium)).collect()
}

fn tmpfs(path: &str) -> (String, Medium) {
    (path.to_owned(), Medium::Tmpfs)
}

fn volume(path: &str) -> (String, Medium) {
    (path.to_owned(), Medium::Volume)
}

#[test]
fn what_real_servers_write_to_is_found() {
    let web = hardening(&example("web"));
    assert_eq!((web.read_only_root.advice.verdict, web.read_only_root.advice.now), (Verdict::Apply, Some(false)));
    assert_eq!(media(&web), [tmpfs("/run"), volume("/var/lib/nginx")]);
    let run = &web.read_only_root.writable[0];
    let evidence = run.evidence.iter().find(|one| one.what.as_bytes() == b"made and written").expect("evidence");
    assert_eq!(
        (evidence.path.as_bytes(), evidence.program.as_bytes()),
        (&b"/run/nginx.pid"[..], &b"/usr/sbin/nginx"[..])
    );
    assert_eq!((evidence.count, evidence.runs, run.mode.as_bytes()), (1, 1, &b"1777"[..]));

    // Its sockets lie in a volume, whose name it knows through a link; its data is the image's.
    let db = hardening(&example("db"));
    assert_eq!(media(&db), [volume("/data")]);
    let data = &db.read_only_root.writable[0];
    assert!(data.image_files_used && data.reasons[0].shown().contains("/data/PG_VERSION"), "{data:?}");
    assert_eq!((data.writers.as_slice(), data.mode.as_bytes()), (&[UserIds { uid: 101, gid: 103 }][..], &b"0755"[..]));

    for name in ["cache", "app", "client"] {
        let quiet = hardening(&example(name));
        assert_eq!((quiet.read_only_root.advice.verdict, media(&quiet)), (Verdict::Apply, vec![]), "{name}");
    }
}

#[test]
fn a_link_that_nothing_shows_is_known_by_custom_if_something_is_mounted_where_it_leads() {
    let mut db = example("db");
    db.behaviour.files.paths.retain(|used| !used.argument.as_bytes().starts_with(b"/var/run/"));

    assert_eq!(media(&hardening(&db)), [volume("/data")]);
}

#[test]
fn scratch_is_memory_and_what_stays_is_a_volume() {
    let report = with_paths(quiet(), &[("/tmp/a/b", MADE), ("/var/lib/app/state", MADE), ("/run/app.pid", MADE)]);
    let report = with_name(report, NameOperation::MakeDirectory, "/tmp/a", "", None);

    let hardening = hardening(&report);

    assert_eq!(media(&hardening), [tmpfs("/run"), tmpfs("/tmp"), volume("/var/lib/app")]);
    assert_eq!(hardening.read_only_root.advice.verdict, Verdict::Apply);
}

#[test]
fn what_is_removed_again_needs_no_volume() {
    let report = with_paths(quiet(), &[("/srv/app/lock", MADE)]);
    assert_eq!(media(&hardening(&report)), [volume("/srv/app")]);

    let report = with_name(report, NameOperation::Delete, "/srv/app/lock", "", None);
    assert_eq!(media(&hardening(&report)), [tmpfs("/srv/app")]);
}

#[test]
fn a_directory_of_the_image_is_not_hidden() {
    // `/run/app` was not made by the program: with a tmpfs at `/run` it would not be there.
    let report = with_paths(quiet(), &[("/run/app/pid", MADE), ("/tmp/config", READ), ("/tmp/out", MADE)]);

    assert_eq!(media(&hardening(&report)), [tmpfs("/run/app"), volume("/tmp")]);

    let report = with_paths(report, &[("/run/other.pid", MADE)]);
    assert_eq!(media(&hardening(&report))[0], volume("/run"));
}

#[test]
fn what_cannot_be_mounted_over_keeps_the_root_writable_and_is_told() {
    for path in ["/etc/passwd", "/file", "/usr/bin/tool"] {
        let hardening = hardening(&with_paths(quiet(), &[(path, WRITTEN)]));
        let advice = &hardening.read_only_root.advice;
        assert_eq!((advice.verdict, media(&hardening)), (Verdict::Needed, vec![]), "{path}");
        assert!(advice.reasons[0].shown().contains(path) && advice.evidence[0].path.as_bytes() == path.as_bytes());
    }
    // A directory that the program makes there itself is mounted instead.
    let report = with_paths(quiet(), &[("/data/x", MADE)]);
    let report = with_name(report, NameOperation::MakeDirectory, "/data", "", None);
    let hardening = hardening(&report);
    assert_eq!((hardening.read_only_root.advice.verdict, media(&hardening)), (Verdict::Unknown, vec![volume("/data")]));
    assert!(hardening.read_only_root.advice.reasons[0].shown().contains("makes /data itself"));
    // What it does if the directory is there was seen, too.
    let report = with_name(report, NameOperation::MakeDirectory, "/data", "", Some(17));
    assert_eq!(hardening_of(&report).read_only_root.advice.verdict, Verdict::Apply);
}

#[test]
fn what_is_renamed_or_linked_must_stay_in_one_mount() {
    let made = || with_paths(quiet(), &[("/tmp/a", MADE), ("/srv/app/b", MADE)]);
    for operation in [NameOperation::Rename, NameOperation::Link] {
        let advice = hardening(&with_name(made(), operation, "/tmp/a", "/srv/app/c", None)).read_only_root.advice;
        assert_eq!(advice.verdict, Verdict::Needed);
        let reason = advice.reasons[0].shown().into_owned();
        assert!(reason.contains("/tmp/a") && reason.contains("/srv/app/c"), "{reason}");
        let of_image = with_paths(quiet(), &[("/tmp/a", MADE)]);
        let of_image = with_name(of_image, operation, "/srv/app/tool", "/tmp/tool", None);
        assert_eq!(hardening_of(&of_image).read_only_root.advice.verdict, Verdict::Needed);
        let inside = with_name(made(), operation, "/tmp/a", "/tmp/c", None);
        assert_eq!(hardening(&inside).read_only_root.advice.verdict, Verdict::Apply);
        let failed = with_name(made(), operation, "/tmp/a", "/srv/app/c", Some(18));
        assert_eq!(hardening(&failed).read_only_root.advice.verdict, Verdict::Apply);
    }
}

#[test]
fn files_of_the_engine_that_are_changed_keep_the_root_writable() {
    let report = with_mount(quiet(), 900, "/etc/hosts", Place::Bind);
    let verdict = |accesses, mounts: Vec<GivenMount>| {
        let mut report = report.clone();
        let hosts = used(&report, "/etc/hosts", 900, accesses);
        report.behaviour.files.paths.push(hosts);
        report.container.settings = Some(Settings { mounts: Some(mounts), ..settings() });
        hardening(&report).read_only_root.advice
    };

    let written = verdict(WRITTEN, Vec::new());
    assert_eq!((written.verdict, written.evidence[0].path.as_bytes()), (Verdict::Needed, &b"/etc/hosts"[..]));
    assert_eq!(verdict(READ, Vec::new()).verdict, Verdict::Apply);
    assert_eq!(verdict(WRITTEN, vec![bind("/etc/hosts", "/srv/hosts")]).verdict, Verdict::Apply);
    let report = with_name(quiet(), NameOperation::Symlink, "/etc/hosts", "/tmp/hosts", None);
    assert_eq!(hardening(&report).read_only_root.advice.verdict, Verdict::Apply);
    let report = with_name(quiet(), NameOperation::ChangeMode, "/etc/resolv.conf", "", None);
    assert_eq!(hardening(&report).read_only_root.advice.verdict, Verdict::Needed);
}

#[test]
fn much_data_is_not_kept_in_memory() {
    let medium = |bytes: u64, of_file: u64| {
        let mut report = quiet();
        let mut scratch = used(&report, "/tmp/a", ROOT, MADE);
        scratch.written_bytes = of_file;
        report.behaviour.files.paths.push(scratch);
        for mount in &mut report.behaviour.files.mounts {
            mount.written_bytes = if mount.mount == ROOT && mount.phase == Phase::Main { bytes } else { 0 };
        }
        media(&hardening(&report))
    };
    assert_eq!(medium(64 << 20, 0), [tmpfs("/tmp")]);
    assert_eq!(medium((64 << 20) + 1, 0), [volume("/tmp")]);
    assert_eq!(medium((64 << 20) + 1, 1 << 20), [tmpfs("/tmp")], "what is left is less");
    assert_eq!(medium(0, (64 << 20) + 1), [volume("/tmp")]);
}

#[test]
fn what_is_mounted_or_no_file_needs_nothing() {
    let report = with_mount(quiet(), 900, "/srv/data", Place::Volume);
    let mut in_volume = used(&report, "/srv/data/x", 900, MADE);
    let mut report = with_name(report, NameOperation::MakeDirectory, "/srv/data/d", "", None);
    report.behaviour.files.paths.push(in_volume.clone());
    in_volume.path = "/dev/fuse".into();
    in_volume.mount = ROOT;
    in_volume.file_type = FileType::CharacterDevice;
    report.behaviour.files.paths.push(in_volume);
    let mut outside = used(&report, "/memfd:x", ROOT, MADE);
    outside.unreachable = true;
    report.behaviour.files.paths.push(outside);

    assert_eq!(media(&hardening(&report)), []);
}

#[test]
fn what_failed_is_no_need_and_is_told_if_it_fails_otherwise() {
    let report = with_name(quiet(), NameOperation::Delete, "/etc/x", "", Some(2));
    let report = with_name(report, NameOperation::MakeDirectory, "/etc", "", Some(17));
    let report = with_name(report, NameOperation::Delete, "/etc/y", "", Some(13));

    let advice = hardening(&report).read_only_root.advice;

    assert_eq!(advice.verdict, Verdict::Apply);
    assert!(advice.reasons[1].shown().starts_with("1 attempt"), "{advice:?}");
}

#[test]
fn what_is_not_listed_is_not_known() {
    let mut report = with_paths(quiet(), &[]);
    report.behaviour.files.untold = 1;
    assert_eq!(hardening(&report).read_only_root.advice.verdict, Verdict::Unknown);

    let report = with_name(quiet(), NameOperation::Rename, "", "", None);
    assert_eq!(hardening(&report).read_only_root.advice.verdict, Verdict::Unknown);

    let mut report = quiet();
    let mut cut = used(&report, "…/x", ROOT, WRITTEN);
    cut.path_truncated = true;
    report.behaviour.files.paths.push(cut);
    assert_eq!(hardening(&report).read_only_root.advice.verdict, Verdict::Unknown);
}

#[test]
fn sessions_from_outside_count_unless_they_are_left_out() {
    let mut report = quiet();
    let mut session = used(&report, "/etc/x", ROOT, WRITTEN);
    session.phase = Phase::Exec;
    let root = report.behaviour.files.mounts.iter().find(|mount| (mount.phase, mount.mount) == (Phase::Main, ROOT));
    let root = MountUse { phase: Phase::Exec, ..root.expect("root").clone() };
    report.behaviour.files.mounts.push(root);
    report.behaviour.files.paths.push(session);

    assert_eq!(hardening(&report).read_only_root.advice.verdict, Verdict::Needed);
    let options = Options { exec: false, ..Options::default() };
    assert_eq!(recommended_with(&report, &options).hardening.read_only_root.advice.verdict, Verdict::Apply);
}

#[test]
fn a_part_that_misses_something_leaves_its_own_advice_open_and_no_other() {
    let mut report = quiet();
    report.reasons.push(Reason {
        code: ReasonCode::Other,
        sensor: Some("files".into()),
        text: "a ring was full".into(),
    });
    let report = report.finish();

    let recommendation = recommended(&report);

    let hardening = &recommendation.hardening;
    assert_eq!(hardening.read_only_root.advice.verdict, Verdict::Unknown);
    assert!(hardening.read_only_root.advice.reasons[0].shown().contains("a ring was full"));
    assert_eq!(hardening.devices.advice.verdict, Verdict::Unknown);
    assert_eq!(hardening.no_new_privileges.verdict, Verdict::Apply);
    assert!(recommendation.seccomp.allows("execve"));
    // What was seen is needed all the same.
    let written = with_paths(report.clone(), &[("/etc/x", WRITTEN)]);
    assert_eq!(hardening_of(&written).read_only_root.advice.verdict, Verdict::Needed);
    let options = Options { allow_incomplete: true, ..Options::default() };
    let taken = recommended_with(&report, &options).hardening.read_only_root.advice;
    assert!(
        taken.verdict == Verdict::Apply
            && taken.reasons.iter().any(|reason| reason.shown().contains("a ring was full"))
    );
}

fn hardening_of(report: &Report) -> Hardening {
    hardening(report)
}

#[test]
fn a_report_of_an_early_version_says_nothing_and_nothing_is_applied() {
    let json: serde_json::Value = serde_json::from_str(&quiet().to_json()).expect("JSON");
    let mut json = json;
    let behaviour = json["behaviour"].as_object_mut().expect("a behaviour");
    for part in ["files", "network", "privileged", "resources", "scripts", "terminals"] {
        behaviour.remove(part);
    }
    json.as_object_mut().expect("a report").remove("sections");
    let report = Report::parse(json.to_string().as_bytes()).expect("a report");

    let recommendation = recommended(&report);

    let hardening = &recommendation.hardening;
    let advice = [
        &hardening.no_new_privileges,
        &hardening.read_only_root.advice,
        &hardening.user.advice,
        &hardening.pids.advice,
        &hardening.memory.advice,
        &hardening.cpu.advice,
        &hardening.devices.advice,
        &hardening.system_paths.advice,
        &hardening.network.advice,
    ];
    for advice in advice {
        assert!(advice.verdict == Verdict::Unknown && !advice.reasons.is_empty(), "{advice:?}");
    }
    assert_eq!((recommendation.changes.filter, recommendation.changes.calls_now), (FilterNow::Unknown, None));
    assert!(
        recommendation
            .score
            .lines
            .iter()
            .all(|line| line.id.as_bytes() != b"CVE-2019-5736" || line.after == EscapeState::Unknown)
    );
}

#[test]
fn users_are_told_as_they_ran() {
    let cache = hardening(&quiet()).user;
    assert_eq!((cache.advice.verdict, cache.advice.now), (Verdict::Apply, Some(true)));
    assert_eq!(cache.user, Some(UserIds { uid: 100, gid: 102 }));

    let web = hardening(&example("web")).user;
    assert_eq!((web.advice.verdict, web.user), (Verdict::Needed, Some(UserIds { uid: 33, gid: 33 })));
    let evidence: Vec<_> = web.advice.evidence.iter().map(|one| one.what.shown().into_owned()).collect();
    assert_eq!(evidence[0], "used CAP_CHOWN");
    assert!(evidence.contains(&"became user 33 (setuid)".to_owned()), "{evidence:?}");

    // Root that uses no right of root's: whether the files are open to others is not recorded.
    let app = hardening(&example("app")).user;
    assert_eq!((app.advice.verdict, app.user), (Verdict::Unknown, None));

    let mut mapped = quiet();
    for state in &mut mapped.behaviour.privileged.confinement {
        state.user_namespace = UserNamespace::Container;
    }
    assert_eq!((hardening(&mapped).user.advice.verdict, hardening(&mapped).user.user), (Verdict::Unknown, None));
}

#[test]
fn limits_are_the_most_that_was_seen_and_a_margin() {
    let mut report = quiet();
    report.behaviour.resources.tasks.peak = Some(100);
    report.behaviour.resources.memory.peak_bytes = Some(100 << 20);
    report.behaviour.resources.cpu_peak_ns_per_second = Some(730_000_000);

    let plain = hardening(&report);
    assert_eq!((plain.pids.peak, plain.pids.recommended), (Some(100), Some(200)));
    let mut short = report.clone();
    short.window.end.boot_ns = short.window.begin.boot_ns + 599_000_000_000;
    for limit in [hardening(&short).pids, hardening(&short).memory, hardening(&short).cpu] {
        assert_eq!((limit.advice.verdict, limit.recommended), (Verdict::Unknown, None), "{limit:?}");
        assert!(limit.advice.reasons[0].shown().contains("for longer than 9 min 59 s"), "{limit:?}");
    }
    // Several runs that are too short are no longer one.
    let mut other = short.clone();
    other.window.begin.boot_ns += 1;
    other.container.run.slot += 1;
    let both = recommend(&[short, other], &Options::default(), "0").expect("a recommendation").hardening;
    assert_eq!((both.pids.advice.verdict, both.memory.advice.verdict), (Verdict::Unknown, Verdict::Unknown));
    assert_eq!(plain.memory.recommended, Some(150 << 20));
    assert_eq!((plain.cpu.peak, plain.cpu.recommended), (Some(730), Some(1500)));

    // A limit that is tighter stays.
    report.container.settings = Some(Settings { pids_limit: Some(120), memory_bytes: Some(0), ..Settings::default() });
    let limited = hardening(&report);
    assert_eq!(
        (limited.pids.now, limited.pids.recommended, limited.pids.advice.now),
        (Some(120), Some(120), Some(true))
    );
    assert_eq!((limited.memory.now, limited.memory.recommended), (None, Some(150 << 20)));

    // The highest of readings may have been higher in between.
    report.container.settings = None;
    report.behaviour.resources.sampled = [Resource::Tasks].into();
    assert_eq!(hardening(&report).pids.recommended, Some(400));

    // What a limit held down is no measure.
    report.behaviour.resources.memory.limit_hits = Some(1);
    report.behaviour.resources.cpu.throttled_periods = Some(1);
    let held = hardening(&report);
    assert_eq!((held.memory.advice.verdict, held.memory.recommended), (Verdict::Unknown, None));
    assert_eq!((held.cpu.advice.verdict, held.cpu.recommended), (Verdict::Unknown, None));

    report.behaviour.resources.tasks.peak = None;
    report.behaviour.resources.absent.insert(Resource::Tasks, "no pids controller".into());
    let absent = hardening(&report).pids;
    assert!(
        absent.advice.verdict == Verdict::Unknown && absent.advice.reasons[0].shown().contains("no pids controller")
    );
}

#[test]
fn a_core_file_is_left_to_those_who_crash() {
    let core = |report: &Report| {
        let limits = hardening(report).ulimits;
        let core = limits.iter().find(|one| one.name.as_bytes() == b"core").expect("core").clone();
        assert_eq!(
            limits.iter().find(|one| one.name.as_bytes() == b"nofile").map(|one| one.advice.verdict),
            Some(Verdict::Unknown)
        );
        (core.advice.verdict, core.recommended)
    };
    let mut report = quiet();
    // Whether a program raises the limit itself is not recorded.
    assert_eq!(core(&report), (Verdict::Unknown, None));

    report.behaviour.processes.processes[0].signal = Some(11);
    assert_eq!(core(&report), (Verdict::Needed, None));
}

fn settings() -> Settings {
    Settings {
        devices: Some(Vec::new()),
        mounts: Some(Vec::new()),
        masked_paths: Some(vec!["/proc/kcore".into()]),
        read_only_paths: Some(vec!["/proc/sys".into()]),
        ..Settings::default()
    }
}

#[test]
fn devices_that_were_opened_are_needed_and_those_that_were_not_are_not() {
    let mut report = quiet();
    let given = |path: &str| GivenDevice { path: path.into(), host_path: path.into(), permissions: "rwm".into() };
    report.container.settings =
        Some(Settings { devices: Some(vec![given("/dev/fuse"), given("/dev/kvm")]), ..settings() });
    let mut fuse = used(&report, "/dev/fuse", 155, &[FileAccess::OpenedToRead, FileAccess::OpenedToWrite]);
    fuse.file_type = FileType::CharacterDevice;
    report.behaviour.files.paths.push(fuse);

    let devices = hardening(&report).devices;

    assert_eq!((devices.advice.verdict, devices.advice.now), (Verdict::Apply, Some(false)));
    assert_eq!(devices.needed.len(), 1);
    let fuse = &devices.needed[0];
    assert_eq!((fuse.path.as_bytes(), fuse.read, fuse.write, fuse.make), (&b"/dev/fuse"[..], true, true, false));
    assert_eq!(fuse.host_path, Some("/dev/fuse".into()));
    assert_eq!(devices.unused.iter().map(|one| one.path.clone()).collect::<Vec<Text>>(), ["/dev/kvm".into()]);
    assert!(devices.usual.iter().any(|one| one.path.as_bytes() == b"/dev/urandom"));
}

#[test]
fn paths_that_engines_hide_are_needed_only_if_they_were_really_there() {
    let kcore = |place| {
        let mut report = with_mount(quiet(), 901, "/proc/x", place);
        let read = used(&report, "/proc/kcore", 901, READ);
        report.behaviour.files.paths.push(read);
        hardening(&report).system_paths
    };
    assert_eq!(kcore(Place::Tmpfs).advice.verdict, Verdict::Apply);
    let open = kcore(Place::Proc);
    assert_eq!((open.advice.verdict, open.needed[0].kind), (Verdict::Needed, SystemPathKind::Masked));

    let mut report = quiet();
    let written = used(&report, "/proc/sys/net/core/somaxconn", 102, WRITTEN);
    report.behaviour.files.paths.push(written);
    let written = hardening(&report).system_paths;
    assert_eq!((written.advice.verdict, written.needed[0].path.as_bytes()), (Verdict::Needed, &b"/proc/sys"[..]));

    // Unconfined and not used: back to what is usual.
    let mut report = quiet();
    report.container.settings =
        Some(Settings { masked_paths: Some(Vec::new()), read_only_paths: Some(Vec::new()), ..settings() });
    let unused = hardening(&report).system_paths.advice;
    assert_eq!((unused.verdict, unused.now), (Verdict::Apply, Some(false)));
}

#[test]
fn a_namespace_of_the_host_is_given_back_unless_it_was_used() {
    let shared = |mut report: Report, name: &str| {
        for state in &mut report.behaviour.privileged.confinement {
            state.host_namespaces = vec![name.into()];
        }
        report
    };
    let verdict = |report: &Report| hardening(report).host_namespaces[0].advice.verdict;
    let mut silent = quiet();
    silent.behaviour.network = Default::default();

    assert_eq!(verdict(&shared(silent.clone(), "net")), Verdict::Apply);
    assert_eq!(verdict(&shared(quiet(), "net")), Verdict::Unknown, "it listens");
    let mut local = quiet();
    for flow in &mut local.behaviour.network.flows {
        flow.other_ends.clear();
    }
    assert_eq!(verdict(&shared(local, "net")), Verdict::Needed, "it talks to others at the host's own address");

    assert_eq!(verdict(&shared(quiet(), "uts")), Verdict::Apply);
    assert_eq!(verdict(&shared(quiet(), "pid")), Verdict::Apply);
    let mut signals = example("web");
    let operation = signals.behaviour.privileged.operations.iter_mut().find(|one| one.phase == Phase::Main);
    operation.expect("an operation").operation = PrivilegedOperation::Kill;
    assert_eq!(verdict(&shared(signals, "pid")), Verdict::Needed);
    let mut looks = quiet();
    let other = used(&looks, "/proc/4000000/stat", 154, READ);
    looks.behaviour.files.paths.push(other);
    assert_eq!(verdict(&shared(looks, "pid")), Verdict::Needed);
    assert_eq!(verdict(&shared(quiet(), "unknown")), Verdict::Unknown);
}

fn bind(destination: &str, source: &str) -> GivenMount {
    GivenMount { destination: destination.into(), kind: "bind".into(), source: source.into(), read_only: false }
}

#[test]
fn mounts_are_kept_made_read_only_or_left_out_by_their_use() {
    let mounts = ["/a", "/b", "/c"].map(|path| bind(path, path)).to_vec();
    let mut report = with_mount(with_mount(quiet(), 902, "/a", Place::Bind), 903, "/b", Place::Bind);
    report.container.settings = Some(Settings { mounts: Some(mounts), ..settings() });
    let (read, written) = (used(&report, "/a/x", 902, READ), used(&report, "/b/y", 903, WRITTEN));
    report.behaviour.files.paths.extend([read, written]);

    let hardening = hardening(&report);

    let found: Vec<_> = hardening.mounts.iter().map(|one| (one.access, one.action, one.advice.verdict)).collect();
    assert_eq!(
        found,
        [
            (Access::Read, MountAction::ReadOnly, Verdict::Apply),
            (Access::Write, MountAction::Keep, Verdict::Needed),
            (Access::None, MountAction::Keep, Verdict::Unknown),
        ]
    );
    assert!(media(&hardening).is_empty());
}

#[test]
fn the_socket_of_an_engine_is_root_on_the_host_whichever_way_it_is_mounted() {
    for (destination, source, at) in [
        ("/var/run/docker.sock", "/var/run/docker.sock", "/var/run/docker.sock"),
        ("/sock", "/run/docker.sock", "/sock"),
        ("/host", "/", "/host/run/docker.sock"),
        ("/x", "/var/run", "/x/docker.sock"),
    ] {
        let mut report = quiet();
        report.container.settings = Some(Settings { mounts: Some(vec![bind(destination, source)]), ..settings() });
        let recommendation = recommended(&report);
        let sockets = &recommendation.hardening.engine_sockets;
        let docker = sockets.iter().find(|one| one.engine.as_bytes() == b"docker").expect("a socket");
        assert_eq!((docker.path.as_bytes(), docker.connected), (at.as_bytes(), false));
        assert!(docker.meaning.shown().contains("root on the host") && docker.advice.verdict == Verdict::Apply);
        let line =
            recommendation.score.lines.iter().find(|line| line.id.as_bytes() == b"engine-socket").expect("a line");
        assert_eq!((line.now, line.after), (EscapeState::Open, EscapeState::Closed));
    }
    let mut report = quiet();
    report.container.settings = Some(settings());
    let recommendation = recommended(&report);
    assert!(recommendation.hardening.engine_sockets.is_empty());
    let line = recommendation.score.lines.iter().find(|line| line.id.as_bytes() == b"engine-socket").expect("a line");
    assert_eq!((line.now, line.after), (EscapeState::Closed, EscapeState::Closed));
}

#[test]
fn a_published_port_that_nothing_listens_on_is_published_no_more() {
    let mut report = example("web");
    let port = |host_port, port| PublishedPort { protocol: Protocol::Tcp, host_address: "::".into(), host_port, port };
    report.container.published_ports = vec![port(8080, 80), port(9090, 90)];

    let ports = hardening(&report).ports;

    assert_eq!(ports.len(), 2);
    assert_eq!((ports[0].listened, ports[0].connections, ports[0].advice.verdict), (true, 6, Verdict::Needed));
    assert_eq!((ports[1].listened, ports[1].connections, ports[1].advice.verdict), (false, 0, Verdict::Apply));
}

#[test]
fn peers_are_told_by_container_name_and_address() {
    let network = hardening(&example("app")).network;

    let redis = network.egress.iter().find(|need| need.port == 6379).expect("it uses redis");
    assert_eq!((redis.protocol, redis.dns), (Protocol::Tcp, false));
    assert_eq!(redis.peers[0].address.as_bytes(), b"172.30.0.2");
    assert_eq!(
        (redis.peers[0].names.as_slice(), redis.peers[0].containers.as_slice()),
        (&["cache".into()][..], &["cache".into()][..])
    );
    assert!(network.egress.iter().any(|need| need.dns && need.port == 53));
    let own = network.ingress.iter().find(|need| need.port == 8000).expect("it listens");
    // What it sent to itself is no peer's.
    assert_eq!(own.peers.iter().map(|peer| peer.address.clone()).collect::<Vec<Text>>(), ["172.30.0.5".into()]);

    // A peer that never answered is left out, and that is said.
    let client = hardening(&example("client")).network;
    assert!(client.egress.iter().all(|need| need.port != 81));
    assert!(client.advice.reasons.iter().any(|reason| reason.shown().starts_with("1 peer")));

    let mut many = example("app");
    many.behaviour.network.flows[1].address = "*".into();
    assert_eq!(hardening(&many).network.advice.verdict, Verdict::Unknown);
}

#[test]
fn programs_that_gain_rights_need_to() {
    let mut report = example("web");
    let operation = report.behaviour.privileged.operations.iter_mut().find(|one| one.phase == Phase::Main);
    operation.expect("an operation").operation = PrivilegedOperation::ExecElevated;

    let advice = hardening(&report).no_new_privileges;

    assert_eq!((advice.verdict, advice.evidence.len()), (Verdict::Needed, 1));
    assert_eq!(hardening(&example("web")).no_new_privileges.verdict, Verdict::Apply);
}

#[test]
fn being_privileged_is_needed_for_what_nothing_else_gives() {
    let privileged = |mut report: Report| {
        report.container.security_options = vec!["privileged=true".into(), "seccomp=unconfined".into()];
        report
    };
    let plain = hardening(&privileged(quiet())).unprivileged;
    assert_eq!((plain.verdict, plain.now), (Verdict::Apply, Some(false)));

    let mut report = quiet();
    let written = used(&report, "/sys/fs/cgroup/memory.max", 157, WRITTEN);
    report.behaviour.files.paths.push(written);
    assert_eq!(hardening(&privileged(report)).unprivileged.verdict, Verdict::Needed);
}

#[test]
fn changes_are_counted_against_what_is_in_force() {
    let web = recommended(&example("web"));
    let changes = &web.changes;
    assert_eq!((changes.filter, changes.docker_default_capabilities), (FilterNow::EngineDefault, Some(true)));
    assert_eq!((changes.capabilities_now, changes.capabilities_after), (Some(14), 3));
    assert_eq!(changes.calls_after as usize, web.seccomp.allowed.len());
    let now = changes.calls_now.expect("it is known");
    assert_eq!(now as usize, web.seccomp.allowed.len() + changes.calls_closed.len() - changes.calls_opened.len());
    assert!(changes.calls_closed.contains(&"ptrace".into()) && !changes.calls_closed.contains(&"mount".into()));
    let removed: Vec<String> = changes.capabilities_removed.iter().map(|one| one.capability.to_string()).collect();
    assert_eq!(removed.len(), 11);
    assert!(changes.capabilities_removed.iter().all(|one| !one.safe.is_empty() && !one.breaks.is_empty()));
    assert!(removed.contains(&"CAP_NET_RAW".to_owned()) && !removed.contains(&"CAP_SETUID".to_owned()));
    let chown =
        web.capabilities.add.iter().find(|need| need.capability.to_string() == "CAP_CHOWN").expect("it is used");
    assert!(chown.smaller[0].shown().contains("--chown"));

    let mut open = example("web");
    open.behaviour.privileged.confinement.iter_mut().for_each(|state| state.seccomp = SeccompMode::Disabled);
    let unconfined = recommended(&open).changes;
    assert_eq!(unconfined.filter, FilterNow::Unconfined);
    assert!(unconfined.calls_now > changes.calls_now && unconfined.calls_closed.contains(&"mount".into()));

    let mut custom = example("web");
    for option in &mut custom.container.security_options {
        if option.as_bytes().starts_with(b"seccomp=") {
            *option = "seccomp={}".into();
        }
    }
    let custom = recommended(&custom).changes;
    assert_eq!((custom.filter, custom.calls_now, custom.calls_closed.len()), (FilterNow::Custom, None, 0));
}

#[test]
fn a_way_is_closed_only_by_something_that_it_needs() {
    for name in ["web", "db", "cache", "app", "client"] {
        let score = recommended(&example(name)).score;
        let figures = [
            score.closed,
            score.closed_before,
            score.closed_unknown_before,
            score.open,
            score.opened,
            score.open_unknown_before,
            score.unknown,
        ];
        assert_eq!(figures.iter().sum::<u32>() as usize, score.lines.len(), "{name}");
        for line in &score.lines {
            assert_eq!(line.after == EscapeState::Closed, !line.by.is_empty(), "{name}: {line:?}");
        }
        let state =
            |id: &str| score.lines.iter().find(|line| line.id.as_bytes() == id.as_bytes()).expect("a line").after;
        // Nothing that is recommended here closes these.
        assert_eq!((state("CVE-2023-3269"), state("CVE-2024-21626")), (EscapeState::Open, EscapeState::Open));
    }
}

#[test]
fn a_container_that_may_all_has_each_way_open_and_the_same_recommendation_closes_it() {
    let mut report = example("app");
    let all = CapabilitySet::full(Capability::LAST_NAMED);
    for state in &mut report.behaviour.privileged.confinement {
        (state.seccomp, state.bounding) = (SeccompMode::Disabled, all);
        state.host_namespaces = vec!["ipc".into(), "net".into(), "pid".into()];
    }
    report.container.security_options = vec!["privileged=true".into()];
    let mounts = vec![bind("/var/run/docker.sock", "/var/run/docker.sock")];
    report.container.settings = Some(Settings {
        mounts: Some(mounts),
        masked_paths: Some(Vec::new()),
        read_only_paths: Some(Vec::new()),
        ..settings()
    });

    let score = recommended(&report).score;

    let open_now = score.lines.iter().filter(|line| line.now == EscapeState::Open).count();
    assert_eq!(open_now, score.lines.len(), "{:?}", score.lines.iter().find(|line| line.now != EscapeState::Open));
    let closed = |id: &str| {
        score.lines.iter().any(|line| line.id.as_bytes() == id.as_bytes() && line.after == EscapeState::Closed)
    };
    for id in [
        "CVE-2022-0185",
        "kernel-module",
        "open-by-handle",
        "engine-socket",
        "raw-disk",
        "core-pattern",
        "CVE-2020-8835",
    ] {
        assert!(closed(id), "{id}");
    }
    assert_eq!(score.opened, 0);
    assert!(score.closed > 20, "{score:?}");
}

#[test]
fn what_is_added_later_counts_in_changes_and_in_the_score() {
    let before = recommended(&example("web"));
    let missing = |what| Missing { what, starts: 1, program: Text::default() };
    let call = |name: &str| missing(MissingPermission::Call(name.to_owned()));
    let net_raw = "CAP_NET_RAW".parse::<Capability>().expect("a capability");

    let after = before.with(&[call("splice"), call("bpf"), missing(MissingPermission::Capability(net_raw))]);

    let (was, is) = (&before.changes, &after.changes);
    assert_eq!((is.calls_after, is.capabilities_after), (was.calls_after + 2, was.capabilities_after + 1));
    assert!(is.calls_opened.contains(&"bpf".into()) && !is.calls_opened.contains(&"splice".into()));
    assert!(was.calls_closed.contains(&"splice".into()) && !is.calls_closed.contains(&"splice".into()));
    assert!(is.capabilities_removed.iter().all(|one| one.capability != net_raw));
    let state = |recommendation: &Recommendation, id: &str| {
        recommendation.score.lines.iter().find(|line| line.id.as_bytes() == id.as_bytes()).expect("a line").after
    };
    for id in ["CVE-2022-0847", "CVE-2020-8835"] {
        assert_eq!((state(&before, id), state(&after, id)), (EscapeState::Closed, EscapeState::Open), "{id}");
    }
    assert_eq!(state(&after, "CVE-2022-0185"), EscapeState::Closed);
    assert_eq!(after.score.opened, before.score.opened + 4, "all four of bpf");
    assert_eq!(after.score.closed, before.score.closed - 1);
    assert_eq!(before.with(&[]), before);
}

#[test]
fn several_runs_are_added_up() {
    let one = with_paths(quiet(), &[("/tmp/a", MADE)]);
    let mut other = with_paths(quiet(), &[("/tmp/a", MADE), ("/srv/app/b", MADE)]);
    other.window.begin.boot_ns += 1;
    other.container.run.slot += 1;

    let hardening = recommend(&[one, other], &Options::default(), "0").expect("a recommendation").hardening;

    assert_eq!(media(&hardening), [volume("/srv/app"), tmpfs("/tmp")]);
    let tmp: &WritableDirectory = &hardening.read_only_root.writable[1];
    assert_eq!((tmp.evidence[0].count, tmp.evidence[0].runs), (6, 2));
    assert_eq!(hardening.read_only_root.writable[0].evidence[0].runs, 1);
}

/// As many files as a report may list, and more.
fn large() -> Report {
    let mut report = quiet();
    let like = used(&report, "/x", ROOT, MADE);
    for number in 0..100_000_u32 {
        let path = format!("/var/cache/app/{}/{}/file-{number}", number % 97, number % 1009);
        report.behaviour.files.paths.push(PathUse { path: path.as_str().into(), inode: number.into(), ..like.clone() });
    }
    report
}

/// How long this thread has been on a CPU: what else the machine does takes none of that.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts it");
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds"))
}

#[test]
fn a_report_of_a_hundred_thousand_entries_takes_less_than_a_second() {
    let report = large();

    let begin = on_cpu();
    let recommendation = recommended(&report);
    let took = on_cpu() - begin;

    assert!(!recommendation.hardening.read_only_root.writable.is_empty());
    // Without optimisation the same takes some five times as long.
    let most = if cfg!(debug_assertions) { 8 } else { 1 };
    assert!(took < Duration::from_secs(most), "{took:?}");
    eprintln!("{} entries: {took:?}", report.behaviour.files.paths.len());
}

fn path_part() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "tmp", "run", "var", "lib", "etc", "cache", "app", "..", "data"])
        .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_that_was_written_stays_writable_or_the_root_does(
        files in prop::collection::vec((prop::collection::vec(path_part(), 1..5), 0..3_usize), 0..40),
    ) {
        let mut report = quiet();
        let mut written = Vec::new();
        for (parts, how) in &files {
            let path = format!("/{}", parts.join("/"));
            match how {
                0 => report = with_name(report, NameOperation::MakeDirectory, &path, "", None),
                _ if path.contains("..") => {}
                1 => {
                    report = with_paths(report, &[(&path, MADE)]);
                    written.push(path);
                }
                _ => report = with_paths(report, &[(&path, READ)]),
            }
        }

        let root = hardening(&report).read_only_root;

        let directories: Vec<String> = root.writable.iter().map(|one| one.path.shown().into_owned()).collect();
        let is_below = |path: &str, directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        for (at, directory) in directories.iter().enumerate() {
            prop_assert!(!["/", "/etc", "/var", "/var/lib"].contains(&directory.as_str()));
            prop_assert!(directories.iter().enumerate().all(|(other, above)| other == at || !is_below(directory, above)));
        }
        if root.advice.verdict == Verdict::Apply {
            for path in &written {
                prop_assert!(directories.iter().any(|directory| path == directory || is_below(path, directory)), "{path} in {directories:?}");
            }
        }
    }
}
