//! The waits as futures and descriptors: asked for a moment, then dropped in the middle.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use ebbtide::{
    CrossProcessBarrier, CrossProcessCondvar, CrossProcessEvent, CrossProcessLock,
    CrossProcessSemaphore, Error, Runner, Scope, Segment, SharedStateManager, ShutdownCoordinator,
};

use super::{SHORT, trying};

pub fn try_futures(
    segment: &Segment,
    runner: &Runner,
    lock: &CrossProcessLock,
    changed: &CrossProcessCondvar,
    flag: &CrossProcessEvent,
) {
    trying("futures");
    let coordinator = ShutdownCoordinator::new(segment);
    let other = CrossProcessEvent::open(segment, "flag-2");
    let mut sets = flag.subscribe_from_now();
    let watch = SharedStateManager::open(segment).and_then(|state| state.watch("number"));
    let permits = CrossProcessSemaphore::open(segment, "permits", 2);
    let gate = CrossProcessBarrier::open(segment, "gate", 2);
    let mut futures = Futures::default();
    futures.add(runner.shutdown_begun());
    futures.add(runner.phase_changed(runner.phase(), runner.mode()));
    for scope in [Scope::All, Scope::runner("a")] {
        if let Ok(complete) = coordinator.shutdown_complete(&scope) {
            futures.add(complete);
        }
    }
    futures.add(coordinator.gone(1));
    futures.add(async {
        let held = lock.acquire().await?;
        let _ = held.previous_owner_died();
        let _ = held.previous_owner_panicked();
        held.mark_consistent();
        let (held, _) = changed.awaited_timeout(held, SHORT).await?;
        changed.awaited(held).await.map_err(Error::from)
    });
    futures.add(flag.awaited());
    if let Ok(other) = &other {
        futures.add(async move { CrossProcessEvent::awaited_any(&[flag, other]).await });
    }
    if let Ok(sets) = &mut sets {
        futures.add(sets.next_delivery());
    }
    if let Ok(watch) = &watch {
        futures.add(watch.changed());
    }
    if let Ok(permits) = &permits {
        futures.add(permits.permit());
    }
    if let Ok(gate) = &gate {
        futures.add(gate.awaited());
        futures.add(gate.awaited_timeout(SHORT));
    }
    futures.ask();
    trying("descriptors");
    let _ = runner.shutdown_notifier().map(drop);
    let _ = flag.notifier().map(drop);
    let _ = flag.subscribe().map(|sets| sets.notifier().map(drop));
    let _ = watch.map(|watch| watch.notifier().map(drop));
    let held = lock.acquire().pollable();
    let _ = held.map(|mut held| held.try_take().map(drop));
}

/// Futures that one thread asks together.
#[derive(Default)]
struct Futures<'a>(Vec<Pin<Box<dyn Future<Output = ()> + 'a>>>);

impl<'a> Futures<'a> {
    fn add<T, E>(&mut self, future: impl Future<Output = Result<T, E>> + 'a) {
        self.0.push(Box::pin(async move { drop(future.await) }));
    }

    /// Asks them for a moment, in which the waiting thread looks at each, and drops the rest.
    fn ask(mut self) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let end = Instant::now() + SHORT;
        loop {
            self.0
                .retain_mut(|future| future.as_mut().poll(&mut context).is_pending());
            let left = end.saturating_duration_since(Instant::now());
            if self.0.is_empty() || left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
