//! Scopes one by one: what a process does that was stopped in the middle and goes on later.

use core::cell::Cell;

use super::Corrupt;
use super::control::{Ask, Control};
use super::scope::{Cancelled, Initiated, Scope};
use crate::phase::{Mode, Phase, ReasonCode};
use crate::sync::{Mem, Real};
use crate::width;

const ASK: Ask = Ask {
    mode: Mode::Graceful,
    code: ReasonCode::Requested,
    budget_millis: 1_000,
};

impl<M: Mem> Scope<M> {
    pub(crate) fn initiate(&self, ask: Ask, clock: impl Fn() -> u64) -> Result<Initiated, Corrupt> {
        self.initiate_by(ask, 0, clock)
    }

    /// Cancels the shutdown that is on.
    pub(crate) fn cancel(&self) -> Result<Cancelled, Corrupt> {
        self.cancel_in(self.control().epoch())
    }

    /// Makes the shutdown that is on harder.
    pub(crate) fn escalate(&self, mode: Mode) -> Result<Option<Mode>, Corrupt> {
        self.escalate_in(self.control().epoch(), mode)
    }
}

/// A clock that every reading moves.
struct Clock(Cell<u64>);

impl Clock {
    fn from(now: u64) -> Self {
        Self(Cell::new(now))
    }
    fn now(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }
}

fn initiate(scope: &Scope<Real>, clock: &Clock) -> u64 {
    match scope.initiate(ASK, || clock.now()).unwrap() {
        Initiated::Drives(epoch) => epoch,
        other => panic!("{other:?}"),
    }
}

/// `times` shutdowns that are cancelled, and one that is on.
fn again(scope: &Scope<Real>, times: u64, clock: &Clock) -> u64 {
    for _ in 0..times {
        assert_eq!(scope.cancel(), Ok(Cancelled::Done));
        initiate(scope, clock);
    }
    scope.control().epoch()
}

/// Shutdowns between the two of a stopped helper: the next, half of all tags, about as many
/// as the attack took, and all tags.
const LATER: [u64; 6] = [1, 2, 0x8000, 40_000, 0x1_0000, 0x1_8000];

/// An initiator died before it set the start; a helper is stopped before it sets it.
#[test]
fn a_start_that_is_set_late_is_not_that_of_a_later_shutdown() {
    for later in LATER {
        let (scope, clock) = (Scope::<Real>::default(), Clock::from(1_000_000));
        let running = scope.control();
        let floor = scope.may_begin(running, || clock.now()).unwrap();
        assert!(scope.begin(running, ASK, floor, || clock.now()));
        scope.entered[0].write_raw(0);
        let (epoch, now) = (running.epoch(), clock.now());
        let start = Cell::new(0);
        // It has loaded the stamp and asked for the epoch; then all of this happens.
        scope.entered[0].set_once(epoch, scope.floor(), now, || {
            if start.get() > 0 {
                return false;
            }
            let epoch = again(&scope, later, &clock);
            start.set(scope.started(epoch, clock.now()));
            true
        });
        let control = scope.control();
        let stored = scope.entered(Phase::Signaling, control.epoch());
        assert_eq!(stored, Some(start.get()), "{later} later");
        let deadlines = scope.deadlines(control, clock.now());
        assert_eq!(deadlines.overall, start.get() + 1_000_000, "it ends");
    }
}

/// The same, and nobody has set the start of the later shutdown by then.
#[test]
fn a_time_of_long_ago_is_below_the_floor() {
    for later in LATER {
        let (scope, clock) = (Scope::<Real>::default(), Clock::from(1_000_000));
        let epoch = initiate(&scope, &clock);
        let now = clock.now();
        let draining = &scope.entered[1];
        let is_first = Cell::new(true);
        draining.set_once(epoch, scope.floor(), now, || {
            if is_first.replace(false) {
                again(&scope, later, &clock);
                return true;
            }
            false
        });
        let epoch = scope.control().epoch();
        assert_eq!(scope.entered(Phase::Draining, epoch), None, "{later} later");
        let next = scope.publish(scope.control(), Phase::Draining, clock.now());
        assert_eq!(scope.entered(Phase::Draining, epoch), next);
        assert!(next.unwrap() > now);
    }
}

/// An own scope gets a new owner in a later epoch, with no shutdown in between: its floor is
/// not raised until one begins.
#[test]
fn a_time_of_an_earlier_owner_is_not_one_of_the_present() {
    for owners in LATER {
        let (scope, clock) = (Scope::<Real>::default(), Clock::from(1_000_000));
        initiate(&scope, &clock);
        scope
            .publish(scope.control(), Phase::Draining, clock.now())
            .unwrap();
        for _ in 0..owners {
            scope.reset(|| true);
        }
        let epoch = initiate(&scope, &clock);
        assert!(scope.entered(Phase::Signaling, epoch) > Some(scope.floor()));
        assert_eq!(
            scope.entered(Phase::Draining, epoch),
            None,
            "{owners} later"
        );
    }
}

/// An initiator that was stopped after it had verified the control word raises the floor
/// while another one's shutdown is on.
#[test]
fn a_floor_that_is_raised_late_is_below_the_start() {
    let (scope, clock) = (Scope::<Real>::default(), Clock::from(1_000_000));
    let running = scope.control();
    let first = scope.may_begin(running, || clock.now()).unwrap();
    // Its clock was read later than that of the initiator that begins.
    let late = scope.may_begin(running, || clock.now()).unwrap();
    assert!(scope.begin(running, ASK, first, || clock.now()));
    let start = scope.entered(Phase::Signaling, running.epoch());
    assert!(start.unwrap() > late);
    assert!(!scope.begin(running, ASK, late, || unreachable!("it begins nothing")));
    assert_eq!(scope.floor(), late);
    assert_eq!(scope.entered(Phase::Signaling, running.epoch()), start);
    // One that verifies only now has no floor.
    assert_eq!(scope.may_begin(running, || clock.now()), None);
    // And a later shutdown is above both.
    let epoch = again(&scope, 1, &clock);
    assert!(!scope.begin(running, ASK, late, || unreachable!("it begins nothing")));
    assert!(scope.floor() > start.unwrap());
    assert!(scope.entered(Phase::Signaling, epoch) > start);
}

/// The epoch in the word guards it: after a whole wrap the late grant is of the present one.
#[test]
fn a_grant_that_is_swapped_in_late_is_not_of_a_later_shutdown() {
    for (later, grants) in LATER.into_iter().flat_map(|it| [(it, true), (it, false)]) {
        let (scope, clock) = (Scope::<Real>::default(), Clock::from(1_000_000));
        let epoch = initiate(&scope, &clock);
        let is_first = Cell::new(true);
        let meanwhile = || {
            if !is_first.replace(false) {
                return false;
            }
            again(&scope, later, &clock);
            if grants {
                let granted = scope.extend(scope.control(), 300_000, clock.now());
                assert_eq!(granted, 300_000);
            }
            true
        };
        let late = scope.extension.add(epoch, |_| 500, meanwhile);
        let is_wrapped = later % (1 << width::EPOCH) == 0;
        let expected = match grants {
            true => 300,
            false if is_wrapped => 500,
            false => 0,
        };
        let present = scope.control().epoch();
        assert_eq!(scope.extension.get(present), expected, "{later} later");
        assert_eq!(late, if grants { 0 } else { 500 });
    }
}

#[test]
fn an_extension_is_counted_in_milliseconds_and_asks_whether_the_shutdown_is_on() {
    let (scope, clock) = (Scope::<Real>::default(), Clock::from(1_000_000));
    initiate(&scope, &clock);
    let control = scope.control();
    assert_eq!(scope.extend(control, 1, clock.now()), 1_000, "rounded up");
    assert_eq!(scope.extend(control, 1_001, clock.now()), 2_000);
    assert_eq!(
        scope.extend(control, u64::MAX, clock.now()),
        897_000,
        "to the cap"
    );
    assert_eq!(scope.cancel(), Ok(Cancelled::Done));
    assert_eq!(scope.extend(control, 1_000, clock.now()), 0, "it is over");
    let epoch = initiate(&scope, &clock);
    let complete = scope.control().in_phase(Phase::Complete);
    scope
        .publish(scope.control(), Phase::Complete, clock.now())
        .unwrap();
    assert_eq!(scope.extend(complete, 1_000, clock.now()), 0);
    assert_eq!(scope.extension.get(epoch), 0);
}

#[test]
fn a_phase_without_a_time_gets_one_from_the_first_reader_and_keeps_it() {
    let scope = Scope::<Real>::default();
    let _ = scope.initiate(ASK, || 1000).unwrap();
    let running = scope.control();
    let epoch = running.epoch();
    // Published, and its time not set.
    assert!(scope.swap(running, running.in_phase(Phase::Draining)));
    scope.settle(Phase::Draining, epoch, || 1200);
    scope.settle(Phase::Draining, epoch, || unreachable!("it has one"));
    // The publisher goes on.
    assert_eq!(scope.stamp(Phase::Draining, epoch, 1100), 1200);
    let lasted = |phase, now| scope.passed(phase, epoch, now, 0).argument;
    assert_eq!(lasted(Phase::Signaling, 1200), 200);
    let next = scope.publish(scope.control(), Phase::Closing, 1300);
    assert_eq!(next, Some(1300));
    assert_eq!(lasted(Phase::Draining, 1300), 100);
}

/// A publisher that was stopped before its swap publishes nothing of a later shutdown; what
/// guards that is the width of the epoch.
#[test]
fn a_phase_is_published_in_its_own_epoch_only() {
    let wrap = 1 << width::EPOCH;
    let narrower = if cfg!(feature = "narrow") { 1 } else { 1 << 24 };
    for (later, is_the_same) in [
        (1, false),
        (narrower, false),
        (wrap - 1, false),
        (wrap, true),
    ] {
        let scope = Scope::<Real>::default();
        let _ = scope.initiate(ASK, || 1000).unwrap();
        let stopped = scope.control();
        let present = Control::running(stopped.epoch() + later).initiated(ASK);
        assert!(scope.swap(stopped, present));
        let published = scope.publish(stopped, Phase::Draining, 1100);
        assert_eq!(published.is_some(), is_the_same, "{later} later");
    }
}

#[test]
fn escalation_and_cancellation_apply_to_the_shutdown_that_was_seen() {
    let (scope, clock) = (Scope::<Real>::default(), Clock::from(1_000_000));
    let epoch = initiate(&scope, &clock);
    let next = again(&scope, 1, &clock);
    assert_eq!(scope.cancel_in(epoch), Ok(Cancelled::NothingToCancel));
    assert_eq!(scope.escalate_in(epoch, Mode::Fast), Ok(None));
    assert_eq!(scope.control().mode(), Mode::Graceful);
    assert_eq!(
        scope.escalate_in(next, Mode::Fast),
        Ok(Some(Mode::Graceful))
    );
    assert_eq!(scope.cancel_in(next), Ok(Cancelled::Done));
}

#[test]
fn a_new_life_is_in_an_epoch_of_its_own_whatever_others_do_to_the_old_one() {
    let (scope, clock) = (Scope::<Real>::default(), Clock::from(1_000_000));
    let epoch = initiate(&scope, &clock);
    let fresh = scope.reset(|| true).unwrap();
    assert!(scope.control() == Control::running(fresh) && fresh != epoch);
    // Of the old owner, and late.
    assert_eq!(scope.cancel_in(epoch), Ok(Cancelled::NothingToCancel));
    assert_eq!(scope.initiate_in(epoch, ASK, 0, || clock.now()), Ok(None));
    assert!(scope.control() == Control::running(fresh));
}
