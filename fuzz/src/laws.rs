//! Laws that several targets share.

use std::fmt::Debug;

use event::is_unsafe_on_a_terminal;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// It may be printed: nothing in it moves the cursor, starts an escape sequence or reorders text.
pub(crate) fn assert_harmless(shown: &str, line_breaks: &str) {
    let found = shown.chars().find(|&c| is_unsafe_on_a_terminal(c) && !line_breaks.contains(c));
    assert_eq!(found, None, "reaches a terminal raw, in {shown:?}");
}

/// It is the same after it was written as JSON and read back.
pub(crate) fn assert_survives_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let json = serde_json::to_string(value).expect("it can be written");
    let read: T = serde_json::from_str(&json).expect("our own JSON can be read");
    assert_eq!(read, *value);
}
