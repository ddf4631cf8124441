//! YAML as a tree in which everything has its place, within bounds that a bad file cannot leave.

use std::borrow::Cow;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::file::problem::Spot;

/// The longest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// How many values a file may have, those that an alias stands for counted as often as they are used.
const MAX_NODES: usize = 400_000;
/// How much is read of a file that has to be read again and again, in bytes.
const MAX_READ_BYTES: usize = 64 << 20;
/// How deep lists and mappings may be nested.
const MAX_NESTING: usize = 24;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Yaml {
    pub(crate) content: Content,
    pub(crate) spot: Spot,
    /// How many values it is, itself included.
    nodes: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Text, and whether it was written without quotes.
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Yaml>),
    Map(Vec<(Yaml, Yaml)>),
}

/// What is wrong with a file, and where.
#[derive(Debug)]
pub(crate) struct YamlError {
    pub(crate) message: String,
    pub(crate) spot: Spot,
}

impl Yaml {
    /// The text of a scalar that is not empty.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing here, as behind `key:`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, is_plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }
}

/// A collection that is not yet closed.
struct Open {
    content: Content,
    key: Option<Yaml>,
    spot: Spot,
    anchor: usize,
    nodes: usize,
}

struct Builder {
    file: usize,
    open: Vec<Open>,
    documents: Vec<Yaml>,
    anchors: Vec<(usize, Yaml)>,
    nodes: usize,
}

/// The documents of a file; `file` is its number among those that are loaded together.
pub(crate) fn parse(file: usize, text: &str) -> Result<Vec<Yaml>, YamlError> {
    let nowhere = |message: String| YamlError { message, spot: Spot::start_of(file) };
    if text.len() > MAX_FILE_BYTES {
        return Err(nowhere(format!("the file is longer than {MAX_FILE_BYTES} bytes")));
    }
    // The parser takes a NUL for the end, and would leave out what follows.
    if let Some(at) = text.chars().position(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{85}')) {
        return Err(YamlError {
            message: "this control character is not allowed in YAML".into(),
            spot: Spot { file, chars: at..at + 1, is_block: false },
        });
    }
    let mut text = Cow::Borrowed(text);
    let mut read = 0;
    loop {
        read += text.len().max(1);
        match attempt(file, &text) {
            Ok(documents) => return Ok(documents),
            Err(Refused::Wrong(error)) => return Err(error),
            Err(Refused::Scan(message, at)) => match outdented(&text, &message, at) {
                Some(mended) if read < MAX_READ_BYTES => text = Cow::Owned(mended),
                _ => {
                    let spot = Spot { file, chars: at..at, is_block: false };
                    return Err(YamlError { message: format!("this is no YAML: {message}"), spot });
                }
            },
        }
    }
}

/// Why an attempt came to nothing.
enum Refused {
    Wrong(YamlError),
    /// What the scanner said, and the character at which it stopped.
    Scan(String, usize),
}

fn attempt(file: usize, text: &str) -> Result<Vec<Yaml>, Refused> {
    let mut builder = Builder { file, open: Vec::new(), documents: Vec::new(), anchors: Vec::new(), nodes: 0 };
    let mut parser = Parser::new_from_str(text);
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => return Ok(builder.documents),
            Some(Ok((event, span))) => builder.take(event, span).map_err(Refused::Wrong)?,
            Some(Err(error)) => return Err(Refused::Scan(error.info().to_owned(), error.marker().index())),
        }
    }
}

/// The text with a line of a list in brackets, which stands too far to the left, on the line before it.
///
/// YAML wants such lines further right than the key; the parser that the public rule files are written for does not care. Every
/// character keeps its place.
fn outdented(text: &str, message: &str, at: usize) -> Option<String> {
    if !matches!(message, "invalid indentation" | "invalid indentation in flow construct") {
        return None;
    }
    let (at, _) = text.char_indices().nth(at)?;
    let line = text[..at].rfind('\n')?;
    if !text[line..at].trim().is_empty() {
        return None;
    }
    let before = text[..line].rfind('\n').map_or(0, |end| end + 1);
    let comment = comment(&text[before..line]).map_or(line, |begin| before + begin);
    let blanks = " ".repeat(text[comment..line].chars().count() + 1);
    Some([&text[..comment], &blanks, &text[line + 1..]].concat())
}

/// Where a comment begins on a line.
fn comment(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut previous = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if previous.is_whitespace() => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        previous = c;
    }
    None
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let spot = |is_block| Spot { file: self.file, chars: chars(&span), is_block };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let content =
                    Content::Scalar { text: text.into_owned(), is_plain: matches!(style, ScalarStyle::Plain) };
                let spot = spot(is_block);
                self.count(1, &spot)?;
                self.put(Yaml { content, spot, nodes: 1 }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.enter(Content::List(Vec::new()), spot(false), anchor),
            Event::MappingStart(anchor, _) => self.enter(Content::Map(Vec::new()), spot(false), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let yaml = Yaml { content: open.content, spot: open.spot, nodes: open.nodes };
                    self.put(yaml, open.anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let spot = spot(false);
                let Some((_, yaml)) = self.anchors.iter().find(|(known, _)| *known == anchor) else {
                    return Err(YamlError { message: "this alias stands for nothing".into(), spot });
                };
                let nodes = yaml.nodes;
                self.count(nodes, &spot)?;
                let yaml = self.anchors.iter().find(|(known, _)| *known == anchor).map(|(_, yaml)| yaml.clone());
                yaml.map_or(Ok(()), |yaml| self.put(yaml, 0))
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, spot: &Spot) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let message = format!("the file has more than {MAX_NODES} values");
            return Err(YamlError { message, spot: spot.clone() });
        }
        Ok(())
    }

    fn enter(&mut self, content: Content, spot: Spot, anchor: usize) -> Result<(), YamlError> {
        self.count(1, &spot)?;
        if self.open.len() == MAX_NESTING {
            let message = format!("more than {MAX_NESTING} lists and mappings in one another");
            return Err(YamlError { message, spot });
        }
        self.open.push(Open { content, key: None, spot, anchor, nodes: 1 });
        Ok(())
    }

    fn put(&mut self, yaml: Yaml, anchor: usize) -> Result<(), YamlError> {
        if anchor > 0 {
            self.anchors.push((anchor, yaml.clone()));
            self.count(yaml.nodes, &yaml.spot)?;
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(yaml);
            return Ok(());
        };
        open.nodes += yaml.nodes;
        match &mut open.content {
            Content::List(items) => items.push(yaml),
            Content::Map(entries) => match open.key.take() {
                None => open.key = Some(yaml),
                Some(key) => {
                    if key.text().is_some() && entries.iter().any(|(known, _)| known.text() == key.text()) {
                        let message = format!("{} is here twice", key.text().unwrap_or_default());
                        return Err(YamlError { message, spot: key.spot });
                    }
                    entries.push((key, yaml));
                }
            },
            Content::Scalar { .. } => {}
        }
        Ok(())
    }
}

fn chars(span: &Span) -> Range<usize> {
    span.start.index()..span.end.index().max(span.start.index())
}
