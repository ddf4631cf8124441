//! The rules that come with the program: the files in `rules/`, by name and text.

/// In the order in which they are loaded: the others use what the first defines.
pub(crate) const SHIPPED: [(&str, &str); 6] = [
    ("rules/base.yaml", include_str!("../../../../rules/base.yaml")),
    ("rules/escapes.yaml", include_str!("../../../../rules/escapes.yaml")),
    ("rules/network.yaml", include_str!("../../../../rules/network.yaml")),
    ("rules/processes.yaml", include_str!("../../../../rules/processes.yaml")),
    ("rules/shells.yaml", include_str!("../../../../rules/shells.yaml")),
    ("rules/writes.yaml", include_str!("../../../../rules/writes.yaml")),
];

/// They, as files that were read.
pub(crate) fn shipped() -> impl Iterator<Item = (String, String)> {
    SHIPPED.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned()))
}
