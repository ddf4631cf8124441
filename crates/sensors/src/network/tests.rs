use super::*;

#[test]
fn what_has_no_meaning_is_refused() {
    assert_eq!(decode(99, &[0; 4000]), Err(DecodeError::UnknownKind(99)));
    let mut flow = flow_sample::default();
    flow.key.protocol = 200;
    assert_eq!(decode_flow(record::bytes(&flow)), Err(DecodeError::UnknownValue(200)));
    flow.key.protocol = 0;
    flow.key.direction = 7;
    assert_eq!(decode_flow(record::bytes(&flow)), Err(DecodeError::UnknownValue(7)));
    assert!(matches!(decode_flow(&[0; 8]), Err(DecodeError::TooShort { .. })));
}

#[test]
fn a_message_that_is_shorter_than_it_says_is_refused() {
    let sample = message_sample { bytes: u32::MAX, ..message_sample::default() };

    assert!(matches!(decode_dns(record::bytes(&sample)), Err(DecodeError::TooShort { .. })));
}

#[test]
fn every_call_is_known_by_its_name() {
    let names = event::SyscallNames::builtin();
    for Call { name, .. } in CALLS {
        let known = [event::Arch::X86_64, event::Arch::X86, event::Arch::Aarch64, event::Arch::Arm]
            .iter()
            .any(|&arch| names.number(arch, name).is_some());
        assert!(known, "{name}");
    }
}

#[test]
fn protocols_and_ends_are_numbered_as_the_kernel_side_does() {
    use crate::bpf::types::{network_end, network_protocol};

    for (protocol, theirs) in [
        (Protocol::Tcp, network_protocol::PROTOCOL_TCP),
        (Protocol::Mptcp, network_protocol::PROTOCOL_MPTCP),
        (Protocol::UnixSeqpacket, network_protocol::PROTOCOL_UNIX_SEQPACKET),
        (Protocol::Other, network_protocol::PROTOCOL_OTHER),
    ] {
        assert_eq!(Protocol::ALL[theirs.0 as usize], protocol);
    }
    assert_eq!(ConnectionEnd::ALL.len() as u32, network_end::NETWORK_ENDS.0);
    assert_eq!(ConnectionEnd::ALL[network_end::END_TIMED_OUT.0 as usize], ConnectionEnd::TimedOut);
}

#[test]
fn names_of_unix_sockets_are_paths_or_abstract() {
    let name = |bytes: &[u8]| {
        let mut name = unix_name { bytes: bytes.len() as u32, ..unix_name::default() };
        for (word, chunk) in name.words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(whole);
        }
        text_of_name(&name)
    };

    assert_eq!(name(b"/run/a.sock\0"), "/run/a.sock".into());
    assert_eq!(name(b"\0a\0b"), Text::new(b"@a\0b"));
    assert_eq!(name(&[b'x'; 108]), Text::new([b'x'; 108]));
    assert_eq!(text_of_name(&unix_name { bytes: u32::MAX, ..unix_name::default() }).as_bytes().len(), 128);
}

mod kernel {
    use std::collections::BTreeSet;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::super::*;
    use crate::testing::Bench;

    fn told(bench: &Bench) -> Vec<Payload> {
        let kept = bench.kernel.read_sets(&[bench.run]).expect("the sets can be read");
        let told = kept.into_values().flatten().filter_map(|kept| match kept.total {
            Total::Told(event) | Total::Open(event) => Some(event.payload),
            _ => None,
        });
        told.collect()
    }

    fn flows(bench: &Bench, protocol: Protocol) -> Vec<FlowUsed> {
        let of = |payload| match payload {
            Payload::Flow(used) if used.protocol == protocol => Some(used),
            _ => None,
        };
        told(bench).into_iter().filter_map(of).collect()
    }

    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn connections_are_counted_with_what_went_over_them() {
        let bench = Bench::new();
        let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = server.local_addr().expect("it is bound").port();
        let answering = std::thread::spawn(move || {
            for _ in 0..3 {
                let (mut stream, _) = server.accept().expect("somebody connects");
                let mut question = [0; 6];
                stream.read_exact(&mut question).expect("it asks");
                stream.write_all(&[b'x'; 1000]).expect("it listens");
            }
        });

        for _ in 0..3 {
            let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3; cat <&3 >/dev/null");
            assert!(bench.run("/bin/bash", &["-c", &script]).success());
        }
        assert!(!bench.run("/bin/bash", &["-c", "exec 3<>/dev/tcp/127.0.0.1/1"]).success());
        answering.join().expect("it answers");

        let flows = flows(&bench, Protocol::Tcp);
        let (failed, made): (Vec<_>, Vec<_>) = flows.iter().partition(|flow| flow.errno.is_some());
        let [failed] = failed[..] else { panic!("{failed:#?}") };
        assert_eq!((failed.errno, failed.connections, failed.port), (Some(Errno(111)), 1, 1), "{failed:#?}");
        assert_eq!(failed.traffic, Traffic::default());
        // The first was the container's main program, and the others came from outside.
        assert_eq!(made.iter().map(|flow| flow.connections).collect::<BTreeSet<_>>(), [1, 2].into());
        for made in &made {
            let each = made.connections;
            assert_eq!((made.direction, made.address.clone()), (Direction::Out, "127.0.0.1".into()));
            assert_eq!(made.port, u32::from(port));
            assert_eq!((made.traffic.sent_bytes, made.traffic.received_bytes), (each * 6, each * 1000), "{made:#?}");
            assert_eq!(u64::from(made.ends.iter().sum::<u32>()), each, "{made:#?}");
            let times = made.connect_time.expect("it was measured");
            assert!(times.count == each && times.min_ns <= times.max_ns && times.total_ns >= times.max_ns, "{times:?}");
        }
        let made = made[0];
        let namespace = std::fs::read_link("/proc/self/ns/net").expect("there are namespaces");
        assert_eq!(format!("net:[{}]", made.namespace), namespace.to_string_lossy());
    }
}
