//! The random storm: processes that do everything at once, a killer among them, and a
//! full check after each round.
//!
//! - `EBBTIDE_SEED`: repeats the choices of a run (not the interleaving, which is the
//!   kernel's).
//! - `EBBTIDE_ROUNDS`, `EBBTIDE_KILLS`: how long; `ci/storm.sh` is the long form.

#[allow(unused)]
#[macro_use]
#[path = "../process/support/mod.rs"]
mod support;

mod aftermath;
mod deeds;
mod harvest;
mod ledger;
mod line;
mod population;
mod random;
mod round;
mod slots;
mod store;
mod twin;
mod visitors;
mod worker;

use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use ebbtide::Liveness;

use ledger::Deed;
use random::{Random, seed, setting};
use round::{Plan, Tally, Weather};
use support::Role;
use twin::Twin;

/// One storm at a time: each is about all processors.
static SKY: Mutex<()> = Mutex::new(());

const ROLES: [(&str, Role); 3] = [
    ("runner", worker::runner),
    ("initiator", visitors::initiator),
    ("reaper", visitors::reaper),
];

fn weather(name: &'static str, liveness: Liveness, plan: &Plan) -> Weather {
    let mut weather = None;
    let seen = std::cell::RefCell::new(&mut weather);
    support::on(name, liveness, &|place| {
        **seen.borrow_mut() = Some(round::round(place, plan));
    });
    weather.unwrap()
}

#[test]
fn after_any_storm_everything_works_and_nothing_is_left() {
    let name = here!();
    if support::play(&ROLES) {
        return;
    }
    let _alone = SKY.lock().unwrap_or_else(|broken| broken.into_inner());
    let seed = seed();
    let rounds = setting("EBBTIDE_ROUNDS").unwrap_or(5);
    let kills = setting("EBBTIDE_KILLS").unwrap_or(60);
    // Past the test runner, which keeps what is printed until the end: also if it hangs.
    let repeat = format!("EBBTIDE_SEED={seed} EBBTIDE_ROUNDS={rounds} EBBTIDE_KILLS={kills}");
    let _ = writeln!(std::io::stderr(), "storm: {repeat}");
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    for index in 0..rounds {
        let own = random.next();
        let plan = Plan {
            seed: own,
            kills,
            length: Duration::ZERO,
            twin: Twin::Nothing,
            takes_all_slots: index + 1 == rounds,
        };
        let liveness = match index % 3 {
            2 => Liveness::Portable,
            _ => Liveness::Auto,
        };
        let weather = weather(name, liveness, &plan);
        tally.add(&weather.tally);
        assert!(
            weather.violations.is_empty(),
            "round {index} ({liveness:?}) of EBBTIDE_SEED={seed} EBBTIDE_KILLS={kills}; to \
             repeat it, set both, and EBBTIDE_ROUNDS={}:\n{}\n{}",
            index + 1,
            weather.violations.join("\n"),
            weather.tally
        );
    }
    println!("{tally}");
    // A storm in a teacup shows nothing.
    assert!(tally.toll.killed >= kills * rounds);
    for deed in Deed::ALL {
        // Seldom enough that a short storm on a slow machine may go without.
        let is_rare = matches!(
            deed,
            Deed::Takeover
                | Deed::Broken
                | Deed::Cancel
                | Deed::Escalate
                | Deed::Extend
                | Deed::Deadlock
        );
        let may_lack = is_rare && kills * rounds < 2000;
        assert!(may_lack || tally.of(deed) > 0, "no {deed:?}: {tally}");
    }
    assert!(tally.sums.generations > rounds, "{tally}");
}

/// A storm without kills over something that is broken.
fn is_caught(name: &'static str, twin: Twin, sign: &str) {
    if support::play(&ROLES) {
        return;
    }
    let _alone = SKY.lock().unwrap_or_else(|broken| broken.into_inner());
    let plan = Plan {
        seed: seed(),
        kills: 0,
        length: Duration::from_secs(20),
        twin,
        takes_all_slots: false,
    };
    let violations = weather(name, Liveness::Auto, &plan).violations;
    assert!(
        violations.iter().any(|text| text.contains(sign)),
        "{twin:?} was not caught: {violations:?}"
    );
}

#[test]
fn a_lock_that_looks_first_and_takes_then_is_caught() {
    is_caught(here!(), Twin::Racy, "and so is");
}

#[test]
fn three_writes_in_place_of_a_transaction_are_caught() {
    is_caught(here!(), Twin::Torn, "sum");
}

#[test]
fn items_that_are_not_counted_out_are_caught() {
    is_caught(here!(), Twin::Uncounted, "in flight, but");
}

#[test]
fn permits_that_nobody_asked_for_are_caught() {
    is_caught(here!(), Twin::Unasked, "permits");
}
