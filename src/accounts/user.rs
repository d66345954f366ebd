//! An account as clients see it, and how its fields are read.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::hasher::Hasher;
use super::identity::Role;
use super::password::{self, Weakness};
use crate::http::ApiError;
use crate::input::{Faults, FieldFault, FieldReader};

/// An account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct User {
    /// Identity.
    pub id: Uuid,
    /// Sign-in name.
    #[schema(example = "ada@example.org")]
    pub email: String,
    /// Name as the person writes it.
    pub full_name: String,
    /// What it may do.
    pub role: Role,
    /// False: may not sign in.
    pub is_active: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Last successful sign-in.
    #[schema(required)]
    pub last_login: Option<DateTime<Utc>>,
}

/// Most characters of an e-mail address and of a name.
pub(super) const MAX_CHARS: usize = 255;
/// Most characters of a password that is looked at.
const MAX_PASSWORD_CHARS: usize = 128;

/// Takes an e-mail address that was given; `None` also when a fault was noted.
pub(super) fn email(reader: &mut FieldReader, name: &str, required: bool) -> Option<String> {
    let text = if required { reader.required_text(name, MAX_CHARS)? } else { reader.text(name, MAX_CHARS, false)? };
    let well_formed = text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if !well_formed || text.chars().any(char::is_whitespace) {
        reader.faults.out_of_domain(name, "not_an_email", "is not an e-mail address such as ada@example.org");
    }
    Some(text)
}

/// Takes a password that is to be compared.
pub(super) fn old_password(reader: &mut FieldReader, name: &str, required: bool) -> Option<SecretString> {
    let text = if required { reader.required_text(name, MAX_PASSWORD_CHARS) } else { reader.text(name, MAX_PASSWORD_CHARS, false) };
    text.map(SecretString::from)
}

/// Takes a password that is to be set, still to be judged; `None` also when a fault was noted.
pub(super) fn new_password(reader: &mut FieldReader, name: &str, required: bool) -> Option<SecretString> {
    let before = reader.faults.len();
    let password = old_password(reader, name, required).filter(|_| reader.faults.len() == before)?;
    if let Some(weakness) = password::too_short(password.expose_secret()) {
        weakness.note(&mut reader.faults, name);
        return None;
    }
    Some(password)
}

/// Judges a password that is to be set, and notes why it is too weak; `own` are the account's e-mail and name.
///
/// # Errors
/// 503 when too much is to be judged and hashed already.
pub(super) async fn judge(
    hasher: &Hasher,
    faults: &mut Faults,
    name: &str,
    password: Option<&SecretString>,
    own: &[Option<&str>],
) -> Result<(), ApiError> {
    let Some(password) = password else { return Ok(()) };
    let own = own.iter().flatten().map(|text| (*text).to_owned()).collect();
    if let Some(weakness) = hasher.judge(password.clone(), own).await? {
        weakness.note(faults, name);
    }
    Ok(())
}

/// Names a request whose one fault is its new password `weak_password`.
pub(super) fn weak_password(error: ApiError) -> ApiError {
    let is_such =
        |fault: &FieldFault| ["password", "new_password"].contains(&fault.field.as_str()) && Weakness::CODES.contains(&fault.code);
    error.renamed_if_only("weak_password", is_such)
}
