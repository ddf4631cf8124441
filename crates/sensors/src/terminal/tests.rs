use event::{Device, Payload, TerminalText};

use crate::bpf::types::terminal_text_sample;
use crate::record::DecodeError;
use crate::testing::Bench;

#[test]
fn a_kind_that_it_does_not_write_is_refused() {
    assert_eq!(super::decode(2, &[0; 512]), Err(DecodeError::UnknownKind(2)));
}

#[test]
fn a_text_that_is_shorter_than_it_says_is_refused() {
    let sample = size_of::<terminal_text_sample>();
    let mut bytes = vec![0; sample + 3];
    bytes[sample - 8..sample - 4].copy_from_slice(&3_u32.to_ne_bytes());
    bytes[sample..].copy_from_slice(b"abc");

    let Ok(Payload::TerminalText(text)) = super::decode(1, &bytes) else { panic!("it is a text") };
    assert_eq!(text.text, "abc".into());
    assert_eq!(super::decode(1, &bytes[..sample + 2]), Err(DecodeError::TooShort { got: sample + 2, needed: sample + 3 }));
}

/// What a shell on a terminal of its own typed, hid and showed, of which so much is kept.
fn texts(as_old_kernel: bool, terminal_bytes: u32, shell: &str) -> Vec<TerminalText> {
    let bench = Bench::with(|options| {
        options.as_old_kernel = as_old_kernel;
        options.terminal_bytes = terminal_bytes;
    });
    bench.run("/usr/bin/script", &["-qec", shell, "/dev/null"]);
    let payloads = bench.payloads().into_iter();
    let texts = payloads.filter_map(|payload| match payload {
        Payload::TerminalText(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn what_is_shown_is_kept_in_its_order_and_no_more_than_was_asked_for() {
    for as_old_kernel in [false, true] {
        // By write, by writev (python) and in one call that has more parts than are looked at.
        let python = "import os; os.writev(1, [b'two ', b'', b'parts\\n']); os.writev(1, [b'%d' % i for i in range(10)])";
        let texts = texts(as_old_kernel, 1000, &format!("printf 'one\\n'; python3 -c \"{python}\""));
        let shown: Vec<_> = texts.iter().map(|it| (it.text.escaped().into_owned(), it.bytes, it.typed)).collect();
        let expected = [("one\n", 4), ("two parts\n", 10), ("01234567", 10)];
        assert_eq!(shown, expected.map(|(text, bytes)| (text.to_owned(), bytes, false)));

        let texts = self::texts(as_old_kernel, 10, "printf 123456; printf 1234567; printf 1; printf 2");
        let shown: Vec<_> = texts.iter().map(|it| (it.text.escaped().into_owned(), it.bytes)).collect();
        let expected = [("123456", 6), ("1234", 7), ("", 1)];
        assert_eq!(shown, expected.map(|(text, bytes)| (text.to_owned(), bytes)), "then it is told once, and no more");
    }
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn that_there_is_more_is_told_also_by_what_is_hidden() {
    // What is typed goes to `script`, which passes it on once the terminal shows nothing of it. `head` reads all of
    // it with one call; a shell's `read` would do so with one or with seven.
    let flags = std::env::temp_dir().join(format!("ringfence-hidden-{}", std::process::id()));
    let flags = flags.display();
    let wait_for = |flag| format!("until [ -e {flags}.{flag} ]; do sleep 0.1; done");
    let shell = format!("stty -echo; printf 123456; >{flags}.hides; head -n 1 >/dev/null; >{flags}.read; printf 1");
    let typed = format!(
        "({}; echo hidden; {}) | timeout 20 script -qec '{shell}' /dev/null; rm {flags}.*",
        wait_for("hides"),
        wait_for("read")
    );
    let bench = Bench::with(|options| options.terminal_bytes = 6);
    bench.run("/bin/sh", &["-c", &typed]);

    let texts: Vec<_> = bench
        .payloads()
        .into_iter()
        .filter_map(|payload| match payload {
            Payload::TerminalText(text) => Some((text.text.escaped().into_owned(), text.bytes, text.hidden)),
            _ => None,
        })
        .collect();

    assert_eq!(texts, [("123456".to_owned(), 6, false), (String::new(), 7, false)]);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn nothing_is_looked_at_unless_it_is_asked_for() {
    assert_eq!(texts(false, 0, "printf one"), []);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn programs_of_a_session_with_a_terminal_are_told_with_it() {
    for as_old_kernel in [false, true] {
        let bench = Bench::with(|options| options.as_old_kernel = as_old_kernel);

        // script(1) makes a session on a terminal of its own, in which the shell says what that is.
        let file = format!("/tmp/ringfence-terminal-{}", std::process::id());
        let deed = format!("stat -L -c '%t %T' $(tty) >{file}; ps -o sid= -p $$ >>{file}");
        bench.run("/usr/bin/script", &["-qec", &deed, "/dev/null"]);
        let said = std::fs::read_to_string(&file).expect("it was written");
        std::fs::remove_file(&file).expect("it is there");

        let mut words = said.split_ascii_whitespace();
        let mut hex = || words.next().and_then(|word| u32::from_str_radix(word, 16).ok()).expect("a number");
        let device = Device { major: hex(), minor: hex() };
        let session: u32 = words.next().and_then(|word| word.parse().ok()).expect("a number");
        let seen: Vec<_> = bench
            .payloads()
            .into_iter()
            .filter_map(|payload| match payload {
                Payload::Terminal(program) => Some((program.device, program.session)),
                _ => None,
            })
            .collect();
        // The shell, stat, tty and ps; not script itself, unless this test has a terminal of its own.
        let own = seen.iter().filter(|seen| **seen == (device, session)).count();
        assert_eq!(own, 4, "{seen:?} and not {device} of {session}");
    }
}
