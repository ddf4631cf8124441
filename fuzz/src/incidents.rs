//! Files of incidents: somebody else may have written or damaged them.

use forensics::{Incident, ParseError, html, text};
use report::TableOptions;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::laws::assert_harmless;

/// What is read is written and shown without harm; what is refused says why without harm.
pub fn check(bytes: &[u8]) {
    let incident = match Incident::parse(bytes) {
        Ok(incident) => incident,
        Err(error) => return check_error(&error, bytes),
    };
    let json = incident.to_json();
    assert_harmless(&json, "\n");
    let read = Incident::parse(json.as_bytes()).expect("our own incident can be read");
    assert_eq!(read.to_json(), json);
    check_layout(bytes, &json);

    for all in [false, true] {
        for width in [40, 100] {
            let shown = text(&incident, &TableOptions { width, colour: false, all });
            assert_harmless(&shown, "\n");
            for line in shown.lines() {
                assert!(line.width() <= width, "{line:?} is wider than {width}");
            }
        }
    }
    let page = html(&incident);
    assert_harmless(&page, "\n");
    assert_eq!(page.matches("<script").count(), 1, "a script that is not ours");
}

/// Neither spaces nor the order of fields nor one that is not known makes a difference.
fn check_layout(bytes: &[u8], json: &str) {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else { return };
    fields.insert("made_later".to_owned(), Value::Null);
    let other = Value::Object(fields).to_string();
    assert_eq!(Incident::parse(other.as_bytes()).expect("the same in another layout").to_json(), json);
}

fn check_error(error: &ParseError, bytes: &[u8]) {
    assert_harmless(&error.to_string(), "");
    if let ParseError::Unreadable { line, .. } = error {
        assert!(*line <= 1 + bytes.iter().filter(|&&byte| byte == b'\n').count(), "{error}");
    }
}
