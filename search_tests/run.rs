//! One run of an actor's code on a script of results.
//!
//! A run touches no memory: each access takes its result from the script, and the first
//! access beyond the script ends the run by an unwind. What the code does between two
//! accesses depends on the results so far and on nothing else, so the script and the
//! access that follows it are all that the search needs (see `automaton.rs`).
//!
//! While a model is set up, accesses act on the initial values directly.

use std::cell::RefCell;
use std::fmt::Debug;
use std::panic::resume_unwind;

use super::hash;

/// The number of a word: its place in the order in which words are made.
pub(super) type Id = u32;

/// The clock of a model begins here; zero means "unset" in many words.
pub(super) const CLOCK_BEGINS: u64 = 1000;

/// What an access does to one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Load,
    Store(u64),
    Swap(u64),
    CompareExchange(u64, u64),
    Add(u64),
    Or(u64),
    And(u64),
}

impl Act {
    /// The value after the act, if it writes. The result of every act is `old`.
    pub(super) fn apply(self, old: u64, is_wide: bool) -> Option<u64> {
        let new = match self {
            Self::Load => return None,
            Self::CompareExchange(current, new) if old == current => new,
            Self::CompareExchange(..) => return None,
            Self::Store(value) | Self::Swap(value) => value,
            Self::Add(value) => old.wrapping_add(value),
            Self::Or(value) => old | value,
            Self::And(value) => old & value,
        };
        Some(if is_wide { new } else { new & 0xffff_ffff })
    }
}

/// One access to what actors share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Word(Id, Act),
    /// Sleeps while each word's low half is as expected.
    Wait {
        cells: Vec<(Id, u32)>,
        until: u64,
    },
    Wake(Id, u32),
    Now,
    /// Touches nothing shared: the body leaves a decision to the search.
    Choose(u32),
}

/// What a run did, for the reader of a schedule.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// An access took its result from the script.
    Access,
    Begins(&'static str),
    Ends(String),
}

/// One run of an actor's body on a script.
#[derive(Debug, Default)]
pub(super) struct Run {
    actor: usize,
    script: Vec<u64>,
    at: usize,
    /// Identifies the local state of the actor.
    key: u128,
    /// How many [`atomically`] calls are open.
    atomic: u32,
    /// Within [`one_step`]: whether its first access was made.
    one_step: Option<bool>,
    /// The access beyond the script, and whether it belongs to the step before it.
    next: Option<(Access, bool)>,
    events: Vec<Event>,
}

/// The result of a run.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) key: u128,
    pub(super) next: Option<(Access, bool)>,
    pub(super) events: Vec<Event>,
}

/// The words of a model.
#[derive(Clone, Default, Debug)]
pub(super) struct Words {
    pub(super) values: Vec<u64>,
    /// Whether a word has 64 bits.
    pub(super) is_wide: Vec<bool>,
    /// First word of each named table, its name, and the names of its words.
    tables: Vec<(Id, String, Vec<String>)>,
    /// Life words: the kernel marks those that bear a dead thread's id.
    pub(super) lives: Vec<Id>,
    /// Bytes of the lock file: the kernel frees those that bear a dead process's number.
    pub(super) bytes: Vec<Id>,
}

impl Words {
    pub(super) fn add(&mut self, is_wide: bool) -> Id {
        self.values.push(0);
        self.is_wide.push(is_wide);
        (self.values.len() - 1) as Id
    }

    /// Names the words that are made from now on.
    pub(super) fn name_next(&mut self, table: &str, names: &[impl ToString]) {
        let names = names.iter().map(ToString::to_string).collect();
        self.tables
            .push((self.values.len() as Id, table.into(), names));
    }

    /// A readable name of a word.
    pub(super) fn name(&self, id: Id) -> String {
        let index = self.tables.partition_point(|(first, ..)| *first <= id);
        match index.checked_sub(1).map(|index| &self.tables[index]) {
            None => format!("word {id}"),
            Some((first, table, names)) => match names.get((id - first) as usize) {
                Some(name) => format!("{table}.{name}"),
                None => format!("{table}[{}]", id - first),
            },
        }
    }
}

enum Mode {
    Idle,
    Setup(Words),
    Body(Run),
}

thread_local! {
    static MODE: RefCell<Mode> = const { RefCell::new(Mode::Idle) };
}

/// The payload of the unwind that ends a run at the access beyond its script.
pub(super) struct Suspended;

/// Runs `setup`, which makes the words of a model.
pub(super) fn set_up<T>(setup: impl FnOnce() -> T) -> (T, Words) {
    MODE.set(Mode::Setup(Words::default()));
    let made = setup();
    match MODE.replace(Mode::Idle) {
        Mode::Setup(words) => (made, words),
        _ => unreachable!("nothing else sets the mode"),
    }
}

/// Changes the words of the model that is set up.
pub(super) fn with_words<T>(change: impl FnOnce(&mut Words) -> T) -> T {
    MODE.with_borrow_mut(|mode| match mode {
        Mode::Setup(words) => change(words),
        _ => panic!("words are made while the model is set up"),
    })
}

/// Runs the body of an actor on a script; `body` catches the unwind that ends it.
pub(super) fn run<T>(actor: usize, script: Vec<u64>, body: impl FnOnce() -> T) -> (T, Ran) {
    MODE.set(Mode::Body(Run {
        actor,
        script,
        key: hash::mix(0, actor as u64),
        ..Run::default()
    }));
    let ended = body();
    match MODE.replace(Mode::Idle) {
        Mode::Body(Run {
            key, next, events, ..
        }) => (ended, Ran { key, next, events }),
        _ => unreachable!("nothing else sets the mode"),
    }
}

/// Does nothing outside of a body: a setup is one step in any case.
fn with_run<T>(change: impl FnOnce(&mut Run) -> T) -> Option<T> {
    MODE.with_borrow_mut(|mode| match mode {
        Mode::Body(run) => Some(change(run)),
        _ => None,
    })
}

/// The actor whose body runs; `None` while a model is set up.
pub(super) fn current_actor() -> Option<usize> {
    with_run(|run| run.actor)
}

/// Makes an access; returns its result.
pub(super) fn access(access: Access) -> u64 {
    let result = MODE.with_borrow_mut(|mode| match mode {
        Mode::Idle => panic!("an access outside of a model"),
        Mode::Setup(words) => Some(set_up_access(words, &access)),
        Mode::Body(run) => {
            let is_atomic = run.atomic > 0 || run.one_step == Some(true);
            if let Some(is_made) = &mut run.one_step {
                *is_made = true;
            }
            match run.script.get(run.at) {
                Some(result) => {
                    run.at += 1;
                    run.key = hash::mix(run.key, *result);
                    run.events.push(Event::Access);
                    Some(*result)
                }
                None => {
                    run.next = Some((access, is_atomic));
                    None
                }
            }
        }
    });
    result.unwrap_or_else(|| resume_unwind(Box::new(Suspended)))
}

fn set_up_access(words: &mut Words, access: &Access) -> u64 {
    match access {
        Access::Word(id, act) => {
            let index = *id as usize;
            let old = words.values[index];
            if let Some(new) = act.apply(old, words.is_wide[index]) {
                words.values[index] = new;
            }
            old
        }
        Access::Now => CLOCK_BEGINS,
        Access::Wake(..) => 0,
        Access::Wait { .. } | Access::Choose(_) => panic!("not while a model is set up"),
    }
}

/// Every access of `steps` belongs to the step before it: no actor comes between.
pub(super) fn atomically<T>(steps: impl FnOnce() -> T) -> T {
    with_run(|run| run.atomic += 1);
    let result = steps();
    with_run(|run| run.atomic -= 1);
    result
}

/// All accesses of `steps` together are one step, as a system call is.
pub(super) fn one_step<T>(steps: impl FnOnce() -> T) -> T {
    let outer = with_run(|run| {
        let outer = run.one_step;
        run.one_step = outer.or(Some(false));
        outer
    });
    let result = steps();
    with_run(|run| run.one_step = outer.flatten().map(|_| true));
    result
}

/// Calls `operation`. Its caller goes on by the result alone, which `Debug` must show
/// whole: the ways that lead to one result lead to one local state.
pub(super) fn call<T: Debug>(name: &'static str, operation: impl FnOnce() -> T) -> T {
    let before = with_run(|run| {
        run.events.push(Event::Begins(name));
        run.key
    });
    let result = operation();
    with_run(|run| {
        let text = format!("{result:?}");
        run.key = hash::text(before.unwrap_or_default(), &text);
        run.events.push(Event::Ends(text));
    });
    result
}

/// States that the actor goes on by `state` alone, which `Debug` must show whole.
pub(super) fn state_is(state: &impl Debug) {
    with_run(|run| {
        let key = hash::mix(0, run.actor as u64);
        run.key = hash::text(key, &format!("{state:?}"));
    });
}
