//! Milliseconds in few bits: a mantissa and a power of ten, rounded down.
//!
//! ```text
//! [ power of ten :3 | mantissa :BITS ]
//! ```
//! With 13 bits a budget is exact to four digits: in milliseconds up to 8.191 s, in ten
//! milliseconds up to 81.91 s, and so on; what lies between is cut by 0.12 % at most. With
//! 21 bits every millisecond up to 35 minutes is exact. Both reach
//! [`MAX_BUDGET_MILLIS`](crate::limits::MAX_BUDGET_MILLIS), to which longer times are cut.
//!
//! Every time has one representation, that of the largest mantissa, so two words that mean
//! the same time are equal.

use crate::limits::MAX_BUDGET_MILLIS;

/// Bits of the power of ten.
const POWER: u32 = 3;
/// Bits of a budget in a control word: mantissa and power.
pub(crate) const BUDGET: u32 = Millis::<13>::BITS;
/// Bits of a cap or an extension.
pub(crate) const LONG: u32 = Millis::<21>::BITS;

const POWERS: [u64; 1 << POWER] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// A number of milliseconds in `MANTISSA + 3` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Millis<const MANTISSA: u32>(u64);

impl<const MANTISSA: u32> Millis<MANTISSA> {
    const BITS: u32 = MANTISSA + POWER;
    const LARGEST: u64 = (1 << MANTISSA) - 1;

    /// As much of this time as can be written.
    pub(crate) const fn of(millis: u64) -> Self {
        let mut mantissa = if millis > MAX_BUDGET_MILLIS {
            MAX_BUDGET_MILLIS
        } else {
            millis
        };
        let mut power = 0;
        while mantissa > Self::LARGEST {
            mantissa /= 10;
            power += 1;
        }
        // One step back where a tenth was cut to what fits: 8192 is 819 tens, and so 8190.
        if power > 0 && mantissa * 10 <= Self::LARGEST {
            mantissa *= 10;
            power -= 1;
        }
        Self(power << MANTISSA | mantissa)
    }

    /// The low bits of a word.
    pub(crate) const fn from_raw(raw: u64) -> Self {
        Self(raw & ((1 << Self::BITS) - 1))
    }

    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    /// Of any bits; of those that no release writes up to two and a half thousand years.
    pub(crate) const fn get(self) -> u64 {
        (self.0 & Self::LARGEST) * POWERS[(self.0 >> MANTISSA) as usize & (POWERS.len() - 1)]
    }

    /// Whether a release writes these bits.
    pub(crate) const fn is_written(self) -> bool {
        Self::of(self.get()).0 == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_times_are_exact_and_the_rest_is_cut_by_little() {
        type Budget = Millis<13>;
        for millis in [
            0, 1, 999, 2_500, 8_191, 8_200, 30_000, 81_910, 90_000, 600_000,
        ] {
            assert_eq!(Budget::of(millis).get(), millis);
        }
        for (millis, written) in [
            (8_192, 8_190),
            (8_199, 8_190),
            (81_915, 81_910),
            (MAX_BUDGET_MILLIS, 4_294_000_000),
            (u64::MAX, 4_294_000_000),
        ] {
            assert_eq!(Budget::of(millis).get(), written);
        }
        type Long = Millis<21>;
        for millis in [0, 1, 2_097_151, 2_097_160, 3_600_000] {
            assert_eq!(Long::of(millis).get(), millis);
        }
        assert_eq!(Long::of(2_097_159).get(), 2_097_150);
        assert_eq!((BUDGET, LONG), (16, 24));
    }

    proptest! {
        #[test]
        fn a_time_is_rounded_down_and_has_one_representation(millis in 0..=MAX_BUDGET_MILLIS) {
            let budget = Millis::<13>::of(millis);
            prop_assert!(budget.get() <= millis && millis - budget.get() <= millis / 819);
            prop_assert!(budget.is_written() && budget.raw() < 1 << BUDGET);
            prop_assert_eq!(Millis::<13>::from_raw(budget.raw()), budget);
            let long = Millis::<21>::of(millis);
            prop_assert!(long.get() <= millis && long.is_written() && long.raw() < 1 << LONG);
        }

        #[test]
        fn any_bits_are_a_time(raw: u64) {
            let long = Millis::<21>::from_raw(raw);
            prop_assert!(Millis::<21>::of(long.get()).get() <= long.get());
        }
    }
}
