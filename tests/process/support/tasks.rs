//! Futures and descriptors in tests.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::HANG;

/// Runs a future on tokio, then (a new one) on smol.
pub fn on_each_runtime<T>(mut future: impl FnMut() -> T)
where
    T: Future<Output = ()>,
{
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future());
    smol::block_on(future());
}

/// Polls once; for futures that must not be ready.
pub fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    struct Idle;
    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }
    let waker = Waker::from(Arc::new(Idle));
    match future.poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// Whether a descriptor is readable now.
pub fn is_readable(descriptor: &impl AsFd) -> bool {
    readable_within(descriptor, PollTimeout::ZERO)
}

/// Waits until a descriptor is readable.
#[track_caller]
pub fn until_readable(descriptor: &impl AsFd) {
    let limit = PollTimeout::try_from(HANG).unwrap();
    assert!(readable_within(descriptor, limit), "not within {HANG:?}");
}

fn readable_within(descriptor: &impl AsFd, timeout: PollTimeout) -> bool {
    let mut polled = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, timeout).unwrap() == 1
}
