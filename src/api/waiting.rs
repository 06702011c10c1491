//! Futures and descriptors, fed by the attachment's [`Reactor`](crate::api::reactor).

use std::fmt;
use std::future::Future;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::api::core::Core;
use crate::api::reactor::{Interest, Sleep};
use crate::api::session::Session;
use crate::error::CoordinationError;

/// A look at the segment: the answer, or what to sleep on.
pub(crate) type Look<T> =
    Box<dyn for<'c> FnMut(&'c Arc<Core>, &mut Sleep<'c>) -> Option<T> + Send + 'static>;

/// Who is told when the answer is there.
enum Tell {
    Task(Waker),
    /// Closed by whoever finds the answer, after one byte.
    Pipe(PipeWriter),
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
        drop(state);
        match tell {
            // A runtime that panics in its waker must not end everybody's waiting.
            Tell::Task(waker) => drop(catch_unwind(AssertUnwindSafe(|| waker.wake()))),
            // One byte into an empty pipe never blocks. It stays: nobody need read it.
            Tell::Pipe(mut writer) => drop(writer.write(&[1])),
        }
        true
    }
}

/// A wait as a future. Does nothing until it is polled, needs no particular runtime, and
/// can be dropped at any time: what it waited for is then left as if it had never waited.
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
pub struct Wait<T: Send + 'static> {
    session: Arc<Session>,
    /// Called with the answer, by the task that gets it: the waiting thread is everybody's.
    tell: fn(&T),
    shared: Arc<Shared<Result<T, CoordinationError>>>,
}

impl<T: Send + 'static> Wait<T> {
    pub(crate) fn new(session: &Arc<Session>, look: Look<Result<T, CoordinationError>>) -> Self {
        Self {
            session: Arc::clone(session),
            tell: |_| {},
            shared: Shared::new(State::New(look)),
        }
    }

    /// The same, with something to be told of the answer.
    pub(crate) fn telling(mut self, tell: fn(&T)) -> Self {
        self.tell = tell;
        self
    }
}

impl<T: Send + 'static> fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Future for Wait<T> {
    type Output = Result<T, CoordinationError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Err(error) = self.session.core().check() {
            return Poll::Ready(Err(error.into()));
        }
        let tell = Tell::Task(context.waker().clone());
        let mut state = self.shared.state();
        match std::mem::replace(&mut *state, State::Gone) {
            State::New(look) => {
                *state = State::Waiting(look, tell);
                drop(state);
                match self.session.wait_for(Box::new(Arc::clone(&self.shared))) {
                    Ok(()) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                }
            }
            State::Waiting(look, _) => {
                *state = State::Waiting(look, tell);
                Poll::Pending
            }
            State::Ready(answer) => {
                drop(state);
                let core = self.session.core();
                core.deaths.tell(core.tables());
                if let Ok(answer) = &answer {
                    (self.tell)(answer);
                }
                Poll::Ready(answer)
            }
            // Polled again after its answer: what futures may do is never to answer.
            State::Gone => Poll::Pending,
        }
    }
}

impl<T: Send + 'static> Drop for Wait<T> {
    fn drop(&mut self) {
        // In a forked child the waiting thread may have held the lock at the fork.
        if !self.session.core().is_forked() {
            give_up(&self.session, &self.shared);
        }
    }
}

/// Drops the look, or an answer that nobody took (a lock's guard: it is given back).
fn give_up<T>(session: &Session, shared: &Shared<T>) {
    if matches!(shared.take(), State::Waiting(..)) {
        // The waiting thread forgets it.
        session.reactor().poke();
    }
}

/// A wait as a pollable file descriptor: readable once what it waits for has come, and
/// from then on (nothing need be read from it). For `poll`, `epoll` and runtimes that
/// take descriptors.
///
/// Fed by one thread per attached process. A signal for one thing: make another for the
/// next.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::os::fd::AsFd;
/// use ebbtide::{Runner, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let runner = Runner::join(&segment, "runner-1")?;
/// let notifier = runner.shutdown_notifier()?;
/// // Give this to `poll` or `epoll`, beside the program's sockets.
/// let descriptor = notifier.as_fd();
/// # let _ = descriptor;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing waits once it is dropped"]
pub struct Notifier {
    reader: PipeReader,
    shared: Arc<Shared<()>>,
    session: Arc<Session>,
}

impl Notifier {
    pub(crate) fn new(session: &Arc<Session>, look: Look<()>) -> Result<Self, CoordinationError> {
        session.core().check()?;
        let system = |source: io::Error| CoordinationError::System {
            operation: "make a pipe to notify through",
            source,
        };
        let (reader, writer) = io::pipe().map_err(system)?;
        let shared = Shared::new(State::Waiting(look, Tell::Pipe(writer)));
        session.wait_for(Box::new(Arc::clone(&shared)))?;
        Ok(Self {
            reader,
            shared,
            session: Arc::clone(session),
        })
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        if !self.session.core().is_forked() {
            give_up(&self.session, &self.shared);
        }
    }
}
