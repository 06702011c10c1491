//! The way an operation went when all of it was stepped, and where on it a victim can be
//! let run to: stepping costs a stop per instruction, which for every k of n is n * n / 2.

use std::collections::HashMap;

/// The addresses of its instructions, in the order in which they were executed.
#[derive(Debug, Default)]
pub struct Path {
    steps: Vec<Step>,
    /// Indices of the system calls in which it slept, or whose time was over at once.
    waits: Vec<u64>,
    seen: HashMap<u64, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    address: u64,
    /// How many steps before it have the same address.
    before: u64,
    /// Index of the step that a victim is best let run to on the way here.
    from: usize,
}

/// Where to let a victim run to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub address: u64,
    /// Stops there, this one and those before it.
    pub stops: u64,
    /// Instructions done then.
    pub done: u64,
}

impl Path {
    /// The next step.
    pub fn push(&mut self, address: u64) {
        let before = self.seen.entry(address).or_default();
        let index = self.steps.len();
        let step = |from| Step {
            address,
            before: *before,
            from,
        };
        // Stops on the way to the step before and one more, or those at this very address.
        let best = match self.steps.last() {
            Some(last) => {
                let there = self.steps[last.from].before + (index - last.from) as u64;
                if there < *before { last.from } else { index }
            }
            None => index,
        };
        self.steps.push(step(best));
        *before += 1;
    }

    /// The latest step was a wait.
    pub fn waited(&mut self) {
        self.waits.push(self.len().saturating_sub(1));
    }

    /// The first wait at or after an index.
    pub fn wait_from(&self, index: u64) -> Option<u64> {
        self.waits.iter().copied().find(|wait| *wait >= index)
    }

    /// Its beginning.
    pub fn first(&self, length: u64) -> Self {
        let mut path = Self::default();
        for step in self.steps.iter().take(length as usize) {
            path.push(step.address);
        }
        path.waits = self.waits.clone();
        path.waits.retain(|wait| *wait < length);
        path
    }

    /// Where it stands when so many instructions are done, as far as that is known.
    pub fn address(&self, done: u64) -> Option<u64> {
        let step = self.steps.get(usize::try_from(done).ok()?)?;
        Some(step.address)
    }

    pub fn len(&self) -> u64 {
        self.steps.len() as u64
    }

    /// The best way to come to where so many instructions are done; `None` if it is shorter
    /// to step, or beyond the end.
    pub fn run_to(&self, done: u64) -> Option<Run> {
        let from = self.steps.get(usize::try_from(done).ok()?)?.from;
        let step = self.steps[from];
        // The first instructions are the way back from the mark.
        (from > 8).then_some(Run {
            address: step.address,
            stops: step.before + 1,
            done: from as u64,
        })
    }
}
