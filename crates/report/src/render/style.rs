//! Colours of a terminal, or none.

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As the text around it.
    #[default]
    Plain,
    /// A heading.
    Title,
    /// A name of what follows.
    Label,
    /// All is well.
    Good,
    /// Look here.
    Bad,
    /// Of less interest.
    Faint,
}

impl Style {
    /// The text in this style; the caller has made it safe for a terminal.
    pub fn paint(self, text: &str, colour: bool) -> String {
        let code = match self {
            _ if !colour || text.is_empty() => return text.to_owned(),
            Style::Plain => return text.to_owned(),
            Style::Title => "1",
            Style::Label => "36",
            Style::Good => "32",
            Style::Bad => "1;31",
            Style::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
