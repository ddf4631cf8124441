//! An incident for people.
pub fn text(_: &crate::Incident) -> String { String::new() }
pub fn html(_: &crate::Incident) -> String { String::new() }
