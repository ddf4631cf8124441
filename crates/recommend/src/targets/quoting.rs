//! Values as each format wants them written: names come out of containers and may hold anything.

use event::Text;

/// The text if it can be written at all: UTF-8 without control characters. The others are told about, never bent.
pub(super) fn writable(text: &Text) -> Option<&str> {
    let text = std::str::from_utf8(text.as_bytes()).ok()?;
    (!text.is_empty() && !text.chars().any(event::is_unsafe_on_a_terminal)).then_some(text)
}

/// One word of a shell's line.
pub(crate) fn shell(word: &str) -> String {
    if is_shell_word(word) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Whether a shell takes it for one word as it is, wherever it stands.
pub(super) fn is_shell_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c))
}

/// A word of a list in a unit file of systemd: systemd.syntax(7), "Quoting", and specifiers.
pub(super) fn unit(word: &str) -> String {
    let doubled = word.replace('%', "%%");
    if is_shell_word(word) {
        return doubled;
    }
    format!("\"{}\"", doubled.replace('\\', r"\\").replace('"', "\\\""))
}

/// A path without quotes and backslashes as an AppArmor profile has it, standing for itself alone: apparmor.d(5), "Globbing".
pub(super) fn apparmor(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len() + 2);
    for c in path.chars() {
        if "*?[]{}^@,#".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A field of a list with commas, as docker's `--mount` reads it.
pub(super) fn csv(field: &str) -> String {
    if field.contains(['"', ',', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

/// A name made of what every engine and Kubernetes take: lower-case letters, digits and `-`, at most so many.
pub(super) fn label(name: &str, most: usize) -> String {
    let mut label = String::new();
    for c in name.chars() {
        match c {
            'a'..='z' | '0'..='9' => label.push(c),
            'A'..='Z' => label.push(c.to_ascii_lowercase()),
            _ if label.is_empty() || label.ends_with('-') => {}
            _ => label.push('-'),
        }
    }
    label.truncate(most);
    let label = label.trim_end_matches('-');
    if label.is_empty() { "workload".to_owned() } else { label.to_owned() }
}

/// Lines of a comment, wrapped nowhere: what is in it must be safe already.
pub(super) fn comment(text: &str) -> String {
    let safe: String = text.chars().map(|c| if event::is_unsafe_on_a_terminal(c) { ' ' } else { c }).collect();
    format!("# {safe}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_said_to_be_so() {
        assert_eq!(writable(&"/a b*'\"$%".into()), Some("/a b*'\"$%"));
        for text in ["", "a\nb", "\u{1b}[31m", "a\u{202e}b", "\u{85}"] {
            assert_eq!(writable(&text.into()), None, "{text:?}");
        }
        assert_eq!(writable(&Text::new(b"a\xff")), None);
    }

    #[test]
    fn each_format_has_its_own_quotes() {
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell("/a/b.c"), "/a/b.c");
        assert_eq!(shell("~"), "'~'");
        assert_eq!(unit("/a%b"), "/a%%b");
        assert_eq!(unit("/a \"b\\"), r#""/a \"b\\""#);
        assert_eq!(apparmor("/a*[b]{c,d}"), r"/a\*\[b\]\{c\,d\}");
        assert_eq!(csv("target=/a,b"), "\"target=/a,b\"");
    }

    #[test]
    fn a_label_is_one_whatever_the_name_is() {
        for (name, expected) in [("Web_1.x", "web-1-x"), ("--", "workload"), ("ü", "workload"), ("a--b", "a-b")] {
            assert_eq!(label(name, 63), expected, "{name}");
        }
        assert_eq!(label("abc-def", 4), "abc");
    }
}
