//! Refusals at the door. Who asks once and leaves (`Connection: close`) cannot be made to wait in line, and comes again
//! with a new connection as soon as he is refused: at several times what can be answered, refusing would be most of
//! the work. So while no place is free, such a request is refused before HTTP is made for its connection, and before a
//! task is, if it came along with it; and where one is free, it is taken here, so that nobody is let in and refused all
//! the same.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use httparse::Status;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::context::{RequestId, X_REQUEST_ID};
use super::place::{Places, Standing};
use crate::state::AppState;

/// Longest head that is read here.
const MAX_HEAD_BYTES: usize = 4 * 1024;
/// As many headers as a client sends that leaves at once; one with more goes the usual way.
const MAX_HEADERS: usize = 32;

/// The door of the API, on a port that speaks plain HTTP.
#[derive(Clone)]
pub struct Door(Arc<Places>);

/// What is done with who comes.
pub(super) enum Welcome {
    /// Nothing has been said yet.
    Silent,
    /// Was told so, and is gone.
    Refused,
    /// Goes in, with a place for the first request if there is one; nothing of what was said has been taken.
    LetIn(Standing),
}

impl Door {
    /// That of a service.
    pub(super) fn of(state: &AppState) -> Self {
        Self(Arc::clone(&state.places))
    }

    /// Looks at what a new connection brought along. Does not wait.
    pub(super) fn welcome(&self, connection: impl AsFd) -> Welcome {
        let mut head = [0; MAX_HEAD_BYTES];
        let length = match rustix::net::recv(&connection, &mut head, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, length)) => length,
            Err(Errno::AGAIN) => return Welcome::Silent,
            // Whoever serves it will meet the same.
            Err(_) => return Welcome::LetIn(Standing::default()),
        };
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let Some(leaving) = Leaving::of(&head[..length], &mut headers) else { return Welcome::LetIn(Standing::default()) };
        if let Some(place) = self.0.reserve() {
            return Welcome::LetIn(Standing::with(place));
        }
        if let Err(error) = refuse(connection, length, &self.refusal(&leaving)) {
            tracing::debug!(%error, "telling somebody at the door");
        }
        Welcome::Refused
    }

    /// The same problem document as from inside, for a client that is no page.
    fn refusal(&self, leaving: &Leaving) -> Vec<u8> {
        let id = RequestId::of(leaving.request_id);
        let (status, mut headers, body) = self.0.refuse().into_document(id.as_str());
        headers.insert(X_REQUEST_ID, id.into_header());
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        let mut answer = format!("HTTP/1.1 {status}\r\n").into_bytes();
        write_headers(&mut answer, &headers);
        answer.extend_from_slice(&body);
        answer
    }
}

fn write_headers(answer: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        answer.extend_from_slice(name.as_str().as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
}

/// Takes what was asked, because closing on it would reset the connection and lose the answer; then answers. A new
/// connection has room for so little.
fn refuse(connection: impl AsFd, length: usize, answer: &[u8]) -> io::Result<()> {
    rustix::net::recv(&connection, &mut [0; MAX_HEAD_BYTES][..length], RecvFlags::DONTWAIT)?;
    rustix::net::send(&connection, answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL | SendFlags::MORE)?;
    Ok(())
}

/// Somebody who asks once and leaves, and may be refused here.
struct Leaving<'a> {
    request_id: Option<&'a [u8]>,
}

impl<'a> Leaving<'a> {
    /// None where these bytes are not one whole request that reads from the API and leaves then; or where a page asks,
    /// which is to be told more than we know here.
    fn of(bytes: &'a [u8], headers: &'a mut [httparse::Header<'a>]) -> Option<Self> {
        let mut request = httparse::Request::new(headers);
        let is_whole = request.parse(bytes).is_ok_and(|status| status == Status::Complete(bytes.len()));
        if !is_whole || request.method != Some("GET") || !request.path.is_some_and(|path| path.starts_with("/api/")) {
            return None;
        }
        let value = |name: &str| request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value);
        let leaves = value("connection").map_or(request.version == Some(0), |value| value.eq_ignore_ascii_case(b"close"));
        let is_plain = ["origin", "content-length", "transfer-encoding"].into_iter().all(|name| value(name).is_none());
        (leaves && is_plain).then(|| Self { request_id: value(X_REQUEST_ID.as_str()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refusable(request: &str) -> bool {
        Leaving::of(request.as_bytes(), &mut [httparse::EMPTY_HEADER; MAX_HEADERS]).is_some()
    }

    #[test]
    fn only_whole_requests_that_read_and_leave_are_refused_at_the_door() {
        for yes in [
            "GET /api/v1/decorations/nearby?lat=1&lng=2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET /api/v1/edge-servers HTTP/1.1\r\nhost: a\r\nconnection: Close\r\n\r\n",
            "GET /api/v1/edge-servers HTTP/1.0\r\n\r\n",
        ] {
            assert!(is_refusable(yes), "{yes}");
        }
        for no in [
            "",
            "GET /api/v1/edge-servers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n",
            "GET /api/v1/edge-servers HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /api/v1/edge-servers HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET /ws/admin HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
            "GET /api/v1/edge-servers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
            "GET /api/v1/edge-servers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET /api/v1/edge-servers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: https://a.example.org\r\n\r\n",
            "GET /api/v1/edge-servers HTTP/1.1\r\nHost a\r\nConnection: close\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert!(!is_refusable(no), "{no}");
        }
    }
}
