//! What conditions mean, and that no text makes reading one panic.

use event::{Event, Exec, ExecId, Exit, Payload, Phase, ProcessId, RunId, TaskId, Text, is_unsafe_on_a_terminal};
use proptest::prelude::*;
use rules::{Condition, Container, Operator, Parent, Subject, registry};

fn event(payload: Payload) -> Event {
    let process = ProcessId { pid: 70, start_ns: 700 };
    Event {
        boot_ns: u64::MAX,
        run: RunId { slot: 1, generation: 0 },
        phase: Phase::Main,
        task: TaskId { image: ExecId { process, exec: 1 }, tid: 71, comm: "sh".into() },
        payload,
    }
}

fn exec() -> Event {
    event(Payload::Exec(Exec {
        executable: "/usr/bin/dash".into(),
        argument: "Bin/SH".into(),
        interpreter: "".into(),
        cwd: Text::new(b"/tmp/a\xff\x1b b\\c"),
        argv: vec!["sh".into(), "-c".into(), "id; id".into()],
        argv_truncated: false,
        path_truncated: true,
        parent: ProcessId { pid: 60, start_ns: 600 },
        pid_inside: 1,
        uid: 0,
        gid: 0,
        uid_inside: None,
        gid_inside: Some(0),
        user_namespace: 1,
        pid_namespace: 2,
        mount_namespace: u32::MAX,
    }))
}

fn holds(condition: &str) -> bool {
    let event = exec();
    let executable = Text::from("/bin/old");
    let container = Container { name: Some("web"), image: Some("nginx:1.27"), ..Container::default() };
    let mut subject = Subject { container, ..Subject::new(&event, 5) };
    subject.process.parent = Some(Parent { pid: 60, executable: Some(&executable) });
    let condition = Condition::parse(condition).unwrap_or_else(|error| panic!("{error}"));
    condition.matches(&subject)
}

#[test]
fn each_operator_means_what_the_page_says() {
    for condition in [
        "container.name = web",
        "container.name == 'web'",
        "container.name != db",
        "event.time = 18446744073709551615",
        "event.time > 18446744073709551614 and event.time >= 18446744073709551615",
        "process.pid < 71 and process.pid <= 70 and process.pid != 7",
        "process.pid = 0x46 and process.pid in (1, 70) and process.pid intersects (0x46)",
        "exec.parent.pid = 60 and exec.parent.start_ns = 600",
        "process.parent.executable = /bin/old",
        "exec.path_truncated = true and exec.argv_truncated != true and exec.argv_truncated in (false)",
        "exec.executable in (/bin/sh, /usr/bin/dash)",
        "exec.executable intersects ('/usr/bin/dash')",
        "exec.executable startswith /usr and exec.executable endswith dash and exec.executable contains bin/d",
        "exec.argument icontains BIN/sh",
        "exec.executable bcontains 2f62696e and exec.executable bstartswith 2F75",
        "exec.executable glob /usr/* and exec.executable glob '/usr/b[h-j]n/?ash'",
        "exec.argument iglob bin/sh",
        "exec.executable pmatch (/opt, /usr/b*)",
        "exec.executable regex '/usr/(s?bin|lib)/[a-z]+'",
        "exec.executable regex ^.*d\\wsh$",
        "exec.cwd = '/tmp/a\\xff\\u{1b} b\\\\c' and exec.cwd contains '\\xff'",
        "exec.cwd regex '/tmp/a\\xff.*' and exec.cwd regex '.{12}'",
        "exec.interpreter = '' and exec.interpreter exists",
        "exec.argv intersects (-c, -l) and exec.argv in (sh, -c, 'id; id', more)",
        "exec.argv contains id and exec.argv[1] = -c and exec.argv[2] startswith id",
        "event.kind = exec and event.phase in (main, exec)",
        "not container.id exists and container.image glob nginx:*",
        "process.tid = 71 or container.id = x",
        "exec.mount_namespace = 4294967295",
    ] {
        assert!(holds(condition), "{condition}");
        assert!(!holds(&format!("not ({condition})")), "{condition}");
    }
}

#[test]
fn what_does_not_hold_does_not() {
    for condition in [
        "container.name = we",
        "container.name startswith b",
        "exec.executable glob /usr",
        "exec.executable regex usr",
        "exec.executable regex '/usr/bin/das'",
        "exec.executable pmatch (/usr/bi)",
        "exec.executable pmatch ()",
        "exec.argv in (sh, -c)",
        "exec.argv in ()",
        "exec.argv intersects ()",
        "exec.argv[3] exists",
        "process.pid in ()",
        "exec.argv_truncated in ()",
        "process.pid = -70",
        "process.pid > 340282366920938463463374607431768211455 or process.pid < 0",
    ] {
        match Condition::parse(condition) {
            Ok(_) => assert!(!holds(condition), "{condition}"),
            Err(error) => assert!(error.message().contains("is a number"), "{error}"),
        }
    }
}

#[test]
fn no_comparison_with_what_is_unset_holds() {
    let values = |operator: Operator| match operator {
        Operator::Exists => "",
        Operator::In | Operator::Intersects | Operator::Pmatch => "(ab)",
        _ => "ab",
    };
    for operator in Operator::ALL {
        if matches!(operator, Operator::Less | Operator::AtMost | Operator::Greater | Operator::AtLeast) {
            assert!(!holds(&format!("exit.status {operator} 1")));
            assert!(!holds(&format!("exec.uid_inside {operator} 1")));
        } else {
            assert!(!holds(&format!("container.id {operator} {}", values(operator))), "{operator}");
        }
    }
    assert!(!holds("exit.last_thread = true or exit.last_thread != true"));
}

#[test]
fn the_message_says_what_is_wrong_where_and_what_may_have_been_meant() {
    let shown = |text: &str| Condition::parse(text).expect_err(text).to_string();

    assert_eq!(
        shown("container.nmae = web"),
        "unknown field container.nmae; did you mean container.name?\n  container.nmae = web\n  ^^^^^^^^^^^^^^"
    );
    for (text, said) in [
        ("executable = /bin/sh", "did you mean process.executable?"),
        ("fd.name = x", "fd.name is a field of Falco's, for rule files alone"),
        ("proc.name = x", "the nearest is process.name"),
        ("container.privileged = true", "Falco's"),
        ("nothing.at_all = x", "`ringfence fields` prints"),
        ("process.pid = sh", "process.pid is a number, and `sh` is none"),
        ("process.pid startswith 1", "process.pid is a number: `startswith` is not for it"),
        ("process.name < 3", "process.name is a text: `<` is not for it; it compares numbers"),
        ("exec.argv = sh", "write exec.argv intersects (…), or exec.argv[0]"),
        ("exec.argv_truncated = yes", "is true or false"),
        ("exec.argv_truncated contains x", "`contains` is not for it"),
        ("exec.cwd[0] = x", "is a text, no list"),
        ("event.kind = exce", "event.kind is never `exce`; did you mean exec?"),
        ("event.phase in (main, other)", "it is one of runtime-init, main, exec"),
        ("exec.cwd bcontains xyz", "hexadecimal"),
        ("exec.cwd bcontains abc", "hexadecimal"),
        ("exec.cwd regex '('", "unclosed group"),
        ("exec.cwd regex 'a)(b'", "unopened group"),
        ("exec.cwd regex '(a{1000}){1000}'", "size limit"),
        ("exec.cwd glob [[:alpha:]]", "write a range"),
        ("exec.cwd pmatch ('')", "empty path"),
        ("process.pid = 99999999999999999999999999999999999999999", "is a number"),
        ("process.pid = +-1", "is a number"),
        ("process.pid = 0x", "is a number"),
        ("container.name stratswith x", "did you mean startswith?"),
    ] {
        let error = shown(text);
        assert!(error.contains(said), "{text}: {error}");
        assert_eq!(error.lines().count(), 3, "{error}");
    }
    let long = format!("container.name = {}", "x".repeat(rules::MAX_BYTES));
    assert!(shown(&long).contains("longer than 65536 bytes"));
}

#[test]
fn the_fields_of_a_condition_are_told() {
    let condition = Condition::parse("not (exec.cwd = / or process.pid = 1) and exec.cwd exists").expect("one");

    let names: Vec<&str> = condition.fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["exec.cwd", "process.pid", "exec.cwd"]);
}

#[test]
fn another_kind_of_event_has_none_of_these_fields() {
    let event = event(Payload::Exit(Exit { status: 3, signal: 0, last_thread: true, run_time_ns: u64::MAX }));
    let subject = Subject::new(&event, 0);
    let holds = |text: &str| Condition::parse(text).expect("a condition").matches(&subject);

    assert!(holds("exit.status = 3 and exit.run_time_ns = 18446744073709551615"));
    for field in registry().of_kind("exec") {
        assert!(!holds(&format!("{} exists", field.name)), "{}", field.name);
    }
}

/// A condition as text, and what it says of [`exec`].
#[derive(Clone, Debug)]
enum Model {
    Leaf(&'static str, bool),
    Not(Box<Model>),
    And(Vec<Model>),
    Or(Vec<Model>),
}

impl Model {
    fn text(&self) -> String {
        let all = |parts: &[Model], between: &str| {
            parts.iter().map(|part| format!("({})", part.text())).collect::<Vec<_>>().join(between)
        };
        match self {
            Model::Leaf(text, _) => (*text).to_owned(),
            Model::Not(inner) => format!("not ({})", inner.text()),
            Model::And(parts) => all(parts, " and "),
            Model::Or(parts) => all(parts, "\n or\t"),
        }
    }

    fn holds(&self) -> bool {
        match self {
            Model::Leaf(_, holds) => *holds,
            Model::Not(inner) => !inner.holds(),
            Model::And(parts) => parts.iter().all(Model::holds),
            Model::Or(parts) => parts.iter().any(Model::holds),
        }
    }
}

fn model() -> impl Strategy<Value = Model> {
    let leaf = prop::sample::select(vec![
        Model::Leaf("container.name=web", true),
        Model::Leaf("container.id = web", false),
        Model::Leaf("exec.argv intersects (-c)", true),
        Model::Leaf("process.pid>70", false),
    ]);
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|model| Model::Not(Box::new(model))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Model::And),
            prop::collection::vec(inner, 1..4).prop_map(Model::Or),
        ]
    })
}

/// Texts that are nearly conditions.
fn nearly() -> impl Strategy<Value = String> {
    let words: Vec<&str> = "container.name exec.argv [0] process.pid event.kind exec.cwd = == != < >= in intersects pmatch \
        glob regex contains bcontains startswith exists ( ) , and or not 'a' \"\\x1b\" ' \" \\ \\xff ( ( [a-z]* (a|b)+ 12 \
        -3 0xff true exec é \u{1b} val( anyof fd.name"
        .split_whitespace()
        .collect();
    prop::collection::vec((prop::sample::select(words), prop::sample::select(vec!["", " ", "\n"])), 0..24)
        .prop_map(|words| words.into_iter().flat_map(|(word, blank)| [word, blank]).collect())
}

fn check(text: &str) -> Result<(), TestCaseError> {
    match Condition::parse(text) {
        Ok(condition) => {
            condition.matches(&Subject::new(&exec(), 0));
        }
        Err(error) => {
            let (shown, span) = (error.to_string(), error.span());
            prop_assert!(!shown.chars().any(|c| is_unsafe_on_a_terminal(c) && c != '\n'), "{shown:?}");
            prop_assert_eq!(shown.lines().count(), 3);
            prop_assert!(text.get(span.clone()).is_some(), "{span:?} of {text:?}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_condition_says_what_its_parts_say(model in model()) {
        prop_assert_eq!(holds(&model.text()), model.holds(), "{}", model.text());
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn no_near_condition_makes_it_panic(text in nearly()) {
        check(&text)?;
    }

    #[test]
    fn a_text_in_quotes_is_the_text_that_reports_show(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
        let mut event = exec();
        let Payload::Exec(exec) = &mut event.payload else { unreachable!("made above") };
        exec.cwd = Text::new(&bytes);
        let quoted = exec.cwd.to_string().replace('"', "\\\"");

        for operator in ["=", "startswith", "endswith", "contains", "in"] {
            let value = if operator == "in" { format!("(\"{quoted}\")") } else { format!("\"{quoted}\"") };
            let condition = Condition::parse(&format!("exec.cwd {operator} {value}"))
                .map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(condition.matches(&Subject::new(&event, 0)), "{operator} {value}");
        }
    }
}
