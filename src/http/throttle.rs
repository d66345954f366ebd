//! How many requests a caller may make: one bucket for each caller and class of routes, and for guesses at a
//! password one for each account besides. The rate is the generic cell algorithm (crate governor).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use uuid::Uuid;

use super::ApiError;
use crate::keys;
use crate::telemetry::meters;

/// Classes of routes; callers of one cannot use up another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Without a token.
    Public,
    /// Where passwords can be guessed.
    Auth,
    /// Signed-in people.
    User,
    /// Admins.
    Admin,
    /// Edge servers.
    Edge,
    /// Map tiles and the files of the live map: a browser asks for dozens at once.
    Tiles,
}

/// So many requests in such a time; as many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    requests: NonZeroU32,
    period: Duration,
}

/// A rate for each class; none where there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits([Option<Rate>; 6]);

/// Names of the classes as operators write them, in the order of [`Class`].
pub(crate) const CLASSES: [&str; 6] = ["public", "auth", "user", "admin", "edge", "tiles"];
/// Limits that nobody set.
const DEFAULTS: &str = "public=50/s,auth=10/m,user=20/s,admin=50/s,edge=100/s,tiles=300/s";

impl Default for RateLimits {
    fn default() -> Self {
        Self::off().with(DEFAULTS).expect("the defaults can be read")
    }
}

impl RateLimits {
    /// No limits at all.
    #[must_use]
    pub fn off() -> Self {
        Self([None; 6])
    }

    /// Reads `off`, or limits such as `public=50/s,auth=10/m`; classes that are not named keep their default.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if text == "off" { Some(Self::off()) } else { Self::default().with(text) }
    }

    fn with(mut self, text: &str) -> Option<Self> {
        for part in text.split(',') {
            let (class, rate) = part.trim().split_once('=')?;
            let at = CLASSES.iter().position(|known| *known == class)?;
            self.0[at] = if rate == "off" { None } else { Some(Rate::from_text(rate)?) };
        }
        Some(self)
    }
}

impl Rate {
    fn from_text(text: &str) -> Option<Self> {
        let (requests, unit) = text.split_once('/')?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        Some(Self { requests: requests.parse().ok()?, period: Duration::from_secs(seconds) })
    }

    fn quota(self) -> Option<Quota> {
        Quota::with_period(self.period / self.requests.get()).map(|quota| quota.allow_burst(self.requests))
    }
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    /// A network: an IPv4 address, or the /64 of an IPv6 one.
    Network(IpAddr),
    /// A signed-in account.
    Account(Uuid),
    /// An edge server.
    Edge(Uuid),
    /// A session whose token was not seen before.
    Session(Uuid),
    /// Passwords tried for an account (a hash of its name), from one network.
    GuessesFrom([u8; 16], IpAddr),
    /// Passwords tried for an account from wherever it was never signed in.
    GuessesFromStrangers([u8; 16]),
    /// Passwords tried for an account by somebody signed in to it.
    OwnersGuesses(Uuid),
}

type Limiter = RateLimiter<Bucket, DefaultKeyedStateStore<Bucket>, DefaultClock, StateInformationMiddleware>;

/// The buckets of all callers.
pub struct Throttle {
    classes: [Option<(Rate, Limiter)>; 6],
    clock: DefaultClock,
}

/// What is left in a bucket, for the headers of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    limit: u32,
    remaining: u32,
    period_s: u64,
    reset_s: u64,
}

impl Throttle {
    /// Full buckets of the given limits.
    #[must_use]
    pub fn new(limits: RateLimits) -> Self {
        let limiter = |rate: Rate| Some((rate, RateLimiter::keyed(rate.quota()?).with_middleware()));
        Self { classes: limits.0.map(|rate| rate.and_then(limiter)), clock: DefaultClock::default() }
    }

    /// Takes one request out of a bucket; what is left, or none where there is no limit.
    ///
    /// # Errors
    /// 429 when the bucket is empty.
    pub(crate) fn take(&self, class: Class, bucket: Bucket) -> Result<Option<Allowance>, ApiError> {
        let Some((rate, limiter)) = &self.classes[class as usize] else { return Ok(None) };
        let (limit, period_s) = (rate.requests.get(), rate.period.as_secs());
        match limiter.check_key(&bucket) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let reset = rate.period / limit * (limit - remaining.min(limit));
                Ok(Some(Allowance { limit, remaining, period_s, reset_s: seconds_up(reset) }))
            }
            Err(not_until) => {
                meters().http.rate_limited[class as usize].increment(1);
                let wait_s = seconds_up(not_until.wait_time_from(self.clock.now())).max(1);
                let detail = format!("more than {limit} requests in {period_s} s; try again in {wait_s} s");
                let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(wait_s);
                Err(error.limited(Allowance { limit, remaining: 0, period_s, reset_s: wait_s }))
            }
        }
    }

    /// Takes one try at an account's password, whether the account exists or not. `known`: it was signed in
    /// from this network before, so that its owner gets in while strangers elsewhere use up their bucket.
    ///
    /// # Errors
    /// 429 when a bucket is empty.
    pub(crate) fn take_guess(&self, account: &str, address: IpAddr, known: bool) -> Result<(), ApiError> {
        let name = keys::sha256(account.to_ascii_lowercase().as_bytes());
        let name = *name.first_chunk().expect("a hash has more than 16 bytes");
        if !known {
            self.take(Class::Auth, Bucket::GuessesFromStrangers(name))?;
        }
        self.take(Class::Auth, Bucket::GuessesFrom(name, network_of(address))).map(|_| ())
    }

    /// Takes one try at the password of the account that is signed in.
    ///
    /// # Errors
    /// 429 when the bucket is empty.
    pub(crate) fn take_owners_guess(&self, account: Uuid) -> Result<(), ApiError> {
        self.take(Class::Auth, Bucket::OwnersGuesses(account)).map(|_| ())
    }

    /// Forgets buckets that are full again.
    pub(crate) fn forget_full(&self) {
        for (_, limiter) in self.classes.iter().flatten() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

impl Allowance {
    /// `RateLimit-*`, in the form of the IETF's draft 6.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert("ratelimit-limit", HeaderValue::from(self.limit));
        headers.insert("ratelimit-remaining", HeaderValue::from(self.remaining));
        headers.insert("ratelimit-reset", HeaderValue::from(self.reset_s));
        if let Ok(policy) = HeaderValue::from_str(&format!("{};w={}", self.limit, self.period_s)) {
            headers.insert("ratelimit-policy", policy);
        }
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    }
}

/// The network that counts as one caller: an IPv6 host has a /64 of its own to choose addresses from.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// A caller whose address is not known.
pub(crate) const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_class_and_the_rest_keeps_its_default() {
        let rate =
            |requests, seconds| Some(Rate { requests: NonZeroU32::new(requests).expect("not zero"), period: Duration::from_secs(seconds) });
        let limits = RateLimits::from_text("public=7/s, edge=off,user=90/h").expect("reads");
        assert_eq!(limits.0, [rate(7, 1), rate(10, 60), rate(90, 3600), rate(50, 1), None, rate(300, 1)]);
        assert_eq!(RateLimits::from_text("off"), Some(RateLimits::off()));
        for bad in ["", "public", "public=0/s", "public=1/d", "nobody=1/s", "public=-1/s", "public=1/s,,user=1/s", "on"] {
            assert_eq!(RateLimits::from_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_bucket_empties_for_its_owner_alone() {
        let throttle = Throttle::new(RateLimits::from_text("public=3/h").expect("reads"));
        let bucket = |last| Bucket::Network(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        let left: Vec<u32> = (0..3).map(|_| throttle.take(Class::Public, bucket(1)).expect("left").expect("limited").remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        assert!(throttle.take(Class::Public, bucket(1)).is_err());
        assert!(throttle.take(Class::Public, bucket(2)).is_ok());
        assert!(throttle.take(Class::User, bucket(1)).is_ok());
    }

    #[test]
    fn strangers_do_not_use_up_the_owners_tries() {
        let throttle = Throttle::new(RateLimits::default());
        let from = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number));
        let tried = (0..1000).filter(|number| throttle.take_guess("Ada@example.org", from(*number), false).is_ok()).count();
        assert_eq!(tried, 10);
        assert!(throttle.take_guess("ada@EXAMPLE.org", from(5000), false).is_err(), "names are the same whatever their case");
        assert!(throttle.take_guess("ada@example.org", from(5001), true).is_ok());
    }

    #[test]
    fn an_ipv6_host_is_its_network() {
        let network = |text: &str| network_of(text.parse().expect("an address")).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
