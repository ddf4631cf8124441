//! A page in the looks of a report's, about something else.

use super::markup::escaped;
use super::{POLICY, SCRIPT, STYLE, head};

/// A part of a page with a heading of its own.
pub struct PageSection {
    /// What links lead to; a word of letters and dashes.
    pub id: &'static str,
    /// The heading.
    pub title: &'static str,
    /// The figure that sums it up, for the row of figures at the top; empty if it has none.
    pub figure: String,
    /// What that figure counts.
    pub unit: &'static str,
    /// A sentence below the heading; not markup.
    pub about: String,
    /// Markup: what is not the program's own goes through [`super::escaped`], [`super::code`] or [`super::html_table`].
    pub body: String,
}

/// Looks that only one kind of page needs.
pub struct PageStyle {
    /// The style sheet.
    pub sheet: &'static str,
    /// Its hash as a policy has it: `'sha256-…'`. Browsers use no other style.
    pub hash: &'static str,
}

/// One HTML file: nothing is loaded from elsewhere, and no text that goes through the functions of this module can become
/// markup or script.
pub struct Page<'p> {
    /// What kind of page it is, above the title.
    pub brand: &'p str,
    /// Its title; not markup.
    pub title: &'p str,
    /// What is said first: what each is, and its lines; not markup.
    pub facts: Vec<(&'p str, Vec<String>)>,
    /// The sections, in their order.
    pub sections: Vec<PageSection>,
    /// The last line; not markup.
    pub footer: String,
    /// Looks of its own.
    pub style: PageStyle,
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let title = escaped(self.title);
        let mut top = format!("<header>\n<p class=\"brand\">{}</p>\n<h1>{title}</h1>\n", escaped(self.brand));
        top += &head::list(self.facts.iter().map(|(label, lines)| (*label, lines.as_slice())));
        top += &head::ways(&self.sections);
        let policy = POLICY.replace("style-src ", &format!("style-src {} ", self.style.hash));
        document(&policy, &[STYLE, self.style.sheet], &title, &top, &self.sections, &self.footer)
    }
}

/// The whole file; `title` and `head` are markup.
pub(super) fn document(
    policy: &str,
    styles: &[&str],
    title: &str,
    head: &str,
    sections: &[PageSection],
    footer: &str,
) -> String {
    let styles: String = styles.iter().map(|style| format!("<style>{style}</style>\n")).collect();
    let mut out = format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title} · ringfence</title>\n\
         {styles}\
         </head>\n\
         <body>\n",
    );
    out += head;
    out += "<main>\n";
    for section in sections {
        out += &format!(
            "<section id=\"{}\">\n<h2>{}</h2>\n<p class=\"about\">{}</p>\n{}</section>\n",
            section.id,
            section.title,
            escaped(&section.about),
            section.body
        );
    }
    out += &format!("</main>\n<footer>{}</footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n", escaped(footer));
    out
}
