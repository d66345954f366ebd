//! The first admin, and a way back in for those who lost theirs: from the command line.

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::hasher::Hasher;
use super::identity::Role;
use super::password::weakness;
use super::store;
use super::user::{self, User};
use crate::audit::{self, Actor};
use crate::db::DbError;
use crate::input::{FieldReader, Fields};

/// Why there is no new admin.
#[derive(Debug, thiserror::Error)]
pub enum CreateAdminError {
    /// E-mail, name or password will not do.
    #[error("{}", .0.join("\n"))]
    Input(Vec<String>),
    /// There is such an account.
    #[error("an account with this e-mail exists already; --existing makes it an active admin with the password given")]
    Exists,
    /// The password could not be hashed.
    #[error("hashing the password")]
    Hash,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Makes an admin from the command line, by the same rules as a registration. With `existing`, an account that
/// is there becomes an active admin with this password, and its sessions end.
///
/// # Errors
/// See [`CreateAdminError`].
pub async fn create_admin(
    connection: &mut PgConnection,
    email: &str,
    full_name: &str,
    password: &SecretString,
    existing: bool,
) -> Result<User, CreateAdminError> {
    let mut fields = serde_json::Map::new();
    for (name, text) in [("email", email), ("full_name", full_name), ("password", password.expose_secret())] {
        fields.insert(name.to_owned(), text.into());
    }
    let mut reader = FieldReader::new(Fields::from(fields));
    let (email, full_name) = (user::email(&mut reader, "email", true), reader.required_text("full_name", user::MAX_CHARS));
    let own = [email.as_deref().unwrap_or_default(), full_name.as_deref().unwrap_or_default()];
    if let Some(weakness) = user::new_password(&mut reader, "password", true).and_then(|new| weakness(new.expose_secret(), &own)) {
        weakness.note(&mut reader.faults, "password");
    }
    let (Some(email), Some(full_name), true) = (email, full_name, reader.faults.is_empty()) else {
        let faults = reader.finish().1.into_vec();
        return Err(CreateAdminError::Input(faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.detail)).collect()));
    };
    let hash = Hasher::start().hash(password.clone()).await.map_err(|_busy| CreateAdminError::Hash)?;
    let failed = |error| DbError::new("making an admin", error);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let there = sqlx::query_scalar!(
        r#"SELECT id FROM ar.users WHERE lower(email COLLATE "C") = lower($1::text COLLATE "C") FOR NO KEY UPDATE"#,
        email
    );
    let user = match there.fetch_optional(&mut *transaction).await.map_err(failed)? {
        Some(_) if !existing => return Err(CreateAdminError::Exists),
        Some(id) => {
            store::set_password(&mut transaction, id, &hash).await.map_err(failed)?;
            store::end_sessions(&mut transaction, id, None).await.map_err(failed)?;
            let promote = sqlx::query!("UPDATE ar.users SET role = 'admin', is_active = true WHERE id = $1", id);
            promote.execute(&mut *transaction).await.map_err(failed)?;
            store::user(&mut *transaction, id).await.map_err(failed)?.ok_or(CreateAdminError::Exists)?
        }
        None => store::add_user(&mut *transaction, &email, &full_name, &hash, Role::Admin)
            .await
            .map_err(|error| if store::is_email_taken(&error) { CreateAdminError::Exists } else { failed(error).into() })?,
    };
    let (actor, id) = (Actor::command_line(), user.id.to_string());
    audit::record(&mut transaction, &actor, "user.create_admin", Some(&id), json!({})).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(user)
}
