//! The words of the document, from which somebody could write an edge server. Limits stand in them as they are in force.

use std::fmt::Write;

use super::content::content;
use crate::hub::admin_socket::{self, SUBPROTOCOL, TICKET};
use crate::hub::edge_socket::{HELLO_TIMEOUT, MAX_BAD_MESSAGES};
use crate::hub::outbox::{MAX_BYTES, MAX_MESSAGES};
use crate::hub::protocol::{MAX_LOCATIONS, PROTOCOL};
use crate::hub::socket::{MAX_IN_BYTES, PING_INTERVAL, SILENCE, WRITE_TIMEOUT};

pub(super) const SNAPSHOT: &str =
    "All there is now: the first message, and again whenever the client fell behind. It replaces all that was told before.";
pub(super) const SEQ: &str = "Number of the last change that is counted in; every change has the next one.";
pub(super) const FROM_EDGE: &str = "What the edge server sends, and the supervisor receives.";
pub(super) const TO_EDGE: &str = "What the supervisor sends, and the edge server receives.";
pub(super) const TO_ADMIN: &str = "What the supervisor sends, and an admin's client receives. Nothing goes the other way.";
pub(super) const EDGE_KEY: &str = "`Authorization: Bearer <edge_key>`: the key of this edge server, as `POST /api/v1/edge-servers` and `POST /api/v1/edge-servers/{id}/keys` give it.";
pub(super) const ADMIN_TOKEN: &str =
    "`Authorization: Bearer <access_token>`: the token of an admin, as `POST /api/v1/auth/login` gives it.";

/// Closes that a client may meet: code, reason, meaning and what to do. `{…}` is JSON.
pub(super) const CLOSES: [(u16, &str, &str); 16] = [
    (1001, RETRY, "The same as 1012; be ready for either."),
    (1002, "protocol_error", "The frames break RFC 6455."),
    (1003, "text_only", "A binary frame came."),
    (1007, "not_utf8", "The text is not UTF-8."),
    (1008, "superseded", "Another connection of the same edge server took over. Do not come back: the two would take turns."),
    (1008, "key_revoked", "The key is void, or the edge server was removed. Another key is needed."),
    (1008, "no_hello", "The first message did not come in time."),
    (1008, "hello_expected", "The first message was not a `hello` that can be read."),
    (1008, "unsupported_protocol", "`protocol` in `hello` is another than is spoken here."),
    (1008, "too_many_bad_messages", "Too many messages were answered with `error`."),
    (1008, "signed_out", "The admin's session has ended, or he is no admin any more."),
    (1008, "nothing_to_say", "An admin's client sent messages; there is nothing to say."),
    (1009, "too_large", "A message is too large."),
    (1012, RETRY, "This instance stops. Come back after so many milliseconds, to the same address."),
    (1013, "too_slow", "More waited to be read than is kept. Come back and read faster."),
    (1013, "unavailable", "The database does not answer. Come back a little later."),
];
const RETRY: &str = "{\"retry_after_ms\": n}";

/// Codes of `error`, and their meaning.
pub(super) const ERRORS: [(&str, &str); 4] = [
    ("bad_message", "It is not JSON of the documented form: a member is missing, twice there, or of the wrong type."),
    ("out_of_domain", "It can be read, and a value is outside its bounds."),
    ("unexpected", "It may not come now: a second `hello`."),
    ("unknown_type", "There is no message of this `type`."),
];

/// What holds for all sockets.
pub(super) fn about() -> String {
    format!(
        "What is said over the WebSockets of the supervisor: by edge servers, which stay connected and tell how they and their devices are, \
and to admins, who watch. The HTTP interface is described at [/docs/](/docs/); its document is [/openapi.json](/openapi.json).

## Messages
A message is one text frame (RFC 6455) with a JSON object in it: `type` says which it is, `data` holds what it says; what admins are sent has a number `seq` too. \
Members and types that you do not know are to be left alone: later versions may add some. \
Identities are UUIDs, times are RFC 3339, positions are degrees of WGS 84. No subprotocol is needed, and no extension (compression) is spoken.

## Opening
What is wrong with a request for a socket is answered in its place, as `application/problem+json`:

| Status | When |
| --- | --- |
| 400 | The address has a query. Credentials never stand in one. |
| 401 | No key, token or ticket came, or one that is not good, or not any more. |
| 403 | Another kind of credential than this socket takes, the key of another edge server, a user who is no admin, or a page of another origin. |
| 426 | It is no WebSocket handshake. |
| 429 | Too many tries; `Retry-After` says when to come back. |
| 503 | This instance stops or has no room for more sockets, or the database does not answer; `Retry-After` as before. |

## Limits
| What | Limit |
| --- | --- |
| a message to the supervisor, and one from it | {in_kib} KiB, and 256 KiB |
| time for an edge server's first message, `hello` | {hello_s} s |
| positions in one `device_locations` | {MAX_LOCATIONS} |
| entries of one `sync_decorations`, and batches that are not acknowledged | 200, and 4 |
| bad messages of an edge server | {MAX_BAD_MESSAGES}: the last of them closes |
| pings from the supervisor | every {ping_s} s; answering them (as libraries do by themselves) is a sign of life, and so is any message |
| silence | {silence_s} s, then the socket is dropped |
| what waits to be read by a client | {MAX_MESSAGES} messages or {out_mib} MiB, then 1013 `too_slow` |
| a client that takes nothing of what is written | {write_s} s, then the socket is dropped |

What is dropped ends without a close frame, which libraries report as 1006.

## Closing
| Code | Reason | Meaning |
| --- | --- | --- |
{closes}
Come back after the time that the reason names, else after a second, twice as long after every failure up to a minute, and each time spread at random by half, \
so that not all come at once. A new connection begins anew with its first message; nothing that was on its way is repeated.",
        in_kib = MAX_IN_BYTES / 1024,
        out_mib = MAX_BYTES / (1024 * 1024),
        hello_s = HELLO_TIMEOUT.as_secs(),
        ping_s = PING_INTERVAL.as_secs(),
        silence_s = SILENCE.as_secs(),
        write_s = WRITE_TIMEOUT.as_secs(),
        closes = rows(CLOSES.iter().map(|(code, reason, meaning)| format!("{code} | `{reason}` | {meaning}"))),
    )
}

/// The life of an edge server's socket.
pub(super) fn edge() -> String {
    format!(
        "An edge server holds one of these, and opens it again whenever it is lost.

1. It connects to `/ws/edge/<its own id>` with `Authorization: Bearer <edge_key>`.
2. Within {hello_s} s it sends `hello`, with `protocol` {PROTOCOL} and what it holds of the decorations. One that holds none says `epoch: null` and `held` with count 0 and sixteen zeros.
3. The supervisor answers `welcome`. Another connection of the same edge server is closed with 1008 `superseded`: the newest stays. If the edge server is being drained, `drain` follows.
4. It asks `GET /api/v1/devices/edge/<its own id>`, with the same key, for the devices that are assigned to it. What changes after `welcome` comes as `device_assigned` and `device_released`; a device may be named in both, so these are set and unset, not counted.
5. At once, and then every `heartbeat_seconds`, it sends `health_update`. When none came for 1.5 times as long it counts as degraded, for 3.5 times as long as offline, and its devices are moved to others. At 90 % of CPU or memory it is degraded too. It rises again with the second good beat.
6. Whatever it is to hold of the decorations, and what not any more, comes in `sync_decorations`, from `welcome` on and as it changes; it acknowledges every batch. [Content](/docs/sockets#content) tells all about that.
7. It tells of its devices: `device_connected` and `device_disconnected` as they come and go, and where they are in `device_locations`, best gathered for a second into one message. Devices that the supervisor does not know are left out; a position that is older than the known one changes nothing.
8. After `drain` it gets no new devices; those it has are handed over until `deadline`, and then it may stop.
9. When the socket is lost, or the edge server closes it, the edge server is degraded at once and keeps its devices until it counts as offline.

A message that is not as it should be is left out and answered with `error`; the socket stays open until there were {MAX_BAD_MESSAGES} of them.

| `code` of `error` | Meaning |
| --- | --- |
{errors}
{content}",
        hello_s = HELLO_TIMEOUT.as_secs(),
        errors = rows(ERRORS.iter().map(|(code, meaning)| format!("`{code}` | {meaning}"))),
        content = content(),
    )
}

/// The life of an admin's socket.
pub(super) fn admin() -> String {
    format!(
        "What happens in the whole system, whichever instance it happens at.

1. The client connects, with an admin's token or, from a browser, with a ticket. A page has to be ours, or of an origin that `ALLOWED_ORIGINS` names.
2. The supervisor sends `snapshot`, with the number `seq` of the last change that is in it.
3. Every change after it has the next number. A client that does not read fast enough misses changes and gets a new `snapshot` in their place, so nothing has to be asked for again.
4. There is nothing to send; {} messages close the socket. Whoever is no admin any more, or signed out, is closed within 5 s.

Numbers are those of one instance since it started: after connecting again the first `snapshot` counts, and no number from before.",
        admin_socket::MAX_MESSAGES,
    )
}

/// How a browser opens an admin's socket.
pub(super) fn admin_ticket() -> String {
    format!(
        "`Sec-WebSocket-Protocol: {SUBPROTOCOL}, {TICKET}<ticket>`, for browsers, which cannot send `Authorization` here: \
`new WebSocket(url, [\"{SUBPROTOCOL}\", \"{TICKET}\" + ticket])`. `POST /api/v1/auth/ws-ticket` with `{{\"path\": \"{}\"}}` gives the ticket; \
it is good for one connection, for 30 s. The supervisor chooses `{SUBPROTOCOL}`.",
        admin_socket::PATH,
    )
}

/// The rows of a table, by what stands between their bars.
fn rows(rows: impl Iterator<Item = String>) -> String {
    rows.fold(String::new(), |mut text, row| {
        writeln!(text, "| {row} |").expect("a text takes all");
        text
    })
}
