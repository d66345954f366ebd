//! The published digest of what an edge holds, written as an edge would: SHA-256 and XOR.

use std::ops::RangeInclusive;

use uuid::Uuid;

use crate::keys::sha256;

/// What one decoration adds to a digest: the first 8 bytes of SHA-256(id ‖ `sync_version`), both big-endian.
pub(super) fn mark(id: Uuid, sync_version: i64) -> u64 {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(id.as_bytes());
    bytes[16..].copy_from_slice(&sync_version.to_be_bytes());
    first_bytes(&bytes)
}

/// Where a decoration stands in the order of buckets: the first 64 bits of SHA-256(id).
pub(super) fn place(id: Uuid) -> u64 {
    first_bytes(id.as_bytes())
}

/// The bucket at a place: its first `bits` bits, as a number.
pub(super) fn bucket(place: u64, bits: u32) -> u32 {
    u32::try_from(place.checked_shr(64 - bits).unwrap_or(0)).expect("buckets have at most 16 bits")
}

/// The places of a bucket.
pub(super) fn places(prefix: u32, bits: u32) -> RangeInclusive<u64> {
    let first = u64::from(prefix).checked_shl(64 - bits).unwrap_or(0);
    first..=first | u64::MAX.checked_shr(bits).unwrap_or(0)
}

/// The first 8 bytes of SHA-256, as a number.
pub(super) fn first_bytes(bytes: &[u8]) -> u64 {
    let hash = sha256(bytes);
    u64::from_be_bytes(hash[..8].try_into().expect("eight of 32"))
}

/// A digest as it goes over the wire.
pub(super) fn hex(digest: u64) -> String {
    format!("{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `sha256sum`: printf of the 24 bytes, the first 16 digits.
    #[test]
    fn a_mark_is_what_sha256sum_says() {
        let id = Uuid::from_u128(0x0193_6e1c_5a00_7000_8000_0000_0000_00de);
        assert_eq!(hex(mark(id, 42)), "4d73ec8bc61ceba3");
        assert_eq!(hex(place(id)), "cc75f43e55858a61");
        assert_eq!(hex(0), "0000000000000000");
    }

    #[test]
    fn buckets_are_the_first_bits_and_end_where_the_next_begins() {
        let place = 0xcc75_f43e_5585_8a61;
        assert_eq!([0, 1, 3, 8, 16].map(|bits| bucket(place, bits)), [0, 1, 0b110, 0xcc, 0xcc75]);
        for (prefix, bits, first, last) in [(0, 0, 0, u64::MAX), (6, 3, 6 << 61, (7 << 61) - 1), (0xffff, 16, 0xffff << 48, u64::MAX)] {
            assert_eq!(places(prefix, bits), first..=last);
            assert_eq!((bucket(first, bits), bucket(last, bits)), (prefix, prefix));
        }
    }
}
