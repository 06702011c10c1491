//! The search: depth first over all schedules, each state once.
//!
//! # States
//! The values of all words, the local state of every actor, the clock, and who is dead.
//! A state that was seen before is not searched again. Only its hash is kept.
//!
//! # Steps that need no alternative
//! A step that no other actor can notice (it loads what no other actor writes, writes what
//! no other touches, or wakes a word on which nobody sleeps) is taken alone: whatever the
//! others do before it they can do after it. Killing the actor before such a step or after
//! it makes no difference that anything reads. Which words are shared is learned on the
//! way; a search that relied on too little begins again. A cycle of such steps would
//! hide the other actors for ever, so at least one step of every cycle is not taken alone:
//! one that leads to a local state which was found before the present one.
//!
//! # Bounded stops
//! An actor is *stopped* where another one takes the next step although it could. A search
//! may be limited to schedules with a number of stops, and is complete among these: for models
//! of too many states, and to find a short schedule for a failure. Then only the actor
//! that took the last step may take a step alone, which spares no stop.

use std::collections::{HashMap, HashSet};

use super::automaton::Next;
use super::hash;
use super::run::{Access, Act};
use super::state::{Choice, Failure, State, Taken};
use super::system::System;

/// Steps of one schedule; more means that a model does not end.
const MAX_STEPS: usize = 20_000;
/// Sleeps that end because nothing else can happen, in one schedule.
const MAX_ROUNDS: u32 = 64;
/// Schedules drawn at random before the search, to learn which words are shared.
const WALKS: u32 = 300;

/// The figures of a search.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// Different states.
    pub(super) states: u64,
    /// Schedules that were followed to their end or to a state seen before.
    pub(super) schedules: u64,
    /// Schedules that ended.
    pub(super) ends: u64,
    /// Steps of the longest schedule.
    pub(super) longest: usize,
    /// The limit of states was reached.
    pub(super) is_cut: bool,
}

/// A failure and the steps that lead to it.
pub(super) struct Found {
    pub(super) failure: Failure,
    pub(super) path: Vec<Choice>,
    pub(super) stops: u32,
}

/// How far to search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) states: u64,
    /// How often actors are stopped; `None` for any number.
    pub(super) stops: Option<u32>,
}

struct Frame {
    mark: (usize, u128),
    choices: Vec<Choice>,
    next: usize,
    /// Only one actor's step is among the choices.
    is_alone: bool,
    /// The step taken alone turned out to be noticeable.
    widen: bool,
    /// The actor that took the last step, if it could go on.
    last: Option<u8>,
    stops: u32,
}

enum Seen {
    All(HashSet<u128, hash::Build>),
    /// With the fewest stops on the way.
    Bounded(HashMap<u128, u32, hash::Build>),
}

impl Seen {
    fn is_new(&mut self, state: &State, last: Option<u8>, stops: u32) -> bool {
        match self {
            Self::All(seen) => seen.insert(state.hash),
            Self::Bounded(seen) => {
                let key = hash::mix(state.hash, last.map_or(0, |last| u64::from(last) + 1));
                let least = seen.entry(key).or_insert(u32::MAX);
                let is_new = stops < *least;
                *least = stops.min(*least);
                is_new
            }
        }
    }
}

/// One search of one model.
pub(super) struct Search<'s> {
    pub(super) system: &'s mut System,
    pub(super) state: State,
    limits: Limits,
    pub(super) figures: Figures,
}

impl<'s> Search<'s> {
    pub(super) fn new(system: &'s mut System, limits: Limits) -> Self {
        let state = State::new(system.words.values.clone(), system.automata.len());
        Self {
            system,
            state,
            limits,
            figures: Figures::default(),
        }
    }

    pub(super) fn actors(&self) -> usize {
        self.system.automata.len() - 1 - usize::from(self.system.has_observer)
    }

    /// Brings every actor to its first step.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        for actor in 0..self.actors() {
            self.state.begin(actor, self.system)?;
        }
        self.observe()
    }

    /// Takes one step and observes.
    pub(super) fn step(&mut self, choice: Choice) -> Result<Taken, Failure> {
        let taken = self.state.take(choice, self.system)?;
        self.observe()?;
        Ok(taken)
    }

    /// Searches all schedules; returns the first failure.
    pub(super) fn run(&mut self) -> Option<Found> {
        loop {
            self.system.begin();
            self.state = State::new(self.system.words.values.clone(), self.system.automata.len());
            self.figures = Figures::default();
            let found = self.run_once();
            if !self.system.is_stale || found.is_some() {
                return found;
            }
        }
    }

    fn run_once(&mut self) -> Option<Found> {
        let mut path = Vec::new();
        if let Err(failure) = self.begin() {
            return found(failure, path, 0);
        }
        let mut seen = match self.limits.stops {
            None => Seen::All(HashSet::default()),
            Some(_) => Seen::Bounded(HashMap::default()),
        };
        seen.is_new(&self.state, None, 0);
        let mut frames = Vec::new();
        match self.frame(None, 0) {
            Ok(frame) => frames.push(frame),
            Err(failure) => return found(failure, path, 0),
        }
        while let Some(frame) = frames.last_mut() {
            if self.system.is_stale {
                return None;
            }
            self.state.restore(frame.mark);
            let Some(choice) = frame.choices.get(frame.next).copied() else {
                if std::mem::take(&mut frame.widen) {
                    let taken = std::mem::take(&mut frame.choices);
                    (frame.next, frame.is_alone) = (0, false);
                    frame.choices = self.choices();
                    frame.choices.retain(|choice| !taken.contains(choice));
                    continue;
                }
                frames.pop();
                path.pop();
                continue;
            };
            frame.next += 1;
            let by = choice.actor();
            let is_stop = by.is_some() && frame.last.is_some_and(|last| by != Some(last));
            let (last, stops) = (by.or(frame.last), frame.stops + u32::from(is_stop));
            if self.limits.stops.is_some_and(|most| stops > most) {
                continue;
            }
            path.push(choice);
            self.figures.longest = self.figures.longest.max(path.len());
            let Taken {
                is_private,
                is_forward,
            } = match self.step(choice) {
                Ok(taken) => taken,
                Err(failure) => return found(failure, path, stops),
            };
            let last = last.filter(|last| self.state.is_able(usize::from(*last)));
            let frame = frames.last_mut().expect("the one above");
            frame.widen |= frame.is_alone && !(is_private && is_forward);
            if choice == Choice::Finally {
                self.figures.ends += 1;
            }
            if choice == Choice::Finally || !seen.is_new(&self.state, last, stops) {
                self.figures.schedules += 1;
                path.pop();
                continue;
            }
            self.figures.states += 1;
            if self.figures.states >= self.limits.states {
                self.figures.is_cut = true;
                return None;
            }
            if path.len() > MAX_STEPS {
                let failure = Failure(format!("no end: a schedule of {MAX_STEPS} steps"));
                return found(failure, path, stops);
            }
            match self.frame(last, stops) {
                Ok(frame) => frames.push(frame),
                Err(failure) => return found(failure, path, stops),
            }
        }
        None
    }

    fn frame(&mut self, last: Option<u8>, stops: u32) -> Result<Frame, Failure> {
        let alone = match (self.limits.stops, last) {
            (None, _) => (0..self.actors()).find_map(|actor| self.alone(actor)),
            (Some(_), Some(last)) => self.alone(last.into()),
            (Some(_), None) => None,
        };
        let is_alone = alone.is_some();
        let choices = match alone {
            Some(choices) => choices,
            None => self.choices(),
        };
        if self.state.ticks > self.system.max_ticks + MAX_ROUNDS {
            let failure = format!("no end: {MAX_ROUNDS} bounded sleeps in a row");
            return Err(Failure(failure));
        }
        if let [Choice::Finally, ..] = choices[..] {
            self.check_sleepers()?;
        }
        Ok(Frame {
            mark: self.state.mark(),
            choices,
            next: 0,
            is_alone,
            widen: false,
            last,
            stops,
        })
    }

    /// Nothing goes on by itself: nobody may sleep without a bound.
    fn check_sleepers(&self) -> Result<(), Failure> {
        for actor in 0..self.actors() {
            if self.state.sleep(actor, self.system).is_some() {
                let name = &self.system.names[actor];
                return Err(Failure(format!("{name} sleeps for ever: a lost wake-up")));
            }
        }
        Ok(())
    }

    /// The steps of an actor, if no other actor can notice the first of them.
    fn alone(&mut self, actor: usize) -> Option<Vec<Choice>> {
        let node = self.state.actors[actor].node;
        let Next::Access { access, .. } = self.system.automata[actor].at(node) else {
            return None;
        };
        let access = access.clone();
        let is_alone = self.state.is_able(actor) && self.system.is_private(actor, &access);
        is_alone.then(|| self.steps_of(actor).collect())
    }

    /// Runs the observer on the words as they are.
    fn observe(&mut self) -> Result<(), Failure> {
        if !self.system.has_observer {
            return Ok(());
        }
        let observer = self.system.automata.len() - 1;
        let mut node = 0;
        loop {
            let id = match self.system.automata[observer].at(node) {
                Next::Done => return Ok(()),
                Next::Failed(message) => return Err(Failure(message.clone())),
                Next::Access {
                    access: Access::Word(id, Act::Load),
                    ..
                } => *id,
                Next::Access { access, .. } => panic!("an observer only loads, no {access:?}"),
            };
            node = self
                .system
                .after(observer, node, self.state.values[id as usize]);
        }
    }

    /// Follows random schedules, to learn which words are shared. A failure is found again.
    pub(super) fn walk(&mut self) {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..WALKS {
            self.state = State::new(self.system.words.values.clone(), self.system.automata.len());
            if self.begin().is_err() {
                return;
            }
            for _ in 0..MAX_STEPS {
                let choices = self.choices();
                if choices.is_empty() {
                    break;
                }
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let choice = choices[(random >> 33) as usize % choices.len()];
                if self.state.take(choice, self.system).is_err() || choice == Choice::Finally {
                    break;
                }
            }
        }
    }
}

fn found(failure: Failure, path: Vec<Choice>, stops: u32) -> Option<Found> {
    Some(Found {
        failure,
        path,
        stops,
    })
}
