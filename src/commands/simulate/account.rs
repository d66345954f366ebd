//! Accounts that are signed in, and stay so: tokens are renewed before they expire.

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::api::{Api, Failure};

/// Share of a token's life after which it is renewed.
const RENEW_AFTER: f64 = 0.7;

/// Somebody who is signed in.
pub(super) struct Account {
    id: Uuid,
    role: String,
    email: String,
    password: SecretString,
    tokens: Mutex<Tokens>,
}

struct Tokens {
    bearer: HeaderValue,
    refresh_token: SecretString,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct GrantedTokens {
    access_token: String,
    refresh_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct SignedIn {
    #[serde(flatten)]
    tokens: GrantedTokens,
    user: User,
}

#[derive(Deserialize)]
struct User {
    id: Uuid,
    role: String,
}

impl GrantedTokens {
    fn keep(self, what: &'static str) -> Result<Tokens, Failure> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.access_token))
            .map_err(|error| Failure::Unreadable { what, reason: error.to_string() })?;
        bearer.set_sensitive(true);
        let renew_at = Instant::now() + Duration::from_secs(self.expires_in).mul_f64(RENEW_AFTER);
        Ok(Tokens { bearer, refresh_token: SecretString::from(self.refresh_token), renew_at })
    }
}

/// Registers a user, when the server lets one in.
pub(super) async fn register(api: &Api, email: &str, password: &SecretString, ending: &CancellationToken) -> Result<(), Failure> {
    let body = json!({"email": email, "password": password.expose_secret(), "full_name": "Owner of a simulated phone"});
    let request = || api.request(Method::POST, "/auth/register").json(&body);
    api.ask_patiently::<IgnoredAny>("registering", ending, request).await.map(drop)
}

async fn log_in(api: &Api, email: &str, password: &SecretString, ending: &CancellationToken) -> Result<SignedIn, Failure> {
    let body = json!({"email": email, "password": password.expose_secret(), "device_info": "ar-supervisor simulate"});
    api.ask_patiently("signing in", ending, || api.request(Method::POST, "/auth/login").json(&body)).await
}

impl Account {
    /// Signs in, when the server has time.
    pub(super) async fn sign_in_patiently(
        api: &Api,
        email: &str,
        password: SecretString,
        ending: &CancellationToken,
    ) -> Result<Self, Failure> {
        let SignedIn { tokens, user } = log_in(api, email, &password, ending).await?;
        let tokens = Mutex::new(tokens.keep("signing in")?);
        Ok(Self { id: user.id, role: user.role, email: email.to_owned(), password, tokens })
    }

    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    pub(super) fn is_admin(&self) -> bool {
        self.role == "admin"
    }

    /// What to send as `Authorization`; good for a while.
    pub(super) async fn bearer(&self, api: &Api) -> Result<HeaderValue, Failure> {
        // Whoever comes meanwhile waits for the renewal, as they need it too.
        let mut tokens = self.tokens.lock().await;
        if tokens.renew_at <= Instant::now() {
            *tokens = self.renewed(api, &tokens.refresh_token).await?;
        }
        Ok(tokens.bearer.clone())
    }

    /// Fresh tokens for the refresh token, or for the password when that one is not good any more.
    async fn renewed(&self, api: &Api, refresh_token: &SecretString) -> Result<Tokens, Failure> {
        let what = "refreshing a token";
        let request = api.request(Method::POST, "/auth/refresh").json(&json!({"refresh_token": refresh_token.expose_secret()}));
        match api.ask::<GrantedTokens>(what, request).await {
            Ok(answered) => answered.value.keep(what),
            Err(failure) if failure.status().is_some_and(|status| status.as_u16() == 401) => {
                // Not patiently: whoever needs the token counts what keeps it from them, and waits.
                log_in(api, &self.email, &self.password, &cancelled()).await?.tokens.keep("signing in")
            }
            Err(failure) => Err(failure),
        }
    }

    /// Notes that this token was refused: the next one is a new one.
    pub(super) async fn refused(&self, bearer: &HeaderValue) {
        let mut tokens = self.tokens.lock().await;
        if tokens.bearer == *bearer {
            tokens.renew_at = Instant::now();
        }
    }

    /// Ends the session.
    pub(super) async fn sign_out(&self, api: &Api) -> Result<(), Failure> {
        let bearer = self.bearer(api).await?;
        api.tell("signing out", api.request(Method::POST, "/auth/logout").header(AUTHORIZATION, bearer)).await
    }
}

/// For requests that wait for nothing.
fn cancelled() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}
