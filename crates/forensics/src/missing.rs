//! What could not be had: kept with its reason, never passed over.

use std::error::Error;

use event::Text;

use crate::Missing;

/// At most so many are listed; a last line says that there were more.
const MAX_MISSING: usize = 200;

/// The list while it grows.
#[derive(Debug, Default)]
pub(crate) struct Gaps(Vec<Missing>);

impl Gaps {
    /// Something is missing for this reason.
    pub(crate) fn add(&mut self, what: impl Into<Text>, reason: impl Into<Text>) {
        let missing = Missing { what: what.into(), reason: reason.into() };
        if self.0.contains(&missing) || self.0.len() > MAX_MISSING {
            return;
        }
        if self.0.len() == MAX_MISSING {
            self.0.push(Missing { what: "more".into(), reason: "not listed: there is too much".into() });
        } else {
            self.0.push(missing);
        }
    }

    /// What was had; what was not is kept with the error and its causes.
    pub(crate) fn take<T>(&mut self, what: &str, result: Result<T, impl Error>) -> Option<T> {
        match result {
            Ok(it) => Some(it),
            Err(error) => {
                self.add(what, reason(&error));
                None
            }
        }
    }

    pub(crate) fn into_list(self) -> Vec<Missing> {
        self.0
    }
}

/// An error with its causes in one line.
pub(crate) fn reason(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::Gaps;

    #[test]
    fn the_list_is_bounded_and_says_so_and_nothing_is_in_it_twice() {
        let mut gaps = Gaps::default();
        for number in 0..1000 {
            gaps.add(format!("thing {number}"), "gone");
            gaps.add(format!("thing {number}"), "gone");
        }

        let list = gaps.into_list();

        assert_eq!((list.len(), list[200].what.shown().as_ref()), (201, "more"));
        assert_eq!(list[1].what, "thing 1".into());
    }

    #[test]
    fn the_causes_of_an_error_are_told() {
        let mut gaps = Gaps::default();
        let read = containers::proc::Proc::new("/nowhere").pids();

        assert!(gaps.take("pids", read).is_none());

        let list = gaps.into_list();
        assert_eq!(list[0].reason.shown(), "cannot read /nowhere: No such file or directory (os error 2)");
    }
}
