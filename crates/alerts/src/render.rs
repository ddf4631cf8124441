//! An alert for people.

use report::{Style, quoted};

use rules::Priority;

use crate::{Alert, State};

/// The head, and below it what is known, each line safe for a terminal; `time` is what stands first.
pub fn lines(alert: &Alert, time: &str, has_colour: bool) -> String {
    let paint = |style: Style, text: &str| style.paint(text, has_colour);
    let style = match alert.priority {
        Priority::Emergency | Priority::Alert | Priority::Critical | Priority::Error => Style::Bad,
        Priority::Warning | Priority::Notice => Style::Title,
        Priority::Informational | Priority::Debug => Style::Plain,
    };
    let mut text = format!(
        "{}  {}  {}  {}  {}\n",
        paint(Style::Faint, time),
        paint(style, &format!("{:8}", alert.priority.name().to_uppercase())),
        paint(Style::Label, &alert.container.called()),
        paint(Style::Title, &alert.rule.shown()),
        paint(Style::Faint, &alert.id.shown()),
    );
    let mut line = |name: &str, value: &str| {
        text.push_str(&format!("    {}  {value}\n", paint(Style::Label, &format!("{name:9}"))));
    };
    if alert.state == State::Update {
        let count = report::count(alert.count);
        line("again", &format!("{count} times in all, last at {}", alert.last_seen.readable()));
    } else {
        line("what", &alert.output.shown());
        if let Some(process) = &alert.process {
            let mut words = format!("{}[{}]", process.name.shown(), process.id.pid);
            if let Some(executable) = &process.executable {
                words.push_str(&format!(" {}", executable.shown()));
            }
            if let Some(parent) = &process.parent {
                words.push_str(&format!(" by {}", parent.shown()));
            }
            line("process", &words);
            if process.argv.len() > 1 {
                line("command", &process.argv.iter().map(quoted).collect::<Vec<_>>().join(" "));
            }
        }
        if let Some(image) = &alert.container.image {
            line("image", &image.shown());
        }
        if !alert.tags.is_empty() {
            line("tags", &alert.tags.iter().map(|tag| tag.shown().into_owned()).collect::<Vec<_>>().join(" "));
        }
    }
    if let Some(evidence) = &alert.evidence {
        line("evidence", &evidence.shown());
    }
    if alert.suppressed > 0 {
        let others = report::counted(alert.suppressed, "other", "others");
        line("not told", &format!("{others} of this rule in this container"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tests::alert;

    #[test]
    fn no_name_and_no_output_is_obeyed_by_a_terminal() {
        let mut one = alert("r\u{1b}[2J", "w\u{202e}eb", &[]);
        one.output = "line\nother \u{7}".into();
        one.suppressed = 3;

        let text = lines(&one, "12:00:00", false);

        assert!(!text.chars().any(|c| c != '\n' && event::is_unsafe_on_a_terminal(c)), "{text:?}");
        assert!(text.contains("3 others of this rule in this container"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn an_update_says_how_often_and_not_again_what() {
        let mut one = alert("r", "web", &[]);
        (one.state, one.count) = (State::Update, 1200);

        let text = lines(&one, "12:00:00", true);

        assert!(text.contains("1,200 times in all") && !text.contains("it happened"), "{text}");
    }
}
