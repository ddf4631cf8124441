//! The schemas of alerts and of what is allowed are checked in.

use std::path::Path;

fn check(name: &str, schema: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, schema).expect("the schema can be written");
    }
    let checked_in = std::fs::read_to_string(&path).expect("the schema is checked in");
    assert_eq!(schema, checked_in, "{name} is not what the types say: run with UPDATE=1, and think of the version");
}

#[test]
fn the_schema_of_alerts_is_checked_in() {
    check("alert-1.json", &alerts::Alert::schema());
}

#[test]
fn the_schema_of_what_is_allowed_is_checked_in() {
    check("allowed-1.json", &alerts::Allowed::schema());
}
