//! Conditional requests (RFC 9110): `ETag` is the version in quotes, or a hash of what has no version; `If-Match` and
//! `If-None-Match` ask for it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::convert::Infallible;

use super::ApiError;
use crate::input::Faults;

/// The tags of a conditional header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`
    Any,
    /// Opaque tags, each with whether it is a weak one.
    These(Vec<(bool, String)>),
}

/// Extractor: `If-Match`, read when its turn comes.
pub(crate) struct IfMatch(Result<Option<Tags>, ()>);

/// Extractor: `If-None-Match`; one that cannot be read matches nothing.
pub(crate) struct IfNoneMatch(Option<Tags>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(tags(&parts.headers, &header::IF_MATCH)))
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(tags(&parts.headers, &header::IF_NONE_MATCH).ok().flatten()))
    }
}

impl IfMatch {
    /// The condition, if there is one.
    ///
    /// # Errors
    /// 400 when the header cannot be read.
    pub(crate) fn read(self) -> Result<Option<Tags>, ApiError> {
        self.0.map_err(|()| {
            let mut faults = Faults::default();
            faults.unreadable("If-Match", "bad_entity_tag", "is neither * nor a list of tags in quotes, such as \"7\"");
            faults.into()
        })
    }
}

impl IfNoneMatch {
    /// Whether the client has this version already.
    pub(crate) fn matches(&self, version: i64) -> bool {
        self.matches_tag(&version.to_string())
    }

    /// Whether the client has what carries this tag already.
    pub(crate) fn matches_tag(&self, wanted: &str) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            // The weak comparison.
            Some(Tags::These(tags)) => tags.iter().any(|(_, tag)| tag == wanted),
        }
    }
}

impl Tags {
    /// Whether the condition holds for the version that is there, by the strong comparison.
    pub(crate) fn allow(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|(weak, tag)| !weak && *tag == version.to_string()),
        }
    }
}

/// 428: the route changes only what the client has seen.
pub(crate) fn precondition_required() -> ApiError {
    let detail = "this needs If-Match with the ETag of what is to be replaced, such as \"7\", or * to replace whatever is there";
    ApiError::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail)
}

/// 412: somebody else was faster; `current` is what is there now.
pub(crate) fn version_mismatch(current: impl serde::Serialize) -> ApiError {
    let current = serde_json::to_value(current).unwrap_or_default();
    let detail = "it was changed meanwhile; the member current is what is there now";
    ApiError::new(StatusCode::PRECONDITION_FAILED, "version_mismatch", detail).with("current", current)
}

/// The tag of a version.
pub(crate) fn etag(version: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, ()> {
    let mut found = Vec::new();
    let mut any = false;
    for value in headers.get_all(name) {
        let mut rest = value.to_str().map_err(|_not_text| ())?.trim();
        if rest == "*" {
            any = true;
            continue;
        }
        while !rest.is_empty() {
            let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
            let (tag, after) = quoted.strip_prefix('"').ok_or(())?.split_once('"').ok_or(())?;
            found.push((weak, tag.to_owned()));
            rest = after.trim_start();
            if !rest.is_empty() {
                rest = rest.strip_prefix(',').ok_or(())?.trim_start();
            }
        }
    }
    match (any, found.is_empty(), headers.contains_key(name)) {
        (true, true, _) => Ok(Some(Tags::Any)),
        (false, false, _) => Ok(Some(Tags::These(found))),
        (false, true, false) => Ok(None),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("*", true)]
    #[case("\"7\"", true)]
    #[case("\"6\", \"7\"", true)]
    #[case("\"6\",\"8\"", false)]
    #[case("W/\"7\"", false)]
    #[case("\"07\"", false)]
    #[case("\"\"", false)]
    fn if_match_compares_strongly(#[case] value: &'static str, #[case] allowed: bool) {
        let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(value))]);
        assert_eq!(tags(&headers, &header::IF_MATCH).expect("reads").expect("given").allow(7), allowed);
    }

    #[rstest]
    #[case("7")]
    #[case("\"7")]
    #[case("\"7\" \"8\"")]
    #[case("*, \"7\"")]
    #[case("")]
    fn what_is_no_list_of_tags_cannot_be_read(#[case] value: &'static str) {
        let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(value))]);
        assert_eq!(tags(&headers, &header::IF_MATCH), Err(()));
    }
}
