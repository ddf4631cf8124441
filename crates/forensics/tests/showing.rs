//! What people see of an incident whose every text was chosen by somebody hostile.

use event::is_unsafe_on_a_terminal;
use forensics::{Incident, html, text};
use report::TableOptions;

const HOSTILE: &[u8] = include_bytes!("incidents/hostile.json");
const REVERSE_SHELL: &[u8] = include_bytes!("incidents/reverse-shell.json");

fn incident(bytes: &[u8]) -> Incident {
    Incident::parse(bytes).expect("a kept incident")
}

#[test]
fn an_incident_survives_its_file() {
    for (name, bytes) in [("hostile", HOSTILE), ("reverse-shell", REVERSE_SHELL)] {
        let incident = incident(bytes);
        let json = incident.to_json();

        if std::env::var_os("UPDATE").is_some() {
            let path = format!("{}/tests/incidents/{name}.json", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, &json).expect("it can be written");
            continue;
        }
        assert_eq!(Incident::parse(json.as_bytes()).expect("our own"), incident);
        assert_eq!(json.as_bytes(), bytes);
    }
}

#[test]
fn no_text_of_a_container_reaches_a_terminal_or_becomes_markup() {
    let incident = incident(HOSTILE);
    for all in [false, true] {
        for width in [40, 80, 200] {
            let shown = text(&incident, &TableOptions { width, colour: false, all });
            assert!(!shown.replace('\n', "").chars().any(is_unsafe_on_a_terminal), "{shown:?}");
            for line in shown.lines() {
                assert!(report::width(line) <= width, "{line:?} is wider than {width}");
            }
        }
    }
    let page = html(&incident);
    assert!(!page.replace('\n', "").chars().any(is_unsafe_on_a_terminal));
    let (_, body) = page.split_once("<body>").expect("a body");
    let (body, _) = body.split_once("<footer>").expect("a footer");
    for word in ["<script", "<img", "onerror=\"", "javascript:"] {
        assert!(!body.contains(word), "{word}");
    }
    assert!(body.contains("&lt;script&gt;"));
}

#[test]
fn the_story_is_told_in_its_order() {
    let shown = text(&incident(REVERSE_SHELL), &TableOptions { width: 120, colour: false, all: false });

    let expected = include_str!("incidents/reverse-shell.txt");
    if std::env::var_os("UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/incidents/reverse-shell.txt");
        std::fs::write(path, &shown).expect("it can be written");
    } else {
        assert_eq!(shown, expected, "UPDATE=1 writes it anew");
    }
}

#[test]
fn what_is_no_incident_is_refused_with_the_place() {
    for (bytes, expected) in [
        (&b"{"[..], "line 1, column 1: EOF while parsing an object"),
        (b"{}", "line 1, column 2: missing field `schema_version`"),
        (
            b"{\"schema_version\": 2}",
            "it has version 2 of the format, and this program knows versions up to 1: use a newer one",
        ),
        (b"{\"schema_version\": 1}", "line 1, column 21: missing field `ringfence_version`"),
    ] {
        assert_eq!(Incident::parse(bytes).expect_err("it is none").to_string(), expected);
    }
}

/// What a path is made of, and what goes to a terminal as it is.
#[test]
fn a_hash_that_is_none_is_refused() {
    let incident = String::from_utf8(HOSTILE.to_vec()).expect("text");
    for wrong in ["../../../../etc/shadow", "\\u001b[2J"] {
        let changed = incident.replace("9c1185a5c5e9fc54612808977ee8f548b2258d31fd2e5bd1ff44b1c5e8d2c3a0", wrong);
        let error = Incident::parse(changed.as_bytes()).expect_err("it is none").to_string();
        assert!(error.contains("64 digits of base 16"), "{error}");
    }
}
