//! Exceptions: what makes an alert quiet, and how much else with it.

use event::Text;

use crate::{Alert, AllowedFact, is_volatile};

/// An exception from a rule, in the language of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleException {
    /// The document: one entry of a list, which can stand behind others in one file.
    pub yaml: String,
    /// What it widens, in a sentence.
    pub widens: String,
}

/// The exception that makes alerts like this one quiet and as few others as can be: the rule does not match any more where all that
/// the output names is the same, in this container. None if the alert is no rule's, or names nothing to go by.
pub fn rule_exception(alert: &Alert) -> Option<RuleException> {
    if alert.origin != crate::Origin::Rule {
        return None;
    }
    let mut conditions: Vec<(String, String)> = Vec::new();
    let container = match (&alert.container.name, &alert.container.image) {
        (Some(name), _) => Some(("container.name", name)),
        (None, Some(image)) => Some(("container.image", image)),
        (None, None) => None,
    };
    if let Some((field, value)) = container {
        conditions.push((field.to_owned(), plain(value)?));
    }
    for (name, value) in &alert.fields {
        let name = name.escaped().into_owned();
        let Some(value) = value.as_ref().filter(|_| !is_volatile(&name)) else { continue };
        // Where it happened is said above.
        if !name.starts_with("container.") {
            conditions.push((name, plain(value)?));
        }
    }
    // The container alone would make the whole rule quiet there.
    if conditions.len() < 1 + usize::from(container.is_some()) {
        return None;
    }
    let list = |items: Vec<String>| items.join(", ");
    let fields = list(conditions.iter().map(|(field, _)| field.clone()).collect());
    let operators = list(conditions.iter().map(|_| "=".to_owned()).collect());
    let values = list(conditions.iter().map(|(_, value)| double_quoted(value)).collect());
    let yaml = format!(
        "- rule: {}\n  exceptions:\n    - name: ringfence_{}\n      fields: [{fields}]\n      comps: [{operators}]\n      \
         values:\n        - [{values}]\n  override:\n    exceptions: append\n",
        double_quoted(&plain(&alert.rule)?),
        alert.id.escaped(),
    );
    let shown: Vec<String> =
        conditions.iter().map(|(field, value)| format!("{field} = {}", Text::from(value.as_str()).shown())).collect();
    let widens = format!("the rule \"{}\" does not match any more where {}", alert.rule.shown(), shown.join(" and "));
    Some(RuleException { yaml, widens })
}

/// The entry that makes what is new in an alert normal, in its container alone or in every one of its image; none if the alert is
/// a rule's, or nothing says which container it was.
pub fn allowed_fact(alert: &Alert, whole_image: bool) -> Option<AllowedFact> {
    let fact = alert.fact.clone()?;
    let (container, image) = (&alert.container.name, &alert.container.image);
    let (container, image) = match (whole_image, container, image) {
        (false, Some(name), _) => (Some(name.clone()), None),
        (_, _, Some(image)) => (None, Some(image.clone())),
        _ => return None,
    };
    Some(AllowedFact { container, image, fact, alert: alert.id.clone() })
}

/// The value, if it is text: YAML has no bytes that are none.
fn plain(value: &Text) -> Option<String> {
    std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned)
}

/// A text in double quotes (YAML 1.2.2, 7.3.1), all in one line.
fn double_quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if event::is_unsafe_on_a_terminal(c) || c.is_control() => {
                quoted.push_str(&format!("\\U{:08X}", c as u32));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tests::alert;

    #[test]
    fn an_exception_names_all_that_the_output_names_but_what_differs_each_time() {
        let one = alert("Read \"it\"", "web", &[("fd.name", "/etc/shadow"), ("proc.pid", "7"), ("proc.name", "c\nat")]);

        let exception = rule_exception(&one).expect("an exception");

        assert_eq!(
            exception.yaml,
            format!(
                "- rule: \"Read \\\"it\\\"\"\n  exceptions:\n    - name: ringfence_{}\n      fields: [container.name, fd.name, \
                 proc.name]\n      comps: [=, =, =]\n      values:\n        - [\"web\", \"/etc/shadow\", \
                 \"c\\U0000000Aat\"]\n  override:\n    exceptions: append\n",
                one.id.escaped()
            )
        );
        assert!(exception.widens.contains("fd.name = /etc/shadow"), "{}", exception.widens);
        assert!(!exception.widens.chars().any(char::is_control), "{}", exception.widens);
    }

    #[test]
    fn an_alert_that_names_nothing_has_no_exception_but_the_rule_itself() {
        assert_eq!(rule_exception(&alert("r", "web", &[("proc.pid", "7")])), None);
    }
}
