//! Where health checks may go: to public addresses, and to what `HEALTH_CHECK_ALLOW` names. This file decides, and
//! resolves and dials nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

use crate::config::Dialable;

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 3], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(segments[0], segments[1], segments[2], 0, 0, 0, 0, 0), prefix)
}

/// Addresses that are nobody's on the Internet, or that mean something else to the machine that dials them.
/// Source: IANA IPv4 Special-Purpose Address Registry; the last one is Azure's.
const NOT_PUBLIC_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),        // this network; 0.0.0.0 reaches the machine itself
    v4(10, 0, 0, 0, 8),       // private
    v4(100, 64, 0, 0, 10),    // carrier-grade NAT; Alibaba's metadata
    v4(127, 0, 0, 0, 8),      // loopback
    v4(169, 254, 0, 0, 16),   // link-local; metadata of most clouds
    v4(172, 16, 0, 0, 12),    // private
    v4(192, 0, 0, 0, 24),     // protocol assignments; Oracle's metadata
    v4(192, 0, 2, 0, 24),     // documentation
    v4(192, 88, 99, 0, 24),   // 6to4 relays
    v4(192, 168, 0, 0, 16),   // private
    v4(198, 18, 0, 0, 15),    // benchmarking
    v4(198, 51, 100, 0, 24),  // documentation
    v4(203, 0, 113, 0, 24),   // documentation
    v4(224, 0, 0, 0, 4),      // multicast
    v4(240, 0, 0, 0, 4),      // reserved, and broadcast
    v4(168, 63, 129, 16, 32), // public in form; Azure's hosts answer machines there
];

/// All that is given out for use on the Internet. Outside it are loopback, unspecified, IPv4-mapped and -compatible
/// addresses, NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`), unique-local, link-local, site-local and multicast ones.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0], 3);

/// What of it is not public. Source: IANA IPv6 Special-Purpose Address Registry.
const NOT_PUBLIC_V6: [Ipv6Net; 5] = [
    v6([0x2001, 0, 0], 23),     // protocol assignments: Teredo, benchmarking, ORCHID
    v6([0x2001, 0xdb8, 0], 32), // documentation
    v6([0x2002, 0, 0], 16),     // 6to4: an IPv4 address inside
    v6([0x3ffe, 0, 0], 16),     // the former 6bone
    v6([0x3fff, 0, 0], 20),     // documentation
];

/// What may be dialled.
pub(super) struct Egress {
    hosts: Vec<String>,
    networks: Vec<IpNet>,
}

impl Egress {
    /// Public addresses and what is listed.
    pub(super) fn new(allow: &[Dialable]) -> Self {
        let (mut hosts, mut networks) = (Vec::new(), Vec::new());
        for dialable in allow {
            match dialable {
                Dialable::Host(host) => hosts.push(host.clone()),
                Dialable::Network(network) => networks.push(*network),
            }
        }
        Self { hosts, networks }
    }

    /// Whether the URL's host stands in the list by its name: whatever it resolves to may be dialled.
    pub(super) fn names_host_of(&self, url: &Url) -> bool {
        url.host_str().is_some_and(|host| self.hosts.iter().any(|known| known == host))
    }

    /// Whether an address may be dialled, whoever's name it was found under.
    pub(super) fn allows_address(&self, address: IpAddr) -> bool {
        is_public(address) || self.lists_address(address)
    }

    /// Whether a URL's host may be spoken to without TLS: it stands in the list by its name, or is an address of a
    /// network in the list.
    pub(crate) fn allows_plain(&self, url: &Url) -> bool {
        let in_network = match url.host() {
            Some(Host::Ipv4(address)) => self.lists_address(address.into()),
            Some(Host::Ipv6(address)) => self.lists_address(address.into()),
            Some(Host::Domain(_)) | None => false,
        };
        in_network || self.names_host_of(url)
    }

    /// An IPv4-mapped address is dialled as the IPv4 address inside, so that one alone is looked for: `127.0.0.1/32`
    /// lists `::ffff:127.0.0.1`, and `::/0` lists no IPv4 address. The other forms with an IPv4 address inside end
    /// elsewhere than there, and count as themselves.
    fn lists_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => GLOBAL_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn egress(allow: &[&str]) -> Egress {
        let host = |text: &str| Dialable::Host(Host::parse(text).expect("a host").to_string());
        Egress::new(&allow.iter().map(|text| text.parse().map_or_else(|_| host(text), Dialable::Network)).collect::<Vec<_>>())
    }

    #[rstest]
    fn what_is_not_public_is_refused(
        #[values(
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::a00:1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3ffe::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1"
        )]
        address: IpAddr,
    ) {
        assert!(!egress(&[]).allows_address(address));
        assert!(!egress(&["edge.internal", "192.0.2.200/32"]).allows_address(address));
    }

    #[rstest]
    fn what_is_public_may_be_dialled(
        #[values(
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.1.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.169.0.1",
            "198.17.1.1",
            "198.20.0.1",
            "223.255.255.254",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2003::1",
            "2606:4700::1111",
            "2a00:1450::1"
        )]
        address: IpAddr,
    ) {
        assert!(egress(&[]).allows_address(address));
    }

    #[rstest]
    #[case("10.20.0.0/16", "10.20.255.1", true)]
    #[case("10.20.0.0/16", "10.21.0.1", false)]
    #[case("10.20.0.0/16", "::ffff:10.20.0.1", true)]
    #[case("10.20.0.0/16", "::10.20.0.1", false)]
    #[case("10.20.0.0/16", "64:ff9b::10.20.0.1", false)]
    #[case("10.20.0.0/16", "2002:a14:1::", false)]
    #[case("fd00::/8", "fd12::1", true)]
    #[case("fd00::/8", "fc12::1", false)]
    #[case("::/0", "fd12::1", true)]
    #[case("::/0", "127.0.0.1", false)]
    #[case("::/0", "::ffff:127.0.0.1", false)]
    #[case("64:ff9b::/96", "64:ff9b::10.20.0.1", true)]
    #[case("edge.internal", "10.20.0.1", false)]
    fn a_network_lists_its_own_addresses(#[case] allowed: &str, #[case] address: IpAddr, #[case] expected: bool) {
        assert_eq!(egress(&[allowed]).allows_address(address), expected);
    }

    #[rstest]
    #[case("http://edge.internal/", true)]
    #[case("ws://EDGE.internal:9000/ws", true)]
    #[case("http://edge.internal./", false)]
    #[case("http://other.edge.internal/", false)]
    #[case("http://edge.internal.example.com/", false)]
    #[case("http://edge.internal@example.com/", false)]
    #[case("http://10.20.3.4:8080/", true)]
    #[case("http://0x0a140304/", true)]
    #[case("http://[::ffff:10.20.3.4]/", true)]
    #[case("http://10.21.0.1/", false)]
    #[case("http://[fd00::1]/", true)]
    #[case("http://[fd00::2]/", false)]
    #[case("http://example.com/", false)]
    #[case("http://8.8.8.8/", false)]
    fn plain_connections_need_a_listed_host(#[case] url: Url, #[case] expected: bool) {
        assert_eq!(egress(&["edge.internal", "10.20.0.0/16", "[fd00::1]"]).allows_plain(&url), expected);
    }
}
