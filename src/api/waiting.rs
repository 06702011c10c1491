//! Futures, fed by the attachment's [`Reactor`](crate::api::reactor). Descriptors of them: `pollable.rs`.

use std::fmt;
use std::future::Future;
use std::io::{PipeWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::api::core::Core;
use crate::api::pollable::PollableWait;
use crate::api::reactor::{Interest, Sleep};
use crate::api::session::Session;
use crate::api::within::{self, WaitsFor};
use crate::error::{CoordinationError, SegmentError};
use crate::os::descriptor::Kept;

/// A look at the segment: the answer, or what to sleep on.
pub(crate) type Look<T> =
    Box<dyn for<'c> FnMut(&'c Arc<Core>, &mut Sleep<'c>) -> Option<T> + Send + 'static>;

/// Who is told when the answer is there.
pub(super) enum Tell {
    Task(Waker),
    /// Closed by whoever finds the answer, after one byte.
    Pipe(Kept<PipeWriter>),
}

impl Tell {
    fn ring(self) {
        match self {
            // A runtime that panics in its waker must not end everybody's waiting.
            Self::Task(waker) => drop(catch_unwind(AssertUnwindSafe(|| waker.wake()))),
            // One byte into an empty pipe never blocks. It stays: nobody need read it. Not
            // into a file of the program that has the number by now.
            Self::Pipe(writer) => drop(writer.get().map(|mut writer| writer.write(&[1]))),
        }
    }
}

enum State<T> {
    /// Not polled yet: nothing waits.
    New(Look<T>),
    Waiting(Look<T>, Tell),
    Ready(T),
    /// The answer was taken, or nobody wants it any more.
    Gone,
}

/// What the one who waits and the waiting thread share. The look is in it so that whoever
/// gives up drops it, and all that it holds, then and there.
struct Shared<T>(Mutex<State<T>>);

impl<T> Shared<T> {
    fn new(state: State<T>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> State<T> {
        std::mem::replace(&mut *self.state(), State::Gone)
    }

    /// The answer, once.
    fn answer(&self) -> Option<T> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Gone) {
            State::Ready(answer) => Some(answer),
            before => {
                *state = before;
                None
            }
        }
    }
}

impl<T: Send> Interest for Arc<Shared<T>> {
    fn is_over<'c>(&mut self, core: &'c Arc<Core>, sleep: &mut Sleep<'c>) -> bool {
        let mut state = self.state();
        let State::Waiting(look, _) = &mut *state else {
            return true;
        };
        let Some(answer) = look(core, sleep) else {
            return false;
        };
        // The look goes before anybody is told: what it holds is not held any longer.
        let before = std::mem::replace(&mut *state, State::Ready(answer));
        let State::Waiting(look, tell) = before else {
            return true;
        };
        drop(look);
        if let Tell::Task(_) = tell {
            // The task may be polled in its waker. A pipe's reader goes only after this.
            drop(state);
        }
        tell.ring();
        true
    }
}

/// A wait as a future. Does nothing until it is polled, needs no particular runtime, and
/// can be dropped at any time: what it waited for is then left as if it had never waited.
/// [`pollable`](Self::pollable) makes a file descriptor of it instead.
///
/// # Every wait, and its forms
/// | blocking, with a timeout | future | descriptor |
/// |---|---|---|
/// | [`Runner::wait_for_shutdown`] | [`shutdown_begun`] | [`shutdown_notifier`] |
/// | [`Runner::wait_for_change`] | [`phase_changed`] | `pollable` |
/// | [`ShutdownCoordinator::wait_for_shutdown_complete`] | [`shutdown_complete`] | `pollable` |
/// | [`ShutdownCoordinator::wait_gone`] | [`gone`] | `pollable` |
/// | [`CrossProcessLock::lock`] | [`acquire`] | `pollable` |
/// | [`CrossProcessCondvar::wait`] | [`awaited`](crate::CrossProcessCondvar::awaited) | `pollable` |
/// | [`CrossProcessSemaphore::acquire`] | [`permit`] | `pollable` |
/// | [`CrossProcessBarrier::wait`] | [`awaited`](crate::CrossProcessBarrier::awaited) | `pollable` |
/// | [`CrossProcessEvent::wait`] | [`awaited`](crate::CrossProcessEvent::awaited) | [`notifier`](crate::CrossProcessEvent::notifier) |
/// | [`CrossProcessEvent::wait_any`] | [`awaited_any`] | a notifier of each |
/// | [`Subscription::next`] | [`next_delivery`] | [`notifier`](crate::Subscription::notifier) |
/// | [`StateWatch::wait`] | [`changed`] | [`notifier`](crate::StateWatch::notifier) |
///
/// A future has no timeout of its own: use the runtime's. Where a timeout means more than
/// to stop waiting, there is a form for it: [`CrossProcessCondvar::awaited_timeout`] gives
/// the lock back, [`CrossProcessBarrier::awaited_timeout`] breaks the barrier.
///
/// What runs the program's own closures, [`Runner::run_shutdown`] and
/// [`ResourceManager::cleanup_resources`], is work and no wait: run it on a thread of its
/// own (`spawn_blocking`). The short internal locks, of names, of setters of an event and
/// of writers of the shared state, are waited for by blocking, with a stated limit.
///
/// [`shutdown_begun`]: crate::Runner::shutdown_begun
/// [`shutdown_notifier`]: crate::Runner::shutdown_notifier
/// [`phase_changed`]: crate::Runner::phase_changed
/// [`shutdown_complete`]: crate::ShutdownCoordinator::shutdown_complete
/// [`gone`]: crate::ShutdownCoordinator::gone
/// [`acquire`]: crate::CrossProcessLock::acquire
/// [`permit`]: crate::CrossProcessSemaphore::permit
/// [`awaited_any`]: crate::CrossProcessEvent::awaited_any
/// [`next_delivery`]: crate::Subscription::next_delivery
/// [`changed`]: crate::StateWatch::changed
/// [`Runner::wait_for_shutdown`]: crate::Runner::wait_for_shutdown
/// [`Runner::wait_for_change`]: crate::Runner::wait_for_change
/// [`Runner::run_shutdown`]: crate::Runner::run_shutdown
/// [`ShutdownCoordinator::wait_for_shutdown_complete`]: crate::ShutdownCoordinator::wait_for_shutdown_complete
/// [`ShutdownCoordinator::wait_gone`]: crate::ShutdownCoordinator::wait_gone
/// [`CrossProcessLock::lock`]: crate::CrossProcessLock::lock
/// [`CrossProcessCondvar::wait`]: crate::CrossProcessCondvar::wait
/// [`CrossProcessCondvar::awaited_timeout`]: crate::CrossProcessCondvar::awaited_timeout
/// [`CrossProcessSemaphore::acquire`]: crate::CrossProcessSemaphore::acquire
/// [`CrossProcessBarrier::wait`]: crate::CrossProcessBarrier::wait
/// [`CrossProcessBarrier::awaited_timeout`]: crate::CrossProcessBarrier::awaited_timeout
/// [`CrossProcessEvent::wait`]: crate::CrossProcessEvent::wait
/// [`CrossProcessEvent::wait_any`]: crate::CrossProcessEvent::wait_any
/// [`Subscription::next`]: crate::Subscription::next
/// [`StateWatch::wait`]: crate::StateWatch::wait
/// [`ResourceManager::cleanup_resources`]: crate::ResourceManager::cleanup_resources
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{CrossProcessLock, Runner, Scope, SegmentOptions, ShutdownCoordinator, ShutdownRequest};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let runner = Runner::join(&segment, "runner-1")?;
/// let lock = CrossProcessLock::open(&segment, "device-0")?;
/// smol::block_on(async {
///     let guard = lock.acquire().await?;
///     // … use the device …
///     drop(guard);
///     ShutdownCoordinator::new(&segment)
///         .initiate_shutdown(&Scope::All, &ShutdownRequest::new())?;
///     runner.shutdown_begun().await
/// })?;
/// runner.run_shutdown()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a future does nothing unless it is awaited"]
pub struct Wait<T: Send + 'static, E: Send + 'static = CoordinationError> {
    session: Arc<Session>,
    /// Called with the answer, by the task that gets it: the waiting thread is everybody's.
    tell_of: fn(&T),
    /// Refused when it is started in a closure that it would wait for.
    refused_within: Option<(&'static str, WaitsFor)>,
    shared: Arc<Shared<Result<T, E>>>,
}

impl<T: Send + 'static, E: From<SegmentError> + Send + 'static> Wait<T, E> {
    /// A wait for what `look` finds; it ends with `Stale` when the segment is removed.
    pub(crate) fn new(session: &Arc<Session>, mut look: Look<Result<T, E>>) -> Self {
        let look: Look<_> = Box::new(move |core, sleep| {
            look(core, sleep).or_else(|| {
                let removed = core.opened().not_removed().err()?;
                Some(Err(removed.into()))
            })
        });
        Self {
            session: Arc::clone(session),
            tell_of: |_| {},
            refused_within: None,
            shared: Shared::new(State::New(look)),
        }
    }
}

impl<T: Send + 'static, E: Send + 'static> Wait<T, E> {
    /// The same, with something to be told of the answer.
    pub(crate) fn telling(mut self, tell_of: fn(&T)) -> Self {
        self.tell_of = tell_of;
        self
    }

    /// The same, refused when it is started in a closure that it would wait for.
    pub(crate) fn refused_within(mut self, call: &'static str, waits_for: WaitsFor) -> Self {
        self.refused_within = Some((call, waits_for));
        self
    }

    /// Starts the wait now, and has a file descriptor tell when the answer is there; for
    /// `poll`, `epoll` and runtimes that take descriptors.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`];
    /// [`CoordinationError::System`] when there is no descriptor or thread left, or the answer
    /// was taken before.
    pub fn pollable(self) -> Result<PollableWait<T, E>, CoordinationError> {
        PollableWait::new(self)
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The answer, if it is there; once.
    pub(super) fn answer(&self) -> Option<Result<T, E>> {
        let answer = self.shared.answer()?;
        let core = self.session.core();
        core.deaths.tell(core.tables());
        if let Ok(answer) = &answer {
            (self.tell_of)(answer);
        }
        Some(answer)
    }

    /// Nothing waits for it: the next who asks starts the wait.
    fn begin_again(&self) {
        let mut state = self.shared.state();
        match std::mem::replace(&mut *state, State::Gone) {
            State::Waiting(look, _) => *state = State::New(look),
            other => *state = other,
        }
    }

    /// Whether its answer was taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(*self.shared.state(), State::Gone)
    }

    /// Starts the wait, if it is not on, and has this one told of the answer.
    pub(super) fn tell(&self, tell: Tell) -> Result<(), CoordinationError> {
        let mut state = self.shared.state();
        match std::mem::replace(&mut *state, State::Gone) {
            State::New(look) => {
                if let Some((call, waits_for)) = self.refused_within
                    && let Err(refusal) = within::refuse(self.session.core(), call, waits_for)
                {
                    *state = State::New(look);
                    return Err(refusal);
                }
                *state = State::Waiting(look, tell);
                drop(state);
                let started = self.session.wait_for(Box::new(Arc::clone(&self.shared)));
                if started.is_err() {
                    self.begin_again();
                }
                return started;
            }
            State::Waiting(look, _) => *state = State::Waiting(look, tell),
            State::Ready(answer) => {
                *state = State::Ready(answer);
                drop(state);
                tell.ring();
            }
            // Asked again after its answer: what futures may do is never to answer.
            State::Gone => {}
        }
        Ok(())
    }
}

impl<T: Send + 'static, E: Send + 'static> fmt::Debug for Wait<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").finish_non_exhaustive()
    }
}

impl<T: Send + 'static, E: From<CoordinationError> + Send + 'static> Future for Wait<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Err(error) = self.session.core().check() {
            return Poll::Ready(Err(CoordinationError::from(error).into()));
        }
        if let Some(answer) = self.answer() {
            return Poll::Ready(answer);
        }
        // What has come since wakes the task at once.
        match self.tell(Tell::Task(context.waker().clone())) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for Wait<T, E> {
    fn drop(&mut self) {
        // In a forked child the waiting thread may have held the lock at the fork.
        if self.session.core().is_forked() {
            return;
        }
        // Drops the look, or an answer that nobody took (a lock's guard: it is given back).
        if matches!(self.shared.take(), State::Waiting(..)) {
            // The waiting thread forgets it.
            self.session.reactor().poke();
        }
    }
}
