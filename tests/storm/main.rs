//! The random storm: processes that do everything at once, and are killed and stopped at
//! random, independent oracles for every primitive, and a full check after each round.
//!
//! - `EBBTIDE_SEED`: repeats the choices of a run (not the interleaving, which is the
//!   kernel's).
//! - `EBBTIDE_ROUNDS`, `EBBTIDE_KILLS`: how long; `ci/storm.sh` is the long form.
//! - `EBBTIDE_KIND`: all rounds of one [kind](plan::Kind), by its number.
//! - `EBBTIDE_CLOSING=0`: no member closes its descriptors.
//!
//! What is done to the processes is in [`population`], what they do in [`member`], what
//! must hold in [`oracle`], and what they write down in [`ledger`].

#[allow(unused)]
#[macro_use]
#[path = "../process/support/mod.rs"]
mod support;

mod after;
mod fault;
mod ledger;
mod member;
mod oracle;
mod plan;
mod population;
mod random;
mod round;
mod tally;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ebbtide::Liveness;

use fault::{Fault, Faults};
use ledger::act::Act;
use plan::{Kind, Plan};
use random::{Random, seed, setting};
use round::{Outcome, is_shown};
use support::Role;
use tally::Tally;

/// One storm at a time, and nobody else attached: each is about all processors and counts
/// the threads of the library.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const ROLES: [(&str, Role); 4] = [
    ("runner", member::runner::runner),
    ("initiator", member::initiator::initiator),
    ("reaper", member::reaper::reaper),
    ("joiner", member::joiner::joiner),
];

fn run(name: &'static str, liveness: Liveness, plan: &Plan, signs: &[&str]) -> Outcome {
    let mut outcome = None;
    let seen = std::cell::RefCell::new(&mut outcome);
    support::on(name, liveness, &|place| {
        **seen.borrow_mut() = Some(round::round(place, plan, signs));
    });
    outcome.unwrap()
}

/// Every kind of round meets both back ends in ten rounds, the first five in a short run.
fn plan_of(index: u64, rounds: u64, kills: u64, random: &mut Random) -> (Liveness, Plan) {
    let seed = random.next();
    let liveness = match index % 5 {
        2 => Liveness::Portable,
        _ if index % 10 == 8 => Liveness::Portable,
        _ => Liveness::Auto,
    };
    let kind = match (setting("EBBTIDE_KIND"), index % 5, index % 10) {
        (Some(2), ..) | (None, 1, _) | (None, _, 7) => Kind::Patient,
        (Some(3), ..) | (None, 3, _) => Kind::Hammer,
        _ => Kind::Mixed,
    };
    let may_close = liveness == Liveness::Auto && setting("EBBTIDE_CLOSING") != Some(0);
    let mut plan = Plan {
        seed,
        kind,
        kills,
        length: Duration::ZERO,
        faults: Faults::NONE,
        // Always in the first one, so that it is met in a short run.
        closes: may_close && (index == 0 || Random::stream(seed, 4).once_in(3)),
        takes_all_slots: index + 1 == rounds,
    };
    plan.kills = kills.div_ceil(plan.slowness());
    (liveness, plan)
}

#[test]
fn after_any_storm_everything_works_and_nothing_is_left() {
    let name = here!();
    if support::play(&ROLES) {
        return;
    }
    let _alone = alone();
    let seed = seed();
    let rounds = setting("EBBTIDE_ROUNDS").unwrap_or(5);
    let kills = setting("EBBTIDE_KILLS").unwrap_or(60);
    // Past the test runner, which keeps what is printed until the end: also if it hangs.
    let repeat = format!("EBBTIDE_SEED={seed} EBBTIDE_ROUNDS={rounds} EBBTIDE_KILLS={kills}");
    let _ = writeln!(std::io::stderr(), "storm: {repeat}");
    let mut random = Random::new(seed);
    let (mut tally, mut planned) = (Tally::default(), 0);
    for index in 0..rounds {
        let (liveness, plan) = plan_of(index, rounds, kills, &mut random);
        planned += plan.kills;
        let outcome = run(name, liveness, &plan, &[]);
        tally.add(&outcome.tally);
        assert!(
            outcome.violations.is_empty(),
            "round {index} ({liveness:?}, {plan:?}) of EBBTIDE_SEED={seed} \
             EBBTIDE_KILLS={kills}; to repeat it, set both, and EBBTIDE_ROUNDS={}:\n{}\n{}",
            index + 1,
            outcome.violations.join("\n"),
            outcome.tally
        );
    }
    println!("{tally}");
    // A storm in which little happens shows nothing.
    assert!(tally.toll.killed >= planned);
    assert!(tally.toll.held >= planned, "{tally}");
    for act in Act::ALL {
        let is_left_out = act == Act::Closed && setting("EBBTIDE_CLOSING") == Some(0);
        let is_short = planned < 2000 || setting("EBBTIDE_KIND").is_some();
        let may_lack = act.is_rare() && is_short || is_left_out;
        assert!(may_lack || tally.of(act) > 0, "no {act:?}: {tally}");
    }
    assert!(tally.of(Act::Generation) > rounds, "{tally}");
}

/// A storm without kills over what is broken, until every sign of it was seen.
fn are_caught(name: &'static str, kind: Kind, broken: &[(Fault, &str)]) {
    if support::play(&ROLES) {
        return;
    }
    let _alone = alone();
    let (faults, signs): (Vec<_>, Vec<_>) = broken.iter().copied().unzip();
    let plan = Plan {
        seed: seed(),
        kind,
        kills: 0,
        length: Duration::from_secs(20),
        faults: Faults::of(&faults),
        closes: false,
        takes_all_slots: false,
    };
    let violations = run(name, Liveness::Auto, &plan, &signs).violations;
    for (fault, sign) in broken {
        assert!(
            is_shown(&violations, sign),
            "{fault:?} was not caught: {violations:#?}"
        );
    }
}

#[test]
fn what_is_broken_on_purpose_is_caught() {
    let broken = [
        // A lock that reads first and takes then.
        (Fault::Racy, "is held by two"),
        // Three writes in place of a transaction.
        (Fault::Torn, "state: the sum is"),
        // Finished items that stay counted.
        (Fault::Uncounted, "in flight, but"),
        // Permits that were not asked for.
        (Fault::Unasked, "more than 3 permits"),
        // Sets that a reader does not report.
        (Fault::Deaf, "event: set"),
    ];
    are_caught(here!(), Kind::Mixed, &broken);
}

#[test]
fn a_phase_that_is_acknowledged_before_it_is_done_is_caught() {
    let broken = [(Fault::Early, "was published for")];
    are_caught(here!(), Kind::Patient, &broken);
}
