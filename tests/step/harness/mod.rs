//! The forms of a run.

mod arch;
mod area;
mod board;
mod check;
mod crew;
mod fork;
mod machine;
mod operation;
mod path;
mod peer;
mod place;
mod point;
mod rival;
mod settings;
mod stage;
mod stop;
mod survivor;
mod sweep;
mod tally;
mod trace;
mod walk;

use std::process::ExitCode;
use std::time::Instant;

use rival::Score;
use settings::{Form, Settings};
use sweep::Sweep;
use tally::Tally;

/// Kills of each peer in the short form, about.
const TASTE: u64 = 6;

/// The name of the one test that this target is, for the filters of `cargo test`.
const NAME: &str = "step";

pub fn run() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut filters = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .peekable();
    if arguments.iter().any(|word| word == "--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    if filters.peek().is_some() && !filters.any(|filter| NAME.contains(filter.as_str())) {
        println!("step: filtered out");
        return ExitCode::SUCCESS;
    }
    if let Some(why) = machine::is_refused() {
        println!("step: skipped: {why}");
        return ExitCode::SUCCESS;
    }
    machine::stay_on_one_processor();
    let settings = Settings::read();
    println!("step: {:?}, EBBTIDE_SEED={}", settings.form, settings.seed);
    let bad = match settings.form {
        Form::Peers => peers(&settings),
        Form::Stops => stop::run(&settings),
        _ if settings.only.is_some() => operations(&settings),
        Form::Full => operations(&settings) + twins(),
        Form::Short => operations(&settings) + twins() + peers(&settings) + stop::run(&settings),
    };
    ExitCode::from(u8::from(bad > 0))
}

/// How many violations there were.
fn operations(settings: &Settings) -> usize {
    let begin = Instant::now();
    let mut random = settings.random();
    let (mut bad, mut kills, mut met) = (0, 0, false);
    if !settings.json {
        println!("{}", Tally::HEAD);
    }
    let twins = operation::twins().iter();
    // Twins are swept only by name.
    let named = twins.filter(|_| settings.only.is_some());
    let all = operation::all().chain(named);
    for operation in all.filter(|operation| settings.has(operation.name)) {
        let sweep = Sweep::new(*operation);
        let tally = match settings.point {
            Some(point) => sweep.one(point),
            None if settings.form == Form::Full => sweep.all(settings.every),
            None => sweep.some(settings.kills, &mut random),
        };
        let line = if settings.json {
            tally.json()
        } else {
            tally.row()
        };
        println!("{line}");
        for violation in &tally.violations {
            println!("{violation}");
        }
        (bad, kills, met) = (bad + tally.violations.len(), kills + tally.kills, true);
    }
    assert!(met, "there is no operation {:?}", settings.only);
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "step: {kills} kills in {seconds:.1} s ({:.0} per second), {bad} violations",
        kills as f64 / seconds
    );
    bad
}

/// How many twins were *not* found out.
fn twins() -> usize {
    let mut missed = 0;
    for twin in operation::twins() {
        let tally = Sweep::new(*twin).all(1);
        let found = tally.violations.len();
        println!("step: {}: found out {found} times", twin.name);
        missed += usize::from(found == 0);
    }
    missed
}

/// Only that they run is asked of peers: what becomes of them is their matter.
fn peers(settings: &Settings) -> usize {
    let is_full = settings.form == Form::Peers;
    let mut random = settings.random();
    println!("{}", Score::HEAD);
    for rival in rival::ALL {
        let (first, stride) = if is_full {
            (0, 1)
        } else {
            (random() % 8, 1000 / TASTE)
        };
        let score = rival::score(*rival, first, stride);
        assert!(score.kills > 0);
        println!("{}", score.row());
    }
    match rival::python(if is_full { 500 } else { TASTE }, settings.seed) {
        Ok(score) => println!("{}", score.row()),
        Err(why) => println!("step: Python is skipped: {why}"),
    }
    0
}
