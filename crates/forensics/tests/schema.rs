//! The JSON Schema against the file that is checked in; `UPDATE=1 cargo test -p forensics` writes it anew.

use std::path::Path;

#[test]
fn the_schema_that_is_checked_in_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/incident-1.json");
    let actual = forensics::Incident::schema();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &actual).expect("the schema can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
}
