//! What a sink has come to, and the sentences about it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What one sink has come to. Its thread writes it, others read.
#[derive(Debug, Default)]
pub struct Status {
    pub(crate) sent: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) waiting: AtomicU64,
    pub(crate) spooled: AtomicU64,
    last_error: Mutex<String>,
}

impl Status {
    /// Alerts that arrived.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Alerts that found no room, or had not arrived at the end.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Alerts that the other end did not want.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Attempts that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Alerts that lie in the spool on disk.
    pub fn spooled(&self) -> u64 {
        self.spooled.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self, why: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        why.clone_into(&mut self.last_error.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What was said of a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    sent: u64,
    lost: u64,
    refused: u64,
    failures: u64,
}

impl Report {
    /// What is new of a sink and bad, in a sentence; `at_end` also what still waits.
    pub(crate) fn news(&mut self, name: &str, status: &Status, at_end: bool) -> Option<String> {
        let now =
            Report { sent: status.sent(), lost: status.lost(), refused: status.refused(), failures: status.failures() };
        let before = std::mem::replace(self, now);
        let spooled = status.spooled();
        let is_bad = (now.lost, now.refused, now.failures) != (before.lost, before.refused, before.failures);
        let is_left = at_end && spooled > 0;
        if !is_bad && !is_left {
            return None;
        }
        let mut parts = vec![format!("{} sent", report::count(now.sent))];
        for (count, what) in [
            (now.failures, "attempts failed"),
            (now.refused, "were refused"),
            (now.lost, "lost"),
            (spooled, if at_end { "wait in its spool for the next start" } else { "wait in its spool" }),
        ] {
            if count > 0 {
                parts.push(format!("{} {what}", report::count(count)));
            }
        }
        let last = status.last_error();
        let why =
            if last.is_empty() { String::new() } else { format!(" ({})", event::Text::from(last.as_str()).shown()) };
        Some(format!("the sink {name}: alerts: {}{why}", parts.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_news_are_said_once_and_what_is_left_at_the_end() {
        let status = Status::default();
        let mut report = Report::default();
        status.sent.store(3, Ordering::Relaxed);
        assert_eq!(report.news("x", &status, false), None);
        status.failed("no route\u{1b}");
        let said = report.news("x", &status, false).expect("bad news");
        assert!(said.contains("1 attempts failed") && said.contains("no route\\u{1b}"), "{said}");
        assert_eq!(report.news("x", &status, false), None);
        status.spooled.store(2, Ordering::Relaxed);
        assert!(report.news("x", &status, true).is_some_and(|said| said.contains("next start")));
    }
}
