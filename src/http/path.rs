//! Identifiers in paths: what is malformed is simply not there, and the handler says so when it is its turn.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use uuid::Uuid;

/// Extractor: the one parameter of a path, as text.
pub(crate) struct PathText(Option<String>);

/// Extractor: the one parameter of a path, as an identifier.
pub(crate) struct PathId(Option<Uuid>);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let text = Path::<String>::from_request_parts(parts, state).await.ok().map(|Path(text)| text);
        // What PostgreSQL cannot hold is nothing's name.
        Ok(Self(text.filter(|text| !text.contains('\0'))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let PathText(text) = PathText::from_request_parts(parts, state).await?;
        // In the one spelling that we answer.
        Ok(Self(text.filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(&text).ok())))
    }
}

impl PathText {
    /// The text, if it is one.
    pub(crate) fn read(self) -> Option<String> {
        self.0
    }
}

impl PathId {
    /// The identifier, if it is one.
    pub(crate) fn read(&self) -> Option<Uuid> {
        self.0
    }
}
