//! What the threads of a runner do, all at once and in any order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ebbtide::{
    BarrierError, CoordinationError, CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent,
    CrossProcessLock, CrossProcessSemaphore, Delivery, EventKind, EventOptions, LockError,
    LockGuard, Reset, Runner, Segment, Subscription,
};

use super::ledger::{Deed, Head, LOCKS, Ledger};
use super::line::{Count, Line};
use super::random::Random;
use super::store::Store;
use super::twin::Twin;

/// Longer than anybody is ever stopped: who waits this long hangs.
pub const HANGS: Duration = Duration::from_secs(20);

pub const PERMITS: usize = 3;
pub const PARTIES: usize = 2;
pub const LOCK_NAMES: [&str; LOCKS] = ["first", "second", "third"];

/// The things that all fight for, opened by one thread.
pub struct Deeds<'a> {
    ledger: &'a Ledger,
    line: Line<'a>,
    thread: usize,
    random: Random,
    twin: Twin,
    locks: [CrossProcessLock; LOCKS],
    boxed: CrossProcessLock,
    changed: CrossProcessCondvar,
    permits: CrossProcessSemaphore,
    barrier: CrossProcessBarrier,
    ticket: CrossProcessEvent,
    told: Subscription,
    heard: Option<u64>,
    store: Store,
}

impl<'a> Deeds<'a> {
    pub fn new(
        segment: &Segment,
        ledger: &'a Ledger,
        line: Line<'a>,
        thread: usize,
        random: Random,
        twin: Twin,
    ) -> Self {
        let news = CrossProcessEvent::open(segment, "news").unwrap();
        let ticket = EventOptions::new().reset(Reset::Auto);
        Self {
            ledger,
            line,
            thread,
            random,
            twin,
            locks: LOCK_NAMES.map(|name| CrossProcessLock::open(segment, name).unwrap()),
            boxed: CrossProcessLock::open(segment, "box").unwrap(),
            changed: CrossProcessCondvar::open(segment, "changed").unwrap(),
            permits: CrossProcessSemaphore::open(segment, "permits", PERMITS).unwrap(),
            barrier: CrossProcessBarrier::open(segment, "meeting", PARTIES).unwrap(),
            ticket: ticket.open(segment, "ticket").unwrap(),
            told: news.subscribe().unwrap(),
            heard: None,
            store: Store::open(segment),
        }
    }

    /// One thing, whatever comes up. False if the runner takes no work now.
    pub fn one(&mut self, runner: &Runner) -> bool {
        match self.random.below(20) {
            0..=5 => return self.work(runner),
            6..=8 => self.exclude(),
            9 => self.nest(),
            10 => self.produce(),
            11 => self.consume(),
            12 => self.hold_permit(),
            13 => self.meet(),
            14 => self.tell(),
            15 => self.hear(),
            16 => self.claim(),
            17..=18 => self
                .store
                .move_about(self.ledger, &mut self.random, self.twin),
            _ => self.store.look(self.ledger),
        }
        true
    }

    fn work(&mut self, runner: &Runner) -> bool {
        self.line.add(self.thread, Count::Entering);
        let item = match runner.begin() {
            Ok(item) => item,
            Err(CoordinationError::Draining { .. } | CoordinationError::Left { .. }) => {
                self.line.add(self.thread, Count::Refused);
                return false;
            }
            Err(error) => panic!("begin: {error:?}"),
        };
        self.line.add(self.thread, Count::Begun);
        self.pause();
        if self.random.once_in(4) {
            runner.progress();
            runner.set_activity("in the storm");
            runner.set_last_words(&self.line.id()).ok();
        }
        self.line.add(self.thread, Count::Leaving);
        if self.twin == Twin::Uncounted {
            std::mem::forget(item);
        } else {
            drop(item);
        }
        self.line.add(self.thread, Count::Finished);
        self.ledger.count(Deed::Work);
        true
    }

    fn exclude(&mut self) {
        let which = self.random.below(LOCKS as u64) as usize;
        if self.twin == Twin::Racy {
            return self.exclude_racily(which);
        }
        let lock = self.locks[which].clone();
        match lock.lock_timeout(HANGS) {
            Ok(guard) => self.inside(which, &guard),
            Err(error) => self.ledger.violate(&format!("lock: {error}")),
        }
    }

    /// Two locks, mostly in their order; else somebody must be told to give way.
    fn nest(&mut self) {
        if self.twin == Twin::Racy {
            return;
        }
        let first = self.random.below(LOCKS as u64) as usize;
        let second = (first + 1) % LOCKS;
        let (outer, inner) = (self.locks[first].clone(), self.locks[second].clone());
        let guard = match outer.lock_timeout(HANGS) {
            Ok(guard) => guard,
            Err(error) => return self.ledger.violate(&format!("outer lock: {error}")),
        };
        self.enter(first, &guard);
        match inner.lock_timeout(HANGS) {
            Ok(guard) => self.inside(second, &guard),
            Err(LockError::Deadlock { .. }) => self.ledger.count(Deed::Deadlock),
            Err(error) => self.ledger.violate(&format!("inner lock: {error}")),
        }
        self.leave(first);
        drop(guard);
    }

    fn inside(&mut self, which: usize, guard: &LockGuard<'_>) {
        self.enter(which, guard);
        self.pause();
        self.leave(which);
    }

    /// A name for this thread that is nobody else's.
    fn name(&self) -> u64 {
        (self.line.index * 16 + self.thread + 1) as u64
    }

    fn enter(&self, which: usize, guard: &LockGuard<'_>) {
        let (me, word) = (self.name(), |word| self.ledger.guarded(which, word));
        let before = word(0).swap(me, Ordering::AcqRel);
        let (left, right) = (
            word(1).load(Ordering::Acquire),
            word(2).load(Ordering::Acquire),
        );
        if guard.previous_owner_died() {
            self.ledger.count(Deed::Takeover);
            word(2).store(left, Ordering::Release);
            guard.mark_consistent();
        } else if before != 0 || left != right {
            let text = format!("lock {which}: {me} is in, and so is {before}; {left} {right}");
            self.ledger.violate(&text);
        }
    }

    fn leave(&self, which: usize) {
        let (me, word) = (self.name(), |word| self.ledger.guarded(which, word));
        // Not at once: whoever else is inside tears them apart.
        let value = word(1).load(Ordering::Acquire) + 1;
        word(1).store(value, Ordering::Release);
        std::thread::yield_now();
        word(2).store(value, Ordering::Release);
        let swapped = word(0).compare_exchange(me, 0, Ordering::AcqRel, Ordering::Acquire);
        if let Err(other) = swapped {
            let text = format!("lock {which}: {me} is still in, and so is {other}");
            self.ledger.violate(&text);
        }
        self.ledger.count(Deed::Lock);
    }

    /// The twin: looks, then takes.
    fn exclude_racily(&self, which: usize) {
        let word = self.ledger.guarded(which, 3);
        while word.load(Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
        // Wide open, so that it is caught on any machine.
        std::thread::yield_now();
        word.store(1, Ordering::Release);
        let me = self.name();
        let before = self.ledger.guarded(which, 0).swap(me, Ordering::AcqRel);
        if before != 0 {
            let text = format!("lock {which}: {me} is in, and so is {before}");
            self.ledger.violate(&text);
        }
        std::thread::yield_now();
        self.leave(which);
        word.store(0, Ordering::Release);
    }

    fn produce(&mut self) {
        match self.boxed.lock_timeout(HANGS) {
            Ok(guard) => {
                self.ledger
                    .head(Head::Produced)
                    .fetch_add(1, Ordering::AcqRel);
                guard.mark_consistent();
                self.changed.notify_one().unwrap();
            }
            Err(error) => self.ledger.violate(&format!("box: {error}")),
        }
    }

    fn consume(&mut self) {
        let mut guard = match self.boxed.lock_timeout(HANGS) {
            Ok(guard) => guard,
            Err(error) => return self.ledger.violate(&format!("box: {error}")),
        };
        let (produced, consumed) = (Head::Produced, Head::Consumed);
        for _ in 0..2 {
            if self.ledger.get(produced) > self.ledger.get(consumed) {
                self.ledger.head(consumed).fetch_add(1, Ordering::AcqRel);
                self.ledger.count(Deed::Condvar);
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
        if self.ledger.get(consumed) > self.ledger.get(produced) {
            self.ledger
                .violate("more was taken out of the box than put in");
        }
    }

    fn hold_permit(&mut self) {
        let permits = self.permits.clone();
        let permit = match self.twin {
            Twin::Unasked => None,
            _ => match permits.acquire_timeout(HANGS) {
                Ok(permit) => Some(permit),
                Err(error) => return self.ledger.violate(&format!("permit: {error}")),
            },
        };
        let mine = self.line.counter(self.thread, Count::Permit);
        mine.fetch_add(1, Ordering::AcqRel);
        self.are_permits_kept(mine);
        self.pause();
        mine.fetch_add(1, Ordering::AcqRel);
        drop(permit);
        self.ledger.count(Deed::Permit);
    }

    /// More holders than permits are a violation once each of them has shown, by a move
    /// of its word, that it was alive after it was counted.
    fn are_permits_kept(&self, mine: &AtomicU64) {
        let mut holders = Vec::new();
        for index in 0..self.ledger.lines() {
            let line = Line::at(self.ledger, index);
            let words = line.permits().filter(|word| !std::ptr::eq(*word, mine));
            let seen = words.map(|word| (line, word, word.load(Ordering::Acquire)));
            holders.extend(seen.filter(|(.., seen)| seen % 2 == 1));
        }
        holders.retain(|(line, ..)| !line.is_settled());
        if holders.len() < PERMITS {
            return;
        }
        let (mut living, end) = (1, Instant::now() + HANGS);
        for (line, word, seen) in holders {
            while !line.is_settled() && Instant::now() < end {
                if word.load(Ordering::Acquire) != seen {
                    living += 1;
                    break;
                }
                // We show it, too, and still hold ours.
                mine.fetch_add(2, Ordering::AcqRel);
                std::thread::yield_now();
            }
        }
        if living > PERMITS {
            let text = format!("{living} hold one of {PERMITS} permits");
            self.ledger.violate(&text);
        }
    }

    fn meet(&mut self) {
        let count = |word| self.ledger.head(word).fetch_add(1, Ordering::AcqRel);
        count(Head::Arrived);
        match self.barrier.wait_timeout(Duration::from_millis(30)) {
            Ok(passed) => {
                count(Head::Passed);
                if passed.is_leader() {
                    count(Head::Led);
                }
                self.ledger.count(Deed::Barrier);
            }
            Err(BarrierError::TimedOut { .. } | BarrierError::BrokenBarrier { .. }) => {
                self.ledger.count(Deed::Broken);
                self.barrier.reset().unwrap();
            }
            Err(error) => panic!("barrier: {error:?}"),
        }
        let arrived = self.ledger.get(Head::Arrived);
        if self.ledger.get(Head::Led) * PARTIES as u64 > arrived {
            self.ledger.violate("a meeting of fewer than there must be");
        }
    }

    fn tell(&mut self) {
        let word = self.random.next().to_le_bytes();
        let payload: Vec<u8> = word.iter().cycle().take(200).copied().collect();
        let news = self.told.event();
        match news.set_with(EventKind::Custom(7), &payload) {
            Ok(_) => self.ledger.count(Deed::Event),
            Err(error) => self.ledger.violate(&format!("set: {error}")),
        }
        if self.random.once_in(2) {
            self.ticket.set().unwrap();
        }
    }

    /// Numbers without holes, payloads of one piece.
    fn hear(&mut self) {
        while let Some(delivery) = self.told.try_next().unwrap() {
            match delivery {
                Delivery::Set(set) => {
                    let is_next = self.heard.is_none_or(|heard| set.sequence == heard + 1);
                    let is_whole = set.payload.chunks(8).all(|word| word == &set.payload[..8]);
                    if !is_next || !is_whole || set.payload.len() != 200 {
                        self.ledger
                            .violate(&format!("after {:?} heard {set:?}", self.heard));
                    }
                    self.heard = Some(set.sequence);
                }
                Delivery::Lagged { missed } => {
                    self.heard = self.heard.map(|heard| heard + missed);
                }
            }
        }
    }

    fn claim(&mut self) {
        if self.ticket.wait_timeout(Duration::from_millis(5)).unwrap() {
            let claims = self
                .ledger
                .head(Head::Claimed)
                .fetch_add(1, Ordering::AcqRel)
                + 1;
            if claims > self.ticket.sequence() {
                self.ledger
                    .violate(&format!("{claims} took what was given less often"));
            }
        }
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
