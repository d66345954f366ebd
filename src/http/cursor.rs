//! Cursors: where a list goes on. Opaque to clients, sealed with a key of ours, and bound to the list and
//! its filters, so that an edited or a foreign one is refused instead of answering something else.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use utoipa::IntoParams;
use uuid::Uuid;

use super::ApiError;
use crate::input::Faults;
use crate::keys;

/// Bytes of the seal: 128 bits.
const SEAL_LEN: usize = 16;

/// Longest text of a cursor we make, and so the longest we read: a device's id may have 1,020 bytes.
const MAX_TEXT_LEN: usize = 1536;

/// A cursor that looks like one of ours; its seal is not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    position: Vec<u8>,
    seal: [u8; SEAL_LEN],
}

/// The key that seals cursors; the same on every instance with the same secret.
#[derive(Clone)]
pub struct CursorKey(hmac::Key);

impl Cursor {
    /// Reads a cursor's text; `None` when it cannot be one of ours.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT_LEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (position, seal) = bytes.split_last_chunk()?;
        Some(Self { position: position.to_vec(), seal: *seal })
    }
}

impl CursorKey {
    /// Derives the key from the service's secret (HKDF-SHA-256).
    #[must_use]
    pub fn derive(secret: &SecretString) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &keys::derive(secret, "cursor")))
    }

    /// Makes the text of a cursor: `position` is where the list goes on, `scope` names the list and its filters.
    #[must_use]
    pub fn seal(&self, scope: &str, position: &[u8]) -> String {
        let tag = self.tag(scope, position);
        URL_SAFE_NO_PAD.encode([position, &tag.as_ref()[..SEAL_LEN]].concat())
    }

    /// The position in a cursor, when we made it for this very scope.
    #[must_use]
    pub fn open(&self, scope: &str, cursor: &Cursor) -> Option<Vec<u8>> {
        let tag = self.tag(scope, &cursor.position);
        aws_lc_rs::constant_time::verify_slices_are_equal(&tag.as_ref()[..SEAL_LEN], &cursor.seal).ok()?;
        Some(cursor.position.clone())
    }

    /// Where a request's cursor says to go on, read by `read`; `None` without a cursor.
    ///
    /// # Errors
    /// 400 when the cursor is not ours, or of another list or filter.
    pub(crate) fn open_at<T>(
        &self,
        scope: &str,
        cursor: Option<&Cursor>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(cursor) = cursor else { return Ok(None) };
        let position = self.open(scope, cursor).as_deref().and_then(read);
        if position.is_none() {
            let mut faults = Faults::default();
            faults.unreadable("cursor", "bad_cursor", "was made for other filters, or was edited");
            return Err(faults.into());
        }
        Ok(position)
    }

    /// Cuts a list that was read one item too long, and makes the cursor to its rest from the last item kept.
    pub(crate) fn cut_page<T>(&self, scope: &str, items: &mut Vec<T>, limit: i64, position: impl FnOnce(&T) -> Vec<u8>) -> Option<String> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if items.len() <= limit {
            return None;
        }
        items.truncate(limit);
        items.last().map(|last| self.seal(scope, &position(last)))
    }

    fn tag(&self, scope: &str, position: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        // The length keeps scope and position apart.
        context.update(&(scope.len() as u64).to_be_bytes());
        context.update(scope.as_bytes());
        context.update(position);
        context.sign()
    }
}

/// Where a list goes on; only for OpenAPI, `QueryReader::cursor` reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
pub(crate) struct CursorParam {
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// The position in a list by time and id, newest first.
pub(crate) struct TimePosition;

impl TimePosition {
    pub(crate) fn write(at: DateTime<Utc>, id: Uuid) -> Vec<u8> {
        [at.timestamp_micros().to_be_bytes().as_slice(), id.as_bytes()].concat()
    }

    pub(crate) fn read(position: &[u8]) -> Option<(DateTime<Utc>, Uuid)> {
        let (micros, id) = position.split_first_chunk::<8>()?;
        Some((DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?, Uuid::from_slice(id).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cursor_we_made_for_this_list_opens() {
        let key = CursorKey::derive(&SecretString::from("a secret of at least thirty-two bytes"));
        let text = key.seal("bounds 1 2", b"position");
        let cursor = Cursor::from_text(&text).expect("reads");
        assert_eq!(key.open("bounds 1 2", &cursor).as_deref(), Some(b"position".as_slice()));
        assert_eq!(key.open("bounds 1 3", &cursor), None);
        let other = CursorKey::derive(&SecretString::from("another secret of thirty-two bytes and more"));
        assert_eq!(other.open("bounds 1 2", &cursor), None);
        for i in 0..text.len() {
            let mut edited = text.clone().into_bytes();
            edited[i] = if edited[i] == b'A' { b'B' } else { b'A' };
            let edited = String::from_utf8(edited).expect("ASCII");
            assert!(Cursor::from_text(&edited).and_then(|c| key.open("bounds 1 2", &c)).is_none(), "{edited}");
        }
        assert_eq!(Cursor::from_text(&"A".repeat(10_240)), None);
        assert_eq!(Cursor::from_text("not base64!"), None);
    }
}
