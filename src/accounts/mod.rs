//! Accounts: who signs in, by which password, with which tokens, and what they may do.
//!
//! A request's journey: `http/access` asks [`Accounts::seen`], which knows the tokens it has seen (`live`), else has
//! the token checked (`token`), counts it, and has its session confirmed by the database (`store`).

mod administration;
mod background;
mod browser_session;
mod create_admin;
mod hasher;
mod identity;
mod live;
mod password;
mod password_reset;
mod profile;
mod refresh;
mod sessions;
mod sign_in;
mod store;
mod tickets;
mod token;
mod user;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

pub(crate) use background::{heed, keep, read_clock_first};
pub use create_admin::{CreateAdminError, create_admin};
pub use identity::{Identity, Role};
pub use user::User;

use crate::config::TokenConfig;
use crate::db::{Db, DbClock, DbError};
use crate::http::ApiError;
use crate::state::AppState;
use crate::telemetry::meters;

/// What signing in needs, and who is signed in.
pub struct Accounts {
    tokens: token::TokenKeys,
    refresh: refresh::RefreshKeys,
    refresh_ttl: Duration,
    hasher: hasher::Hasher,
    live: live::LiveSessions,
    clock: Arc<DbClock>,
}

impl Accounts {
    /// Derives the keys and starts the hashing threads.
    #[must_use]
    pub fn new(config: &TokenConfig, clock: Arc<DbClock>) -> Self {
        Self {
            tokens: token::TokenKeys::new(config),
            refresh: refresh::RefreshKeys::new(config),
            refresh_ttl: config.refresh_ttl,
            hasher: hasher::Hasher::start(),
            live: live::LiveSessions::new(),
            clock,
        }
    }

    /// Who an access token speaks for, when it was seen before: that costs a hash and a look into a table.
    #[must_use]
    pub fn seen(&self, token: &str) -> Option<Identity> {
        let seen = self.live.seen(token, self.clock.now_s());
        let looks = &meters().accounts.tokens;
        if seen.is_some() { &looks.hit } else { &looks.miss }.increment(1);
        seen
    }

    /// Who an access token speaks for, by its signature and by asking the database for its session; both halves at
    /// once, for tests and benches.
    ///
    /// # Errors
    /// 401 when it is not one of ours, not in force, or its session has ended; 503 without the database.
    pub async fn verify(&self, db: &Db, token: &str) -> Result<Identity, ApiError> {
        self.confirm(db, token, self.check(token)?).await
    }

    /// The first half: whether a token is one of ours and in force. It costs no SQL.
    ///
    /// # Errors
    /// 401 when it is not.
    pub(crate) fn check(&self, token: &str) -> Result<Checked, ApiError> {
        self.tokens.verify(token, self.clock.now_s()).map(Checked).ok_or_else(refused)
    }

    /// The second half: whether its session is live, and what its account may do now.
    ///
    /// # Errors
    /// 401 when it has ended; 503 without the database.
    pub(crate) async fn confirm(&self, db: &Db, token: &str, Checked(claims): Checked) -> Result<Identity, ApiError> {
        let mark = self.live.mark();
        let session = store::live_session(db.write(), claims.sid, claims.sub).await;
        let (role, expires_at) = session.map_err(|error| DbError::new("looking for a session", error))?.ok_or_else(refused)?;
        let identity = Identity { user_id: claims.sub, session_id: claims.sid, role };
        self.live.remember(token, claims, &identity, expires_at.timestamp(), mark);
        Ok(identity)
    }

    /// Whom a ticket lets in to a path; it is spent by that.
    ///
    /// # Errors
    /// 401 when it is not good, or no longer; 503 without the database.
    pub(crate) async fn redeem_ticket(&self, db: &Db, ticket: &str, path: &str) -> Result<Identity, ApiError> {
        let redeemed = tickets::redeem(db.write(), ticket, path).await.map_err(|error| DbError::new("spending a ticket", error))?;
        redeemed.ok_or_else(|| ApiError::invalid_token("the ticket is not good, or no longer; POST /api/v1/auth/ws-ticket gives a new one"))
    }

    /// What somebody may do now; none when his session has ended.
    ///
    /// # Errors
    /// Without the database.
    pub(crate) async fn role_now(&self, db: &Db, identity: &Identity) -> Result<Option<Role>, DbError> {
        let session = store::live_session(db.write(), identity.session_id, identity.user_id).await;
        Ok(session.map_err(|error| DbError::new("looking for a session", error))?.map(|(role, _)| role))
    }

    /// How many passwords wait to be hashed, and how many may.
    pub(crate) fn hash_queue(&self) -> (usize, usize) {
        self.hasher.queue()
    }

    /// Password hashes made so far, for metrics and tests.
    #[must_use]
    pub fn hashes_done(&self) -> u64 {
        self.hasher.done()
    }

    fn refresh_life(&self) -> PgInterval {
        PgInterval { months: 0, days: 0, microseconds: i64::try_from(self.refresh_ttl.as_micros()).unwrap_or(i64::MAX) }
    }
}

/// A token that is one of ours and in force; its session may have ended.
pub(crate) struct Checked(token::Claims);

impl Checked {
    /// The session it is of.
    pub(crate) fn session_id(&self) -> Uuid {
        self.0.sid
    }
}

fn refused() -> ApiError {
    ApiError::invalid_token("the access token is not good, not yet or no longer; sign in, or POST /api/v1/auth/refresh")
}

/// The routes of this feature, below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    sign_in::routes()
        .merge(profile::routes())
        .merge(sessions::routes())
        .merge(tickets::routes())
        .merge(administration::routes())
        .merge(password_reset::routes())
}

/// Where the public keys are, and the admin page's session, at the root.
pub(crate) fn root_routes() -> OpenApiRouter<AppState> {
    tickets::key_routes().merge(browser_session::routes())
}
