//! Random choices, from a seed that is printed and can be set.

use std::time::Duration;

/// SplitMix64: every seed is as good as any other.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own, so that the number of choices made from the one does not
    /// change what the other gives.
    pub fn stream(seed: u64, number: u64) -> Self {
        Self::new(Self::new(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93)).next())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    /// A duration between the two whose logarithm is evenly distributed: as often between
    /// one and ten microseconds as between one and ten milliseconds.
    pub fn log_uniform(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let [low, high] = [shortest, longest].map(|end| end.as_secs_f64().ln());
        Duration::from_secs_f64((low + unit * (high - low)).exp()).clamp(shortest, longest)
    }
}

/// A number from the environment.
///
/// # Panics
/// It is there and no number.
pub fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{name}={text:?}: {error}")),
    )
}

/// `EBBTIDE_SEED`, or one that was never used before.
pub fn seed() -> u64 {
    setting("EBBTIDE_SEED").unwrap_or_else(|| {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        since.as_nanos() as u64 & 0xffff_ffff
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_decade_of_lengths_is_drawn_as_often_as_the_next() {
        let mut random = Random::new(7);
        let (shortest, longest) = (Duration::from_micros(1), Duration::from_secs(1));
        let mut decades = [0; 6];
        for _ in 0..60_000 {
            let micros = random.log_uniform(shortest, longest).as_micros() as f64;
            decades[(micros.log10() as usize).min(5)] += 1;
        }
        // Ten thousand each; the first loses what is cut below a whole microsecond.
        assert!(
            decades.iter().all(|count| (8_500..11_500).contains(count)),
            "{decades:?}"
        );
    }
}
