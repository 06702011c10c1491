//! The operations in whose middle a process is stopped.
//!
//! As those of the kill sweep an operation sets its scene and then acts; only the act is
//! stopped. Whatever others did meanwhile, the act ends, and returns its result.

mod hold;
mod names;
pub mod own;
mod shutdown;
mod variant;

use ebbtide::{Runner, Segment, ShutdownCoordinator};

use super::actor::Props;
use super::cast::{Cast, Played, Who};
use crate::harness::stage::{Kept, Stage};

/// The end of an act.
pub struct Answer {
    /// The result, for the checks.
    pub text: String,
    /// What the process has now.
    pub props: Props,
    /// Kept until a check has it dropped, or the process is killed.
    pub kept: Kept,
}

impl Answer {
    pub fn new(text: impl Into<String>, props: Props) -> Self {
        Self {
            text: text.into(),
            props,
            kept: Box::new(()),
        }
    }

    pub fn keeping(mut self, kept: impl std::any::Any) -> Self {
        self.kept = Box::new(kept);
        self
    }
}

/// An operation about to begin.
pub struct Scene {
    pub act: Box<dyn FnOnce() -> Answer>,
    pub props: Props,
}

impl Scene {
    pub fn new(props: Props, act: impl FnOnce() -> Answer + 'static) -> Self {
        Self {
            act: Box::new(act),
            props,
        }
    }
}

/// The thread that is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    /// The one that acts.
    Main,
    /// The one of the library that has this name, while the act (or what the survivor does
    /// in its place) goes on.
    Named(&'static str),
    /// The first one that the act starts.
    Born,
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The group: the survivor is attached before it.
    Group,
    /// Names: nobody is attached before it.
    Names,
    /// Only the harness itself.
    Nothing,
}

/// One operation.
#[derive(Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    pub about: About,
    /// The process has a runner before it.
    pub is_registered: bool,
    /// The stopped thread.
    pub thread: Thread,
    /// In the process that is stopped, before the act.
    pub scene: fn(&Stage) -> Scene,
    /// Before that process is started.
    pub arrange: fn(&mut Cast) -> Played,
    /// When its scene is set.
    pub ready: fn(&mut Cast) -> Played,
    /// When it sleeps: what ends its wait. May be called again.
    pub asleep: fn(&mut Cast) -> Played,
    /// When that process has ended it, and still has all it had.
    pub after: fn(&mut Cast, Who) -> Played,
}

impl Operation {
    /// Whether a process may be stopped in it while another one is stopped elsewhere.
    pub fn may_be_second(&self) -> bool {
        // The scene of these waits for what the other one may hold, or means the first one.
        const ALONE: [&str; 5] = [
            // The board counts the closings of one resource.
            "resource close",
            "unlock",
            "lock, contended",
            "semaphore of the dead",
            "acknowledge its own",
        ];
        self.about == About::Group && self.thread == Thread::Main && !ALONE.contains(&self.name)
    }
}

/// Without others' part.
const ALONE: Operation = Operation {
    name: "",
    about: About::Group,
    is_registered: false,
    thread: Thread::Main,
    scene: |_| unreachable!("every operation has a scene"),
    arrange: Cast::nothing,
    ready: Cast::nothing,
    asleep: Cast::nothing,
    after: Cast::nothing_after,
};

/// Of a process that is a runner.
const REGISTERED: Operation = Operation {
    is_registered: true,
    ..ALONE
};

/// All of the library.
pub fn all() -> impl Iterator<Item = &'static Operation> {
    [shutdown::ALL, own::ALL, hold::ALL, names::ALL]
        .into_iter()
        .flatten()
}

/// Wrong on purpose, to be found.
pub fn variants() -> &'static [Operation] {
    variant::ALL
}

pub fn named(name: &str) -> &'static Operation {
    all()
        .chain(variants())
        .find(|operation| operation.name == name)
        .unwrap_or_else(|| panic!("there is no operation {name:?}"))
}

fn props(segment: &'static Segment, runner: Option<&'static Runner>) -> Props {
    Props {
        segment: Some(segment),
        runner,
    }
}

/// A segment and a runner in it.
fn joined(stage: &Stage) -> (&'static Segment, &'static Runner) {
    let segment = stage.segment();
    let runner = Runner::join(segment, stage.id).expect("the group runs");
    (segment, crate::harness::stage::leak(runner))
}

/// An act of a process that has no runner. `prepare` sets the scene and returns the act,
/// which returns its text.
fn by_process<A>(stage: &Stage, prepare: impl FnOnce(&'static Segment) -> A) -> Scene
where
    A: FnOnce() -> String + 'static,
{
    let segment = stage.segment();
    let act = prepare(segment);
    Scene::new(props(segment, None), move || {
        Answer::new(act(), props(segment, None))
    })
}

/// The same of a runner, which stays one.
fn by_runner<A>(
    stage: &Stage,
    prepare: impl FnOnce(&'static Segment, &'static Runner) -> A,
) -> Scene
where
    A: FnOnce() -> String + 'static,
{
    let (segment, runner) = joined(stage);
    let act = prepare(segment, runner);
    Scene::new(props(segment, Some(runner)), move || {
        Answer::new(act(), props(segment, Some(runner)))
    })
}

/// The same with a coordinator in that process.
fn by_coordinator(stage: &Stage, act: fn(&ShutdownCoordinator) -> String) -> Scene {
    by_runner(stage, |segment, _| {
        let coordinator = ShutdownCoordinator::new(segment);
        move || act(&coordinator)
    })
}

/// What a result says.
fn text<T, E: std::fmt::Display>(result: &Result<T, E>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => format!("refused: {error}"),
    }
}
