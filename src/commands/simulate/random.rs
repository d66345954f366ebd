//! Chance that can be repeated: every edge and every phone has a sequence of its own, made from the seed.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea, Flood 2014): small, fast, and good enough for paths and pauses. Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of one actor; different actors of a seed have unrelated ones.
    pub(crate) fn new(seed: u64, actor: u64) -> Self {
        let mut mixed = Self(seed);
        Self(mixed.bits() ^ Self(actor).bits())
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in [least, most).
    pub(crate) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// Uniform between two lengths of time.
    pub(crate) fn time_between(&mut self, least: Duration, most: Duration) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.unit())
    }

    /// True with a probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of a list; `None` when it is empty.
    pub(crate) fn one_of<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let length = u64::try_from(list.len()).ok().filter(|length| *length > 0)?;
        list.get(usize::try_from(self.bits() % length).ok()?)
    }

    /// Puts a list into random order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let choices: u64 = last as u64 + 1;
            list.swap(last, usize::try_from(self.bits() % choices).unwrap_or(last));
        }
    }

    /// The time until something that happens to `pct_per_minute` percent of its kind each minute; `None`: never.
    pub(crate) fn time_until(&mut self, pct_per_minute: f64) -> Option<Duration> {
        let mean_s = 6000.0 / pct_per_minute;
        Duration::try_from_secs_f64(-(1.0 - self.unit()).ln() * mean_s).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_actors_differ() {
        let sequence = |seed, actor| {
            let mut random = Random::new(seed, actor);
            [random.bits(), random.bits()]
        };
        assert_eq!(sequence(7, 1), sequence(7, 1));
        assert_ne!(sequence(7, 1), sequence(7, 2));
        assert_ne!(sequence(7, 1), sequence(8, 1));
    }

    #[test]
    fn churn_comes_as_often_as_asked() {
        let mut random = Random::new(1, 1);
        let mean_s = (0..20_000).filter_map(|_| random.time_until(10.0)).map(|time| time.as_secs_f64()).sum::<f64>() / 20_000.0;
        assert!((570.0..630.0).contains(&mean_s), "{mean_s} s, where 10 % a minute are 600");
        assert_eq!(random.time_until(0.0), None);
    }
}
