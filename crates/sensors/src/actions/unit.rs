use event::{Arch, Direction, Endpoint, FileType, Payload, Protocol, Syscall, SyscallNames};

use super::calls::{asked, settings};
use crate::bpf::types::{action_call, action_call_flag, action_flag, action_sample, image_sample, standard_stream};
use crate::record::{self, DecodeError};
use crate::{ActionCall, ActionCalls, Hierarchy, Options};

fn decoded(sample: action_sample, texts: &[&[u8]]) -> event::Action {
    let bytes = [record::bytes(&sample), &texts.concat()].concat();
    match super::decode(0, &bytes) {
        Ok(Payload::Action(action)) => action,
        other => panic!("{other:?}"),
    }
}

/// Words as memory has them.
fn words(bytes: &[u8]) -> [u64; 16] {
    let mut words = [0; 16];
    for (word, part) in words.iter_mut().zip(bytes.chunks(8)) {
        let mut whole = [0; 8];
        whole[..part.len()].copy_from_slice(part);
        *word = u64::from_ne_bytes(whole);
    }
    words
}

fn passed(bytes: &[u8]) -> Option<Endpoint> {
    let length = u32::try_from(bytes.len()).unwrap();
    decoded(action_sample { passed: words(bytes), passed_bytes: length, ..Default::default() }, &[]).address
}

fn end(address: &str, port: u32) -> Option<Endpoint> {
    Some(Endpoint { address: address.into(), port })
}

#[test]
fn a_kind_that_it_does_not_write_is_refused() {
    assert_eq!(super::decode(2, &[0; 2048]), Err(DecodeError::UnknownKind(2)));
}

#[test]
fn names_stand_beside_the_directories_that_they_start_from() {
    let flags = action_flag::ACTION_FILE.0 | action_flag::ACTION_BASE.0 | action_flag::ACTION_UPPER_LAYER.0;
    let sample = action_sample {
        flags: flags | action_flag::ACTION_OPENED.0 | action_flag::ACTION_BASE_UNREACHABLE.0,
        descriptor: 3,
        mode: 0o100_644,
        open_flags: 0x241,
        path_bytes: 6,
        base_bytes: 3,
        argument_bytes: 1,
        second_argument_bytes: 2,
        ..Default::default()
    };
    let action = decoded(sample, &[b"\x01f\x03etc", b"\x02wd", b"f", b"/b"]);

    let file = action.file.expect("a file");
    assert_eq!((file.number, file.file_type, file.path), (3, FileType::Regular, "/etc/f".into()));
    assert!(file.upper_layer && file.socket.is_none());
    assert_eq!((action.path, action.directory), ("f".into(), "(unreachable)/wd".into()));
    assert_eq!((action.second_path, action.second_directory), ("/b".into(), "".into()));
    assert_eq!(action.open_flags, Some(0x241));
}

#[test]
fn a_text_longer_than_the_record_is_refused() {
    for sample in [
        action_sample { path_bytes: 9, ..Default::default() },
        action_sample { second_argument_bytes: 9, ..Default::default() },
    ] {
        assert!(matches!(super::decode(0, record::bytes(&sample)), Err(DecodeError::TooShort { .. })));
    }
    let sample = image_sample { environment_bytes: 9, ..Default::default() };
    assert!(matches!(super::decode(1, record::bytes(&sample)), Err(DecodeError::TooShort { .. })));
}

#[test]
fn addresses_are_read_as_they_were_passed() {
    assert_eq!(passed(b"\x02\x00\x1f\x90\x7f\x00\x00\x01........"), end("127.0.0.1", 8080));
    let v6 = [b"\x0a\x00\x00\x50....".as_slice(), &[0; 15], b"\x01...."].concat();
    assert_eq!(passed(&v6), end("::1", 80));
    assert_eq!(passed(b"\x01\x00/run/x.sock\x00rest"), end("/run/x.sock", 0));
    assert_eq!(passed(b"\x01\x00\x00abstract"), end("@abstract", 0));
    assert_eq!(passed(b"\x01\x00"), end("", 0));
    for other in [b"".as_slice(), b"\x02", b"\x02\x00\x1f\x90\x7f", b"\x0a\x00\x00\x50....", b"\x10\x00........"] {
        assert_eq!(passed(other), None, "{other:?}");
    }
}

#[test]
fn a_socket_says_between_whom_it_is() {
    let mut sample = action_sample {
        flags: action_flag::ACTION_FILE.0 | action_flag::ACTION_SOCKET.0,
        mode: 0o140_777,
        ..Default::default()
    };
    sample.ends.family = 2;
    sample.ends.direction = 1;
    sample.ends.local_address = [0, 0xffff_0000];
    sample.ends.remote_address = [0, 0x0100_007f_ffff_0000];
    sample.ends.remote_port = 80;
    let socket = |sample| decoded(sample, &[]).file.expect("a file").socket.expect("a socket");

    let found = socket(sample);
    assert_eq!((found.local, found.remote), (None, end("127.0.0.1", 80)));
    assert_eq!((found.protocol, found.direction), (Protocol::Tcp, Some(Direction::Out)));

    sample.ends.family = 1;
    sample.ends.protocol = 6;
    sample.flags |= action_flag::ACTION_PEER.0;
    sample.remote_name.bytes = 4;
    sample.remote_name.words[0] = u64::from_ne_bytes(*b"\x00abc\x00\x00\x00\x00");
    let found = socket(sample);
    assert_eq!((found.local, found.remote), (None, end("@abc", 0)));
}

#[test]
fn what_comes_through_socketcall_is_the_call_that_it_stands_for() {
    let x86 = 1;
    let number = |name| SyscallNames::builtin().number(Arch::X86, name).expect("x86 has it");
    for (socket_call, name) in [(3, "connect"), (5, "accept4"), (18, "accept4"), (9, "sendto"), (0, "socketcall")] {
        let sample = action_sample { table: x86, number: number("socketcall"), socket_call, ..Default::default() };
        assert_eq!(decoded(sample, &[]).syscall, Syscall { arch: Arch::X86, number: number(name) }, "{socket_call}");
    }
}

#[test]
fn an_image_lists_streams_that_are_sockets_or_pipes_and_its_environment() {
    let mut sample = image_sample { login_uid: u32::MAX, environment_bytes: 8, ..Default::default() };
    sample.streams = [
        standard_stream { mode: 0o140_777, family: 2 },
        standard_stream { mode: 0o010_600, family: 0 },
        standard_stream { mode: 0o020_620, family: 0 },
    ];
    let bytes = [record::bytes(&sample), b"A=1\0B=2\0"].concat();
    let Ok(Payload::Image(image)) = super::decode(1, &bytes) else { panic!("an image") };

    let streams: Vec<_> = image.standard.iter().map(|it| (it.number, it.file_type, it.family.map(|it| it.0))).collect();
    assert_eq!(streams, [(0, FileType::Socket, Some(2)), (1, FileType::NamedPipe, None)]);
    assert_eq!(image.environment, ["A=1".into(), "B=2".into()]);
    assert_eq!((image.login_uid, image.terminal), (None, None));
}

fn options(calls: &[(&str, bool)]) -> Options {
    let call = |&(name, also_failed): &(&str, bool)| ActionCall { name: name.to_owned(), also_failed };
    Options {
        hierarchy: Hierarchy::Unified,
        ring_bytes: Options::RING_BYTES,
        as_old_kernel: false,
        without_hooks: Vec::new(),
        counted_tasks: None,
        trace: None,
        file_bytes: false,
        terminal_bytes: 0,
        actions: Some(ActionCalls { calls: calls.iter().map(call).collect(), environment: false }),
    }
}

#[test]
fn calls_are_handled_as_they_were_asked_for() {
    let with_failures = action_call_flag::ACTION_CALL_ALSO_FAILED.0;
    let options = options(&[("openat", false), ("kexec_load", true), ("connect", false), ("openat", true)]);
    let calls: Vec<_> =
        asked(&options).iter().map(|call| (call.name.to_owned(), u32::from(call.number), call.also_failed)).collect();

    let call = |name: &str, like: action_call, flag: u32, failed| (name.to_owned(), like.0 | flag, failed);
    assert_eq!(calls, [
        call("openat", action_call::ACTION_CALL_OPENAT, with_failures, true),
        call("kexec_load", action_call::ACTION_CALL_OTHER, with_failures, true),
        // Whether it failed is looked at in the kernel: a connection that is being made did not.
        call("connect", action_call::ACTION_CALL_CONNECT, 0, true),
        call("openat", action_call::ACTION_CALL_OPENAT, with_failures, true),
        call("socketcall", action_call::ACTION_CALL_SOCKETCALL, 0, true),
    ]);
    assert_eq!((settings(&options).socket_calls, settings(&options).socket_failures), (1 << 3, 0));
}

#[test]
fn without_a_socket_call_socketcall_is_let_be() {
    let options = options(&[("openat", false)]);

    assert_eq!(asked(&options).len(), 1);
    assert_eq!(settings(&options).socket_calls, 0);
}
