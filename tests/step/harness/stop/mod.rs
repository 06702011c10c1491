//! Stopped at every access: a process is stopped in the middle of an operation, others act
//! meanwhile, and it continues much later, or is killed then.
//!
//! - `operation`: in what a process is stopped; `scenario`: what others do; `pair`: both,
//!   and what guards them.
//! - `route`: where it is stopped.
//! - `victim`, `actor`, `cast`: the processes; `deed`: what they are asked to do.
//! - `run`: one stop; `aftermath`: what must hold afterwards.
//! - `tally`: what was found.
//!
//! Each stop has a segment of its own, so that every victim goes the same way.

mod actor;
mod aftermath;
mod cast;
mod deed;
mod operation;
mod pair;
mod reach;
mod route;
mod run;
mod scenario;
mod tally;
mod victim;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use operation::About;
use pair::{Guard, KNOWN, KNOWN_OF_TWO, Where};
use route::{Kind, Point, Route};
use run::{Came, Fate, Order, Pair, Second, Stop};
use tally::Tally;

use crate::harness::board::Board;
use crate::harness::settings::{Form, Settings};

/// How long the short form samples, in seconds.
const SHORT: u64 = 30;
/// Violations of a pair after which it is given up.
const ENOUGH: u64 = 3;
/// Turns of a loop at each of which the long form stops; then at each n-th.
const TURNS: u64 = 32;
/// How often a long run says where it is.
const NEWS: Duration = Duration::from_secs(30);
/// Stops of one point before it is taken as not to be reached.
const TRIES: u32 = 3;

/// How many turns others take of what they repeat: with narrow tags every tag wraps.
const fn rounds() -> u64 {
    if cfg!(feature = "narrow") { 8 } else { 3 }
}

/// The sweep of a run.
struct Sweep {
    board: &'static Board,
    routes: HashMap<&'static str, Route>,
    /// Every instruction is a point.
    every: bool,
    tally: Tally,
}

/// How many violations there were.
pub fn run(settings: &Settings) -> usize {
    let mut sweep = Sweep {
        board: Board::new(),
        routes: HashMap::new(),
        every: settings.instructions,
        tally: Tally::default(),
    };
    let fates: Vec<_> = Fate::ALL
        .into_iter()
        .filter(|fate| {
            settings
                .fate
                .as_deref()
                .is_none_or(|name| name == fate.name())
        })
        .collect();
    let is_chosen = |pair: &Pair| {
        let only = |chosen: &Option<String>, name| chosen.as_deref().is_none_or(|it| it == name);
        only(&settings.only, pair.operation.name) && only(&settings.life, pair.scenario.name)
    };
    let pairs: Vec<_> = Pair::all().filter(is_chosen).collect();
    let is_long = settings.form == Form::Stops && settings.seconds.is_none();
    let is_whole = settings.point.is_none() && settings.only.is_none();
    if let Some(point) = settings.point {
        for pair in pairs {
            sweep.at(pair, point.after, &fates);
        }
    } else if is_long {
        for pair in pairs {
            sweep.all(pair, &fates, settings.every);
        }
    } else {
        sweep.variants();
        if is_whole {
            sweep.known();
            sweep.known_of_two();
        }
        let seconds = settings.seconds.unwrap_or(SHORT);
        sweep.sample(&pairs, &fates, seconds, &mut settings.random());
    }
    sweep.tally.end(is_whole)
}

impl Sweep {
    /// Where the thread of an operation is stopped.
    fn points(&mut self, pair: Pair) -> Vec<Point> {
        let name = pair.operation.name;
        if !self.routes.contains_key(name) {
            let learnt = Route::of(pair.operation, self.board, self.every);
            let route = learnt.unwrap_or_else(|violation| {
                // Nobody was stopped yet.
                self.tally.wrong(pair, None, &violation);
                Route {
                    points: Vec::new(),
                    length: 0,
                }
            });
            self.tally.learnt(name, &route);
            self.routes.insert(name, route);
        }
        self.routes[name].points.clone()
    }

    fn stop(&mut self, pair: Pair, (point, fate): (Point, Fate), rounds: u64) {
        self.stop_two(pair, (point, fate), None, rounds);
    }

    /// The same with a second process that is stopped meanwhile.
    fn stop_two(
        &mut self,
        pair: Pair,
        (point, fate): (Point, Fate),
        second: Option<Second>,
        rounds: u64,
    ) {
        for _ in 0..TRIES {
            match pair.stop(self.board, (point, fate), second, rounds) {
                Ok(Came::Well) => return self.tally.well(pair),
                Ok(Came::Elsewhere) => self.tally.missed(pair),
                Err(violation) => {
                    let stop = Stop {
                        point,
                        fate,
                        second,
                    };
                    return self.tally.wrong(pair, Some(stop), &violation);
                }
            }
        }
    }

    fn at(&mut self, pair: Pair, index: u64, fates: &[Fate]) {
        let points = self.points(pair);
        let point = points.iter().rfind(|point| point.index <= index);
        for fate in fates {
            if let Some(point) = point {
                self.stop(pair, (*point, *fate), rounds());
            }
        }
    }

    /// Stops at every point, or at each `every`-th one.
    fn all(&mut self, pair: Pair, fates: &[Fate], every: usize) {
        let points = self.points(pair);
        let mut said = Instant::now();
        let all = points.iter().filter(|point| is_other(point));
        for (nth, point) in all.enumerate().step_by(every) {
            for fate in fates {
                // The step alone is what a death at the next point adds to that.
                if *fate == Fate::Dies && !nth.is_multiple_of(4) {
                    continue;
                }
                for rounds in all_turns() {
                    if self.tally.of(pair).violations < ENOUGH {
                        self.stop(pair, (*point, *fate), rounds);
                    }
                }
            }
            if said.elapsed() > NEWS {
                said = Instant::now();
                eprintln!("step: {pair}: at point {nth} of {}", points.len());
            }
        }
    }

    /// What is wrong on purpose is found.
    fn variants(&mut self) {
        for operation in operation::variants() {
            let pair = Pair {
                operation,
                scenario: scenario::named("counts"),
            };
            for point in self.points(pair) {
                self.stop(pair, (point, Fate::GoesOn), rounds());
            }
            self.tally.must_be_found(pair);
        }
    }

    /// Each known finding, at the points that show it.
    fn known(&mut self) {
        for known in KNOWN {
            let pair = known.pair();
            for point in known.points(&self.points(pair)) {
                for rounds in
                    all_turns().filter(|it| pair.guard() == Guard::Width || *it == rounds())
                {
                    if self.tally.of(pair).violations < ENOUGH {
                        self.stop(pair, (point, known.fate), rounds);
                    }
                }
            }
            if self.tally.of(pair).violations > 0 {
                println!("step: {pair}: {}", known.what);
            }
        }
    }

    /// Each that takes two.
    fn known_of_two(&mut self) {
        for known in KNOWN_OF_TWO {
            let of = |name| Pair {
                operation: operation::named(name),
                scenario: scenario::named("nothing"),
            };
            let (pair, other) = (of(known.first), of(known.second));
            let (points, others) = (self.points(pair), self.points(other));
            for point in Where::Atomic.of(&points) {
                for there in Where::Atomic.of(&others) {
                    let second = Second {
                        operation: other.operation,
                        point: there,
                        order: known.order,
                    };
                    self.stop_two(pair, (point, Fate::GoesOn), Some(second), rounds());
                }
            }
            if self.tally.of(pair).violations > 0 {
                println!("step: {pair}: {}", known.what);
            }
        }
    }

    /// Now and then a second one to be stopped.
    fn second(&mut self, pair: Pair, random: &mut impl FnMut() -> u64) -> Option<Second> {
        let has_two = scenario::FOR_TWO.contains(&pair.scenario.name);
        if !has_two || pair.operation.about != About::Group || random().is_multiple_of(2) {
            return None;
        }
        let all: Vec<_> = operation::all().filter(|one| one.may_be_second()).collect();
        let operation = all[(random() % all.len() as u64) as usize];
        let of = Pair { operation, ..pair };
        let points = self.points(of);
        let order = Order::ALL[(random() % 3) as usize];
        (!points.is_empty()).then(|| Second {
            operation,
            point: choose(&points, random),
            order,
        })
    }

    /// Random points of all pairs in turn, until the time is over.
    fn sample(
        &mut self,
        pairs: &[Pair],
        fates: &[Fate],
        seconds: u64,
        random: &mut impl FnMut() -> u64,
    ) {
        let begin = Instant::now();
        let mut pairs = pairs.to_vec();
        loop {
            for index in (1..pairs.len()).rev() {
                pairs.swap(index, (random() % (index as u64 + 1)) as usize);
            }
            for pair in &pairs {
                if begin.elapsed().as_secs() >= seconds {
                    return;
                }
                let points = self.points(*pair);
                if points.is_empty() || self.tally.of(*pair).violations >= ENOUGH {
                    continue;
                }
                let point = choose(&points, random);
                let fate = fates[(random() % fates.len() as u64) as usize];
                let second = self.second(*pair, random);
                let all: Vec<_> = all_turns().collect();
                let rounds = all[(random() % all.len() as u64) as usize];
                self.stop_two(*pair, (point, fate), second, rounds);
            }
            if pairs.is_empty() {
                return;
            }
        }
    }
}

/// Enough turns that tags which do not move in step with the turns wrap exactly, too.
fn all_turns() -> impl Iterator<Item = u64> {
    let more = if cfg!(feature = "narrow") { 4 } else { 1 };
    rounds()..rounds() + more
}

/// Whether a turn of a loop is unlike others: a segment in which a few processes live has
/// hundreds of slots that nobody has used.
fn is_other(point: &Point) -> bool {
    point.nth <= TURNS || point.nth.is_multiple_of(TURNS)
}

/// Half of the time just before an atomic step or just after one.
fn choose(points: &[Point], random: &mut impl FnMut() -> u64) -> Point {
    let mut pick = |count: usize| (random() % count.max(1) as u64) as usize;
    let at = pick(points.len());
    if pick(2) == 0 {
        return points[at];
    }
    let atomic = |at: &usize| {
        let before = at.checked_sub(1).map(|before| points[before].kind);
        points[*at].kind == Kind::Atomic || before == Some(Kind::Atomic)
    };
    let all: Vec<_> = (0..points.len()).filter(atomic).collect();
    all.get(pick(all.len()))
        .map_or(points[at], |at| points[*at])
}
