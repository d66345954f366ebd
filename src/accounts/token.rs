//! Access tokens: JWT signed with Ed25519, by keys derived from the service's secret.

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::identity::{Identity, Role};
use crate::config::TokenConfig;
use crate::keys;

/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 4096;
/// How far clocks may be apart.
const LEEWAY_S: i64 = 30;

/// What an access token says; all of it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    iss: String,
    aud: String,
    pub(super) sub: Uuid,
    pub(super) sid: Uuid,
    jti: Uuid,
    role: Role,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Claims {
    /// Whether the token is in force at a time, in seconds since 1970.
    pub(super) fn in_force(&self, now_s: i64) -> bool {
        self.nbf.max(self.iat) <= now_s + LEEWAY_S && now_s < self.exp + LEEWAY_S
    }
}

/// A token and its identity.
pub(super) struct Minted {
    pub(super) token: String,
    pub(super) jti: Uuid,
}

/// Signs tokens and checks them.
pub(super) struct TokenKeys {
    current: Key,
    /// Only checks.
    previous: Option<Key>,
    issuer: String,
    audience: String,
    ttl: Duration,
    validation: Validation,
}

struct Key {
    header: Header,
    /// The header as it stands in every token of this key, with its dot.
    header_text: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: Jwk,
}

/// The public half of a key (RFC 8037).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Jwk {
    /// Kind of key.
    #[schema(example = "OKP")]
    kty: &'static str,
    /// Its curve.
    #[schema(example = "Ed25519")]
    crv: &'static str,
    /// Algorithm it is for.
    #[schema(example = "EdDSA")]
    alg: &'static str,
    /// What it is for: signatures.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    usage: &'static str,
    /// Its name, as in the header of tokens: the thumbprint of RFC 7638.
    kid: String,
    /// The key itself, base64url.
    x: String,
}

/// The keys that tokens may be signed with.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Jwks {
    /// The current one first.
    keys: Vec<Jwk>,
}

impl Key {
    fn derive(secret: &SecretString) -> Self {
        let seed = keys::derive(secret, "access token");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed");
        let private = pair.to_pkcs8().expect("an Ed25519 key can be written");
        let public = pair.public_key().as_ref();
        let x = URL_SAFE_NO_PAD.encode(public);
        let kid = URL_SAFE_NO_PAD.encode(keys::sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes()));
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(kid.clone());
        let header_text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).expect("a header can be written")) + ".";
        Self {
            header,
            header_text,
            encoding: EncodingKey::from_ed_der(private.as_ref()),
            decoding: DecodingKey::from_ed_der(public),
            public: Jwk { kty: "OKP", crv: "Ed25519", alg: "EdDSA", usage: "sig", kid, x },
        }
    }
}

impl TokenKeys {
    pub(super) fn new(config: &TokenConfig) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are compared here, with the database's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            current: Key::derive(&config.secret),
            previous: config.previous_secret.as_ref().map(Key::derive),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            ttl: config.access_ttl,
            validation,
        }
    }

    /// Life of a token in seconds.
    pub(super) fn ttl_s(&self) -> u64 {
        self.ttl.as_secs()
    }

    /// Signs a token for a session.
    pub(super) fn mint(&self, identity: &Identity, now_s: i64) -> Minted {
        let jti = Uuid::now_v7();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: identity.user_id,
            sid: identity.session_id,
            jti,
            role: identity.role,
            iat: now_s,
            nbf: now_s,
            exp: now_s.saturating_add_unsigned(self.ttl_s()),
        };
        let token = jsonwebtoken::encode(&self.current.header, &claims, &self.current.encoding).expect("our own key signs");
        Minted { token, jti }
    }

    /// What a token says, when it is ours, unaltered and in force.
    ///
    /// Its header must be ours to the byte: nothing in it is ever interpreted, so there is no `alg`, `kid`,
    /// `jku` or `crit` to play with.
    pub(super) fn verify(&self, token: &str, now_s: i64) -> Option<Claims> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let key = [Some(&self.current), self.previous.as_ref()].into_iter().flatten().find(|key| token.starts_with(&key.header_text))?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation).ok()?.claims;
        claims.in_force(now_s).then_some(claims)
    }

    /// The public halves.
    pub(super) fn jwks(&self) -> Jwks {
        Jwks { keys: [Some(&self.current), self.previous.as_ref()].into_iter().flatten().map(|key| key.public.clone()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_800_000_000;

    fn keys(secret: &str, previous: Option<&str>) -> TokenKeys {
        TokenKeys::new(&TokenConfig {
            secret: SecretString::from(secret.to_owned()),
            previous_secret: previous.map(|secret| SecretString::from(secret.to_owned())),
            issuer: "issuer".to_owned(),
            audience: "audience".to_owned(),
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(1),
        })
    }

    fn identity() -> Identity {
        Identity { user_id: Uuid::now_v7(), session_id: Uuid::now_v7(), role: Role::User }
    }

    #[test]
    fn a_token_is_good_for_its_life_and_the_leeway() {
        let keys = keys("one", None);
        let identity = identity();
        let Minted { token, jti } = keys.mint(&identity, NOW_S);
        let claims = keys.verify(&token, NOW_S).expect("good");
        assert_eq!((claims.sub, claims.sid, claims.jti, claims.role), (identity.user_id, identity.session_id, jti, Role::User));
        for (now_s, good) in [(-31, false), (-30, true), (929, true), (930, false)] {
            assert_eq!(keys.verify(&token, NOW_S + now_s).is_some(), good, "{now_s} s");
        }
    }

    #[test]
    fn the_previous_secret_checks_and_the_current_one_signs() {
        let (old, new) = (keys("one", None), keys("two", Some("one")));
        let token = old.mint(&identity(), NOW_S).token;
        assert!(new.verify(&token, NOW_S).is_some());
        assert!(old.verify(&new.mint(&identity(), NOW_S).token, NOW_S).is_none());
        assert!(keys("two", None).verify(&token, NOW_S).is_none());
        let published = serde_json::to_value(new.jwks()).expect("JSON");
        assert_eq!(published["keys"].as_array().map(Vec::len), Some(2));
        assert_eq!(published["keys"][1], serde_json::to_value(old.jwks()).expect("JSON")["keys"][0]);
    }

    #[test]
    fn no_altered_character_passes() {
        let keys = keys("one", None);
        let token = keys.mint(&identity(), NOW_S).token;
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert!(keys.verify(&altered, NOW_S).is_none(), "{at}");
            // Not even one that decodes to the same bytes.
            let mut last = token.clone().into_bytes();
            let end = last.len() - 1;
            last[end] += 1;
            assert!(keys.verify(&String::from_utf8_lossy(&last), NOW_S).is_none());
        }
    }

    #[test]
    fn other_audiences_and_issuers_are_others() {
        let mut config = keys("one", None);
        let token = config.mint(&identity(), NOW_S).token;
        config.validation.set_audience(&["another"]);
        assert!(config.verify(&token, NOW_S).is_none());
    }
}
