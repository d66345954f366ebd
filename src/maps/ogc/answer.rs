//! Requests and answers in their two forms, with links in the body and in the header.

use std::convert::Infallible;
use std::sync::LazyLock;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use url::form_urlencoded;

use super::metadata::Link;
use super::page::STYLE;
use crate::http::{ApiError, Origin, json};

/// Extractor: what a request says beside its path.
pub(super) struct Asked {
    pub(super) origin: Origin,
    pub(super) headers: HeaderMap,
    /// The query as it came.
    pub(super) query: String,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let origin = Origin::from_request_parts(parts, state).await?;
        Ok(Self { origin, headers: parts.headers.clone(), query: parts.uri.query().unwrap_or_default().to_owned() })
    }
}

/// Names that an address of ours goes on with.
const FORM: &str = "f";
const CURSOR: &str = "cursor";

impl Asked {
    /// This very request again.
    pub(super) fn again(&self, path: &str) -> String {
        self.with(path, &[], &[])
    }

    /// The same in another form.
    pub(super) fn in_form(&self, path: &str, form: &str) -> String {
        self.with(path, &[FORM], &[(FORM, form)])
    }

    /// The page after this one.
    pub(super) fn next(&self, path: &str, cursor: &str) -> String {
        self.with(path, &[CURSOR], &[(CURSOR, cursor)])
    }

    /// The same list from its beginning.
    pub(super) fn first(&self, path: &str) -> String {
        self.with(path, &[CURSOR], &[])
    }

    fn with(&self, path: &str, left_out: &[&str], added: &[(&str, &str)]) -> String {
        let given = form_urlencoded::parse(self.query.as_bytes());
        // Encoded anew, because a client may send what may not stand in a header.
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(given.filter(|(name, value)| !left_out.contains(&name.as_ref()) && !value.is_empty())).extend_pairs(added);
        let query = query.finish();
        let url = self.origin.url(path);
        if query.is_empty() { url } else { format!("{url}?{query}") }
    }
}

/// An answer as JSON, its links in its header too.
///
/// # Errors
/// 500 when it cannot be written, which would be a bug.
pub(super) fn as_json<T: Serialize>(media_type: &'static str, value: &T, links: &[Link]) -> Result<Response, ApiError> {
    let mut response = json(media_type, value)?;
    response.headers_mut().extend(link_header(links));
    Ok(response)
}

/// An answer as a page, its links in its header too.
pub(super) fn as_page(html: String, links: &[Link]) -> Response {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
        let policy = format!(
            "default-src 'none'; img-src data:; style-src 'sha256-{}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            STANDARD.encode(digest)
        );
        HeaderValue::try_from(policy).expect("words and base64")
    });
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        // The one style in it, and nothing from anywhere.
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    let mut response = (head, html).into_response();
    response.headers_mut().extend(link_header(links));
    response
}

/// RFC 8288; titles are left to the body, because a header is ASCII.
fn link_header(links: &[Link]) -> Option<(header::HeaderName, HeaderValue)> {
    let written = |link: &Link| format!("<{}>; rel=\"{}\"; type=\"{}\"", link.href, link.rel, link.media_type);
    let text = links.iter().map(written).collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(text).ok().filter(|text| !text.is_empty()).map(|text| (header::LINK, text))
}
