//! Under which address the client reached us: for links that must be whole, and to know our own pages by.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, HeaderValue, header};

use super::client::Client;

/// Extractor: scheme, host and port as the client wrote them, such as `https://ar.example.com`. Empty when it named no
/// host that may stand in a link, so that links made with it are relative.
#[derive(Clone, Debug)]
pub(crate) struct Origin(String);

impl Origin {
    /// The address of a path here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Whether a page's `Origin` is this one; none is when it is not known.
    pub(crate) fn is(&self, page: &HeaderValue) -> bool {
        !self.0.is_empty() && page.as_bytes().eq_ignore_ascii_case(self.0.as_bytes())
    }

    /// That of a request.
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap) -> Self {
        let secure = extensions.get::<Client>().is_some_and(|client| client.secure);
        Self::named(headers, secure)
    }

    fn named(headers: &HeaderMap, secure: bool) -> Self {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        // An authority may have a user's name and password before the host: `Host` may not.
        let host = host.filter(|host| host.parse::<Authority>().is_ok() && !host.contains('@'));
        let scheme = if secure { "https" } else { "http" };
        Self(host.map(|host| format!("{scheme}://{host}")).unwrap_or_default())
    }
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions, &parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use rstest::rstest;

    #[rstest]
    #[case("ar.example.com", false, "http://ar.example.com/ogc")]
    #[case("ar.example.com:8443", true, "https://ar.example.com:8443/ogc")]
    #[case("[::1]:8080", false, "http://[::1]:8080/ogc")]
    #[case("a@evil.example", false, "/ogc")]
    #[case("evil.example/x?", false, "/ogc")]
    #[case("\"><script>", false, "/ogc")]
    #[case("", false, "/ogc")]
    fn only_a_plain_host_is_put_into_links(#[case] host: &'static str, #[case] secure: bool, #[case] expected: &'static str) {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        let origin = Origin::named(&headers, secure);
        assert_eq!(origin.url("/ogc"), expected);
        let page = HeaderValue::from_static(expected.strip_suffix("/ogc").expect("a path of ours"));
        assert_eq!(origin.is(&page), expected != "/ogc", "without a name nobody is ours");
    }
}
