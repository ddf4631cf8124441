//! Engine replies on their way: HTTP.

use containers::engine::parse::{Response, parse_response};

/// What is read does not depend on how it was sent, and an answer that was cut short is never taken for a whole one.
pub fn check(bytes: &[u8]) {
    if let Ok(response) = parse_response(bytes) {
        assert!(response.body.len() <= bytes.len());
        check_sent_as_sized(&response);
    }
    check_sent_in_chunks(bytes);
}

fn check_sent_as_sized(response: &Response) {
    let Response { status, body } = response;
    let head = format!("HTTP/1.1 {status:03} OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let sized = [head.as_bytes(), body].concat();
    assert_eq!(parse_response(&sized).as_ref(), Ok(response));
    if !body.is_empty() {
        assert!(parse_response(&sized[..sized.len() - 1]).is_err(), "an answer cut short was taken for a whole one");
    }
}

/// The bytes as a body; the first one says how long the chunks are.
fn check_sent_in_chunks(body: &[u8]) {
    let length = 1 + usize::from(body.first().copied().unwrap_or_default());
    let mut sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(length) {
        sent.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        sent.extend_from_slice(chunk);
        sent.extend_from_slice(b"\r\n");
    }
    let last = sent.len();
    sent.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(parse_response(&sent), Ok(Response { status: 200, body: body.to_vec() }));
    assert!(parse_response(&sent[..last]).is_err(), "without its last chunk it was taken for a whole answer");
    if let Some(within) = last.checked_sub(3) {
        assert!(parse_response(&sent[..within]).is_err(), "an answer cut short was taken for a whole one");
    }
}
