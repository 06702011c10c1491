//! Waits as pollable file descriptors.

use std::fmt;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::api::session::Session;
use crate::api::waiting::{Look, Tell, Wait};
use crate::error::CoordinationError;
use crate::os::descriptor::Kept;

/// A [`Wait`] as a pollable file descriptor, made by [`Wait::pollable`]: readable once the
/// answer is there, and from then on. [`try_take`](Self::try_take) takes the answer;
/// nothing need be read from the descriptor. Fed by one thread per attached process.
///
/// The wait goes on whether or not anybody polls. Dropping this ends it, and gives back what
/// was taken and not fetched: a lock, a permit, a place.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::os::fd::AsFd;
/// use ebbtide::{CrossProcessLock, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let lock = CrossProcessLock::open(&segment, "device-0")?;
/// let mut taken = lock.acquire().pollable()?;
/// // Give this to `poll` or `epoll`, beside the program's sockets: when it is readable,
/// // this process holds the lock.
/// let descriptor = taken.as_fd();
/// # let mut polled = [nix::poll::PollFd::new(descriptor, nix::poll::PollFlags::POLLIN)];
/// # nix::poll::poll(&mut polled, nix::poll::PollTimeout::NONE)?;
/// let guard = taken.try_take().expect("it is readable")?;
/// # drop(guard);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing waits once it is dropped"]
pub struct PollableWait<T: Send + 'static, E: Send + 'static = CoordinationError> {
    /// Dropped first: nobody writes into a pipe without a reader (SIGPIPE).
    wait: Wait<T, E>,
    reader: Kept<PipeReader>,
}

impl<T: Send + 'static, E: Send + 'static> PollableWait<T, E> {
    pub(super) fn new(wait: Wait<T, E>) -> Result<Self, CoordinationError> {
        wait.session().core().check()?;
        let system = |source: io::Error| CoordinationError::System {
            operation: "make a pipe to notify through",
            source,
        };
        if wait.is_over() {
            // Its descriptor would be readable for ever, with nothing to be had.
            return Err(system(io::Error::other(
                "the wait is over, its answer was taken",
            )));
        }
        let (reader, writer) = io::pipe().map_err(system)?;
        let reader = Kept::new(reader).map_err(system)?;
        let writer = Kept::new(writer).map_err(system)?;
        wait.tell(Tell::Pipe(writer))?;
        Ok(Self { reader, wait })
    }
}

impl<T: Send + 'static, E: From<CoordinationError> + Send + 'static> PollableWait<T, E> {
    /// The answer, if it is there; it is given out once, the descriptor stays readable.
    /// Never blocks. In a forked child the answer is
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn try_take(&mut self) -> Option<Result<T, E>> {
        if let Err(error) = self.wait.session().core().check() {
            return Some(Err(CoordinationError::from(error).into()));
        }
        self.wait.answer()
    }
}

impl<T: Send + 'static, E: Send + 'static> AsFd for PollableWait<T, E> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.inner().as_fd()
    }
}

impl<T: Send + 'static, E: Send + 'static> fmt::Debug for PollableWait<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollableWait")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

/// A pollable file descriptor that takes nothing: readable once what it waits for has come,
/// and from then on (nothing need be read from it). For `poll`, `epoll` and runtimes that
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
pub struct Notifier(PollableWait<()>);

impl Notifier {
    /// Readable when the look has answered, whatever the answer is.
    pub(crate) fn new<T: 'static>(
        session: &Arc<Session>,
        mut look: Look<T>,
    ) -> Result<Self, CoordinationError> {
        let look: Look<_> = Box::new(move |core, sleep| look(core, sleep).map(|_| Ok(())));
        Wait::new(session, look).pollable().map(Self)
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("reader", &self.0.reader)
            .finish_non_exhaustive()
    }
}
