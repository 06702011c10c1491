//! Series of measurements, what is told of them, and the rounds that make them.

use serde::Serialize;

use crate::Fallible;

/// What one contender took, in nanoseconds (or did, per second), by round.
#[derive(Clone, Default)]
pub struct Series(Vec<(usize, f64)>);

/// What is told of a series.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    pub rounds: usize,
    pub median: f64,
    pub p99: f64,
    pub min: f64,
}

/// The ratios of one contender's rounds to another's in the same rounds: noise of the
/// machine meets neighbours alike.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratio {
    pub median: f64,
    pub p10: f64,
    pub p90: f64,
}

/// Shares at which a distribution is drawn.
pub const SHARES: [f64; 12] = [
    0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99,
];

impl Series {
    pub fn push(&mut self, round: usize, value: f64) {
        self.0.push((round, value));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn sorted(&self) -> Vec<f64> {
        sorted(self.0.iter().map(|(_, value)| *value))
    }

    pub fn summary(&self) -> Summary {
        let sorted = self.sorted();
        Summary {
            rounds: sorted.len(),
            median: at(&sorted, 0.5),
            p99: at(&sorted, 0.99),
            min: at(&sorted, 0.0),
        }
    }

    /// The values at [`SHARES`].
    pub fn distribution(&self) -> Vec<f64> {
        let sorted = self.sorted();
        SHARES.iter().map(|share| at(&sorted, *share)).collect()
    }

    /// Over the rounds that both took part in.
    pub fn ratio_to(&self, base: &Self) -> Option<Ratio> {
        let ratios = self.0.iter().filter_map(|(round, value)| {
            let place = base.0.binary_search_by_key(round, |(round, _)| *round);
            let (_, base) = base.0.get(place.ok()?)?;
            (*base > 0.0).then_some(value / base)
        });
        let sorted = sorted(ratios);
        (!sorted.is_empty()).then(|| Ratio {
            median: at(&sorted, 0.5),
            p10: at(&sorted, 0.1),
            p90: at(&sorted, 0.9),
        })
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The value below which a share of all lies (nearest rank).
fn at(sorted: &[f64], share: f64) -> f64 {
    let rank = sorted.len().saturating_sub(1) as f64 * share;
    sorted
        .get(rank.round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

/// How many rounds, and how many before them that do not count.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    pub counted: usize,
    pub warm_up: usize,
}

/// Runs contenders in turn (A B C, B C A, C A B, …), each time with another one first, and
/// collects what they answer. A contender with a stride of k takes part in every k-th round
/// only: one that sleeps for 100 ms would otherwise take all the time there is.
pub fn alternate(
    rounds: Rounds,
    strides: &[usize],
    mut one: impl FnMut(usize) -> Fallible<f64>,
) -> Fallible<Vec<Series>> {
    let mut series = vec![Series::default(); strides.len()];
    for round in 0..rounds.warm_up + rounds.counted {
        for turn in 0..strides.len() {
            let contender = (round + turn) % strides.len();
            let counts = round.checked_sub(rounds.warm_up);
            match counts {
                Some(round) if round % strides[contender] == 0 => {
                    series[contender].push(round, one(contender)?);
                }
                None if strides[contender] == 1 => {
                    one(contender)?;
                }
                _ => {}
            }
        }
    }
    Ok(series)
}
