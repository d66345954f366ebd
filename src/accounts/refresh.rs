//! Refresh tokens: opaque to clients. A token names its session, carries 256 random bits, and a seal by which
//! we know one of ours, so that a forged one costs nothing and a spent one is known as such for ever.
//!
//! The successor of a token is derived from it: whoever asks again gets the same one, and parallel requests
//! agree, without anything being stored in the clear.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use uuid::Uuid;

use crate::config::TokenConfig;
use crate::keys;

const SECRET_LEN: usize = 32;
const SEAL_LEN: usize = 16;
const PREFIX: &str = "rt_";

/// A refresh token of ours.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) session_id: Uuid,
    secret: [u8; SECRET_LEN],
    seal: [u8; SEAL_LEN],
}

/// Makes refresh tokens and knows them again.
pub(super) struct RefreshKeys {
    current: Keys,
    previous: Option<Keys>,
}

struct Keys {
    seal: hmac::Key,
    successor: hmac::Key,
}

impl Keys {
    fn derive(secret: &SecretString) -> Self {
        let key = |purpose| hmac::Key::new(hmac::HMAC_SHA256, &keys::derive(secret, purpose));
        Self { seal: key("refresh token seal"), successor: key("refresh token successor") }
    }

    fn token(&self, session_id: Uuid, secret: [u8; SECRET_LEN]) -> RefreshToken {
        let seal = hmac::sign(&self.seal, &[session_id.as_bytes().as_slice(), &secret].concat());
        RefreshToken { session_id, secret, seal: *seal.as_ref().first_chunk().expect("an HMAC has more than 16 bytes") }
    }

    fn successor(&self, token: &RefreshToken) -> RefreshToken {
        let derived = hmac::sign(&self.successor, &[token.session_id.as_bytes().as_slice(), &token.secret].concat());
        self.token(token.session_id, derived.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes"))
    }
}

impl RefreshKeys {
    pub(super) fn new(config: &TokenConfig) -> Self {
        Self { current: Keys::derive(&config.secret), previous: config.previous_secret.as_ref().map(Keys::derive) }
    }

    /// The first token of a session.
    pub(super) fn first(&self, session_id: Uuid) -> RefreshToken {
        self.current.token(session_id, keys::random())
    }

    /// Reads a token; `None` when it is none of ours.
    pub(super) fn read(&self, text: &str) -> Option<RefreshToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (session_id, rest) = bytes.split_first_chunk::<16>()?;
        let (secret, seal) = rest.split_first_chunk::<SECRET_LEN>()?;
        self.all().find_map(|keys| {
            let token = keys.token(Uuid::from_bytes(*session_id), *secret);
            constant_time::verify_slices_are_equal(&token.seal, seal).is_ok().then_some(token)
        })
    }

    /// What the token is followed by.
    pub(super) fn successor(&self, token: &RefreshToken) -> RefreshToken {
        self.current.successor(token)
    }

    /// The successor that was stored by its hash, perhaps before the secret was changed.
    pub(super) fn stored_successor(&self, token: &RefreshToken, hash: &[u8]) -> Option<RefreshToken> {
        self.all().map(|keys| keys.successor(token)).find(|successor| successor.hash() == hash)
    }

    fn all(&self) -> impl Iterator<Item = &Keys> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten()
    }
}

impl RefreshToken {
    /// As clients get it.
    pub(super) fn text(&self) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([self.session_id.as_bytes().as_slice(), &self.secret, &self.seal].concat()))
    }

    /// As it is stored.
    pub(super) fn hash(&self) -> [u8; 32] {
        keys::sha256(self.text().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn keys(secret: &str, previous: Option<&str>) -> RefreshKeys {
        RefreshKeys::new(&TokenConfig {
            secret: SecretString::from(secret.to_owned()),
            previous_secret: previous.map(|secret| SecretString::from(secret.to_owned())),
            issuer: String::new(),
            audience: String::new(),
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(1),
        })
    }

    #[test]
    fn a_token_is_known_again_and_an_altered_one_is_not() {
        let keys = keys("one", None);
        let token = keys.first(Uuid::now_v7());
        let text = token.text();
        assert!(keys.read(&text) == Some(token));
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert!(keys.read(&String::from_utf8_lossy(&altered)).is_none(), "{at}");
        }
        assert!(keys.read("").is_none() && keys.read("rt_").is_none());
    }

    #[test]
    fn a_successor_is_the_same_for_all_who_ask_and_survives_a_change_of_secret() {
        let (old, new) = (keys("one", None), keys("two", Some("one")));
        let token = old.first(Uuid::now_v7());
        let successor = old.successor(&token);
        assert!(successor == old.successor(&token) && successor != token && successor.session_id == token.session_id);
        assert!(new.read(&token.text()) == Some(token.clone()));
        assert!(new.stored_successor(&token, &successor.hash()) == Some(successor));
        assert!(keys("two", None).read(&token.text()).is_none());
    }
}
