//! The format of policies.

use std::path::Path;

use enforce::Policy;

#[test]
fn the_schema_that_is_checked_in_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/policy-1.json");
    let actual = Policy::schema();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &actual).expect("the schema can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
}
