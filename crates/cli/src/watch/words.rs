//! Which of the words on the command line are names, and where the condition begins.

use rules::{Operator, registry};

/// The names, and the words from the first that begins a condition on, with blanks between.
///
/// A condition begins with a field's name, with `not`, with a word that holds what no name can, or before an operator:
/// so one with a slip in its field's name is a condition all the same, and the message is about the slip.
pub(super) fn split(words: &[String]) -> (Vec<String>, Option<String>) {
    let begins = |at: usize| {
        let is_operator = |word: &String| Operator::from_name(word).is_some() || word == "not";
        let begins_alone = words[at] == "not"
            || registry().find(&words[at]).is_some()
            || words[at].contains(|c: char| c.is_whitespace() || "=<>!()[]'\"".contains(c));
        begins_alone || words.get(at + 1).is_some_and(is_operator)
    };
    match (0..words.len()).find(|&at| begins(at)) {
        Some(at) => (words[..at].to_vec(), Some(words[at..].join(" "))),
        None => (words.to_vec(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn names_come_before_the_condition() {
        for (words, names, condition) in [
            ("", "", None),
            ("web db-1 3f2a", "web db-1 3f2a", None),
            ("container.name=web", "", Some("container.name=web")),
            ("web exec.cwd startswith /etc", "web", Some("exec.cwd startswith /etc")),
            ("web exec.cwdd startswith /etc", "web", Some("exec.cwdd startswith /etc")),
            ("web my.db not container.id exists", "web", Some("my.db not container.id exists")),
            ("not process.pid = 1", "", Some("not process.pid = 1")),
            ("a (exec.cwd exists)", "a", Some("(exec.cwd exists)")),
            ("my.container", "my.container", None),
        ] {
            let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(split(&list(words)), (list(names), condition.map(str::to_owned)), "{words}");
        }
        let quoted = ["web".to_owned(), "exec.cwd = '/a b'".to_owned()];
        assert_eq!(split(&quoted), (vec!["web".to_owned()], Some("exec.cwd = '/a b'".to_owned())));
    }
}
