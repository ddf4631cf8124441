//! Alerts on standard output.

use std::io::Write as _;

use alerts::Alert;

use crate::error::DeliverError;
use crate::form::Form;
use crate::worker::{Deliver, Item};

/// Makes text of an alert, for people.
pub type Paint = Box<dyn Fn(&Alert) -> String + Send>;

/// Standard output.
pub(crate) struct Output {
    pub(crate) form: Form,
    pub(crate) paint: Paint,
}

impl Deliver for Output {
    fn deliver(&mut self, item: &Item) -> Result<(), DeliverError> {
        let text = match self.form {
            Form::Json => format!("{}\n", item.json),
            Form::Text => (self.paint)(&item.alert),
        };
        let mut out = std::io::stdout().lock();
        // Whoever read it is gone for good.
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| DeliverError::Never(format!("standard output: {error}")))
    }
}
