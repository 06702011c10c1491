//! How a model is run, swept over all kill points, and proven able to fail.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::time::Instant;

use super::world::World;

/// Threads loom can run, its main thread included.
const MAX_THREADS: usize = 5;
/// Branch points of one execution; more means that a model does not end.
const MAX_BRANCHES: usize = 20_000;
/// Executions of one model before it counts as capped, which is a failure.
const MAX_EXECUTIONS: u64 = 3_000_000;
/// Kill points of one sweep before it counts as endless.
const MAX_KILL_POINTS: u32 = 500;

/// One model: its name and how far it is searched.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    name: String,
    bound: Option<usize>,
    portable: bool,
    deaf: bool,
    quiet: bool,
}

impl Model {
    /// A model that is searched without a bound.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            bound: None,
            portable: false,
            deaf: false,
            quiet: false,
        }
    }

    /// Searches at most so many preemptions per execution. Default: all.
    pub(crate) fn bound(mut self, preemptions: usize) -> Self {
        self.bound = Some(preemptions);
        self
    }

    /// Without life words to sleep on: deaths are only seen by looking. Default: with.
    pub(crate) fn portable(mut self) -> Self {
        self.portable = true;
        self
    }

    /// Nobody hears a wake, so who sleeps sleeps to its bound. A wake of the model takes a
    /// lock, which orders what the code must order by itself. Default: they are heard.
    pub(crate) fn deaf(mut self) -> Self {
        self.deaf = true;
        self
    }

    /// Runs every execution and prints one line.
    ///
    /// # Panics
    /// When an execution fails or deadlocks, or the search is capped.
    pub(crate) fn check(self, body: impl Fn(&Rc<World>) + Send + Sync + 'static) {
        self.explore(None, body);
    }

    /// Answers executions, and whether the victim was killed in any of them.
    fn explore(
        &self,
        kill_at: Option<u32>,
        body: impl Fn(&Rc<World>) + Send + Sync + 'static,
    ) -> (u64, bool) {
        let mut builder = loom::model::Builder::new();
        builder.max_threads = MAX_THREADS;
        builder.max_branches = MAX_BRANCHES;
        builder.preemption_bound = capped(self.bound);
        builder.max_duration = None;
        builder.max_permutations = None;
        builder.checkpoint_file = None;
        let executions = Arc::new(AtomicU64::new(0));
        let died = Arc::new(AtomicBool::new(false));
        let begin = Instant::now();
        {
            let (executions, died) = (Arc::clone(&executions), Arc::clone(&died));
            let (portable, deaf) = (self.portable, self.deaf);
            builder.check(move || {
                let number = executions.fetch_add(1, Ordering::Relaxed);
                assert!(
                    number < MAX_EXECUTIONS,
                    "capped after {MAX_EXECUTIONS} executions"
                );
                let world = World::begin(portable, deaf, kill_at, Arc::clone(&died));
                body(&world);
                world.end();
            });
        }
        let executions = executions.load(Ordering::Relaxed);
        if !self.quiet {
            self.report(executions, begin, "");
        }
        (executions, died.load(Ordering::Relaxed))
    }

    fn report(&self, executions: u64, begin: Instant, more: &str) {
        let seconds = begin.elapsed().as_secs_f64();
        let bound = capped(self.bound).map_or("none".into(), |bound| bound.to_string());
        println!(
            "model {}: {executions} executions, preemption bound {bound}{more} ({seconds:.2} s)",
            self.name
        );
    }
}

/// The model's bound, or that of `EBBTIDE_MODEL_BOUND` where it is smaller: the quick look
/// of `ci/mutants.sh`. A broken twin may well pass it.
fn capped(bound: Option<usize>) -> Option<usize> {
    let cap = std::env::var("EBBTIDE_MODEL_BOUND").ok();
    let cap = cap.map(|cap| cap.parse().expect("EBBTIDE_MODEL_BOUND is a number"));
    bound.into_iter().chain(cap).min()
}

/// Runs the model once per kill point: the thread of `spawn_victim` is killed before
/// its k-th shared access, for every k from 0 until it gets through alive. The body
/// is given k; `finish_in_time` ends it. Prints one line.
///
/// # Panics
/// When an execution fails for any k, or the victim never gets through.
pub(crate) fn kill_sweep(model: Model, body: impl Fn(u32, &Rc<World>) + Send + Sync + 'static) {
    let model = Model {
        quiet: true,
        ..model
    };
    let body = Arc::new(body);
    let begin = Instant::now();
    let mut total = 0;
    for kill_at in 0..MAX_KILL_POINTS {
        let body = Arc::clone(&body);
        let (executions, died) = model.explore(Some(kill_at), move |world| body(kill_at, world));
        total += executions;
        if !died {
            assert!(kill_at > 0, "model {}: no victim was spawned", model.name);
            model.report(total, begin, &format!(", {kill_at} kill points"));
            return;
        }
    }
    panic!(
        "model {}: the victim outlives {MAX_KILL_POINTS} kill points",
        model.name
    );
}

/// Runs a broken twin, which must be caught by a deadlock, an assertion or a data
/// race; nothing of the expected failure is printed.
///
/// # Panics
/// When the twin passes.
pub(crate) fn must_fail(name: &str, twin: impl FnOnce()) {
    hush_panics_when_told();
    HUSHED.set(true);
    let end = catch_unwind(AssertUnwindSafe(twin));
    HUSHED.set(false);
    let reason = match end {
        Ok(()) => panic!("broken twin {name:?} was not caught"),
        Err(payload) => message(payload.as_ref()),
    };
    let fair =
        !reason.contains("capped") && !reason.contains("exceeded maximum number of branches");
    assert!(
        fair,
        "broken twin {name:?} was not caught, only cut short: {reason}"
    );
    let short: String = reason
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(60)
        .collect();
    println!("broken twin {name}: caught ({short})");
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("panic without text")
        .into()
}

thread_local! {
    static HUSHED: Cell<bool> = const { Cell::new(false) };
}

/// The panic hook is the process's; tests of other threads keep their output.
fn hush_panics_when_told() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |info| {
            if !HUSHED.get() {
                loud(info);
            }
        }));
    });
}
