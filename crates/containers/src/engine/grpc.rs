//! One gRPC call over a unix socket: a request message, an answer message, nothing streamed.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use h2::client;
use tokio::net::UnixStream;

use super::QueryError;
use super::http1::io_error;

/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// The compression flag and the length in front of a message.
const PREFIX_BYTES: usize = 5;
/// gRPC's status `NOT_FOUND`.
const NOT_FOUND: u32 = 5;
/// gRPC's status `UNIMPLEMENTED`.
const UNIMPLEMENTED: u32 = 12;

/// A method, such as `/runtime.v1.RuntimeService/Version`, with the headers it wants.
pub(super) struct Call<'a> {
    pub(super) socket: &'a Path,
    pub(super) method: &'a str,
    /// A header and its value, such as containerd's namespace.
    pub(super) header: Option<(&'static str, &'a str)>,
    pub(super) limit: Duration,
}

impl Call<'_> {
    /// Sends the message and gives the answer's.
    pub(super) async fn send<Q: prost::Message, A: prost::Message + Default>(
        &self,
        request: &Q,
    ) -> Result<A, QueryError> {
        let bytes = tokio::time::timeout(self.limit, self.exchange(request.encode_to_vec()))
            .await
            .map_err(|_| QueryError::Timeout { path: self.socket.into(), limit: self.limit })??;
        let message = parse_message(&bytes).map_err(|reason| self.malformed(reason))?;
        A::decode(message).map_err(|error| self.malformed(error.to_string()))
    }

    async fn exchange(&self, message: Vec<u8>) -> Result<Vec<u8>, QueryError> {
        let stream = UnixStream::connect(self.socket).await.map_err(|source| io_error(self.socket, source))?;
        let (sender, connection) = client::Builder::new()
            .max_header_list_size(64 * 1024)
            .handshake(stream)
            .await
            .map_err(|e| self.failed(e))?;
        // The connection makes progress only while it is polled; it ends with the runtime of this call.
        let driver = tokio::spawn(connection);
        let result = self.talk(sender, message).await;
        driver.abort();
        result
    }

    async fn talk(
        &self,
        sender: client::SendRequest<Cursor<Vec<u8>>>,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, QueryError> {
        let mut request = http::Request::builder()
            .method("POST")
            .uri(format!("http://localhost{}", self.method))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some((name, value)) = self.header {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|error| self.malformed(error.to_string()))?;
        let mut sender = sender.ready().await.map_err(|error| self.failed(error))?;
        let (response, mut body) = sender.send_request(request, false).map_err(|error| self.failed(error))?;
        body.send_data(Cursor::new(framed(&message)), true).map_err(|error| self.failed(error))?;

        let response = response.await.map_err(|error| self.failed(error))?;
        if response.status() != 200 {
            return Err(self.refused(format!("HTTP status {}", response.status())));
        }
        // A call that fails at once has its status among the first headers.
        self.check_status(response.headers(), false)?;
        let mut stream = response.into_body();
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.data().await {
            let chunk = chunk.map_err(|error| self.failed(error))?;
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(QueryError::TooLong { path: self.socket.into(), limit: MAX_ANSWER_BYTES });
            }
            bytes.extend_from_slice(&chunk);
            stream.flow_control().release_capacity(chunk.len()).map_err(|error| self.failed(error))?;
        }
        let trailers = stream.trailers().await.map_err(|error| self.failed(error))?.unwrap_or_default();
        self.check_status(&trailers, true)?;
        Ok(bytes)
    }

    fn check_status(&self, headers: &http::HeaderMap, is_required: bool) -> Result<(), QueryError> {
        let Some(status) = headers.get("grpc-status") else {
            return if is_required { Err(self.malformed("it ends without a status".into())) } else { Ok(()) };
        };
        match status.to_str().ok().and_then(|status| status.parse::<u32>().ok()) {
            Some(0) => Ok(()),
            Some(NOT_FOUND) => Err(QueryError::Unknown),
            Some(UNIMPLEMENTED) => Err(self.refused(format!("it does not offer {}", self.method))),
            Some(code) => {
                let said = headers.get("grpc-message").and_then(|message| message.to_str().ok()).unwrap_or_default();
                let said: String = said.chars().take(300).collect();
                // containerd's CRI service answers 'unknown' where it means 'not found' in some versions.
                if code == 2 && said.contains("not found") {
                    Err(QueryError::Unknown)
                } else {
                    Err(self.refused(format!("status {code}, {said}")))
                }
            }
            None => Err(self.malformed("its status is no number".into())),
        }
    }

    fn failed(&self, error: h2::Error) -> QueryError {
        match error.get_io() {
            Some(io) => QueryError::Io { path: self.socket.into(), source: io.kind().into() },
            None => self.malformed(error.to_string()),
        }
    }

    fn refused(&self, message: String) -> QueryError {
        QueryError::Refused { path: self.socket.into(), message }
    }

    fn malformed(&self, reason: String) -> QueryError {
        QueryError::Malformed { path: self.socket.into(), reason }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("requests are short");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// The one message in the data of an answer.
pub fn parse_message(data: &[u8]) -> Result<&[u8], String> {
    let (prefix, message) = data.split_at_checked(PREFIX_BYTES).ok_or("it has no message")?;
    if prefix[0] != 0 {
        return Err("its message is compressed, which was not asked for".into());
    }
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if usize::try_from(length) != Ok(message.len()) {
        return Err(format!("its message has {} bytes, not {length}", message.len()));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{framed, parse_message};

    #[test]
    fn a_message_that_is_not_whole_is_refused() {
        assert!(parse_message(b"").is_err());
        assert!(parse_message(b"\0\0\0\0\x02a").is_err());
        assert!(parse_message(b"\0\0\0\0\x01ab").is_err());
        assert!(parse_message(b"\x01\0\0\0\x01a").is_err());
        assert_eq!(parse_message(b"\0\0\0\0\x01a"), Ok(&b"a"[..]));
    }

    proptest! {
        #[test]
        fn a_framed_message_is_read_back(message in prop::collection::vec(any::<u8>(), 0..100)) {
            let framed = framed(&message);
            prop_assert_eq!(parse_message(&framed), Ok(&message[..]));
            let _ = parse_message(&message);
        }
    }
}
