//! Random numbers from a seed that is printed and can be given: a failure can be repeated.

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and good enough to choose places.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// From `AR_TEST_SEED`, else from the clock; says which, for repeating a failure.
    pub(crate) fn seeded(what: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let seed = match std::env::var("AR_TEST_SEED") {
            Ok(text) => text.parse().expect("AR_TEST_SEED is a whole number"),
            Err(_not_set) => now.as_secs() ^ u64::from(now.subsec_nanos()).rotate_left(32),
        };
        println!("{what}: AR_TEST_SEED={seed}");
        Self::of(seed)
    }

    /// From a seed that another one gave.
    pub(crate) fn of(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// What it began with.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly between two numbers.
    pub(crate) fn between(&mut self, least: f64, most: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (self.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        least + unit * (most - least)
    }

    /// A whole number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.bits() % u64::try_from(count).expect("fits")).expect("fits")
    }

    /// One of a few.
    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// How often to repeat something: the small number, or with `AR_TEST_FULL=1` the one that is promised.
pub(crate) fn rounds(small: usize, full: usize) -> usize {
    if std::env::var("AR_TEST_FULL").is_ok_and(|text| text == "1") { full } else { small }
}

/// How many random queries to ask: `AR_TEST_QUERIES`, else enough for some seconds, or as many as is promised.
pub(crate) fn query_count(full: usize) -> usize {
    match std::env::var("AR_TEST_QUERIES") {
        Ok(text) => text.parse().expect("AR_TEST_QUERIES is a whole number"),
        Err(_not_set) => rounds(2_000, full),
    }
}
