use event::{Direction, DnsMessage, FileAccess, FlowUsed, Protocol};

use super::*;
use crate::testing::{exec, file, fork, id, noted, rename};

fn paths(files: &[Candidate]) -> Vec<String> {
    files.iter().map(|file| file.path.to_string()).collect()
}

#[test]
fn the_line_goes_up_as_far_as_was_seen_and_says_what_each_ran() {
    let events = [
        noted(1, 1, exec(900, &["/sbin/init"])),
        noted(1, 2, fork(2, 1)),
        noted(2, 3, fork(3, 2)),
        noted(3, 4, exec(2, &["/tmp/miner", "-o", "pool"])),
    ];
    let family = Family::of(&events);

    let line = family.line(id(3));

    let pids: Vec<(u32, u32)> = line.iter().map(|it| (it.id.pid, it.parent_pid)).collect();
    assert_eq!(pids, [(900, 0), (1, 900), (2, 1), (3, 2)]);
    assert_eq!((line[3].relation, line[2].relation), (Relation::Itself, Relation::Ancestor));
    assert_eq!((line[1].executable.clone(), line[2].executable.clone()), (Some("/sbin/init".into()), None));
    let told = family.told(id(3)).expect("it was started");
    assert_eq!((told.argv.len(), told.cwd, told.uid), (3, "/work".into(), 1000));
    assert_eq!(family.told(id(2)), None);
}

#[test]
fn a_pid_that_was_reused_is_not_the_same_process() {
    let events = [noted(3, 1, exec(2, &["/bin/old"]))];

    assert_eq!(Family::of(&events).told(ProcessId { pid: 3, start_ns: 999 }), None);
}

#[test]
fn a_process_that_is_its_own_ancestor_ends_the_line() {
    let events = [noted(1, 1, fork(2, 1)), noted(2, 1, fork(1, 2))];

    assert_eq!(Family::of(&events).line(id(1)).len(), MAX_ANCESTORS);
}

#[test]
fn what_a_sibling_dropped_is_found_and_what_others_wrote_is_not() {
    let events = [
        noted(1, 1, fork(2, 1)),
        noted(2, 2, fork(3, 2)),
        noted(2, 3, fork(4, 2)),
        noted(1, 3, fork(9, 1)),
        noted(3, 4, file("/tmp/dropped", FileAccess::OpenedToWrite)),
        noted(9, 5, file("/var/log/of-another", FileAccess::Written)),
        noted(4, 6, file("/etc/read", FileAccess::OpenedToRead)),
        noted(4, 7, file("/tmp/own", FileAccess::Created)),
        noted(3, 8, file("/tmp/later", FileAccess::Written)),
    ];
    let close = Family::of(&events).close_to(id(4));

    assert_eq!(paths(&written(&events, &close, id(4))), ["/tmp/own", "/tmp/later", "/tmp/dropped"]);
}

#[test]
fn a_file_that_was_renamed_goes_by_its_new_name() {
    let events = [noted(3, 1, file("/tmp/x.part", FileAccess::Created)), noted(3, 2, rename("/tmp/x.part", "/tmp/x"))];

    assert_eq!(paths(&written(&events, &[id(3)].into(), id(3))), ["/tmp/x"]);
}

#[test]
fn scripts_are_found_by_their_paths() {
    let events = [noted(3, 1, exec(1, &["/bin/sh", "run.sh"])), noted(4, 2, exec(1, &["/bin/sh", "-c", "true"]))];
    let family = Family::of(&events);

    assert_eq!(paths(&family.scripts(&[id(3), id(4)].into())), ["/work/run.sh"]);
}

#[test]
fn a_peer_is_told_once_with_the_names_that_led_to_it() {
    let flow = |address: &str| {
        Payload::Flow(FlowUsed {
            direction: Direction::Out,
            protocol: Protocol::Tcp,
            address: address.into(),
            port: 4444,
            local_address: Text::default(),
            local_port: 0,
            namespace: 1,
            device: Default::default(),
            inode: 0,
            errno: None,
            connections: 1,
            traffic: Default::default(),
            ends: Vec::new(),
            connect_time: None,
        })
    };
    let answer = Payload::Dns(DnsMessage {
        direction: Direction::Out,
        is_answer: true,
        name: "pool.example".into(),
        record_type: "A".into(),
        code: 0,
        addresses: vec!["192.0.2.7".into()],
        aliases: Vec::new(),
        server: "192.0.2.53".into(),
    });
    let events = [
        noted(3, 1, answer),
        noted(3, 2, flow("192.0.2.7")),
        noted(4, 3, flow("192.0.2.7")),
        noted(4, 4, flow("192.0.2.8")),
    ];

    let peers = peers(&events);

    let [named, other] = &peers[..] else { panic!("{peers:?}") };
    assert_eq!((&named.names, named.process), (&vec!["pool.example".into()], id(3)));
    assert_eq!((other.address.clone(), other.names.len()), ("192.0.2.8".into(), 0));
}
