//! One HTTP/1.1 request over a unix socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::QueryError;

/// The longest answer that is read. (A list of a thousand containers is about one megabyte.)
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
const MAX_HEADERS: usize = 64;

/// An answer with its body put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Asks for `target` (a path with its query), and gives the body of an answer with status 200.
pub(super) async fn get(socket: &Path, target: &str, limit: Duration) -> Result<Vec<u8>, QueryError> {
    let exchange = async {
        let failed = |source| io_error(socket, source);
        let mut stream = UnixStream::connect(socket).await.map_err(failed)?;
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut bytes = Vec::new();
        while !is_whole(&bytes) {
            if bytes.len() > MAX_ANSWER_BYTES {
                return Err(QueryError::TooLong { path: socket.into(), limit: MAX_ANSWER_BYTES });
            }
            if stream.read_buf(&mut bytes).await.map_err(failed)? == 0 {
                break;
            }
        }
        Ok(bytes)
    };
    let bytes = tokio::time::timeout(limit, exchange)
        .await
        .map_err(|_| QueryError::Timeout { path: socket.into(), limit })??;
    let malformed = |reason: String| QueryError::Malformed { path: socket.into(), reason };
    let response = parse_response(&bytes).map_err(malformed)?;
    match response.status {
        200 => Ok(response.body),
        404 => Err(QueryError::Unknown),
        status => Err(QueryError::Refused { path: socket.into(), message: refusal(status, &response.body) }),
    }
}

/// A socket that nobody listens on (`ECONNREFUSED`) is there, but its engine is not running.
pub(super) fn io_error(socket: &Path, source: io::Error) -> QueryError {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => QueryError::Absent { path: socket.into() },
        _ => QueryError::Io { path: socket.into(), source },
    }
}

/// Docker and Podman say `{"message": …}`.
fn refusal(status: u16, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        message: String,
    }
    match serde_json::from_slice::<Said>(body) {
        Ok(said) => format!("status {status}, {}", said.message.chars().take(300).collect::<String>()),
        Err(_) => format!("status {status}"),
    }
}

/// Where the body begins and how long it is.
struct Head {
    status: u16,
    length: usize,
    body: Body,
}

enum Body {
    Sized(usize),
    Chunked,
    UntilEnd,
}

/// The head, if all of it is there.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes).map_err(|error| format!("not HTTP: {error}"))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let mut body = Body::UntilEnd;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err("its transfer encoding is not known".into());
            }
            body = Body::Chunked;
        } else if header.name.eq_ignore_ascii_case("content-length") && !matches!(body, Body::Chunked) {
            let text = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
            body = Body::Sized(text.ok_or("its length is no number")?);
        }
    }
    Ok(Some(Head { status: response.code.unwrap_or_default(), length, body }))
}

/// Whether there is no need to wait for more.
fn is_whole(bytes: &[u8]) -> bool {
    match parse_head(bytes) {
        Ok(Some(Head { length, body: Body::Sized(size), .. })) => bytes.len() - length >= size,
        Ok(Some(Head { length, body: Body::Chunked, .. })) => {
            let body = &bytes[length..];
            body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n")
        }
        Ok(_) => false,
        Err(_) => true,
    }
}

/// Reads a whole answer.
pub fn parse_response(bytes: &[u8]) -> Result<Response, String> {
    let head = parse_head(bytes)?.ok_or("it ends within its head")?;
    let rest = &bytes[head.length..];
    let body = match head.body {
        Body::Sized(size) => rest.get(..size).ok_or("it ends within its body")?.to_vec(),
        Body::Chunked => unchunked(rest)?,
        Body::UntilEnd => rest.to_vec(),
    };
    Ok(Response { status: head.status, body })
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(rest) {
            // Trailers may follow; they say nothing that is needed.
            Ok(httparse::Status::Complete((_, 0))) => return Ok(body),
            Ok(httparse::Status::Complete((start, size))) => {
                let size = usize::try_from(size).map_err(|_| "a chunk is too long")?;
                let end = start.checked_add(size).ok_or("a chunk is too long")?;
                body.extend_from_slice(rest.get(start..end).ok_or("it ends within a chunk")?);
                rest = rest[end..].strip_prefix(b"\r\n").ok_or("a chunk does not end where it says")?;
            }
            Ok(httparse::Status::Partial) => return Err("it ends between chunks".into()),
            Err(_) => return Err("the size of a chunk is no number".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{is_whole, parse_response};

    fn body(bytes: &[u8]) -> Result<String, String> {
        parse_response(bytes).map(|response| String::from_utf8_lossy(&response.body).into_owned())
    }

    #[test]
    fn bodies_of_every_form_are_put_together() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").as_deref(), Ok("{}"));
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n\r\n{}").as_deref(), Ok("{}"));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n";
        assert_eq!(body(chunked).as_deref(), Ok("{\"a\":1}"));
        assert!(is_whole(chunked) && !is_whole(&chunked[..chunked.len() - 1]));
    }

    #[test]
    fn an_answer_cut_short_is_never_taken_for_a_whole_one() {
        let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":12}";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n";

        assert!(body(sized).is_err());
        for end in 0..chunked.len() - 2 {
            assert!(body(&chunked[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        let huge = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}";
        assert!(body(huge).is_err());
        assert!(body(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
        assert!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n").is_err());
        assert!(body(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_response(&bytes);
            is_whole(&bytes);
        }

        #[test]
        fn no_body_makes_it_panic(head in prop::sample::select(vec!["Content-Length: 5", "Transfer-Encoding: chunked", "X: y"]),
                                  rest in "[0-9a-f\r\n;x]{0,60}") {
            let _ = parse_response(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{rest}").as_bytes());
        }
    }
}
