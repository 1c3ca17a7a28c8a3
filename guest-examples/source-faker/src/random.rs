//! Numbers that look random and depend on a place only.

/// A sequence of numbers that is the same each time it is made for the same place (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of a place of a stream.
    pub(crate) fn new(seed: u64, stream: u64, place: u64) -> Self {
        let mut seeded = Self(seed ^ stream.rotate_left(32));
        let start = seeded.next();
        let mut placed = Self(start ^ place);
        Self(placed.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from 0 up to `end`.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        // The high half of a product spreads evenly without a division.
        ((self.next() >> 32).wrapping_mul(u64::from(end)) >> 32) as u32
    }

    /// A number from `first` to `last`.
    pub(crate) fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    /// One of some words.
    pub(crate) fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u32) as usize]
    }
}
