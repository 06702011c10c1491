//! What is to be run, from the arguments and the environment.

use crate::Fallible;

const PARTS: [&str; 3] = ["check", "broadcast", "full"];

/// How thorough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    Test,
    Quick,
    Whole,
}

pub struct Plan {
    effort: Effort,
    named: Vec<String>,
    sizes: Option<Vec<usize>>,
    rounds: Option<usize>,
    pub lists_only: bool,
}

impl Plan {
    /// The flags are criterion's: it reads them, too, and refuses what it does not know.
    pub fn parse(arguments: &[String]) -> Fallible<Self> {
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        // `cargo bench` passes --bench, `cargo test --benches` does not.
        let effort = if has("--test") || !has("--bench") {
            Effort::Test
        } else if has("--quick") {
            Effort::Quick
        } else {
            Effort::Whole
        };
        let sizes = match std::env::var("EBBTIDE_BENCH_N") {
            Ok(list) => Some(list.split(',').map(str::parse).collect::<Result<_, _>>()?),
            Err(_) => None,
        };
        let rounds = match std::env::var("EBBTIDE_BENCH_ROUNDS") {
            Ok(number) => Some(number.parse()?),
            Err(_) => None,
        };
        let named = arguments
            .iter()
            .filter(|argument| PARTS.contains(&argument.as_str()));
        Ok(Self {
            effort,
            named: named.cloned().collect(),
            sizes,
            rounds,
            lists_only: has("--list"),
        })
    }

    /// Whether this part is run: it was named, or none was.
    pub fn wants(&self, part: &str) -> bool {
        self.named.is_empty() || self.named.iter().any(|name| name == part)
    }

    /// The numbers of processes.
    pub fn sizes(&self) -> Vec<usize> {
        match (&self.sizes, self.effort) {
            (Some(sizes), _) => sizes.clone(),
            (None, Effort::Test) => vec![1, 8],
            (None, _) => vec![1, 8, 32, 128],
        }
    }

    /// Measured rounds with `size` processes. Enough for a 99th percentile, except in
    /// test mode.
    pub fn rounds(&self, size: usize) -> usize {
        let whole = match size {
            0..=1 => 1_500,
            2..=8 => 1_000,
            9..=32 => 500,
            _ => 250,
        };
        self.rounds.unwrap_or(match self.effort {
            Effort::Test => 5,
            Effort::Quick => whole / 5,
            Effort::Whole => whole,
        })
    }

    /// Rounds before those, not counted.
    pub fn warm_up(&self) -> usize {
        match self.effort {
            Effort::Test => 1,
            _ => 10,
        }
    }
}
