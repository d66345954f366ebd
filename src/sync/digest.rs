//! Digests of what an edge holds: sets of decorations by id and number, compared as a whole and by buckets.

use std::fmt;
use std::ops::{BitXor, BitXorAssign};

use aws_lc_rs::digest::{Context, SHA256, digest};
use uuid::Uuid;

/// Most bits that make a bucket.
pub(crate) const MAX_BITS: u8 = 16;
/// Items that a bucket has at most, on average.
const ITEMS_A_BUCKET: u64 = 64;

/// XOR, over a set, of the first 8 bytes of SHA-256(id's 16 bytes ‖ number as 8 bytes big-endian).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Digest {
    /// Of one item.
    pub(crate) fn of(id: Uuid, number: i64) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(id.as_bytes());
        hash.update(&number.to_be_bytes());
        Self(u64::from_be_bytes(first(hash.finish().as_ref())))
    }

    /// From 16 hexadecimal digits.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }

    /// As the database has it: a signed number.
    pub(crate) fn from_db(number: i64) -> Self {
        Self(number.cast_unsigned())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl BitXor for Digest {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
}

impl BitXorAssign for Digest {
    fn bitxor_assign(&mut self, other: Self) {
        *self = *self ^ other;
    }
}

/// A set by its size and digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) digest: Digest,
}

impl Sum {
    pub(crate) fn add(&mut self, id: Uuid, number: i64) {
        self.count += 1;
        self.digest ^= Digest::of(id, number);
    }

    pub(crate) fn take(&mut self, id: Uuid, number: i64) {
        self.count = self.count.saturating_sub(1);
        self.digest ^= Digest::of(id, number);
    }
}

/// The bucket of an id: the first `bits` bits of SHA-256 of its 16 bytes.
pub(crate) fn bucket(id: Uuid, bits: u8) -> u32 {
    let first = u32::from_be_bytes(first(digest(&SHA256, id.as_bytes()).as_ref()));
    first.checked_shr(32 - u32::from(bits)).unwrap_or(0)
}

/// How many bits give buckets of a good size.
pub(crate) fn bits_for(count: u64) -> u8 {
    (0..MAX_BITS).find(|bits| count.div_ceil(1 << bits) <= ITEMS_A_BUCKET).unwrap_or(MAX_BITS)
}

fn first<const N: usize>(hash: &[u8]) -> [u8; N] {
    *hash.first_chunk().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ID: Uuid = Uuid::from_u128(0x0193_6e1c_5a00_7000_8000_0000_0000_00de);

    /// The number is of another implementation: Python's.
    #[test]
    fn digests_are_those_of_sha_256() {
        assert_eq!(Digest::of(ID, 4711).to_string(), "fd0c8a4e9a3bf904");
        assert_eq!(Digest::from_hex("00000000000000ff").map(|digest| digest.to_string()).as_deref(), Some("00000000000000ff"));
        assert_eq!(Digest::from_hex("+000000000000000"), None);
        assert_eq!(Digest::from_hex("0"), None);
    }

    #[test]
    fn a_set_does_not_know_the_order_it_came_in() {
        let (mut a, mut b) = (Sum::default(), Sum::default());
        let ids = [1, 2, 3].map(Uuid::from_u128);
        for id in ids {
            a.add(id, 7);
        }
        for id in ids.into_iter().rev() {
            b.add(id, 7);
        }
        assert_eq!(a, b);
        for id in ids {
            a.take(id, 7);
        }
        assert_eq!(a, Sum::default());
    }

    #[rstest]
    #[case(0, 0)]
    #[case(64, 0)]
    #[case(65, 1)]
    #[case(129, 2)]
    #[case(100_000, 11)]
    #[case(u64::MAX, MAX_BITS)]
    fn buckets_are_small(#[case] count: u64, #[case] bits: u8) {
        assert_eq!(bits_for(count), bits);
    }

    #[test]
    fn buckets_are_prefixes() {
        for id in (0..100).map(Uuid::from_u128) {
            assert_eq!(bucket(id, 0), 0);
            assert_eq!(bucket(id, 3) >> 1, bucket(id, 2));
            assert!(bucket(id, MAX_BITS) < 1 << MAX_BITS);
        }
    }
}
