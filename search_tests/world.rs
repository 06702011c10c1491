//! What a model is made of: tables, actors, and the questions that actors ask.

use std::fmt::Debug;
use std::rc::Rc;

use super::memory::{Life, Searched, U64, thread_id};
use super::run::{self, Access};
use super::system::{Mortal, System};
use crate::sync::mem::{LifeArea, Word};
use crate::sync::{Env, Owner, Pulse, life};
use core::sync::atomic::Ordering;

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;
/// Actors that have a life word of their own.
const MAX_ACTORS: usize = 6;

/// One thread of a model.
#[derive(Clone)]
pub(crate) struct Actor {
    index: usize,
    lives: Rc<[Life; MAX_ACTORS]>,
}

impl Actor {
    /// Its number: actors are numbered as they are made, from 0.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Calls `operation`. The body goes on by its result alone, which `Debug` must show
    /// whole: then all ways to one result are one local state.
    pub(crate) fn call<T: Debug>(&self, name: &'static str, operation: impl FnOnce() -> T) -> T {
        run::call(name, operation)
    }

    /// States that the body goes on by `state` alone.
    pub(crate) fn state_is(&self, state: impl Debug) {
        run::state_is(&state);
    }

    /// All accesses of `steps` belong to the access before them: checks of the model
    /// that no actor comes between.
    pub(crate) fn atomically<T>(&self, steps: impl FnOnce() -> T) -> T {
        run::atomically(steps)
    }

    /// All accesses of `steps` are one step of their own, as a system call is.
    pub(crate) fn one_step<T>(&self, steps: impl FnOnce() -> T) -> T {
        run::one_step(steps)
    }

    /// The search tries every number below `among`.
    pub(crate) fn choose(&self, among: u32) -> usize {
        run::access(Access::Choose(among)) as usize
    }

    fn pulse(&self, slot: usize) -> Pulse<'_, Searched> {
        let Some(life) = self.lives.get(slot) else {
            return Pulse::Dead;
        };
        // As `life::is_marked` and `life::holder` have it, in one load.
        match life.word().load(Ordering::Acquire) {
            value if value & life::OWNER_DIED != 0 => Pulse::Dead,
            0 => Pulse::Alive(None),
            _ => Pulse::Alive(Some(life.word())),
        }
    }
}

impl Env<Searched> for Actor {
    fn now(&self) -> u64 {
        run::access(Access::Now)
    }
    fn process_pulse(&self, process: usize) -> Pulse<'_, Searched> {
        self.pulse(process)
    }
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Searched> {
        match owner.generation {
            1 => self.pulse(usize::from(owner.slot)),
            _ => Pulse::Dead,
        }
    }
}

/// What a model remembers about itself, unseen by the code under search. Part of the
/// state; an access to it belongs to the step before it.
#[derive(Debug, Default)]
pub(crate) struct Ghost(U64);

impl Ghost {
    pub(crate) fn get(&self) -> u64 {
        run::atomically(|| self.0.load(Ordering::Relaxed))
    }
    pub(crate) fn set(&self, value: u64) {
        run::atomically(|| self.0.store(value, Ordering::Relaxed));
    }
    /// Returns the value before.
    pub(crate) fn add(&self, value: u64) -> u64 {
        run::atomically(|| self.0.fetch_add(value, Ordering::Relaxed))
    }
}

/// A byte of the lock file, as the kernel keeps it: the process that holds it, plus one.
/// The kernel frees it some time after that process was killed.
#[derive(Debug)]
pub(crate) struct Byte(U64);

impl Default for Byte {
    fn default() -> Self {
        let word = U64::default();
        run::with_words(|words| words.bytes.push(word.id()));
        Self(word)
    }
}

impl Byte {
    /// Takes it for a process, or finds that it has it already; one system call.
    pub(crate) fn try_lock(&self, process: usize) -> bool {
        let mine = process as u64 + 1;
        let before = self
            .0
            .compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire);
        before.is_ok() || before == Err(mine)
    }
    /// Frees it, if that process has it.
    pub(crate) fn unlock(&self, process: usize) {
        let mine = process as u64 + 1;
        let _ = self
            .0
            .compare_exchange(mine, 0, Ordering::AcqRel, Ordering::Acquire);
    }
    /// The process that holds it.
    pub(crate) fn holder(&self) -> Option<usize> {
        (self.0.load(Ordering::Acquire) as usize).checked_sub(1)
    }
}

type Body = Box<dyn Fn(&Actor)>;

/// An actor that is being described.
pub(crate) struct Spec {
    name: String,
    body: Body,
    mortal: Mortal,
    process: Option<usize>,
}

impl Spec {
    /// May be killed before any of its steps, and after the last. Default: never.
    pub(crate) fn mortal(&mut self, mortal: Mortal) -> &mut Self {
        self.mortal = mortal;
        self
    }
    /// The process it belongs to. Default: the one of its own number.
    pub(crate) fn process(&mut self, process: usize) -> &mut Self {
        self.process = Some(process);
        self
    }
}

/// A model under construction.
pub(crate) struct World {
    lives: Rc<[Life; MAX_ACTORS]>,
    actors: Vec<Spec>,
    finally: Option<Body>,
    always: Option<Body>,
}

impl World {
    fn new() -> Self {
        run::with_words(|words| words.name_next("life", &[""; 0]));
        Self {
            lives: Rc::new(Default::default()),
            actors: Vec::new(),
            finally: None,
            always: None,
        }
    }

    /// Makes a table; `names` are of its words, in the order in which they are made.
    pub(crate) fn table<T>(
        &mut self,
        name: &str,
        names: &[impl ToString],
        make: impl FnOnce() -> T,
    ) -> Rc<T> {
        run::with_words(|words| words.name_next(name, names));
        Rc::new(make())
    }

    /// Something that the model remembers.
    pub(crate) fn ghost(&mut self, name: &'static str) -> Rc<Ghost> {
        self.table(name, &["ghost"], Ghost::default)
    }

    /// Adds an actor. Its body is run again and again: it must do the same on the same
    /// results, so it changes nothing but words, and holds no value whose drop makes an
    /// access. It holds the life word of its number.
    pub(crate) fn actor(&mut self, name: &str, body: impl Fn(&Actor) + 'static) -> &mut Spec {
        let index = self.actors.len();
        let life = &self.lives[index].word();
        life.store(thread_id(index), Ordering::Relaxed);
        self.actors.push(Spec {
            name: name.into(),
            body: Box::new(body),
            mortal: Mortal::Never,
            process: None,
        });
        self.actors.last_mut().expect("just added")
    }

    /// What must hold when nothing goes on by itself any more. May itself make steps.
    pub(crate) fn finally(&mut self, check: impl Fn(&Actor) + 'static) {
        self.finally = Some(Box::new(check));
    }

    /// What must hold after every step; only loads.
    pub(crate) fn always(&mut self, check: impl Fn(&Actor) + 'static) {
        self.always = Some(Box::new(check));
    }

    /// The actor in whose name the model is set up.
    pub(crate) fn founder(&self) -> Actor {
        self.asker(MAX_ACTORS - 1)
    }

    fn asker(&self, index: usize) -> Actor {
        Actor {
            index,
            lives: Rc::clone(&self.lives),
        }
    }
}

/// Builds the model that `setup` describes.
pub(super) fn build(setup: impl FnOnce(&mut World)) -> System {
    let (mut world, words) = run::set_up(|| {
        let mut world = World::new();
        setup(&mut world);
        world
    });
    let mut system = System::new(words);
    let actors = std::mem::take(&mut world.actors);
    for (index, spec) in actors.into_iter().enumerate() {
        let (me, body) = (world.asker(index), spec.body);
        let process = spec.process.unwrap_or(index);
        system.add(
            &spec.name,
            process,
            spec.mortal,
            Box::new(move || body(&me)),
        );
    }
    let asker = world.asker(usize::MAX);
    let mut add = |name, check: Body| {
        let me = asker.clone();
        let steps = move || run::atomically(|| check(&me));
        system.add(name, usize::MAX, Mortal::Never, Box::new(steps));
    };
    add("the end", world.finally.take().unwrap_or(Box::new(|_| ())));
    if let Some(check) = world.always.take() {
        add("always", check);
        system.has_observer = true;
    }
    system
}
