//! One HTTP/1.1 POST, within a time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::error::DeliverError;

/// How long a whole exchange may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// More of an answer is not read: its status is all that matters.
const MAX_ANSWER: usize = 64 << 10;

/// Where to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Host and port as they were given.
    pub(crate) authority: String,
    pub(crate) path: String,
}

/// Posts JSON. A receiver that is away, slow or in trouble may be asked again; one that does not want it may not.
pub(crate) fn post(target: &Target, body: &str, patience: Duration) -> Result<(), DeliverError> {
    let until = Instant::now() + patience;
    let mut stream = TcpStream::connect_timeout(&target.address, patience)?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: ringfence/{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        target.path,
        target.authority,
        env!("CARGO_PKG_VERSION"),
        body.len()
    );
    let left = || match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(DeliverError::Later(format!("no answer within {patience:?}"))),
        left => Ok(left),
    };
    let request = [head.as_bytes(), body.as_bytes()].concat();
    let mut written = 0;
    while written < request.len() {
        stream.set_write_timeout(Some(left()?))?;
        match stream.write(&request[written..]).map_err(|error| timed_out(error, patience))? {
            0 => return Err(DeliverError::Later("the other end takes no more".into())),
            more => written += more,
        }
    }
    let mut answer = Vec::new();
    loop {
        if let Some(status) = status(&answer)? {
            return judge(status);
        }
        let mut part = [0; 4096];
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut part).map_err(|error| timed_out(error, patience))? {
            0 => return Err(DeliverError::Later("the other end closed before it answered".into())),
            more => answer.extend(&part[..more]),
        }
        if answer.len() > MAX_ANSWER {
            return Err(DeliverError::Later("the answer has no end".into()));
        }
    }
}

fn timed_out(error: std::io::Error, patience: Duration) -> DeliverError {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            DeliverError::Later(format!("no answer within {patience:?}"))
        }
        _ => error.into(),
    }
}

/// The status of an answer, if its head is whole.
fn status(answer: &[u8]) -> Result<Option<u16>, DeliverError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(answer) {
        Ok(httparse::Status::Complete(_)) => Ok(response.code),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(error) => Err(DeliverError::Later(format!("the answer is no HTTP: {error}"))),
    }
}

fn judge(status: u16) -> Result<(), DeliverError> {
    match status {
        200..=299 => Ok(()),
        // Later it may go: it took too long, or there were too many.
        408 | 425 | 429 => Err(DeliverError::Later(format!("it answered {status}"))),
        // Another address is none that anybody named.
        300..=499 => Err(DeliverError::Never(format!("it answered {status}"))),
        _ => Err(DeliverError::Later(format!("it answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_again_and_what_is_not() {
        assert!(judge(204).is_ok());
        assert!(matches!(judge(429), Err(DeliverError::Later(_))) && matches!(judge(503), Err(DeliverError::Later(_))));
        assert!(matches!(judge(400), Err(DeliverError::Never(_))) && matches!(judge(302), Err(DeliverError::Never(_))));
        assert_eq!(status(b"HTTP/1.1 500 Internal Server Error\r\nX: y\r\n\r\n").expect("HTTP"), Some(500));
        assert_eq!(status(b"HTTP/1.1 500 Inter").expect("HTTP"), None);
        assert!(status(b"SSH-2.0-x\r\n").is_err());
    }
}
