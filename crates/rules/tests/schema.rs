//! The schemas of what commands say of rules, against the files that are checked in; `UPDATE=1 cargo test -p rules` writes them
//! anew.

use std::path::Path;

#[test]
fn the_schemas_that_are_checked_in_are_those_of_the_types() {
    for (name, schema) in
        [("rules-check-1.json", rules::RuleCheck::schema()), ("rules-test-1.json", rules::Match::schema())]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema").join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &schema).expect("the schema can be written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(schema == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
    }
}
