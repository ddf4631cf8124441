//! Takes what looks like a secret out of text that people typed or programs showed.

use event::Text;
use regex::bytes::{Captures, Regex};

/// What stands where a secret was.
const REDACTED: &str = "[redacted]";

/// What is taken out without being asked for: of each match its first group, or all of it.
const BUILT_IN: [&str; 7] = [
    // A name that says so, and its value: `DB_PASSWORD=…`, `"api_key": "…"`, `--token …`.
    r#"(?i-u)(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)["']?(?:[ \t]*[=:][ \t]*|[ \t]+)("[^"\r\n]+"|'[^'\r\n]+'|[^\s"']+)"#,
    // In the headers of HTTP.
    r"(?i-u)authorization:[ \t]*(?:[a-z]+[ \t]+)?([^\s\x22']+)",
    // In an address: `postgres://user:…@host`.
    r"(?-u)://[^\s/:@]+:([^\s/@]+)@",
    // PEM, whole or cut.
    r"(?s-u)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
    // Keys that begin in a way of their own: of AWS, GitHub, GitLab and Slack.
    r"(?-u)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"(?-u)\b(?:gh[pousr]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{22,}|glpat-[0-9A-Za-z_-]{20,}|xox[abeoprs]-[0-9A-Za-z-]{10,})",
    // JSON Web Tokens.
    r"(?-u)\beyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*",
];

/// What is taken out of text before it is kept.
#[derive(Clone, Debug)]
pub struct Redaction(Vec<Regex>);

impl Default for Redaction {
    fn default() -> Redaction {
        Redaction(BUILT_IN.iter().map(|one| Regex::new(one).expect("each is tested")).collect())
    }
}

impl Redaction {
    /// Takes out what matches this regular expression, too: its first group, or all of it.
    ///
    /// # Errors
    ///
    /// It is no regular expression, or one that would need too much memory.
    pub fn and(mut self, pattern: &str) -> Result<Redaction, regex::Error> {
        self.0.push(Regex::new(pattern)?);
        Ok(self)
    }

    /// The text without them, and how many there were.
    pub fn of(&self, text: &Text) -> (Text, u64) {
        let mut count = 0;
        let mut bytes = text.as_bytes().to_vec();
        for pattern in &self.0 {
            let replaced = pattern.replace_all(&bytes, |found: &Captures<'_>| {
                let whole = found.get(0).expect("it is the match");
                let secret = found.get(1).unwrap_or(whole);
                // What an earlier pattern has put there, or nothing at all.
                if secret.is_empty() || secret.as_bytes() == REDACTED.as_bytes() {
                    return whole.as_bytes().to_vec();
                }
                count += 1;
                let mut kept = whole.as_bytes()[..secret.start() - whole.start()].to_vec();
                kept.extend_from_slice(REDACTED.as_bytes());
                kept.extend_from_slice(&whole.as_bytes()[secret.end() - whole.start()..]);
                kept
            });
            bytes = replaced.into_owned();
        }
        (Text::new(bytes), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        Redaction::default().of(&Text::from(text)).0.escaped().into_owned()
    }

    #[test]
    fn what_looks_like_a_secret_is_taken_out_and_the_rest_stays() {
        for (text, expected) in [
            ("export DB_PASSWORD=hunter2\r", "export DB_PASSWORD=[redacted]\r"),
            (r#"{"api_key": "s e c r e t", "user": "me"}"#, r#"{"api_key": [redacted], "user": "me"}"#),
            ("login --token abc.def --verbose", "login --token [redacted] --verbose"),
            ("curl -H 'Authorization: Bearer abc123'", "curl -H 'Authorization: Bearer [redacted]'"),
            ("psql postgres://me:hunter2@db/x", "psql postgres://me:[redacted]@db/x"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nok",
                "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----\nok",
            ),
            ("-----BEGIN PRIVATE KEY-----\nabc", "-----BEGIN PRIVATE KEY-----[redacted]"),
            ("id AKIAABCDEFGHIJKLMNOP", "id [redacted]"),
            ("git push ghp_0123456789abcdefghijABCDEFGHIJ012345", "git push [redacted]"),
            ("eyJhbGciOi.eyJzdWIi.c2ln!", "[redacted]!"),
            ("ls -la /etc\r\ntotal 3", "ls -la /etc\r\ntotal 3"),
            ("https://example.org:443/a@b", "https://example.org:443/a@b"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn each_is_counted_once_and_taking_out_twice_changes_nothing() {
        let (once, count) = Redaction::default().of(&Text::from("PASSWORD=a TOKEN=b"));
        assert_eq!(count, 2);

        let twice = Redaction::default().of(&once);

        assert_eq!(twice, (once, 0));
    }

    #[test]
    fn patterns_of_ones_own_take_out_all_or_their_first_group() {
        let redaction = Redaction::default().and("x[0-9]+").and_then(|it| it.and("pin ([0-9]+)")).expect("both are");

        let (text, count) = redaction.of(&Text::from("x17 pin 1234."));

        assert_eq!((text.escaped().as_ref(), count), ("[redacted] pin [redacted].", 2));
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        let text = Text::new(b"\xff\x1b[2J TOKEN=\xfe\n");

        assert_eq!(Redaction::default().of(&text).0, Text::new(b"\xff\x1b[2J TOKEN=[redacted]\n"));
    }
}
