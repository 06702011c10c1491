//! How a resource is registered.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::api::resource::manager::ResourceHandle;
use crate::api::resource::system::SystemResource;
use crate::limits;

/// What a drain, cleanup or force closure is given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CleanupContext {
    /// Name of the resource.
    pub name: String,
    /// Id of the runner.
    pub runner: String,
    /// When it is given up, as things stood when it was started.
    pub deadline: Instant,
}

pub(crate) type Once = Box<dyn FnOnce(&CleanupContext) -> Result<(), String> + Send>;
pub(crate) type Again = Box<dyn FnMut(&CleanupContext) -> Result<(), String> + Send>;
pub(crate) type Probe = Box<dyn Fn() -> bool + Send + Sync>;

/// What a resource depends on.
pub(crate) enum Dependency {
    Handle(ResourceHandle),
    /// `runner/name`.
    Named(String),
}

/// Options of a registration, by a builder.
///
/// All closures run on threads of their own, so that one that overruns can be left
/// behind; a panic is caught and recorded.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use ebbtide::ResourceOptions;
///
/// let options = ResourceOptions::new()
///     .order(50)
///     .timeout(Duration::from_secs(2))
///     .cleanup(|_| std::fs::write("/dev/null", "flushed"))
///     .force(|_| Ok::<_, std::io::Error>(()));
/// # let _ = options;
/// ```
#[derive(Default)]
#[must_use]
pub struct ResourceOptions {
    pub(crate) order: i32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) depends_on: Vec<Dependency>,
    pub(crate) drain: Option<Again>,
    pub(crate) cleanup: Option<Once>,
    pub(crate) force: Option<Once>,
    pub(crate) is_alive: Option<Probe>,
    pub(crate) system: Option<SystemResource>,
}

impl ResourceOptions {
    /// The defaults: order 0, no dependencies, no closures, no timeout of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where it stands among those that no dependency orders: lower ones are closed
    /// first, of equals the newest. Default 0.
    pub fn order(mut self, order: i32) -> Self {
        self.order = order;
        self
    }

    /// It needs that resource, of this runner or another: it is closed before it.
    pub fn depends_on(mut self, resource: &ResourceHandle) -> Self {
        self.depends_on.push(Dependency::Handle(resource.clone()));
        self
    }

    /// It needs whatever bears that name, `runner/name`, when it comes to be closed, in this
    /// process or another: the name may be registered later, and again after its owner was
    /// restarted. While nothing bears it, the dependency binds nobody.
    pub fn depends_on_named(mut self, full_name: &str) -> Self {
        self.depends_on.push(Dependency::Named(full_name.into()));
        self
    }

    /// How long its drain and its cleanup may take each; then they are given up. The
    /// deadline of the whole cleanup cuts it, too. Default: only that one.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Closes the resource. Runs at most once, after everything that depends on it has ended.
    pub fn cleanup<E: fmt::Display>(
        mut self,
        cleanup: impl FnOnce(&CleanupContext) -> Result<(), E> + Send + 'static,
    ) -> Self {
        self.cleanup = Some(Box::new(|context| {
            cleanup(context).map_err(|error| error.to_string())
        }));
        self
    }

    /// The same with a future, which is driven by the cleanup's own thread; it must not
    /// need a particular runtime to make progress.
    pub fn cleanup_async<E: fmt::Display, F: Future<Output = Result<(), E>>>(
        self,
        cleanup: impl FnOnce(CleanupContext) -> F + Send + 'static,
    ) -> Self {
        self.cleanup(|context| block_on(cleanup(context.clone())))
    }

    /// Refuses new work and finishes what is under way; runs in Draining, before any
    /// cleanup. May run again if the shutdown is called off and another one begins.
    pub fn drain<E: fmt::Display>(
        mut self,
        mut drain: impl FnMut(&CleanupContext) -> Result<(), E> + Send + 'static,
    ) -> Self {
        self.drain = Some(Box::new(move |context| {
            drain(context).map_err(|error| error.to_string())
        }));
        self
    }

    /// The fallback when the cleanup was given up. Runs at most once; after the deadline
    /// of the whole cleanup it is started and not waited for.
    pub fn force<E: fmt::Display>(
        mut self,
        force: impl FnOnce(&CleanupContext) -> Result<(), E> + Send + 'static,
    ) -> Self {
        self.force = Some(Box::new(|context| {
            force(context).map_err(|error| error.to_string())
        }));
        self
    }

    /// Watches the object: if it is dropped while the resource is registered, that is a
    /// leak, and the cleanup is not run.
    pub fn object<T: Send + Sync + ?Sized + 'static>(mut self, object: &Arc<T>) -> Self {
        let weak: Weak<T> = Arc::downgrade(object);
        self.is_alive = Some(Box::new(move || weak.strong_count() > 0));
        self
    }

    /// What the operating system keeps if this process dies: a survivor removes it then,
    /// or `ebbtide reap` does. The cleanup's own job otherwise.
    pub fn system(mut self, system: SystemResource) -> Self {
        self.system = Some(system);
        self
    }
}

impl fmt::Debug for ResourceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceOptions")
            .field("order", &self.order)
            .field("timeout", &self.timeout)
            .field("dependencies", &self.depends_on.len())
            .field("system", &self.system)
            .finish_non_exhaustive()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park_timeout(Duration::from_micros(limits::WAIT_BOUND_MICROS));
    }
}
