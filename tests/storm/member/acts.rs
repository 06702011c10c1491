//! What the threads of a runner do, all at once and in any order.

use std::time::Duration;

use ebbtide::{
    BarrierError, CoordinationError, CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent,
    CrossProcessLock, CrossProcessSemaphore, Delivery, EventError, EventKind, EventOptions,
    LockError, LockGuard, Phase, Reset, Runner, Segment, Subscription,
};

use super::{aim, churn};
use crate::fault::Fault;
use crate::ledger::act::Act;
use crate::ledger::line::{Count, Line};
use crate::ledger::stamp::Actor;
use crate::ledger::{Head, LOCKS, Ledger};
use crate::oracle::bank::{Bank, Transfer};
use crate::oracle::meeting::Wait;
use crate::oracle::membership;
use crate::oracle::numbers::{self, Reader};
use crate::oracle::permits::Held;
use crate::oracle::store::{Log, Store};
use crate::oracle::tickets::{self, Tickets};
use crate::random::Random;

/// Longer than anybody is ever stopped: who waits this long hangs.
pub const HANGS: Duration = Duration::from_secs(20);

pub const PERMITS: usize = 3;
pub const LOCK_NAMES: [&str; LOCKS] = ["first", "second", "third"];

/// The things that all fight for, opened by one thread.
pub struct Acts<'a> {
    ledger: &'a Ledger,
    segment: &'a Segment,
    line: Line<'a>,
    thread: usize,
    actor: Actor,
    random: Random,
    locks: [CrossProcessLock; LOCKS],
    boxed: CrossProcessLock,
    changed: CrossProcessCondvar,
    permits: CrossProcessSemaphore,
    barrier: CrossProcessBarrier,
    ticket: CrossProcessEvent,
    tickets: Tickets,
    news: Subscription,
    reader: Reader,
    store: Store,
    log: Log<'a>,
}

impl<'a> Acts<'a> {
    pub fn new(segment: &'a Segment, line: Line<'a>, thread: usize, random: Random) -> Self {
        let ledger = line.ledger;
        let parties = ledger.parties() as usize;
        let news = CrossProcessEvent::open(segment, "news").unwrap();
        let reader = Reader::new(ledger);
        Self {
            ledger,
            segment,
            line,
            thread,
            actor: Actor::new(line.process().unwrap()),
            random,
            locks: LOCK_NAMES.map(|name| CrossProcessLock::open(segment, name).unwrap()),
            boxed: CrossProcessLock::open(segment, "box").unwrap(),
            changed: CrossProcessCondvar::open(segment, "changed").unwrap(),
            permits: CrossProcessSemaphore::open(segment, "permits", PERMITS).unwrap(),
            barrier: CrossProcessBarrier::open(segment, "meeting", parties).unwrap(),
            ticket: ticket(segment),
            tickets: Tickets::default(),
            news: news.subscribe().unwrap(),
            reader,
            store: Store::open(segment),
            log: Log::new(ledger),
        }
    }

    /// One thing, whatever comes up. False if the runner takes no work now.
    pub fn one(&mut self, runner: &Runner) -> bool {
        match self.random.below(23) {
            0..=5 => return self.work(runner),
            6..=8 => self.exclude(),
            9 => self.nest(),
            10 => self.produce(),
            11 => self.consume(),
            12..=13 => self.hold_permit(),
            14 => self.meet(),
            15 => self.tell(),
            16 => self.hear(),
            17 => self.give(),
            18 => self.take(),
            19..=20 => self.transfer(),
            21 if self.random.once_in(8) => {
                let (segment, process) = (self.segment, self.actor.process());
                churn::churn(segment, self.ledger, process, &mut self.random);
            }
            _ => self.store.read(&self.log),
        }
        true
    }

    /// The call that follows may be stopped in the middle.
    fn aim(&self) {
        aim::at_call(self.ledger, 64, Duration::from_micros(2));
    }

    fn breaks(&self, fault: Fault) -> bool {
        self.ledger.faults().has(fault)
    }

    fn work(&mut self, runner: &Runner) -> bool {
        self.line.add(self.thread, Count::Entering);
        let before = runner.phase();
        self.aim();
        let item = match runner.begin() {
            Ok(item) => item,
            Err(CoordinationError::Draining { .. } | CoordinationError::Left { .. }) => {
                self.line.add(self.thread, Count::Refused);
                return false;
            }
            Err(error) => panic!("begin: {error:?}"),
        };
        self.line.add(self.thread, Count::Begun);
        membership::work_was_let_in(self.line, before);
        self.pause();
        if before == Phase::Signaling && self.random.once_in(2) {
            // Long enough for a phase to pass without it, if phases did.
            std::thread::sleep(self.random.millis(0, 8));
        }
        if self.random.once_in(4) {
            runner.progress();
            runner.set_activity("in the storm");
            runner.set_last_words(&self.line.id()).ok();
        }
        membership::work_is_in_flight(self.line, runner.phase());
        self.line.add(self.thread, Count::Leaving);
        self.aim();
        if self.breaks(Fault::Uncounted) {
            std::mem::forget(item);
        } else {
            drop(item);
        }
        self.line.add(self.thread, Count::Finished);
        self.ledger.count(Act::Work);
        true
    }

    fn exclude(&mut self) {
        let which = self.random.below(LOCKS as u64) as usize;
        if self.breaks(Fault::Racy) {
            return self.exclude_racily(which);
        }
        let lock = self.locks[which].clone();
        self.aim();
        match lock.lock_timeout(HANGS) {
            Ok(guard) => {
                let bank = self.enter(which, &guard);
                self.transact(bank);
            }
            Err(error) => self.ledger.violate(&format!("lock {which}: {error}")),
        }
    }

    /// Two locks, mostly in their order; else one is chosen to give way.
    fn nest(&mut self) {
        if self.breaks(Fault::Racy) {
            return;
        }
        let first = self.random.below(LOCKS as u64) as usize;
        let second = (first + 1) % LOCKS;
        let (outer, inner) = (self.locks[first].clone(), self.locks[second].clone());
        let guard = match outer.lock_timeout(HANGS) {
            Ok(guard) => guard,
            Err(error) => return self.ledger.violate(&format!("outer lock {first}: {error}")),
        };
        let bank = self.enter(first, &guard);
        self.aim();
        match inner.lock_timeout(HANGS) {
            Ok(guard) => {
                let bank = self.enter(second, &guard);
                self.transact(bank);
            }
            Err(LockError::Deadlock { .. }) => self.ledger.count(Act::Deadlock),
            Err(error) => self
                .ledger
                .violate(&format!("inner lock {second}: {error}")),
        }
        self.transact(bank);
        drop(guard);
    }

    fn enter(&self, which: usize, guard: &LockGuard<'_>) -> Bank<'a> {
        let bank = Bank::enter(self.ledger, which, &self.actor, guard.previous_owner_died());
        guard.mark_consistent();
        bank
    }

    /// A transfer, and out again.
    fn transact(&mut self, bank: Bank<'a>) {
        let transfer = Transfer::random(&mut self.random);
        bank.transfer(transfer, || self.pause());
        bank.leave();
    }

    /// The must-fail variant: reads, then takes.
    fn exclude_racily(&mut self, which: usize) {
        use std::sync::atomic::Ordering;
        const TAKEN: usize = 15;
        let word = self.ledger.bank(which, TAKEN);
        while word.load(Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
        // Wide open, so that it is caught on any machine.
        std::thread::yield_now();
        word.store(1, Ordering::Release);
        let bank = Bank::enter(self.ledger, which, &self.actor, false);
        bank.transfer(Transfer::random(&mut self.random), std::thread::yield_now);
        bank.leave();
        word.store(0, Ordering::Release);
    }

    fn produce(&mut self) {
        self.aim();
        match self.boxed.lock_timeout(HANGS) {
            Ok(guard) => {
                self.ledger.add(Head::Produced);
                guard.mark_consistent();
                self.changed.notify_one().unwrap();
            }
            Err(error) => self.ledger.violate(&format!("lock of the box: {error}")),
        }
    }

    fn consume(&mut self) {
        let mut guard = match self.boxed.lock_timeout(HANGS) {
            Ok(guard) => guard,
            Err(error) => return self.ledger.violate(&format!("lock of the box: {error}")),
        };
        let (produced, consumed) = (Head::Produced, Head::Consumed);
        for _ in 0..2 {
            if self.ledger.get(produced) > self.ledger.get(consumed) {
                self.ledger.add(consumed);
                self.ledger.count(Act::Condvar);
                break;
            }
            // A lost one of the many who produce is made good by the next.
            let brief = Duration::from_millis(20);
            guard = match self.changed.wait_timeout(guard, brief) {
                Ok((guard, _)) => guard,
                Err(error) => return self.ledger.violate(&format!("condvar: {error}")),
            };
        }
        guard.mark_consistent();
        let taken = self.ledger.get(consumed);
        self.ledger.ensure(taken <= self.ledger.get(produced), || {
            format!("condvar: {taken} things were taken out of the box, more than put in")
        });
    }

    fn hold_permit(&mut self) {
        let permits = self.permits.clone();
        self.aim();
        let permit = match self.breaks(Fault::Unasked) {
            true => None,
            false => match permits.acquire_timeout(HANGS) {
                Ok(permit) => Some(permit),
                Err(error) => return self.ledger.violate(&format!("permit: {error}")),
            },
        };
        let held = Held::new(self.ledger, self.line.counter(self.thread, Count::Permit));
        self.pause();
        held.count(PERMITS);
        held.end();
        self.aim();
        drop(permit);
    }

    fn meet(&mut self) {
        let wait = Wait::begin(self.ledger, &self.actor);
        self.aim();
        match self.barrier.wait_timeout(Duration::from_millis(30)) {
            Ok(passed) => wait.passed(passed.is_leader()),
            Err(BarrierError::TimedOut { .. } | BarrierError::BrokenBarrier { .. }) => {
                wait.failed();
                self.barrier.reset().unwrap();
            }
            Err(error) => panic!("barrier: {error:?}"),
        }
    }

    fn tell(&mut self) {
        let stamp = self.actor.next();
        let payload = numbers::payload(stamp);
        numbers::announce(self.ledger);
        let news = self.news.event();
        let set = || news.set_with(EventKind::Custom(7), &payload);
        let is_late = |result: &Result<u64, EventError>| {
            matches!(result, Err(EventError::Lock(LockError::TimedOut { .. })))
        };
        // Several setters may have been stopped one after the other, each within its set.
        self.aim();
        let result = Some(set()).filter(|result| !is_late(result));
        match result.unwrap_or_else(set) {
            Ok(number) => numbers::confirm(self.ledger, number, stamp),
            Err(error) => self.ledger.violate(&format!("set: {error}")),
        }
    }

    fn hear(&mut self) {
        loop {
            let bound = Reader::bound(self.ledger);
            match self.news.try_next().unwrap() {
                Some(Delivery::Set(set)) => {
                    if self.breaks(Fault::Deaf) && self.random.once_in(4) {
                        continue;
                    }
                    self.reader.got(self.ledger, set.sequence, &set.payload);
                }
                Some(Delivery::Lagged { missed }) => self.reader.missed(missed),
                None => return self.reader.got_nothing(self.ledger, bound),
            }
        }
    }

    fn give(&mut self) {
        if self.tickets.may_set(self.ledger, || self.ticket.is_set()) {
            self.aim();
            match self.ticket.set() {
                Ok(_) | Err(EventError::Lock(LockError::TimedOut { .. })) => {}
                Err(error) => self.ledger.violate(&format!("set: {error}")),
            }
        }
    }

    fn take(&mut self) {
        let patience = Duration::from_micros(self.random.below(5_000));
        self.aim();
        if self.ticket.wait_timeout(patience).unwrap() {
            tickets::took(self.ledger);
        }
    }

    fn transfer(&mut self) {
        if self.breaks(Fault::Torn) {
            return self.store.tear(&self.log, &mut self.random);
        }
        self.aim();
        self.store
            .transfer(&self.log, &self.actor, &mut self.random);
    }

    fn pause(&mut self) {
        match self.random.below(8) {
            0..=4 => {}
            5 | 6 => std::thread::yield_now(),
            // Long enough to be found inside.
            _ => std::thread::sleep(Duration::from_micros(self.random.below(2_000))),
        }
    }
}

/// The event that resets itself.
pub fn ticket(segment: &Segment) -> CrossProcessEvent {
    let ticket = EventOptions::new().reset(Reset::Auto);
    ticket.open(segment, "ticket").unwrap()
}
