//! Contenders that run in this process, in batches of many operations.

use std::time::{Duration, Instant};

use crate::Fallible;
use crate::outcome::{Case, Role};
use crate::plan::Plan;
use crate::stats::{Rounds, alternate};

/// One of several that do the same.
pub struct Batch<'a> {
    name: &'a str,
    role: Role,
    /// Does it so many times.
    run: Box<dyn FnMut(u64) + 'a>,
    times: u64,
    length: Duration,
}

/// A batch takes about so long, so that reading the clock does not count.
const LENGTH: Duration = Duration::from_micros(200);

impl<'a> Batch<'a> {
    /// A contender; `operation` is what is measured.
    pub fn new<T>(name: &'a str, role: Role, mut operation: impl FnMut() -> T + 'a) -> Self {
        Self::many(name, role, move |times| {
            for _ in 0..times {
                std::hint::black_box(operation());
            }
        })
    }

    /// One that repeats by itself, several threads at once for example.
    pub fn many(name: &'a str, role: Role, run: impl FnMut(u64) + 'a) -> Self {
        Self {
            name,
            role,
            run: Box::new(run),
            times: 1,
            length: LENGTH,
        }
    }

    /// Makes batches of another length, for one that starts threads.
    #[must_use]
    pub fn length(mut self, length: Duration) -> Self {
        self.length = length;
        self
    }

    /// Nanoseconds per operation.
    fn time(&mut self) -> f64 {
        let began = Instant::now();
        (self.run)(self.times);
        began.elapsed().as_nanos() as f64 / self.times as f64
    }

    /// Finds how many operations make a batch.
    fn calibrate(&mut self) {
        while self.times < 1 << 24 {
            let began = Instant::now();
            (self.run)(self.times);
            let took = began.elapsed();
            if took >= self.length / 2 {
                break;
            }
            // Grown by what is missing, but tenfold at most: a first run is slow.
            let ratio = self.length.as_nanos() / took.as_nanos().max(1);
            self.times *= u64::try_from(ratio.clamp(2, 10)).unwrap_or(2);
        }
    }
}

/// Measures all in turn.
pub fn batches(
    plan: &Plan,
    label: impl Into<String>,
    contenders: Vec<Batch<'_>>,
) -> Fallible<Case> {
    batches_beside(plan, plan.batch_rounds(), label, contenders, |_, _| Ok(()))
}

/// The same beside something else: `beside` begins it before a contender's batch (true) and
/// ends it after (false), which is not measured.
pub fn batches_beside(
    plan: &Plan,
    rounds: Rounds,
    label: impl Into<String>,
    mut contenders: Vec<Batch<'_>>,
    mut beside: impl FnMut(usize, bool) -> Fallible,
) -> Fallible<Case> {
    if !plan.is_test() {
        for (place, contender) in contenders.iter_mut().enumerate() {
            beside(place, true)?;
            contender.calibrate();
            beside(place, false)?;
        }
    }
    let names: Vec<_> = contenders.iter().map(|one| (one.name, one.role)).collect();
    let strides = vec![1; contenders.len()];
    let series = alternate(rounds, &strides, |contender| {
        beside(contender, true)?;
        let took = contenders[contender].time();
        beside(contender, false)?;
        Ok(took)
    })?;
    Ok(Case::new(label, &names, &series))
}
