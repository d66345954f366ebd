//! Keys derived from the service's secret: one for each purpose, the same on every instance.

use aws_lc_rs::hkdf;
use secrecy::{ExposeSecret, SecretString};

/// Derives 32 bytes for a purpose (HKDF-SHA-256). Other purposes give bytes that tell nothing of these.
#[must_use]
pub(crate) fn derive(secret: &SecretString, purpose: &str) -> [u8; 32] {
    struct Length;
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            32
        }
    }
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"ar-supervisor");
    let pseudo_random_key = salt.extract(secret.expose_secret().as_bytes());
    let mut key = [0; 32];
    let info = [purpose.as_bytes()];
    pseudo_random_key.expand(&info, Length).and_then(|output| output.fill(&mut key)).expect("one block of HKDF-SHA-256 is never too long");
    key
}

/// Bytes that nobody can guess.
///
/// # Panics
/// When the system has no randomness, without which nothing here is safe.
#[must_use]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// SHA-256, the form in which random secrets are kept.
#[must_use]
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
#[must_use]
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
