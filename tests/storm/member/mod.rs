//! The processes of a storm, by what they do.

pub mod acts;
mod aim;
mod churn;
mod descriptors;
mod flaws;
pub mod generations;
pub mod initiator;
pub mod joiner;
pub mod reaper;
mod resources;
pub mod runner;

use std::path::PathBuf;
use std::sync::Arc;

use ebbtide::Segment;

use crate::ledger::{Head, Ledger};
use crate::population::{SCRATCH, number};
use crate::random::Random;
use crate::support::Child;

/// What every process of the storm has.
pub struct Member {
    pub segment: Segment,
    pub ledger: Arc<Ledger>,
    pub scratch: PathBuf,
    pub process: usize,
    pub random: Random,
}

impl Member {
    pub fn of(child: &Child) -> Self {
        let scratch = PathBuf::from(std::env::var_os(SCRATCH).unwrap());
        let (process, seed) = number();
        let ledger = Arc::new(Ledger::open(&scratch));
        ledger.set_pid(process, std::process::id());
        aim::seed(seed);
        Self {
            ledger,
            segment: child.open(),
            scratch,
            process,
            random: Random::new(seed),
        }
    }

    pub fn has_stopped(&self, word: Head) -> bool {
        self.ledger.get(word) != 0
    }
}
