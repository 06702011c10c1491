//! What is to be run, from the arguments.

use std::path::PathBuf;

use crate::Fallible;
use crate::item::Subject;
use crate::stats::Rounds;

/// How thorough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    Test,
    Quick,
    Whole,
}

pub struct Plan {
    pub effort: Effort,
    pub subjects: Vec<Subject>,
    /// Prints the data instead of the report.
    pub json: bool,
    /// Where the files go.
    pub out: PathBuf,
    sizes: Option<Vec<usize>>,
    pub lists_only: bool,
}

const HELP: &str = "\
cargo bench --bench suite [-- [--quick | --test] [--json] [--out DIR] [--sizes N,N,…] [ITEM…]]

  --quick      fewer rounds and sizes: under three minutes instead of under twenty-five
  --test       everything once or a few times: does it run?
  --json       prints report.json instead of report.md
  --out DIR    where report.md, report.json and the plots go (target/ebbtide-bench)
  --sizes      numbers of processes, for broadcast and shutdown
  ITEM         ";

impl Plan {
    /// `None` when help was asked for and given.
    pub fn parse(arguments: &[String]) -> Fallible<Option<Self>> {
        // `cargo bench` passes --bench, `cargo test --benches` does not.
        let mut plan = Self {
            effort: Effort::Test,
            subjects: Vec::new(),
            json: false,
            out: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("ebbtide-bench"),
            sizes: None,
            lists_only: false,
        };
        if arguments.iter().any(|argument| argument == "--bench") {
            plan.effort = Effort::Whole;
        }
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--bench" => {}
                "--test" => plan.effort = Effort::Test,
                "--quick" => plan.effort = Effort::Quick,
                "--json" => plan.json = true,
                "--list" => plan.lists_only = true,
                "--out" => plan.out = value()?.into(),
                "--sizes" => {
                    let sizes = value()?.split(',').map(str::parse);
                    plan.sizes = Some(sizes.collect::<Result<_, _>>()?);
                }
                "--help" | "-h" => {
                    let names: Vec<_> = Subject::ALL.iter().map(|one| one.name()).collect();
                    println!("{HELP}{}", names.join(", "));
                    return Ok(None);
                }
                name => match Subject::ALL.into_iter().find(|one| one.name() == name) {
                    Some(subject) => plan.subjects.push(subject),
                    None => return Err(format!("unknown: {name:?} (see -- --help)").into()),
                },
            }
        }
        if plan.subjects.is_empty() {
            plan.subjects = Subject::ALL.to_vec();
        }
        Ok(Some(plan))
    }

    pub fn is_test(&self) -> bool {
        self.effort == Effort::Test
    }

    /// Of three choices the one for this effort.
    pub fn pick<T>(&self, test: T, quick: T, whole: T) -> T {
        match self.effort {
            Effort::Test => test,
            Effort::Quick => quick,
            Effort::Whole => whole,
        }
    }

    /// The numbers of processes that are told or shut down.
    pub fn sizes(&self) -> Vec<usize> {
        match &self.sizes {
            Some(sizes) => sizes.clone(),
            None => self.pick(vec![1, 4], vec![1, 8, 32], vec![1, 2, 8, 32, 128, 512]),
        }
    }

    /// With processes tied to cores, and without.
    pub fn pinnings(&self) -> Vec<bool> {
        self.pick(vec![true], vec![true, false], vec![true, false])
    }

    /// Rounds of something that `size` processes take part in.
    pub fn rounds(&self, size: usize) -> Rounds {
        let whole = match size {
            0..=2 => 500,
            3..=8 => 400,
            9..=32 => 250,
            33..=128 => 120,
            _ => 40,
        };
        self.some_rounds(2, whole / 5, whole)
    }

    /// Rounds of batches.
    pub fn batch_rounds(&self) -> Rounds {
        self.some_rounds(2, 60, 300)
    }

    pub fn some_rounds(&self, test: usize, quick: usize, whole: usize) -> Rounds {
        let counted = self.pick(test, quick, whole);
        Rounds {
            counted,
            warm_up: self.pick(0, counted.div_ceil(20), counted.div_ceil(20)),
        }
    }

    /// How often one in a hundred rounds that sleeps for so many milliseconds takes part:
    /// all of them together are to last a few seconds.
    pub fn stride(&self, rounds: usize, millis: usize) -> usize {
        let affordable = self.pick(1, 300, 2_000) / millis.max(1);
        rounds.div_ceil(affordable.max(self.pick(1, 2, 5)))
    }
}
