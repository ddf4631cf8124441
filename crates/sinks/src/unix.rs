//! Alerts to whoever listens on a unix socket: one JSON object a line.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::DeliverError;
use crate::worker::{Deliver, Item};

/// How long the other end may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A unix socket of type stream.
pub(crate) struct Socket {
    pub(crate) path: PathBuf,
    pub(crate) stream: Option<UnixStream>,
}

impl Deliver for Socket {
    fn deliver(&mut self, item: &Item) -> Result<(), DeliverError> {
        let mut stream = match self.stream.take() {
            Some(stream) if !is_closed(&stream) => stream,
            _ => {
                let stream = UnixStream::connect(&self.path)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream
            }
        };
        // A line that was cut short is sent again, whole, over another connection.
        stream.write_all(format!("{}\n", item.json).as_bytes())?;
        self.stream = Some(stream);
        Ok(())
    }
}

/// Whether the other end has closed. What it says is of no interest.
fn is_closed(stream: &UnixStream) -> bool {
    let mut bytes = [0; 256];
    let mut reader = stream;
    let ended = stream.set_nonblocking(true).and_then(|()| reader.read(&mut bytes));
    let is_closed = match ended {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).is_err() || is_closed
}
