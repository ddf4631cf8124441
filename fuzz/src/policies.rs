//! Policies of what is blocked: somebody wrote them, as JSON or as YAML.

use enforce::Policy;
use serde_json::Value;

use crate::laws::assert_harmless;

/// What is read, written again, is the same policy; spaces, order of fields and the other form make no difference; why it is none
/// is safe on a terminal.
pub fn check(bytes: &[u8]) {
    let policy = match Policy::parse(bytes) {
        Ok(policy) => policy,
        Err(error) => return assert_harmless(&error.to_string(), ""),
    };
    assert_eq!(policy.check(), Ok(()), "what was read can be put in force");
    assert!(!policy.deeds().is_empty());
    assert_eq!(Policy::parse(policy.to_json().as_bytes()).as_ref(), Ok(&policy), "written and read");

    let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(bytes) else { return };
    let spaced = serde_json::to_string_pretty(&value).expect("JSON");
    assert_eq!(Policy::parse(spaced.as_bytes()).as_ref(), Ok(&policy), "the same in another layout");
    // JSON is YAML, but for its surrogates and what YAML takes for the end of a line.
    if policy.to_json().is_ascii() {
        let read = rules::yaml_to_json("policy", &policy.to_json()).map_err(|problem| problem.to_string());
        let read = read.and_then(|value| Policy::from_value(value).map_err(|error| error.to_string()));
        assert_eq!(read.as_ref(), Ok(&policy), "the same as YAML");
    }
    let Value::Object(mut fields) = value else { return };
    fields.insert("madeLater".to_owned(), Value::Null);
    assert!(Policy::parse(Value::Object(fields).to_string().as_bytes()).is_err(), "what is not known is not ignored");
}
