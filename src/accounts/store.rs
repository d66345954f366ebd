//! Accounts and sessions in the database. Callers own the transaction.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::identity::Role;
use super::user::User;

/// Sessions that an account may have at once; the one that was used least lately gives way.
const MAX_SESSIONS: i64 = 10;

/// The role of a session's account and when the session ends, if both are live.
pub(super) async fn live_session(
    executor: impl PgExecutor<'_>,
    session_id: Uuid,
    user_id: Uuid,
) -> Result<Option<(Role, DateTime<Utc>)>, sqlx::Error> {
    let live = sqlx::query!(
        r#"SELECT u.role AS "role: Role", s.expires_at FROM ar.user_sessions s JOIN ar.users u ON u.id = s.user_id
           WHERE s.id = $1 AND s.user_id = $2 AND s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active"#,
        session_id,
        user_id
    );
    Ok(live.fetch_optional(executor).await?.map(|live| (live.role, live.expires_at)))
}

/// A statement that gives accounts, from what stands before their columns and what stands behind; gives sqlx's
/// query of `User`. One text of the columns for all, so that they cannot drift apart.
macro_rules! query_users {
    ($before:literal, $after:literal, $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            User,
            $before + r#" id, email, full_name, role AS "role: Role", is_active, created_at, updated_at, last_login "# + $after,
            $($argument),*
        )
    };
}
pub(super) use query_users;

/// Adds an account; `users_email_key` is violated when the e-mail is taken.
pub(super) async fn add_user(
    executor: impl PgExecutor<'_>,
    email: &str,
    full_name: &str,
    password_hash: &str,
    role: Role,
) -> Result<User, sqlx::Error> {
    query_users!(
        "INSERT INTO ar.users (id, email, full_name, password_hash, role) VALUES ($1, $2, $3, $4, $5) RETURNING",
        "",
        Uuid::now_v7(),
        email,
        full_name,
        password_hash,
        role.as_str()
    )
    .fetch_one(executor)
    .await
}

/// Whether an error says that an e-mail is taken.
pub(super) fn is_email_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint() == Some("users_email_key"))
}

pub(super) async fn user(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<User>, sqlx::Error> {
    query_users!("SELECT", "FROM ar.users WHERE id = $1", id).fetch_optional(executor).await
}

/// What a login is compared with.
pub(super) struct Credentials {
    pub(super) user_id: Uuid,
    pub(super) password_hash: String,
    pub(super) is_active: bool,
    /// It was signed in from this network before.
    pub(super) known_network: bool,
}

/// The account of an e-mail, whatever the case of its ASCII letters.
pub(super) async fn credentials(executor: impl PgExecutor<'_>, email: &str, network: IpNet) -> Result<Option<Credentials>, sqlx::Error> {
    sqlx::query_as!(
        Credentials,
        r#"SELECT id AS user_id, password_hash, is_active,
               EXISTS (SELECT FROM ar.user_sessions s WHERE s.user_id = u.id AND s.ip_address <<= $2) AS "known_network!"
           FROM ar.users u WHERE lower(email COLLATE "C") = lower($1::text COLLATE "C")"#,
        email,
        network as _
    )
    .fetch_optional(executor)
    .await
}

/// The password hash of an account.
pub(super) async fn password_hash(executor: impl PgExecutor<'_>, user_id: Uuid) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("SELECT password_hash FROM ar.users WHERE id = $1", user_id).fetch_optional(executor).await
}

/// A session to be.
pub(super) struct NewSession<'a> {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) jti: Uuid,
    pub(super) refresh_token_hash: [u8; 32],
    pub(super) life: PgInterval,
    pub(super) device_info: Option<&'a str>,
    pub(super) address: IpAddr,
}

/// Notes a login, if the account is active and its password still the one that was compared. A better hash of
/// it takes the old one's place.
pub(super) async fn note_login(
    connection: &mut PgConnection,
    user_id: Uuid,
    compared_hash: &str,
    better_hash: Option<&str>,
) -> Result<Option<User>, sqlx::Error> {
    query_users!(
        "UPDATE ar.users SET last_login = now(), password_hash = coalesce($3, password_hash)
         WHERE id = $1 AND password_hash = $2 AND is_active RETURNING",
        "",
        user_id,
        compared_hash,
        better_hash
    )
    .fetch_optional(connection)
    .await
}

/// Adds a session and ends those beyond ten; their ids. The account's row must be locked.
pub(super) async fn add_session(connection: &mut PgConnection, session: &NewSession<'_>) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query!(
        "INSERT INTO ar.user_sessions (id, user_id, token_id, refresh_token_hash, expires_at, device_info, ip_address)
         VALUES ($1, $2, $3, $4, now() + $5, $6, $7)",
        session.id,
        session.user_id,
        session.jti.to_string(),
        &session.refresh_token_hash,
        session.life,
        session.device_info,
        IpNet::from(session.address) as _
    )
    .execute(&mut *connection)
    .await?;
    let ended = sqlx::query_scalar!(
        "UPDATE ar.user_sessions SET revoked_at = now(), access_changed_at = now()
         WHERE id IN (SELECT id FROM ar.user_sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now()
                      ORDER BY id = $2 DESC, last_used DESC, id DESC OFFSET $3)
         RETURNING id",
        session.user_id,
        session.id,
        MAX_SESSIONS
    )
    .fetch_all(&mut *connection)
    .await?;
    for id in &ended {
        notify(connection, "session", *id).await?;
    }
    Ok(ended)
}

/// A session on its way to new tokens, locked.
pub(super) struct Refreshing {
    pub(super) user_id: Uuid,
    pub(super) role: Role,
    pub(super) live_hash: Vec<u8>,
    pub(super) previous_hash: Option<Vec<u8>>,
    /// Its newest refresh token was made within the last 30 s.
    pub(super) just_rotated: bool,
    /// The database's time.
    pub(super) now: DateTime<Utc>,
}

/// The session of a refresh token, locked until the transaction ends.
pub(super) async fn lock_session(connection: &mut PgConnection, session_id: Uuid) -> Result<Option<Refreshing>, sqlx::Error> {
    sqlx::query_as!(
        Refreshing,
        r#"SELECT s.user_id, u.role AS "role: Role", s.refresh_token_hash AS live_hash, s.previous_token_hash AS previous_hash,
               coalesce(s.rotated_at > now() - interval '30 s', false) AS "just_rotated!", now() AS "now!"
           FROM ar.user_sessions s JOIN ar.users u ON u.id = s.user_id
           WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active
           FOR UPDATE OF s"#,
        session_id
    )
    .fetch_optional(connection)
    .await
}

/// Puts a successor in the place of the live refresh token.
pub(super) async fn rotate(
    connection: &mut PgConnection,
    session_id: Uuid,
    successor_hash: &[u8],
    jti: Uuid,
    life: PgInterval,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE ar.user_sessions SET previous_token_hash = refresh_token_hash, refresh_token_hash = $2, rotated_at = now(),
             token_id = $3, expires_at = now() + $4, last_used = now()
         WHERE id = $1",
        session_id,
        successor_hash,
        jti.to_string(),
        life
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Notes another access token of a session.
pub(super) async fn note_token(connection: &mut PgConnection, session_id: Uuid, jti: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE ar.user_sessions SET token_id = $2, last_used = now() WHERE id = $1", session_id, jti.to_string())
        .execute(connection)
        .await
        .map(|_| ())
}

/// Whose session it is.
pub(super) async fn session_owner(executor: impl PgExecutor<'_>, session_id: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("SELECT user_id FROM ar.user_sessions WHERE id = $1", session_id).fetch_optional(executor).await
}

/// Ends a session and tells all instances; whether it was live.
pub(super) async fn end_session(connection: &mut PgConnection, session_id: Uuid, user_id: Uuid) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        "UPDATE ar.user_sessions SET revoked_at = now(), access_changed_at = now()
         WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > now()",
        session_id,
        user_id
    )
    .execute(&mut *connection)
    .await?;
    if ended.rows_affected() > 0 {
        notify(connection, "session", session_id).await?;
    }
    Ok(ended.rows_affected() > 0)
}

/// Ends all sessions of an account but one, and tells all instances.
pub(super) async fn end_sessions(connection: &mut PgConnection, user_id: Uuid, but: Option<Uuid>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE ar.user_sessions SET revoked_at = now(), access_changed_at = now()
         WHERE user_id = $1 AND id IS DISTINCT FROM $2 AND revoked_at IS NULL",
        user_id,
        but
    )
    .execute(&mut *connection)
    .await?;
    notify(connection, "user", user_id).await
}

/// Has all instances ask again what the sessions of an account may do.
pub(super) async fn note_access_change(connection: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("UPDATE ar.user_sessions SET access_changed_at = now() WHERE user_id = $1 AND revoked_at IS NULL", user_id)
        .execute(&mut *connection)
        .await?;
    notify(connection, "user", user_id).await
}

/// Sets a password.
pub(super) async fn set_password(connection: &mut PgConnection, user_id: Uuid, password_hash: &str) -> Result<(), sqlx::Error> {
    let set = sqlx::query!("UPDATE ar.users SET password_hash = $2, updated_at = now() WHERE id = $1", user_id, password_hash);
    set.execute(&mut *connection).await?;
    forget_resets(connection, user_id).await
}

/// Voids what was offered to set a forgotten password with.
pub(super) async fn forget_resets(connection: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM ar.password_resets WHERE user_id = $1", user_id).execute(connection).await.map(|_| ())
}

/// Locks an account; whether it is there.
pub(super) async fn lock_user(connection: &mut PgConnection, user_id: Uuid) -> Result<bool, sqlx::Error> {
    // Not as if its key were to change: who acts refers to it all the time.
    let there = sqlx::query_scalar!("SELECT id FROM ar.users WHERE id = $1 FOR NO KEY UPDATE", user_id);
    there.fetch_optional(connection).await.map(|there| there.is_some())
}

async fn notify(connection: &mut PgConnection, kind: &str, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify('ar', $1)").bind(format!("{kind}:{id}")).execute(connection).await.map(|_| ())
}
