//! One operation, killed at one point or at all of them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use crate::harness::board::Board;
use crate::harness::crew::Crew;
use crate::harness::fork;
use crate::harness::operation::{self, Operation};
use crate::harness::path::Path;
use crate::harness::place::Place;
use crate::harness::point::Point;
use crate::harness::stage::Stage;
use crate::harness::survivor::{Order, Survivor, Violation};
use crate::harness::tally::Tally;
use crate::harness::trace::{self, Code, Seen, Tracee};

/// Most violations of one operation that are looked at before it is given up.
const ENOUGH: usize = 5;
/// Sleeps of one operation at which it is killed, too.
const SLEEPS: usize = 16;
/// Times that the way of an operation is learnt anew from a wait on.
const PASSES: u32 = 24;
/// Longer than any operation takes, single-stepped, on a machine that works.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long after the end of its wait a victim that has not stopped is taken to wait again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often a long sweep says where it is.
const NEWS: Duration = Duration::from_secs(30);
/// Ends in a row before the point that mean that the operation has no more instructions.
const ENDS: u32 = 3;
/// Victims that may go another way than the first one before one is stepped all the way.
const RETRIES: u32 = 4;
/// Kills after which a long sweep goes on in a new segment: tables that thousands of victims
/// have filled make the way of some operations several times as long.
const RENEWAL: u64 = 512;
/// Times that the way of an operation is learnt from its beginning, in one segment.
const LESSONS: u32 = 40;

/// An operation being swept: one segment and one survivor for many kills, until there is a
/// violation.
pub struct Sweep {
    operation: Operation,
    board: &'static Board,
    survivor: Survivor,
    place: Place,
    code: Code,
    path: Path,
    /// From which instruction on the way is being learnt, if it is.
    learning: Option<u64>,
    /// How often it was.
    lessons: u32,
    /// After how many instructions the latest victim was killed.
    reached: u64,
    /// Where it was seen to sleep.
    slept: BTreeSet<u64>,
    pub tally: Tally,
}

impl Sweep {
    pub fn new(operation: Operation) -> Self {
        let board = Board::new();
        let place = Place::new();
        Self {
            operation,
            board,
            survivor: Survivor::start(&place, board, operation),
            place,
            code: Code::new(),
            path: Path::default(),
            learning: None,
            lessons: 0,
            reached: 0,
            slept: BTreeSet::new(),
            tally: Tally::new(operation.name),
        }
    }

    /// Kills after every instruction (or every so-manieth), and in every sleep.
    pub fn all(mut self, every: usize) -> Tally {
        let (mut ended, mut renewals) = (0, 0);
        let mut said = Instant::now();
        let length = self.length();
        for after in (0..).step_by(every) {
            let at = self.kill(Point {
                after,
                asleep: false,
            });
            if at < after {
                ended += 1;
            } else {
                ended = 0;
                self.tally.length = after;
                let is_known = self.operation.touches || after < self.path.len();
                if !is_known && self.lessons < LESSONS {
                    // Longer than it was.
                    self.length();
                }
            }
            if self.tally.kills / RENEWAL > renewals {
                renewals = self.tally.kills / RENEWAL;
                self.renew();
                self.lessons = 0;
            }
            if said.elapsed() > NEWS {
                said = Instant::now();
                eprintln!("step: {}: at {at} of about {length}", self.operation.name);
            }
            if ended == ENDS || self.tally.violations.len() >= ENOUGH {
                break;
            }
        }
        self.sleeps();
        self.tally
    }

    /// Kills at the first point, the last, in every sleep, and at some in between.
    pub fn some(mut self, count: u64, random: &mut impl FnMut() -> u64) -> Tally {
        let length = self.length();
        self.tally.length = length;
        self.kill(Point {
            after: 0,
            asleep: false,
        });
        for _ in 0..count {
            if self.tally.violations.len() < ENOUGH {
                self.kill(Point {
                    after: random() % length.max(1),
                    asleep: false,
                });
            }
        }
        self.sleeps();
        self.tally
    }

    /// Kills at one point.
    pub fn one(mut self, point: Point) -> Tally {
        self.kill(point);
        self.tally
    }

    /// Learns the way of the operation by stepping it from its first to its last instruction,
    /// and kills there. Waits are bounded in time, and stepping takes long: so that the way
    /// does not lead through sleeps that ended by their time, the victim runs at full speed
    /// to each wait in turn and is stepped from there.
    fn length(&mut self) -> u64 {
        let end = Point {
            after: u64::MAX,
            asleep: false,
        };
        if self.operation.touches {
            return self.kill(end);
        }
        if self.lessons == 0 {
            // The first one may find the segment as nobody does after it.
            self.kill_once(Point {
                after: 0,
                asleep: false,
            });
        }
        self.lessons += 1;
        self.learning = Some(0);
        self.slept.clear();
        let mut length = self.kill_once(end);
        let mut from = 0;
        for _ in 0..PASSES {
            let Some(wait) = self.path.wait_from(from) else {
                break;
            };
            self.learning = Some(wait);
            let slept = self.slept.clone();
            self.slept.retain(|slept| *slept < wait);
            match self.kill_once(end) {
                // It took another way before it came to that wait.
                Point::MISSED => self.slept = slept,
                learnt => length = learnt,
            }
            from = wait + 1;
        }
        self.learning = None;
        length
    }

    fn sleeps(&mut self) {
        for after in self.slept.clone().into_iter().take(SLEEPS) {
            if self.tally.violations.len() < ENOUGH {
                self.kill(Point {
                    after,
                    asleep: true,
                });
            }
        }
    }

    /// One victim; answers after how many instructions it was killed.
    fn kill(&mut self, point: Point) -> u64 {
        for nth in 0..RETRIES {
            let at = self.kill_once(point);
            if at != Point::MISSED {
                return at;
            }
            self.tally.missed += 1;
            if nth % 2 == 1 && self.lessons < LESSONS {
                // The way has changed, with what is in the segment.
                self.length();
            }
        }
        // Step by step, then.
        let path = std::mem::take(&mut self.path);
        let at = self.kill_once(point);
        self.path = path;
        at
    }

    fn kill_once(&mut self, point: Point) -> u64 {
        match self.try_kill(point) {
            Ok(at) => at,
            Err(violation) => {
                let at = Point {
                    after: self.reached,
                    ..point
                };
                self.tally.wrong(at, &violation);
                // What is left of that segment says nothing about the next kill.
                self.renew();
                at.after
            }
        }
    }

    /// Goes on in a new segment, with a new survivor.
    fn renew(&mut self) {
        self.place = Place::new();
        self.survivor = Survivor::start(&self.place, self.board, self.operation);
    }

    fn try_kill(&mut self, point: Point) -> Result<u64, Violation> {
        self.survivor.ask(Order::Arrange)?;
        let stage = || Stage::new(&self.place, self.board);
        if self.operation.casualty {
            let mut casualty = fork::run(|| {
                let kept = operation::casualty(&stage())();
                trace::mark();
                drop(kept);
            });
            casualty.stops();
            casualty.shoot();
            casualty.end();
        }
        let mut victim = fork::run(|| {
            let act = (self.operation.scene)(&stage());
            trace::submit();
            trace::mark();
            let kept = act();
            trace::mark();
            drop(kept);
        });
        let tracee = Tracee::new(victim.pid());
        match tracee.first_mark() {
            Some(Seen::Marked) => {}
            // After the kill before this one.
            None => return Err(Violation::hang("the next victim's scene never ends")),
            Some(other) => return Err(Violation::of(format!("the next scene: {other:?}"))),
        }
        self.survivor.ask(Order::Ready)?;
        let at = if self.operation.touches {
            let mut crew = Crew::new(victim.pid(), &self.place.text()).expect("to be traced");
            let walked = crew.walk(point.after);
            victim.shoot();
            crew.end();
            let (done, stops) =
                walked.map_err(|error| Violation::of(format!("tracing it: {error}")))?;
            self.tally.stops += stops;
            done
        } else {
            let at = self.step(&tracee, point)?;
            victim.shoot();
            at
        };
        if at != Point::MISSED {
            self.reached = at;
        }
        self.survivor.tell(Order::Shot);
        let ended = victim.end();
        self.survivor.tell(Order::Gone);
        if !matches!(ended, Some(WaitStatus::Signaled(_, Signal::SIGKILL, _))) {
            return Err(Violation::of(format!("it ends by itself: {ended:?}")));
        }
        let (shot, gone) = (
            self.survivor.answer(Order::Shot)?,
            self.survivor.answer(Order::Gone)?,
        );
        self.tally.killed([shot, gone]);
        Ok(at)
    }

    /// Lets the victim run on its way to the point as far as that is the quicker way.
    /// `None` if it did not go the way it went the first time.
    fn run_ahead(&mut self, tracee: &Tracee, after: u64) -> Result<Option<u64>, Violation> {
        let Some(run) = self.path.run_to(after) else {
            return Ok(Some(0));
        };
        if !tracee.break_at(Some(run.address)) {
            return Ok(Some(0));
        }
        let mut left = run.stops;
        while left > 0 {
            let seen = tracee.run(&mut self.code);
            match self.awake(tracee, seen)? {
                Seen::Stepped => {
                    self.tally.stops += 1;
                    left -= u64::from(tracee.pc() == run.address);
                }
                Seen::Marked => return Ok(None),
                other => return Err(Violation::of(format!("it stops by {other:?}"))),
            }
        }
        tracee.break_at(None);
        Ok(Some(run.done))
    }

    /// What is seen after its sleep, which the survivor ends.
    fn awake(&mut self, tracee: &Tracee, seen: Seen) -> Result<Seen, Violation> {
        if !matches!(seen, Seen::Asleep | Seen::Overslept) {
            return Ok(seen);
        }
        let begin = Instant::now();
        loop {
            self.survivor.ask(Order::Asleep)?;
            if seen == Seen::Overslept {
                return Ok(Seen::Stepped);
            }
            // Running, it may have gone to sleep again.
            if let Some(seen) = tracee.wake(AGAIN) {
                return Ok(seen);
            }
            if begin.elapsed() > PATIENCE {
                return Err(Violation::hang("the victim is not woken"));
            }
        }
    }

    /// Brings the victim to the point, or to the operation's end.
    fn step(&mut self, tracee: &Tracee, point: Point) -> Result<u64, Violation> {
        let begin = Instant::now();
        let learnt = self.learning;
        let ahead = learnt.unwrap_or(point.after);
        let Some(mut done) = self.run_ahead(tracee, ahead)? else {
            return Ok(Point::MISSED);
        };
        let mut path = learnt.map(|_| self.path.first(done));
        while done < point.after || point.asleep {
            if let Some(path) = &mut path {
                path.push(tracee.pc());
            }
            let mut seen = tracee.step(&mut self.code);
            self.tally.stops += 1;
            if seen == Seen::Asleep {
                self.slept.insert(done);
                if point.asleep && done >= point.after {
                    return Ok(done);
                }
            }
            if matches!(seen, Seen::Asleep | Seen::Overslept) {
                if let Some(path) = &mut path {
                    path.waited();
                }
                seen = self.awake(tracee, seen)?;
            }
            match seen {
                Seen::Stepped => done += 1,
                Seen::Marked => break,
                other => return Err(Violation::of(format!("it stops by {other:?}"))),
            }
            self.reached = done;
            if begin.elapsed() > PATIENCE {
                return Err(Violation::hang("the operation does not end"));
            }
        }
        if let Some(path) = path {
            self.path = path;
            return Ok(done);
        }
        // With a turn of a loop more or less on the way it stands elsewhere.
        let is_there = self.path.address(point.after);
        if done == point.after && is_there.is_some_and(|address| address != tracee.pc()) {
            return Ok(Point::MISSED);
        }
        Ok(done)
    }
}
