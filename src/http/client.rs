//! Who is at the other end: the peer of the connection, or whoever a trusted proxy says it speaks for.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

use super::throttle::NOWHERE;

/// The peer of a connection; put into every request by the accept loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) tls: bool,
}

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// Whether the client's own connection is encrypted.
    pub(crate) secure: bool,
}

impl Client {
    /// The peer, unless that is a trusted proxy: then the rightmost address of `X-Forwarded-For` that is not
    /// one itself. What stands further left anybody could have written.
    pub(crate) fn of(peer: Option<Peer>, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.unwrap_or(Peer { address: NOWHERE, tls: false });
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address.to_canonical()));
        if !is_trusted(peer.address) {
            return Self { address: peer.address.to_canonical(), secure: peer.tls };
        }
        let texts = |name| -> Vec<String> {
            // What is no text stays in its place, as something that is no address.
            let lines = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            lines.flat_map(|line| line.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>()).collect()
        };
        let hops = texts("x-forwarded-for");
        let mut address = peer.address;
        for hop in hops.iter().rev() {
            // An address that cannot be read ends the chain: what stands before it is worth nothing.
            let Some(hop) = address_of(hop) else { break };
            address = hop;
            if !is_trusted(hop) {
                break;
            }
        }
        let secure = peer.tls || texts("x-forwarded-proto").last().is_some_and(|protocol| protocol.eq_ignore_ascii_case("https"));
        Self { address: address.to_canonical(), secure }
    }
}

/// An address as proxies write it, perhaps with a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.split_once(']').map(|(address, _)| address);
    let text = bracketed().unwrap_or(text);
    text.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};
    use rstest::rstest;

    #[rstest]
    // Nobody believes a stranger.
    #[case("198.51.100.9", "203.0.113.5", "198.51.100.9")]
    #[case("10.0.0.1", "", "10.0.0.1")]
    #[case("10.0.0.1", "203.0.113.5", "203.0.113.5")]
    // What the client itself wrote stands on the left.
    #[case("10.0.0.1", "1.2.3.4, 203.0.113.5", "203.0.113.5")]
    #[case("10.0.0.1", "203.0.113.5, 10.0.0.7", "203.0.113.5")]
    #[case("10.0.0.1", "203.0.113.5, garbage, 10.0.0.7", "10.0.0.7")]
    #[case("10.0.0.1", "10.0.0.8, 10.0.0.7", "10.0.0.8")]
    #[case("::ffff:10.0.0.1", "[2001:db8::1]:443", "2001:db8::1")]
    #[case("10.0.0.1", "203.0.113.5:1234", "203.0.113.5")]
    fn the_client_is_the_rightmost_stranger(#[case] peer: &str, #[case] forwarded: &'static str, #[case] expected: &str) {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        let mut headers = HeaderMap::new();
        if !forwarded.is_empty() {
            headers.insert(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static(forwarded));
        }
        let peer = Peer { address: peer.parse().expect("an address"), tls: false };
        assert_eq!(Client::of(Some(peer), &headers, &trusted).address.to_string(), expected);
    }

    #[test]
    fn only_a_trusted_proxy_says_that_it_was_https() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("https"))]);
        let secure =
            |address: &str| Client::of(Some(Peer { address: address.parse().expect("an address"), tls: false }), &headers, &trusted).secure;
        assert!(secure("10.0.0.1"));
        assert!(!secure("198.51.100.9"));
    }
}
