//! Alerts as messages of syslog (RFC 5424): over the machine's own socket, UDP (RFC 5426) or TCP (RFC 6587, with the length in front).

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use alerts::Alert;

use crate::error::DeliverError;
use crate::form::{Form, one_line};
use crate::worker::{Deliver, Item};

/// The facility of daemons.
const FACILITY: u8 = 3;
/// A message over UDP that every receiver should take (RFC 5426, 3.2).
const MAX_UDP: usize = 2048;
/// The most of one over the machine's own socket and TCP.
const MAX_MESSAGE: usize = 16 << 10;
/// How long the other end may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A unix socket for datagrams, as `/dev/log`.
    Unix(PathBuf),
    Udp(SocketAddr),
    Tcp(SocketAddr),
}

/// Sends messages.
pub(crate) struct Syslog {
    pub(crate) place: Place,
    pub(crate) form: Form,
    pub(crate) hostname: String,
    pub(crate) stream: Option<TcpStream>,
}

impl Syslog {
    fn message(&self, item: &Item) -> String {
        let text = match self.form {
            Form::Text => one_line(&item.alert),
            Form::Json => item.json.to_string(),
        };
        let most = if matches!(self.place, Place::Udp(_)) { MAX_UDP } else { MAX_MESSAGE };
        let mut message = self.header(&item.alert) + &text;
        // Half an object is no JSON: one that is too long goes as its text.
        if message.len() > most && self.form == Form::Json {
            message = self.header(&item.alert) + &one_line(&item.alert);
        }
        if message.len() > most {
            let end = (0..=most - 3).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        message
    }

    /// Priority, version, time, host, program, its process, the kind of message, no structured data.
    fn header(&self, alert: &Alert) -> String {
        let priority = FACILITY * 8 + alert.priority.severity();
        let time = alert.last_seen.to_string();
        // At most six digits of the second.
        let time = format!("{}Z", &time[..time.len().saturating_sub(4)]);
        format!("<{priority}>1 {time} {} ringfence {} alert - ", self.hostname, std::process::id())
    }
}

impl Deliver for Syslog {
    fn deliver(&mut self, item: &Item) -> Result<(), DeliverError> {
        let message = self.message(item);
        match &self.place {
            Place::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket.connect(path)?;
                socket.send(message.as_bytes())?;
            }
            Place::Udp(address) => {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                UdpSocket::bind(any)?.send_to(message.as_bytes(), address)?;
            }
            Place::Tcp(address) => {
                let framed = format!("{} {message}", message.len());
                let mut stream = match self.stream.take() {
                    Some(stream) if !is_closed(&stream) => stream,
                    _ => {
                        let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                        stream.set_write_timeout(Some(PATIENCE))?;
                        stream
                    }
                };
                stream.write_all(framed.as_bytes())?;
                self.stream = Some(stream);
            }
        }
        Ok(())
    }
}

/// Whether the other end has closed. It has nothing to say: reading gives its end, or nothing yet.
fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let ended = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut byte));
    let is_closed = match ended {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).is_err() || is_closed
}
