//! What a container chose never reaches a terminal raw, and no line is wider than the terminal.

mod fixtures;

use behaviour::{FirstUse, Network};
use event::{Text, is_unsafe_on_a_terminal};
use proptest::prelude::*;
use report::{Report, TableOptions, csv, html, markdown, table};
use unicode_width::UnicodeWidthStr;

/// The report with this text in every place where somebody else chooses the text.
fn with_text(mut report: Report, text: &Text) -> Report {
    let container = &mut report.container;
    for field in [&mut container.engine, &mut container.id, &mut container.name, &mut container.image] {
        *field = Some(text.clone());
    }
    container.image_digest = Some(text.clone());
    container.labels.insert(text.clone(), text.clone());
    container.command.push(text.clone());
    container.security_options.push(text.clone());
    container.metadata.reason = Some(text.clone());
    container.metadata.sources.insert(text.clone(), text.clone());
    if let Some(cgroup) = &mut container.cgroup {
        cgroup.path = text.clone();
    }
    report.window.runtime_init.reason = Some(text.clone());
    report.host.kernel_release = text.clone();
    report.host.hostname = Some(text.clone());
    for sensor in &mut report.sensors {
        sensor.reason = Some(text.clone());
        sensor.name = text.clone();
        sensor.hooks.push(text.clone());
    }
    for loss in &mut report.losses {
        loss.sensor = text.clone();
        loss.knob = Some(text.clone());
    }
    for program in &mut report.cost.programs {
        program.name = text.clone();
    }
    for process in &mut report.behaviour.processes.processes {
        process.inherited = Some(text.clone());
        for program in &mut process.programs {
            program.detail.executable = text.clone();
            program.detail.argv.push(text.clone());
        }
    }
    for used in &mut report.behaviour.syscalls.uses {
        used.name = text.escaped().into_owned();
        if let Some(first) = &mut used.first {
            first.comm = text.clone();
            first.executable = text.clone();
        }
    }
    with_text_in_network(&mut report.behaviour.network, text);
    for used in &mut report.behaviour.privileged.operations {
        used.details.push(text.clone());
        (used.object, used.source, used.type_name) = (text.clone(), text.clone(), text.clone());
        (used.has_target, used.target_comm) = (true, text.clone());
        (used.first.comm, used.first.executable) = (text.clone(), text.clone());
    }
    for session in &mut report.behaviour.terminals.sessions {
        for passage in session.transcript.iter_mut().flat_map(|transcript| &mut transcript.passages) {
            passage.text = text.clone();
        }
    }
    report.finish()
}

fn with_text_in_network(network: &mut Network, text: &Text) {
    let first = |first: &mut Option<FirstUse>| {
        if let Some(first) = first {
            (first.comm, first.executable) = (text.clone(), text.clone());
        }
    };
    for used in &mut network.sockets {
        first(&mut used.first);
    }
    for listener in &mut network.listeners {
        listener.address = text.clone();
        first(&mut listener.first);
    }
    for flow in &mut network.flows {
        (flow.address, flow.local_address) = (text.clone(), text.clone());
        flow.names = vec![text.clone(); 2];
        flow.server_names = vec![text.clone(), Text::from("another")];
        for end in &mut flow.other_ends {
            (end.container, end.name, end.address_there) = (Some(text.clone()), Some(text.clone()), text.clone());
        }
        first(&mut flow.first);
    }
    for lookup in &mut network.lookups {
        (lookup.name, lookup.record_type) = (text.clone(), text.clone());
        for texts in [&mut lookup.addresses, &mut lookup.aliases, &mut lookup.servers] {
            *texts = vec![text.clone(); 5];
        }
        first(&mut lookup.first);
    }
    for interface in &mut network.interfaces {
        interface.name = text.clone();
    }
}

fn assert_harmless(output: &str, line_breaks: &str) {
    let found = output.chars().find(|&c| is_unsafe_on_a_terminal(c) && !line_breaks.contains(c));
    assert_eq!(found, None, "{output}");
}

/// Every tag is one that we write, with attributes that we write: no text became markup.
fn assert_is_our_markup(page: &str) {
    const NAMES: &str = "html head meta title style body header main section footer nav p pre h1 h2 h3 small b a ul li dl dt dd div \
        span code table thead tbody tr th td label input details summary script svg g path polygon rect text";
    const ATTRIBUTES: &str = "lang charset http-equiv content name id class href role aria-label tabindex scope type \
        data-value open xmlns width height viewBox d points x y rx text-anchor";
    // The style and the script are ours, and the policy tells them by their hashes.
    let (before, rest) = page.split_once("<style>").expect("a style");
    let (_, rest) = rest.split_once("</style>").expect("its end");
    let (body, after) = rest.rsplit_once("<script>").expect("a script");
    let (_, after) = after.split_once("</script>").expect("its end");
    for part in [before, body, after] {
        for tag in part.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("a tag ends");
            let outside: String = tag.split('"').step_by(2).collect();
            let mut words = outside.trim_start_matches(['/', '!']).split_whitespace();
            let name = words.next().expect("a name");
            assert!(name == "DOCTYPE" || NAMES.split_whitespace().any(|known| known == name), "<{tag}>");
            let is_known = |word: &str| {
                // An element of a drawing ends in its own tag.
                let attribute = word.trim_end_matches(['=', '/']);
                name == "DOCTYPE"
                    || attribute.is_empty()
                    || ATTRIBUTES.split_whitespace().any(|known| known == attribute)
            };
            assert!(words.all(is_known), "<{tag}>");
        }
    }
}

fn check(text: &Text, reports: &[&str], widths: &[usize]) {
    for (_, report) in fixtures::all().into_iter().filter(|(name, _)| reports.contains(name)) {
        let report = with_text(report, text);
        for all in [false, true] {
            for &width in widths {
                let shown = table(&report, &TableOptions { width, colour: false, all });
                assert_harmless(&shown, "\n");
                for line in shown.lines() {
                    assert!(line.width() <= width.max(40), "{width}: {line}");
                    assert!(!line.ends_with(' '), "{line:?}");
                }
            }
            assert_harmless(&markdown(&report, all), "\n");
            let page = html(&report, all);
            assert_harmless(&page, "\n");
            assert_is_our_markup(&page);
        }
        assert_harmless(&report.to_json(), "\n");
        let rows = csv(&report);
        assert_harmless(&rows, "\r\n");
        assert_eq!(rows.lines().count(), 1 + report.behaviour.syscalls.uses.len());
    }
}

#[test]
fn hostile_texts_are_harmless_everywhere() {
    for bytes in [
        &b"\x1b[2J\x1b]0;title\x07\r\n\t\0"[..],
        "\u{9b}31m\u{202e}\u{200b}\u{feff}\u{7f}".as_bytes(),
        b"\xff\xfe\\x41\\",
        "日本語 ".repeat(60).as_bytes(),
        &b"a".repeat(5000),
        b"",
        b"   ",
        b"```|`<script>",
        b"\"'><img src=x onerror=alert(1)></script></style></title></code>&lt;",
    ] {
        check(&Text::new(bytes), &["docker", "gaps", "bare"], &[0, 40, 57, 80, 200]);
    }
}

#[test]
fn colours_come_only_when_asked_for() {
    let (_, report) = fixtures::all().remove(1);
    let plain = table(&report, &TableOptions::default());

    let coloured = table(&report, &TableOptions { colour: true, ..TableOptions::default() });

    assert!(!plain.contains('\x1b'));
    let mut stripped = String::new();
    for (position, part) in coloured.split("\x1b[").enumerate() {
        stripped += if position == 0 { part } else { part.split_once('m').expect("a colour").1 };
    }
    assert_eq!(stripped, plain);
    assert_ne!(coloured, plain);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_harmless_everywhere(bytes in prop::collection::vec(any::<u8>(), 0..40), chars in any::<String>()) {
        check(&Text::new(bytes), &["gaps"], &[40, 80]);
        check(&Text::from(chars), &["gaps"], &[41, 79]);
    }
}
