//! An event as a line for people.

use event::{Action, Direction, Endpoint, Errno, FileAccess, Payload, Protocol, SyscallNames, Text};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use report::{Style, cut, duration, program_line, quoted, short_id, signal_name, width};
use rules::{Subject, Type, registry};

use super::output::plain;
use super::shown;

/// The longest of the labels that come often.
const KIND_WIDTH: usize = 7;
/// What the container and the process take at least: so that something is left for what happened, less where lines are
/// cut early.
const WIDE: (usize, usize) = (16, 22);
const NARROW: (usize, usize) = (10, 15);
/// From so many columns on it is wide.
const WIDE_FROM: usize = 100;
/// What stands between two columns.
const GAP: &str = "  ";

/// How lines look.
pub(super) struct Layout {
    zone: TimeZone,
    has_colour: bool,
    is_cut: bool,
}

/// What happened, in words.
struct Words {
    /// The kind, short.
    label: &'static str,
    text: String,
    style: Style,
}

impl Layout {
    pub(super) fn new(has_colour: bool, is_cut: bool) -> Layout {
        Layout { zone: TimeZone::system(), has_colour, is_cut }
    }

    /// Time, container, kind, process and what happened; every piece is safe for a terminal.
    pub(super) fn line(&self, subject: &Subject<'_>, columns: usize) -> String {
        let words = words(subject);
        let process = format!("{}[{}]", subject.process.name.shown(), subject.process.pid);
        let mut room = if self.is_cut { columns } else { usize::MAX };
        let (container_width, process_width) = if room < WIDE_FROM { NARROW } else { WIDE };
        let pieces = [
            (self.time(subject.event.wall_time), 0, Style::Faint),
            (cut(&container(subject), container_width), container_width, Style::Label),
            (words.label.to_owned(), KIND_WIDTH, Style::Title),
            (process, process_width, Style::Plain),
            (words.text, 0, words.style),
        ];
        let mut line = String::new();
        for (at, (text, least, style)) in pieces.into_iter().enumerate() {
            let gap = if at == 0 { "" } else { GAP };
            if room <= gap.len() {
                break;
            }
            let text = cut(&text, room - gap.len());
            let used = width(&text);
            let pad = least.saturating_sub(used);
            line.push_str(gap);
            line.push_str(&style.paint(&text, self.has_colour));
            line.push_str(&" ".repeat(pad.min(room - gap.len() - used)));
            room = room.saturating_sub(gap.len() + used + pad);
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }

    /// The local time of day.
    fn time(&self, wall_time: u64) -> String {
        let zoned = Timestamp::from_nanosecond(i128::from(wall_time)).map(|time| time.to_zoned(self.zone.clone()));
        // A clock that is set to a time without a date.
        zoned.map_or_else(|_| "--:--:--.---".into(), |zoned| zoned.strftime("%H:%M:%S.%3f").to_string())
    }
}

/// What to call the container.
fn container(subject: &Subject<'_>) -> String {
    let container = &subject.container;
    match (container.name, container.id) {
        (Some(name), _) => shown(name),
        (None, Some(id)) => short_id(&Text::from(id)),
        (None, None) => "-".into(),
    }
}

/// Kinds that read better than as a list of their fields; every other is one.
fn words(subject: &Subject<'_>) -> Words {
    let (label, style) = (subject.event.kind, Style::Plain);
    let plain = |label, text: &str| Words { label, text: text.to_owned(), style };
    match subject.payload {
        Payload::Exec(exec) => plain(label, &program_line(exec)),
        Payload::Fork(fork) if fork.child_tid != fork.child.pid => plain(label, &format!("thread {}", fork.child_tid)),
        Payload::Fork(fork) => plain(label, &format!("process {}", fork.child.pid)),
        Payload::Exit(exit) => {
            let (text, style) = match (exit.last_thread, exit.signal, exit.status) {
                (false, _, _) => (format!("thread {}", subject.process.tid), Style::Plain),
                (true, 0, 0) => ("status 0".to_owned(), Style::Plain),
                (true, 0, status) => (format!("status {status}"), Style::Bad),
                (true, signal, _) => (format!("killed by {}", signal_name(signal)), Style::Bad),
            };
            Words { label, text: format!("{text} after {}", duration(exit.run_time_ns)), style }
        }
        Payload::ContainerCreated(created) if created.path.is_empty() => plain("created", "its cgroup was made"),
        Payload::ContainerCreated(created) => {
            plain("created", &format!("its cgroup was made: {}", created.path.shown()))
        }
        Payload::ContainerStarted(_) => plain("started", "its first program begins"),
        Payload::ContainerEnded(_) => plain("ended", "its last process is gone"),
        Payload::TaskEntered(entered) => {
            let whole = if entered.whole_process { "process" } else { "a thread of process" };
            plain("entered", &format!("{whole} {} came in", entered.image.process.pid))
        }
        Payload::File(file) => {
            let accesses: Vec<&str> = file.accesses.iter().map(FileAccess::name).collect();
            plain(label, &format!("{} ({})", file.path.shown(), accesses.join(", ")))
        }
        Payload::Name(name) => {
            let what = format!("{} {}", name.operation.name(), name.path.shown());
            let to =
                if name.second_path.is_empty() { String::new() } else { format!(" → {}", name.second_path.shown()) };
            match name.errno {
                Some(errno) => Words { label, text: format!("{what}{to}: {errno}"), style: Style::Bad },
                None => plain(label, &(what + &to)),
            }
        }
        Payload::Directory(directory) => {
            plain("files", &format!("those in {} are counted together from now on", directory.path.shown()))
        }
        Payload::Mount(mount) => {
            plain(label, &format!("{} ({} {})", mount.point.shown(), mount.fs_type.shown(), mount.device))
        }
        Payload::Listen(listen) => plain(label, &place(listen.protocol, &listen.address, listen.port)),
        Payload::Flow(flow) => {
            let way = if flow.direction == Direction::Out { "to" } else { "from" };
            // The port of what comes in is the container's own.
            let peer = match flow.direction {
                Direction::In if flow.port != 0 => {
                    format!("{} at port {}", place(flow.protocol, &flow.address, 0), flow.port)
                }
                _ => place(flow.protocol, &flow.address, flow.port),
            };
            match flow.errno {
                Some(errno) => Words { label, text: format!("{way} {peer}: {errno}"), style: Style::Bad },
                None => plain(label, &format!("{way} {peer}")),
            }
        }
        Payload::Dns(message) if message.record_type.is_empty() => {
            plain(label, &format!("no message of DNS, with {}", message.server.shown()))
        }
        Payload::Dns(message) => {
            let question = format!("{} {}", message.record_type.shown(), message.name.shown());
            if !message.is_answer {
                return plain(label, &format!("{question}, asked of {}", message.server.shown()));
            }
            let addresses: Vec<String> = message.addresses.iter().map(|address| address.shown().to_string()).collect();
            match message.code {
                0 => plain(label, &format!("{question}: {}", addresses.join(", "))),
                code => Words { label, text: format!("{question}: error {code}"), style: Style::Bad },
            }
        }
        Payload::Tls(hello) => {
            let server = place(Protocol::Tcp, &hello.address, hello.port);
            plain(label, &format!("{} at {server}", hello.server_name.shown()))
        }
        Payload::Action(action) => {
            let text = action_text(action);
            match action.result {
                result @ -4095..=-1 => {
                    let errno = Errno(result.unsigned_abs() as u16);
                    Words { label, text: format!("{text}: {errno}"), style: Style::Bad }
                }
                _ => plain(label, &text),
            }
        }
        _ => plain(label, &fields(subject)),
    }
}

/// The call, what was passed, and in parentheses what that is.
fn action_text(action: &Action) -> String {
    let mut text = SyscallNames::builtin().name(action.syscall).into_owned();
    let end = |end: &Endpoint| match end.port {
        0 => end.address.shown().into_owned(),
        port if end.address.as_bytes().contains(&b':') => format!("[{}]:{port}", end.address.shown()),
        port => format!("{}:{port}", end.address.shown()),
    };
    let passed = [&action.path, &action.second_path].into_iter().filter(|name| !name.is_empty());
    let passed: Vec<String> = passed.map(quoted).chain(action.address.iter().map(end)).collect();
    if !passed.is_empty() {
        text = format!("{text} {}", passed.join(" → "));
    }
    let Some(file) = &action.file else { return text };
    let what = match &file.socket {
        Some(socket) => {
            let ends = |of: &Option<Endpoint>| of.as_ref().map_or("-".into(), end);
            format!("{} {} → {}", socket.protocol.name(), ends(&socket.local), ends(&socket.remote))
        }
        None if file.path.is_empty() => file.file_type.name().into(),
        None => file.path.shown().into_owned(),
    };
    format!("{text} ({}: {what})", file.number)
}

/// Where something is to be reached, or whom it came from; without its port if that is 0.
fn place(protocol: Protocol, address: &Text, port: u32) -> String {
    let name = protocol.name();
    match (address.is_empty(), port) {
        (true, 0) => format!("{name}, nobody knows whom"),
        (true, port) => format!("{name} port {port}"),
        (false, 0) => format!("{name} {}", address.shown()),
        (false, port) if address.as_bytes().contains(&b':') => format!("{name} [{}]:{port}", address.shown()),
        (false, port) => format!("{name} {}:{port}", address.shown()),
    }
}

/// `name=value`, for each field of the kind that is set.
fn fields(subject: &Subject<'_>) -> String {
    let mut pairs = Vec::new();
    for field in registry().of_kind(subject.event.kind) {
        let mut values = Vec::new();
        field.values_of(subject, &mut |value| {
            let text = plain(value);
            values.push(if field.of == Type::Text { as_word(value, text) } else { text });
        });
        let name = field.name.split_once('.').map_or(field.name.as_str(), |(_, name)| name);
        match (field.is_list, values.as_slice()) {
            (_, []) => {}
            (false, [value, ..]) => pairs.push(format!("{name}={value}")),
            (true, values) => pairs.push(format!("{name}=({})", values.join(", "))),
        }
    }
    pairs.join(" ")
}

/// A text in quotes where it would run into what stands around it.
fn as_word(value: rules::Value<'_>, plain: String) -> String {
    match value {
        rules::Value::Text(bytes) => quoted(&Text::new(bytes)),
        _ => plain,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use event::{
        ContainerCreated, Device, DnsMessage, Errno, Event, Exec, ExecId, Exit, FlowUsed, Fork, Phase, ProcessId,
        RunId, SyscallMade, TaskEntered, TaskId, Traffic, is_unsafe_on_a_terminal,
    };
    use proptest::prelude::*;
    use rules::{Container, Parent};

    use super::*;

    pub(in super::super) fn event(payload: Payload) -> Event {
        let process = ProcessId { pid: 4711, start_ns: 5 };
        Event {
            boot_ns: 9,
            run: RunId { slot: 1, generation: 0 },
            phase: Phase::Main,
            task: TaskId { image: ExecId { process, exec: 1 }, tid: 4712, comm: Text::new(b"s\x1bh\xff") },
            payload,
        }
    }

    /// An exec in which everything that a container can choose is chosen badly.
    pub(in super::super) fn hostile() -> Event {
        event(Payload::Exec(Exec {
            executable: Text::new(b"/bin/\x9b\xe2\x80\xae"),
            argument: "\r".into(),
            interpreter: "\n".into(),
            cwd: "/\u{85}".into(),
            argv: vec!["sh".into(), Text::new(b"\x1b[2J\xff"), "\u{9b}2J".into()],
            argv_truncated: true,
            path_truncated: false,
            parent: ProcessId { pid: 1, start_ns: 1 },
            pid_inside: 1,
            uid: 0,
            gid: 0,
            uid_inside: None,
            gid_inside: None,
            user_namespace: 1,
            pid_namespace: 1,
            mount_namespace: 1,
        }))
    }

    pub(in super::super) fn with(event: &Event, then: impl FnOnce(&Subject<'_>)) {
        let evil = Text::new(b"/\x1b]0;x\x07");
        let mut subject = Subject::new(event, 1_767_323_045_006_000_000);
        let id = Some("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
        subject.container = Container { name: Some("w\u{202e}eb"), id, image: None, engine: Some("docker") };
        subject.process.executable = Some(&evil);
        subject.process.parent = Some(Parent { pid: 1, executable: Some(&evil) });
        then(&subject);
    }

    fn layout(has_colour: bool, is_cut: bool) -> Layout {
        Layout { zone: TimeZone::UTC, has_colour, is_cut }
    }

    fn line(payload: Payload) -> String {
        let event = event(payload);
        let mut subject = Subject::new(&event, 1_767_323_045_006_000_000);
        subject.container.id = Some("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
        let name = Text::from("sh");
        subject.process.name = &name;
        layout(false, false).line(&subject, 80)
    }

    #[test]
    fn kinds_that_come_often_are_told_in_words() {
        let process = |pid| ProcessId { pid, start_ns: 1 };
        let exit = |status, signal, last_thread| Exit { status, signal, last_thread, run_time_ns: 12_300_000 };
        let fork = |child_tid| Fork { child: process(50), child_tid, child_tid_inside: 2, parent: process(49) };
        let entered = ExecId { process: process(50), exec: 3 };
        for (payload, expected) in [
            (Payload::Exit(exit(0, 0, true)), "exit     sh[4711]                status 0 after 12.3 ms"),
            (Payload::Exit(exit(3, 0, true)), "exit     sh[4711]                status 3 after 12.3 ms"),
            (Payload::Exit(exit(0, 9, true)), "exit     sh[4711]                killed by SIGKILL after 12.3 ms"),
            (Payload::Exit(exit(0, 0, false)), "exit     sh[4711]                thread 4712 after 12.3 ms"),
            (Payload::Fork(fork(50)), "fork     sh[4711]                process 50"),
            (Payload::Fork(fork(51)), "fork     sh[4711]                thread 51"),
            (
                Payload::ContainerCreated(ContainerCreated { cgroup_id: 7, parent_slot: 0, path: "/a\n".into() }),
                "created  sh[4711]                its cgroup was made: /a\\n",
            ),
            (
                Payload::TaskEntered(TaskEntered { image: entered, whole_process: true }),
                "entered  sh[4711]                process 50 came in",
            ),
        ] {
            assert_eq!(line(payload), format!("03:04:05.006  0123456789ab      {expected}"));
        }
    }

    #[test]
    fn the_network_is_told_in_words() {
        let flow = |direction, address: &str, errno| FlowUsed {
            direction,
            protocol: Protocol::Tcp,
            address: address.into(),
            port: 80,
            local_address: "10.0.0.2".into(),
            local_port: 40_000,
            namespace: 1,
            device: Device::default(),
            inode: 0,
            errno,
            connections: 1,
            traffic: Traffic::default(),
            ends: vec![0; 5],
            connect_time: None,
        };
        let dns = |is_answer, code| DnsMessage {
            direction: Direction::Out,
            is_answer,
            name: "a\n.test".into(),
            record_type: "A".into(),
            code,
            addresses: vec!["10.0.0.3".into()],
            aliases: Vec::new(),
            server: "10.0.0.1".into(),
        };
        for (payload, expected) in [
            (
                Payload::Flow(flow(Direction::Out, "10.0.0.3", None)),
                "flow     sh[4711]                to tcp 10.0.0.3:80",
            ),
            (
                Payload::Flow(flow(Direction::In, "::1", None)),
                "flow     sh[4711]                from tcp ::1 at port 80",
            ),
            (
                Payload::Flow(flow(Direction::Out, "::1", Some(Errno(111)))),
                "flow     sh[4711]                to tcp [::1]:80: ECONNREFUSED",
            ),
            (Payload::Dns(dns(false, 0)), "dns      sh[4711]                A a\\n.test, asked of 10.0.0.1"),
            (Payload::Dns(dns(true, 0)), "dns      sh[4711]                A a\\n.test: 10.0.0.3"),
            (Payload::Dns(dns(true, 3)), "dns      sh[4711]                A a\\n.test: error 3"),
        ] {
            assert_eq!(line(payload), format!("03:04:05.006  0123456789ab      {expected}"));
        }
    }

    #[test]
    fn every_other_kind_is_a_list_of_its_fields() {
        let syscall = event::Syscall { arch: event::Arch::X86_64, number: 39 };
        let made = SyscallMade { syscall, args: [1, 0, 0, 0, 0, 0xff], result: None, duration_ns: 15 };

        let line = line(Payload::Syscall(made));

        let fields = "arch=x86_64 number=39 args=(0x1, 0x0, 0x0, 0x0, 0x0, 0xff) duration_ns=15";
        assert!(line.ends_with(&format!("syscall  sh[4711]                {fields}")), "{line}");
    }

    #[test]
    fn texts_in_a_list_of_fields_are_quoted_and_safe() {
        with(&hostile(), |subject| {
            let fields = fields(subject);

            assert!(
                fields.starts_with("executable='/bin/\\x9b\\u{202e}' argument='\\r' interpreter='\\n'"),
                "{fields}"
            );
            assert!(fields.contains(" argv=(sh, '\\u{1b}[2J\\xff', '\\u{9b}2J') argv_truncated=true "), "{fields}");
        });
    }

    #[test]
    fn nothing_that_a_container_chose_reaches_a_terminal_raw_and_no_line_is_too_wide() {
        with(&hostile(), |subject| {
            for columns in 0..200 {
                let line = layout(false, true).line(subject, columns);
                assert!(width(&line) <= columns, "{columns}: {line:?}");
                assert!(!line.chars().any(is_unsafe_on_a_terminal), "{line:?}");
            }
            let coloured = layout(true, true).line(subject, 200);
            let own = coloured.matches("\x1b[").count();
            assert_eq!(own, coloured.matches('\x1b').count());
            assert!(coloured.contains("\x1b[36mw\\u{202e}eb\x1b[0m"), "{coloured:?}");
        });
    }

    proptest! {
        #[test]
        fn no_arguments_make_a_line_unsafe(argv in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5)) {
            let mut event = hostile();
            let Payload::Exec(exec) = &mut event.payload else { unreachable!("made above") };
            exec.argv = argv.iter().map(Text::new).collect();
            event.task.comm = argv.first().map(Text::new).unwrap_or_default();

            with(&event, |subject| {
                for line in [layout(false, false).line(subject, 80), fields(subject)] {
                    assert!(!line.chars().any(is_unsafe_on_a_terminal), "{line:?}");
                }
            });
        }
    }
}
