//! When a report is complete, and what makes two reports the same bytes.

mod fixtures;

use behaviour::OperationUse;
use event::{Arch, Outcome, PrivilegedOperation, Protocol, Syscall};
use report::{AttachState, Counts, Loss, ObservedFrom, Reason, ReasonCode, Report, Stage};

fn docker() -> Report {
    fixtures::all().remove(0).1
}

fn codes(report: &Report) -> Vec<ReasonCode> {
    report.reasons.iter().map(|reason| reason.code).collect()
}

fn loss(stage: Stage, count: u64) -> Loss {
    Loss { stage, sensor: "process".into(), count, knob: Some("--ring-size".into()) }
}

#[test]
fn a_report_without_a_gap_is_complete() {
    let report = docker();

    assert!(report.complete);
    assert_eq!(codes(&report), []);
}

#[test]
fn a_container_that_still_runs_can_be_complete() {
    let mut report = docker();
    report.window.ended = false;
    report.window.runtime_init.observed = false;

    assert!(report.finish().complete);
}

#[test]
fn a_container_found_late_is_not_complete() {
    let mut report = docker();
    report.window.observed_from = ObservedFrom::Attach;

    let report = report.finish();

    assert!(!report.complete);
    assert_eq!(codes(&report), [ReasonCode::ObservedLate]);
}

#[test]
fn a_sensor_that_did_not_observe_makes_it_incomplete() {
    let mut report = docker();
    let missing = report.sensors.iter_mut().find(|sensor| sensor.name == "capabilities".into()).expect("it is there");
    missing.state = AttachState::Unsupported;
    missing.reason = Some("a \\ b".into());

    let report = report.finish();

    assert_eq!(codes(&report), [ReasonCode::SensorMissing]);
    assert_eq!(report.reasons[0].sensor, Some("capabilities".into()));
    assert_eq!(report.reasons[0].text.as_bytes(), b"this kernel cannot run the sensor capabilities: a \\ b");
    assert_eq!(
        complete_sections(&report),
        ["arguments", "files", "network", "privileged", "processes", "scripts", "syscalls"]
    );
}

fn complete_sections(report: &Report) -> Vec<String> {
    report.sections.iter().filter(|(_, complete)| **complete).map(|(name, _)| name.to_string()).collect()
}

#[test]
fn what_one_sensor_missed_leaves_the_sections_of_the_others_complete() {
    let mut report = docker();
    assert_eq!(
        complete_sections(&report),
        ["arguments", "capabilities", "files", "network", "privileged", "processes", "scripts", "syscalls"]
    );

    report.losses = vec![loss(Stage::KernelRing, 1)];
    assert_eq!(
        complete_sections(&report.clone().finish()),
        ["arguments", "capabilities", "files", "network", "privileged", "syscalls"]
    );

    report.losses[0].sensor = "identity".into();
    assert_eq!(complete_sections(&report.finish()), [""; 0]);
}

#[test]
fn a_container_found_late_has_no_complete_section() {
    let mut report = docker();
    report.window.observed_from = ObservedFrom::Attach;

    let report = report.finish();
    assert!(!report.sections.is_empty());
    assert_eq!(complete_sections(&report), [""; 0]);
}

#[test]
fn what_io_uring_may_have_done_makes_files_and_network_incomplete() {
    let mut report = docker();
    report.behaviour.syscalls.uses[2].name = "io_uring_enter".into();

    let report = report.finish();

    let texts: Vec<String> = report.reasons.iter().map(|reason| reason.text.to_string()).collect();
    let expected =
        ["io_uring used: file operations may be missing", "io_uring used: sockets and connections may be missing"];
    assert_eq!(texts, expected);
    assert_eq!(
        complete_sections(&report),
        ["arguments", "capabilities", "privileged", "processes", "scripts", "syscalls"]
    );
    assert_eq!(report.clone().finish(), report);
}

/// A report of a container that asked for these through io_uring.
fn with_requests(requests: &[&str], setup: &str) -> Report {
    let mut report = docker();
    report.behaviour.syscalls.uses[2].name = "io_uring_enter".into();
    let sensor = report.sensors.iter_mut().find(|sensor| sensor.name == "privileged".into()).expect("it is there");
    sensor.hooks.push("tp_btf/io_uring_submit_req".into());
    let one = report.behaviour.privileged.operations[0].clone();
    let mut used = |operation, detail: &str| {
        let details = vec![detail.into()];
        report.behaviour.privileged.operations.push(OperationUse { operation, details, others: false, ..one.clone() });
    };
    used(PrivilegedOperation::IoUringSetup, setup);
    requests.iter().for_each(|request| used(PrivilegedOperation::IoUringRequest, request));
    report.finish()
}

#[test]
fn requests_to_io_uring_that_are_known_concern_only_what_they_may_have_done() {
    let reasons = |requests: &[&str], setup: &str| -> Vec<String> {
        with_requests(requests, setup).reasons.iter().map(|reason| reason.text.to_string()).collect()
    };
    assert_eq!(reasons(&["IORING_OP_NOP", "IORING_OP_TIMEOUT"], "IORING_SETUP_CLAMP"), [""; 0]);
    let file = "io_uring used (IORING_OP_OPENAT): file operations may be missing";
    assert_eq!(reasons(&["IORING_OP_NOP", "IORING_OP_OPENAT"], "IORING_SETUP_CLAMP"), [file]);
    let sockets = "io_uring used (IORING_OP_CONNECT, IORING_OP_SEND): sockets and connections may be missing";
    assert_eq!(reasons(&["IORING_OP_SEND", "IORING_OP_CONNECT", "IORING_OP_SEND"], ""), [sockets]);
    // One that reads may read either, and one that is not known here may do anything.
    for request in ["IORING_OP_READ", "99"] {
        let expected = ["file operations", "sockets and connections"]
            .map(|what| format!("io_uring used ({request}): {what} may be missing"));
        assert_eq!(reasons(&[request], ""), expected);
    }
    let unknown =
        ["io_uring used: file operations may be missing", "io_uring used: sockets and connections may be missing"];
    assert_eq!(reasons(&["IORING_OP_NOP"], "IORING_SETUP_SQPOLL"), unknown);
    // One that was refused is no ring.
    let mut refused = with_requests(&["IORING_OP_NOP"], "IORING_SETUP_SQPOLL");
    let setup =
        refused.behaviour.privileged.operations.iter_mut().find(|it| it.operation == PrivilegedOperation::IoUringSetup);
    setup.expect("it is there").outcome = Outcome::Denied;
    refused.reasons.clear();
    assert_eq!(refused.finish().reasons, []);
}

#[test]
fn calls_that_x32_has_under_other_numbers_make_all_that_handles_calls_incomplete() {
    let mut report = docker();
    report.behaviour.syscalls.uses[2].syscall = Syscall { arch: Arch::X32, number: 518 };

    let report = report.finish();

    let of: Vec<_> =
        report.reasons.iter().filter_map(|reason| reason.sensor.as_ref().map(ToString::to_string)).collect();
    assert_eq!(of, ["arguments", "files", "network", "privileged"]);
    assert_eq!(complete_sections(&report), ["capabilities", "processes", "scripts", "syscalls"]);
}

#[test]
fn connections_with_peers_that_are_not_listed_make_the_network_incomplete() {
    let mut report = docker();
    let mut others = report.behaviour.network.flows[1].clone();
    others.address = "*".into();
    report.behaviour.network.flows.push(others);

    let report = report.finish();

    // Two connections and three that failed.
    assert_eq!(report.reasons[0].text, "5 connections were with peers that are not listed".into());
    assert_eq!(report.reasons[0].sensor, Some("network".into()));
    assert_eq!(
        complete_sections(&report),
        ["arguments", "capabilities", "files", "privileged", "processes", "scripts", "syscalls"]
    );
    assert_eq!(report.clone().finish(), report);
}

#[test]
fn what_multipath_tcp_carried_makes_the_network_incomplete() {
    let mut report = docker();
    report.behaviour.network.flows[1].protocol = Protocol::Mptcp;

    let report = report.finish();

    let text = "Multipath TCP used: bytes and ends of its connections may be missing";
    assert_eq!(report.reasons[0].text, text.into());
    assert_eq!(
        complete_sections(&report),
        ["arguments", "capabilities", "files", "privileged", "processes", "scripts", "syscalls"]
    );
}

#[test]
fn operations_that_are_not_told_apart_make_their_section_incomplete() {
    let mut report = docker();
    report.behaviour.privileged.operations[0].others = true;
    report.behaviour.privileged.operations[0].count = 12;

    let report = report.finish();

    let text = "12 times a privileged operation or a change of rights is not told apart";
    assert_eq!(report.reasons[0].text, text.into());
    assert_eq!(
        complete_sections(&report),
        ["arguments", "capabilities", "files", "network", "processes", "scripts", "syscalls"]
    );
}

#[test]
fn what_the_kernel_cannot_show_is_no_gap() {
    let mut report = docker();
    assert!(!report.has_gaps());

    report.sensors[0].state = AttachState::Unsupported;
    assert!(!report.clone().finish().has_gaps());

    report.sensors[0].state = AttachState::Failed;
    assert!(report.finish().has_gaps());
}

#[test]
fn losses_are_added_up_and_none_is_no_loss() {
    let mut report = docker();
    report.losses = vec![loss(Stage::Queue, 0), loss(Stage::KernelRing, 1), loss(Stage::KernelRing, u64::MAX)];

    let report = report.finish();

    assert_eq!(report.losses, [loss(Stage::KernelRing, u64::MAX)]);
    assert_eq!(codes(&report), [ReasonCode::Loss]);
}

#[test]
fn one_loss_is_not_plural() {
    let mut report = docker();
    report.losses = vec![loss(Stage::KernelRing, 1)];

    let text = report.finish().reasons.remove(0).text;

    assert_eq!(text.as_bytes(), b"1 event of the sensor process found no room in the ring buffer; --ring-size helps");
}

#[test]
fn processes_that_are_not_listed_make_it_incomplete() {
    let mut report = docker();
    report.behaviour.processes.kept_all = false;

    assert_eq!(codes(&report.clone().finish()), [ReasonCode::ProcessesNotListed]);

    report.behaviour.processes.total = 1_000;
    let text = report.finish().reasons.remove(0).text;
    assert_eq!(text.as_bytes(), b"993 of 1000 processes were counted but are not listed");
}

#[test]
fn counts_follow_the_behaviour() {
    let mut report = docker();
    report.behaviour.counts_at_least = true;

    assert_eq!(report.finish().counts, Counts::AtLeast);
}

#[test]
fn a_reason_that_only_the_caller_knows_stays_and_others_go_with_their_cause() {
    let mut report = docker();
    let own = Reason { code: ReasonCode::WorkloadNotVisible, sensor: None, text: "it runs in gVisor".into() };
    report.reasons = vec![Reason { code: ReasonCode::Loss, sensor: None, text: "old".into() }, own.clone()];

    assert_eq!(report.finish().reasons, [own]);
}

#[test]
fn the_order_in_which_parts_came_makes_no_difference() {
    for (_, report) in fixtures::all() {
        let mut shuffled = report.clone();
        shuffled.sensors.reverse();
        shuffled.losses.reverse();
        shuffled.reasons.reverse();
        shuffled.cost.programs.reverse();

        assert_eq!(shuffled.finish().to_json(), report.to_json());
    }
}
