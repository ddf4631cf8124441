//! Sinks against real receivers on this machine: good ones, slow ones, and some that go away.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use alerts::{Alert, Container, Origin};
use report::Timestamp;
use rules::Priority;
use sinks::{Sinks, Spec};

const SOON: Duration = Duration::from_secs(20);

fn alert(number: u32) -> Alert {
    let container = Container { name: Some("web".into()), image: Some("nginx:1".into()), ..Container::default() };
    let output = format!("shell number {number}");
    let mut alert =
        Alert::new(Origin::Rule, "Shell in container", Priority::Warning, output.as_str().into(), container);
    alert.fields.insert("proc.name".into(), Some(format!("sh{number}").as_str().into()));
    alert.sealed(Timestamp::from_unix_ns(1_764_441_000_123_456_789))
}

fn open(sinks: &mut Sinks, text: &str, state: &Path) {
    let spec = Spec::parse(text).expect("a sink");
    spec.open(sinks, Box::new(|alert| alert.to_json_line()), false, state).expect("it opens");
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One request: its head and body. An oracle of its own: no code of the sender.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

/// A server that answers with these codes, one after another, then always with the last; gives what it was posted.
fn server(codes: &'static [u16]) -> (u16, Receiver<(u16, String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, posted) = channel();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { break };
            let Some((head, body)) = request(&mut stream) else { continue };
            let code = codes[at.min(codes.len() - 1)];
            let _ = write!(stream, "HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if sender.send((code, head, body)).is_err() {
                break;
            }
        }
    });
    (port, posted)
}

#[test]
fn a_webhook_that_answers_500_gets_each_alert_again_and_in_order() {
    let state = tempfile::tempdir().expect("a folder");
    let (port, posted) = server(&[500, 200]);
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!("webhook:http://127.0.0.1:{port}/hook?x=1"), state.path());

    (1..=3).for_each(|number| sinks.send(&alert(number)));

    let got: Vec<(u16, String, String)> = (0..4).map(|_| posted.recv_timeout(SOON).expect("a request")).collect();
    assert!(got[0].1.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{}", got[0].1);
    assert_eq!(got.iter().map(|(code, ..)| *code).collect::<Vec<_>>(), [500, 200, 200, 200]);
    let outputs: Vec<String> = got
        .iter()
        .map(|(_, _, body)| serde_json::from_str::<serde_json::Value>(body).expect("JSON")["output"].to_string())
        .collect();
    assert_eq!(outputs, ["\"shell number 1\"", "\"shell number 1\"", "\"shell number 2\"", "\"shell number 3\""]);
    let (said, lost) = sinks.finish(SOON);
    assert_eq!(lost, 0);
    assert!(said.len() == 1 && said[0].contains("1 attempts failed") && said[0].contains("500"), "{said:?}");
}

#[test]
fn what_a_webhook_refuses_is_counted_and_not_sent_again() {
    let state = tempfile::tempdir().expect("a folder");
    let (port, posted) = server(&[400, 200]);
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!("webhook:http://127.0.0.1:{port}"), state.path());

    (1..=2).for_each(|number| sinks.send(&alert(number)));

    let codes: Vec<u16> = (0..2).map(|_| posted.recv_timeout(SOON).expect("a request").0).collect();
    assert_eq!(codes, [400, 200]);
    assert_eq!(sinks.finish(SOON).1, 1, "one was refused");
}

#[test]
fn a_receiver_that_hangs_delays_nobody_and_what_it_missed_is_in_the_spool() {
    let state = tempfile::tempdir().expect("a folder");
    // It takes connections, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let file = state.path().join("alerts.ndjson");
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!("webhook:http://127.0.0.1:{port}/"), state.path());
    open(&mut sinks, &format!("file:{}", file.display()), state.path());

    let began = Instant::now();
    (1..=200).for_each(|number| sinks.send(&alert(number)));
    assert!(began.elapsed() < Duration::from_secs(1), "handing over took {:?}", began.elapsed());
    let lines = || std::fs::read_to_string(&file).unwrap_or_default().lines().count();
    until("the other sink has them all", || lines() == 200);
    until("the attempt is given up", || sinks.statuses().any(|(_, status)| status.failures() > 0));
    until("all wait on disk", || sinks.statuses().any(|(_, status)| status.spooled() == 200));
    let (said, lost) = sinks.finish(Duration::from_millis(100));
    assert_eq!(lost, 0, "{said:?}");
    assert!(said.iter().any(|said| said.contains("200 wait in its spool for the next start")), "{said:?}");

    // The next start, with a receiver that works, at the same address.
    drop(listener);
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the same port");
    let (sender, posted) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let Some((_, body)) = request(&mut stream) else { continue };
            let _ = write!(stream, "HTTP/1.1 204 No Content\r\n\r\n");
            let _ = sender.send(body);
        }
    });
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!("webhook:http://127.0.0.1:{port}/"), state.path());
    let bodies: Vec<String> = (0..200).map(|_| posted.recv_timeout(SOON).expect("a request")).collect();
    assert!(bodies[0].contains("shell number 1\"") && bodies[199].contains("shell number 200\""));
    assert_eq!(sinks.finish(SOON), (vec![], 0));
    assert!(posted.try_recv().is_err(), "none came twice");
}

#[test]
fn a_spool_is_bounded_and_what_finds_no_room_is_counted() {
    let state = tempfile::tempdir().expect("a folder");
    let mut sinks = Sinks::default();
    // Nobody listens at this port.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    open(&mut sinks, &format!("webhook:http://127.0.0.1:{port}/,spool=4K"), state.path());

    (1..=100).for_each(|number| sinks.send(&alert(number)));
    until("some found no room", || {
        sinks.statuses().any(|(_, status)| status.lost() > 0 && status.lost() + status.spooled() == 100)
    });

    let (said, lost) = sinks.finish(Duration::from_millis(100));
    assert!(lost > 80 && said[0].contains("lost"), "{said:?}");
    let spool = std::fs::read_dir(state.path()).expect("the folder").flatten().next().expect("a file");
    assert!(spool.metadata().expect("a file").len() <= 4096);
    assert_eq!(spool.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn alertmanager_gets_what_its_api_takes() {
    let state = tempfile::tempdir().expect("a folder");
    let (port, posted) = server(&[200]);
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!("alertmanager:http://127.0.0.1:{port}"), state.path());
    sinks.send(&alert(1));

    let (_, head, body) = posted.recv_timeout(SOON).expect("a request");
    assert!(head.starts_with("POST /api/v2/alerts HTTP/1.1\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body.as_array().map(Vec::len), Some(1));
    assert_eq!(body[0]["labels"]["alertname"], "Shell in container");
    assert_eq!(body[0]["labels"]["severity"], "warning");
    assert_eq!(body[0]["annotations"]["summary"], "shell number 1");
    assert!(body[0]["startsAt"].as_str().is_some_and(|at| at.starts_with("2025-11-29T")), "{body}");
    // Every value of a label and annotation is a text.
    assert!(body[0]["labels"].as_object().is_some_and(|labels| labels.values().all(serde_json::Value::is_string)));
    assert!(body[0]["annotations"].as_object().is_some_and(|all| all.values().all(serde_json::Value::is_string)));
}

#[test]
fn a_file_is_begun_anew_and_so_many_old_ones_are_kept() {
    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().join("a,b.ndjson");
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!("file:{},size=2K,keep=2", path.display()), state.path());
    (1..=40).for_each(|number| sinks.send(&alert(number)));
    assert_eq!(sinks.finish(SOON), (vec![], 0));

    let read = |name: &str| std::fs::read_to_string(state.path().join(name)).expect(name);
    let mut names: Vec<String> = std::fs::read_dir(state.path())
        .expect("the folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["a,b.ndjson", "a,b.ndjson.1", "a,b.ndjson.2"]);
    let newest = read("a,b.ndjson");
    assert!(newest.contains("shell number 40") && names.iter().all(|name| read(name).len() <= 2048));
    for line in names.iter().flat_map(|name| read(name).lines().map(str::to_owned).collect::<Vec<_>>()) {
        serde_json::from_str::<Alert>(&line).expect("a whole line");
    }
}

/// A message of RFC 5424 taken apart: severity, facility, its seven fields, and what it says.
fn syslog(message: &str) -> (u32, u32, Vec<String>, String) {
    let (priority, rest) = message.strip_prefix('<').and_then(|rest| rest.split_once('>')).expect("a priority");
    let priority: u32 = priority.parse().expect("a number");
    let mut words = rest.splitn(8, ' ');
    let fields: Vec<String> = words.by_ref().take(7).map(str::to_owned).collect();
    (priority % 8, priority / 8, fields, words.next().unwrap_or_default().to_owned())
}

fn check_syslog(message: &str) {
    let (severity, facility, fields, text) = syslog(message);
    assert_eq!((severity, facility), (4, 3), "{message}");
    assert_eq!(fields[0], "1");
    assert_eq!(fields[1], "2025-11-29T18:30:00.123456Z");
    assert_eq!((fields[3].as_str(), fields[5].as_str(), fields[6].as_str()), ("ringfence", "alert", "-"));
    assert_eq!(fields[4], std::process::id().to_string());
    assert!(text.contains("Shell in container in web: shell number 1 (id "), "{text}");
}

#[test]
fn syslog_is_rfc_5424_over_its_three_ways() {
    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().join("log");
    let local = UnixDatagram::bind(&path).expect("a socket");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    local.set_read_timeout(Some(SOON)).expect("a time");
    udp.set_read_timeout(Some(SOON)).expect("a time");
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!("syslog:unix:{}", path.display()), state.path());
    open(&mut sinks, &format!("syslog:udp:127.0.0.1:{}", udp.local_addr().expect("an address").port()), state.path());
    open(&mut sinks, &format!("syslog:tcp:localhost:{}", tcp.local_addr().expect("an address").port()), state.path());
    (1..=2).for_each(|_| sinks.send(&alert(1)));

    let mut bytes = [0; 8192];
    let length = local.recv(&mut bytes).expect("a datagram");
    check_syslog(std::str::from_utf8(&bytes[..length]).expect("text"));
    let length = udp.recv(&mut bytes).expect("a datagram");
    check_syslog(std::str::from_utf8(&bytes[..length]).expect("text"));
    // RFC 6587, 3.4.1: the length, a blank, the message; both over one connection.
    let (mut stream, _) = tcp.accept().expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a time");
    for _ in 0..2 {
        let (mut digits, mut byte) = (String::new(), [0]);
        loop {
            stream.read_exact(&mut byte).expect("a byte");
            if byte[0] == b' ' {
                break;
            }
            digits.push(byte[0] as char);
        }
        let mut message = vec![0; digits.parse().expect("a length")];
        stream.read_exact(&mut message).expect("a message");
        check_syslog(std::str::from_utf8(&message).expect("text"));
    }
    assert_eq!(sinks.finish(SOON), (vec![], 0));
}

#[test]
fn a_unix_socket_whose_listener_goes_away_gets_the_rest_when_it_is_back() {
    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().join("sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!("unix:{}", path.display()), state.path());
    sinks.send(&alert(1));
    let (stream, _) = listener.accept().expect("a connection");
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).expect("a line");
    assert!(line.contains("shell number 1\""), "{line}");

    drop((stream, listener));
    std::fs::remove_file(&path).expect("the socket");
    sinks.send(&alert(2));
    until("it is noticed", || sinks.statuses().any(|(_, status)| status.failures() > 0));
    let listener = UnixListener::bind(&path).expect("a socket");
    sinks.send(&alert(3));
    let (stream, _) = listener.accept().expect("a connection");
    let mut lines = BufReader::new(&stream).lines();
    assert!(lines.next().expect("a line").expect("text").contains("shell number 2\""));
    assert!(lines.next().expect("a line").expect("text").contains("shell number 3\""));
    let (said, lost) = sinks.finish(SOON);
    assert_eq!((lost, said.len()), (0, 1), "{said:?}");
}

#[test]
fn what_a_dead_sink_without_spool_did_not_take_is_lost_and_said() {
    let state = tempfile::tempdir().expect("a folder");
    let mut sinks = Sinks::default();
    open(&mut sinks, "unix:/nonexistent/socket", state.path());
    (1..=2000).for_each(|number| sinks.send(&alert(number)));
    until("the queue is full", || sinks.statuses().any(|(_, status)| status.lost() > 0));
    let said = sinks.news();
    assert!(said.len() == 1 && said[0].contains("lost"), "{said:?}");
    assert_eq!(sinks.news(), Vec::<String>::new(), "once");

    let (said, lost) = sinks.finish(Duration::from_millis(100));

    assert_eq!(lost, 2000, "{said:?}");
}

/// A program that keeps what it got.
fn script(folder: &Path, text: &str) -> String {
    let path = folder.join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    path.display().to_string()
}

#[test]
fn a_program_gets_the_alert_on_its_input_and_its_arguments_as_they_are() {
    let state = tempfile::tempdir().expect("a folder");
    let out = state.path().join("out");
    let program =
        script(state.path(), &format!("{{ printf '%s|' \"$@\"; env | grep -c . ; cat; }} >> {}", out.display()));
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!(r#"exec:["{program}","a b","$(id);`id`"]"#), state.path());
    (1..=2).for_each(|number| sinks.send(&alert(number)));
    assert_eq!(sinks.finish(SOON), (vec![], 0));

    let text = std::fs::read_to_string(&out).expect("what it wrote");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("a b|$(id);`id`|"), "{text}");
    assert_eq!(serde_json::from_str::<Alert>(lines[1]).expect("the alert"), alert(1));
    assert_eq!(serde_json::from_str::<Alert>(lines[3]).expect("the alert"), alert(2));
}

#[test]
fn a_program_that_hangs_is_ended_and_one_that_fails_is_counted() {
    let state = tempfile::tempdir().expect("a folder");
    let program = script(state.path(), "exec sleep 1000");
    let mut sinks = Sinks::default();
    open(&mut sinks, &format!("exec:{program},time=1s"), state.path());
    open(&mut sinks, "exec:/bin/false", state.path());
    sinks.send(&alert(1));
    until("both have failed", || sinks.statuses().all(|(_, status)| status.refused() == 1));
    let (said, lost) = sinks.finish(SOON);
    assert_eq!(lost, 2);
    assert!(said.iter().any(|said| said.contains("took longer than 1s and was ended")), "{said:?}");

    let relative = Spec::parse("exec:sh").expect("a sink").open(
        &mut Sinks::default(),
        Box::new(|_| String::new()),
        false,
        state.path(),
    );
    assert!(relative.is_err_and(|error| error.to_string().contains("path from /")));
}

#[test]
fn a_name_that_is_not_known_is_an_error_before_anything_begins() {
    let state = tempfile::tempdir().expect("a folder");
    let spec = Spec::parse("webhook:http://nowhere.invalid/").expect("a sink");
    let error =
        spec.open(&mut Sinks::default(), Box::new(|_| String::new()), false, state.path()).expect_err("no such host");
    assert!(error.to_string().contains("/etc/hosts"), "{error}");
}
