//! What was done in a round, and in all of them.

use std::fmt;

use crate::ledger::act::{ACTS, Act};
use crate::oracle::books::Sums;
use crate::population::Toll;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub rounds: u64,
    pub toll: Toll,
    pub sums: Sums,
    pub acts: Vec<u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        let (toll, more) = (&mut self.toll, &other.toll);
        toll.started += more.started;
        toll.killed += more.killed;
        toll.struck += more.struck;
        toll.killed_stopped += more.killed_stopped;
        toll.stopped += more.stopped;
        toll.held += more.held;
        toll.aimed += more.aimed;
        toll.terminated += more.terminated;
        let (sums, more) = (&mut self.sums, &other.sums);
        sums.generations += more.generations;
        sums.runners += more.runners;
        sums.died += more.died;
        sums.begun += more.begun;
        sums.finished += more.finished;
        sums.orphaned += more.orphaned;
        sums.open_brackets += more.open_brackets;
        self.acts.resize(ACTS, 0);
        for (sum, more) in self.acts.iter_mut().zip(&other.acts) {
            *sum += more;
        }
    }

    pub fn of(&self, act: Act) -> u64 {
        self.acts[act as usize]
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (toll, sums) = (&self.toll, &self.sums);
        writeln!(
            f,
            "rounds {}, processes {}, SIGKILL {}, SIGTERM {}",
            self.rounds, toll.started, toll.killed, toll.terminated
        )?;
        writeln!(
            f,
            "SIGSTOP {}, aimed at a call {}, reported as stopped {}, killed while stopped {}",
            toll.stopped, toll.aimed, toll.held, toll.killed_stopped
        )?;
        writeln!(
            f,
            "generations {}, runners {}, died {}; items begun {} = finished {} + orphaned {} \
             (open brackets {})",
            sums.generations,
            sums.runners,
            sums.died,
            sums.begun,
            sums.finished,
            sums.orphaned,
            sums.open_brackets
        )?;
        for act in Act::ALL {
            write!(f, "{act:?} {}  ", self.of(act))?;
        }
        Ok(())
    }
}
