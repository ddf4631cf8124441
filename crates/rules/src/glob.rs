//! Patterns with `*`, `?` and `[…]`, as `fnmatch` reads them without flags: on bytes, and `*` goes across `/`.

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
    ignores_case: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    Any,
    Many,
    Set { ranges: Vec<(u8, u8)>, is_negated: bool },
}

impl Glob {
    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn new(pattern: &[u8], ignores_case: bool) -> Result<Glob, &'static str> {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            tokens.push(match byte {
                b'?' => Token::Any,
                b'*' if tokens.last() == Some(&Token::Many) => continue,
                b'*' => Token::Many,
                b'\\' => match rest.split_first() {
                    Some((&escaped, after)) => {
                        rest = after;
                        Token::Byte(escaped)
                    }
                    None => return Err("the pattern ends with a backslash, which escapes nothing"),
                },
                b'[' => match set(rest)? {
                    Some((token, after)) => {
                        rest = after;
                        token
                    }
                    // Without an end it stands for itself.
                    None => Token::Byte(b'['),
                },
                byte => Token::Byte(byte),
            });
        }
        Ok(Glob { tokens, ignores_case })
    }

    /// Whether the whole text is as the pattern says.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        // Where to go on if what follows the last `*` does not fit: it takes one byte more.
        let mut again: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.tokens.get(token) {
                Some(Token::Many) => {
                    again = Some((token + 1, at));
                    token += 1;
                }
                Some(one) if self.fits(one, text[at]) => {
                    token += 1;
                    at += 1;
                }
                _ => {
                    let Some((behind, from)) = again else { return false };
                    again = Some((behind, from + 1));
                    (token, at) = (behind, from + 1);
                }
            }
        }
        self.tokens[token..].iter().all(|left| *left == Token::Many)
    }

    fn fits(&self, token: &Token, byte: u8) -> bool {
        let either = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
        let is_one_of = |wanted: &dyn Fn(u8) -> bool| {
            if self.ignores_case { either.into_iter().any(wanted) } else { wanted(byte) }
        };
        match token {
            Token::Byte(wanted) => is_one_of(&|byte| byte == *wanted),
            Token::Any => true,
            Token::Set { ranges, is_negated } => {
                is_one_of(&|byte| ranges.iter().any(|&(low, high)| (low..=high).contains(&byte))) != *is_negated
            }
            Token::Many => false,
        }
    }
}

/// What follows `[`: the set and what is behind it; none if it has no end.
fn set(pattern: &[u8]) -> Result<Option<(Token, &[u8])>, &'static str> {
    let is_negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let mut rest = if is_negated { &pattern[1..] } else { pattern };
    let mut ranges = Vec::new();
    loop {
        let (low, after) = match rest {
            [] => return Ok(None),
            // As the first of a set it is an element.
            [b']', after @ ..] if !ranges.is_empty() => return Ok(Some((Token::Set { ranges, is_negated }, after))),
            [b'[', b':' | b'.' | b'=', ..] => {
                return Err("classes such as [:alpha:] are not known here: write a range");
            }
            [b'\\', low, after @ ..] | [low, after @ ..] => (*low, after),
        };
        (rest, ranges) = match after {
            [b'-', b'\\', high, after @ ..] | [b'-', high, after @ ..] if *high != b']' => {
                ranges.push((low, *high));
                (after, ranges)
            }
            _ => {
                ranges.push((low, low));
                (after, ranges)
            }
        };
    }
}

/// A path that others lie below; each of its components is a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPrefix {
    is_absolute: bool,
    components: Vec<Glob>,
}

impl PathPrefix {
    pub(crate) fn new(pattern: &[u8]) -> Result<PathPrefix, &'static str> {
        if pattern.is_empty() {
            return Err("an empty path has nothing below it");
        }
        let components = components(pattern).map(|component| Glob::new(component, false)).collect::<Result<_, _>>()?;
        Ok(PathPrefix { is_absolute: pattern.starts_with(b"/"), components })
    }

    /// Whether the path is this one or lies below it.
    pub(crate) fn covers(&self, path: &[u8]) -> bool {
        let mut theirs = components(path);
        !path.is_empty()
            && path.starts_with(b"/") == self.is_absolute
            && self.components.iter().all(|ours| theirs.next().is_some_and(|theirs| ours.matches(theirs)))
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|component| !component.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::new(pattern.as_bytes(), false).expect("a pattern").matches(text.as_bytes())
    }

    #[test]
    fn patterns_mean_what_fnmatch_says() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbcd", false),
            ("*a*b", "xaxxab", true),
            ("/home/*/.ssh/*", "/home/a/b/.ssh/id", true),
            ("?", "/", true),
            ("??", "a", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a]", "b", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]", "]", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn case_is_ignored_where_asked_for() {
        let glob = Glob::new(b"*[a-b]X*", true).expect("a pattern");

        assert!(glob.matches(b"Bx") && glob.matches(b"__aX") && !glob.matches(b"cx"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(Glob::new(b"[[:alpha:]]", false).is_err());
        assert!(Glob::new(b"a\\", false).is_err());
        assert!(PathPrefix::new(b"").is_err());
    }

    #[test]
    fn a_path_covers_itself_and_what_is_below() {
        let covers =
            |pattern: &str, path: &str| PathPrefix::new(pattern.as_bytes()).expect("one").covers(path.as_bytes());
        for (pattern, path, expected) in [
            ("/tmp/hello", "/tmp/hello", true),
            ("/tmp/hello", "/tmp/hello/world", true),
            ("/tmp/hello", "/tmp/hello_world", false),
            ("/tmp/hello/", "/tmp/hello", true),
            ("/var/*/*.txt", "/var/a/b.txt/c", true),
            ("/var/*", "/var", false),
            ("/", "/anything", true),
            ("/", "", false),
            ("etc", "/etc", false),
            ("etc", "etc/passwd", true),
        ] {
            assert_eq!(covers(pattern, path), expected, "{pattern} {path}");
        }
    }

    /// As the definition says, without care for time.
    fn slow(tokens: &[Token], text: &[u8]) -> bool {
        match (tokens.split_first(), text.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((Token::Many, rest)), _) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
            (Some(_), None) => false,
            (Some((Token::Any, rest)), Some((_, text))) => slow(rest, text),
            (Some((Token::Byte(wanted), rest)), Some((byte, text))) => wanted == byte && slow(rest, text),
            (Some((Token::Set { ranges, is_negated }, rest)), Some((byte, text))) => {
                ranges.iter().any(|(low, high)| (low..=high).contains(&byte)) != *is_negated && slow(rest, text)
            }
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_agrees_with_the_definition(pattern in "[ab*?\\[\\]!-]{0,8}", text in "[ab\\-\\[]{0,10}") {
            if let Ok(glob) = Glob::new(pattern.as_bytes(), false) {
                prop_assert_eq!(glob.matches(text.as_bytes()), slow(&glob.tokens, text.as_bytes()));
            }
        }

        #[test]
        fn no_pattern_panics(pattern in prop::collection::vec(any::<u8>(), 0..32), text in prop::collection::vec(any::<u8>(), 0..32)) {
            if let Ok(glob) = Glob::new(&pattern, true) {
                glob.matches(&text);
            }
        }
    }
}
