//! Who somebody is once his token was looked at.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "varchar", rename_all = "snake_case")]
pub enum Role {
    /// Manages content, edges and accounts.
    Admin,
    /// Has devices of its own.
    User,
}

impl Role {
    /// The words, for messages.
    pub(super) const WORDS: &str = "admin, user";

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }

    /// The role of a word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Admin, Self::User].into_iter().find(|role| role.as_str() == word)
    }
}

/// A signed-in account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub user_id: Uuid,
    /// Its session.
    pub session_id: Uuid,
    /// What it may do now, whatever its token says.
    pub role: Role,
}
