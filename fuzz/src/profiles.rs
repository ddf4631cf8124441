//! Seccomp profiles: somebody else wrote them, in the form of the OCI or in Docker's.

use recommend::{DiffError, Filter, Subject, diff, diff_table};
use report::TableOptions;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::laws::assert_harmless;

/// What is read differs in nothing from itself, in whatever layout; what is refused says why without harm.
pub fn check(bytes: &[u8]) {
    let filter = match Filter::parse(bytes) {
        Ok(filter) => filter,
        Err(error) => {
            assert_harmless(&error.to_string(), "");
            // It may yet be a recommendation or a report.
            return match Subject::parse(bytes) {
                Ok(subject) => check_same(&subject, &subject),
                Err(error) => assert_harmless(&error.to_string(), ""),
            };
        }
    };
    let subject = Subject::Profile(filter.clone());
    check_same(&subject, &subject);

    let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else { return };
    fields.insert("madeLater".to_owned(), Value::Null);
    let spaced = serde_json::to_string_pretty(&fields).expect("JSON");
    assert_eq!(Filter::parse(spaced.as_bytes()).as_ref(), Ok(&filter), "the same profile in another layout");
    if let Some(Value::Array(rules)) = fields.get_mut("syscalls") {
        rules.reverse();
        rules.extend(rules.clone());
    }
    let turned = Value::Object(fields).to_string();
    let turned = Filter::parse(turned.as_bytes()).expect("the same rules in another order, twice");
    check_same(&subject, &Subject::Profile(turned));

    // Beside one that lets everything through: whatever is told is safe to show.
    let open = Filter::parse(br#"{"defaultAction": "SCMP_ACT_ALLOW"}"#).expect("a profile");
    let found = match diff(&subject, &Subject::Profile(open), "0.0.0") {
        Ok(found) => found,
        Err(error) => return assert_harmless(&error.to_string(), ""),
    };
    assert_harmless(&found.to_json(), "\n");
    let shown = diff_table(&found, &TableOptions { width: 60, colour: false, all: false });
    assert_harmless(&shown, "\n");
    for line in shown.lines() {
        assert!(line.width() <= 60, "{line:?} is wider than 60");
    }
}

fn check_same(one: &Subject, other: &Subject) {
    match diff(one, other, "0.0.0") {
        Ok(found) => assert_eq!(found.changes, [], "the same differs"),
        Err(error @ (DiffError::TooManyConditions { .. } | DiffError::TooManyCircumstances { .. })) => {
            assert_harmless(&error.to_string(), "");
        }
        Err(error) => assert_harmless(&error.to_string(), ""),
    }
}
