//! The resource manager as its users hold it.

use std::fmt;
use std::sync::{Arc, Weak, atomic::Ordering};
use std::time::Duration;

use crate::api::core::deadline;
use crate::api::resource::entries::Shared;
use crate::api::resource::options::{Dependency, ResourceOptions};
use crate::api::resource::report::{CleanupReport, ResourceReport, ResourceType};
use crate::api::runner::Runner;
use crate::api::session::Session;
use crate::api::within::{self, WaitsFor};
use crate::error::ResourceError;
use crate::table::resources::{Key, State};

/// The resources of one runner: registered in the segment for all to see, and closed in
/// order, dependents first, by [`cleanup_resources`](Self::cleanup_resources) or by
/// [`Runner::run_shutdown`].
///
/// Its scope is the runner: cleaning one never touches another's. Clones, and managers
/// made again of the same runner, are handles of the same. When the last of them and the
/// runner are dropped, what is still open is marked as leaked. A closure that owns its
/// runner (or its manager) keeps it alive: give it a `Weak`.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use ebbtide::{ResourceManager, ResourceOptions, ResourceType, Runner, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let runner = Runner::join(&segment, "worker")?;
/// let manager = ResourceManager::new(&runner);
/// let done = |_: &_| Ok::<_, std::io::Error>(());
/// let queue = manager.register_resource(
///     "queue",
///     ResourceType::Queue,
///     ResourceOptions::new().order(100).cleanup(done),
/// )?;
/// manager.register_resource(
///     "producer",
///     ResourceType::Custom,
///     ResourceOptions::new().depends_on(&queue).cleanup(done),
/// )?;
/// let report = manager.cleanup_resources(Duration::from_secs(20))?;
/// assert!(report.is_clean());
/// let names: Vec<_> = report.resources.iter().map(|r| r.name.as_str()).collect();
/// assert_eq!(names, ["producer", "queue"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ResourceManager {
    shared: Arc<Shared>,
}

impl ResourceManager {
    /// The manager of a runner.
    #[must_use]
    pub fn new(runner: &Runner) -> Self {
        Self {
            shared: Arc::clone(runner.resources_or_new()),
        }
    }

    /// How many cleanups may run at once where no dependency forbids it. Default: one, as
    /// then the order is exact.
    #[must_use]
    pub fn parallel(self, limit: usize) -> Self {
        self.shared.parallel.store(limit, Ordering::Relaxed);
        self
    }

    /// Registers a resource under a name (1 to 64 bytes without `/`) that no open one of
    /// this runner has. What it depends on must not be closing; what it depends on by name
    /// may be registered later. Never blocks.
    ///
    /// # Errors
    /// [`ResourceError::Duplicate`], `DependencyClosing`; `Cycle`, also one that this name
    /// closes because others depend on it already;
    /// `TooManyDependencies` (8), `Stale` for a handle whose resource is gone;
    /// [`SegmentError::Full`](crate::SegmentError::Full) (1024 resources in a segment);
    /// [`CoordinationError::Left`](crate::CoordinationError::Left), `InvalidName`;
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn register_resource(
        &self,
        name: &str,
        kind: ResourceType,
        options: ResourceOptions,
    ) -> Result<ResourceHandle, ResourceError> {
        self.shared.register(name, kind, options)
    }

    /// Adds a dependency to a resource of this runner: it is closed before `on`.
    ///
    /// # Errors
    /// [`ResourceError::Cycle`], which spells the cycle, also one through other
    /// processes; `DependencyClosing`, `TooManyDependencies`, `Stale`;
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn add_dependency(
        &self,
        resource: &ResourceHandle,
        on: &ResourceHandle,
    ) -> Result<(), ResourceError> {
        let on = Dependency::Handle(on.clone());
        self.shared.add_dependency(resource, &on)
    }

    /// The same by name, `runner/name`, as with
    /// [`depends_on_named`](ResourceOptions::depends_on_named).
    ///
    /// # Errors
    /// As [`add_dependency`](Self::add_dependency);
    /// [`CoordinationError::InvalidName`](crate::CoordinationError::InvalidName).
    pub fn add_dependency_named(
        &self,
        resource: &ResourceHandle,
        full_name: &str,
    ) -> Result<(), ResourceError> {
        let on = Dependency::Named(full_name.into());
        self.shared.add_dependency(resource, &on)
    }

    /// A handle of the open resource that bears a name, `runner/name`, now; of whatever runner
    /// of this segment. It is of that registration, and [stale](ResourceError::Stale) when that
    /// has ended; a dependency by name is not.
    ///
    /// # Errors
    /// [`ResourceError::Stale`] if nothing open bears the name;
    /// [`CoordinationError::InvalidName`](crate::CoordinationError::InvalidName);
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn find_resource(&self, full_name: &str) -> Result<ResourceHandle, ResourceError> {
        self.shared.find(full_name)
    }

    /// Takes a resource off the list; none of its closures run any more. False if its
    /// cleanup is running now.
    ///
    /// # Errors
    /// [`ResourceError::Stale`] if it is unregistered already or another manager's;
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn unregister(&self, resource: &ResourceHandle) -> Result<bool, ResourceError> {
        self.shared.unregister(resource)
    }

    /// Closes all resources of this runner and blocks until that is done or the timeout
    /// has passed: drains each, waits until nothing depends on it any more (also in other
    /// processes: closed, timed out, or its owner dead), and runs its cleanup. A failure
    /// goes on to the rest, and drains together have two thirds of the time, as in the phases,
    /// so that one that hangs leaves the cleanups theirs. What overruns is marked TimedOut and its force closure runs;
    /// if the first one ends after all, that is recorded.
    ///
    /// Who calls it meanwhile joins, with the earlier deadline for all, and gets the same
    /// report. It is a blocking call; a task hands it to a thread for such.
    ///
    /// What must wait for another runner's resource takes none of the places of
    /// [`parallel`](Self::parallel): others go on meanwhile.
    ///
    /// # Errors
    /// [`CoordinationError::WithinShutdown`](crate::CoordinationError::WithinShutdown) in a
    /// handler or a closure of this runner, where it would wait for itself;
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn cleanup_resources(&self, timeout: Duration) -> Result<CleanupReport, ResourceError> {
        let core = self.shared.core();
        core.check()?;
        let (slot, generation) = (self.shared.slot, self.shared.generation);
        within::refuse(
            core,
            "cleanup_resources",
            WaitsFor::Runner(slot, generation),
        )?;
        let until = deadline(core.as_ref(), Some(timeout));
        let left = || Duration::from_micros(until.saturating_sub(self.shared.now()));
        Ok(self.shared.cleanup(&left))
    }

    /// Whether a resource, of whatever runner, is Active: registered, its object alive,
    /// and nobody closes it.
    ///
    /// # Errors
    /// [`ResourceError::Stale`]; [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn is_resource_active(&self, resource: &ResourceHandle) -> Result<bool, ResourceError> {
        self.shared.core().check()?;
        self.shared.mark_dropped();
        let key = self.shared.key_of(resource)?;
        let word = self.shared.table().find(key);
        Ok(word.is_some_and(|word| word.state() == Ok(State::Active)))
    }

    /// What a resource, of whatever runner, depends on directly, as `runner/name`.
    ///
    /// # Errors
    /// As [`is_resource_active`](Self::is_resource_active).
    pub fn resource_dependencies(
        &self,
        resource: &ResourceHandle,
    ) -> Result<Vec<String>, ResourceError> {
        self.shared.core().check()?;
        let key = self.shared.key_of(resource)?;
        let report = self.shared.report_of(key);
        Ok(report.map_or_else(Vec::new, |report| report.depends_on))
    }

    /// All registered resources of this runner.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn resources(&self) -> Result<Vec<ResourceReport>, ResourceError> {
        self.shared.core().check()?;
        Ok(self.shared.reports())
    }

    /// The leaks of the whole segment: objects dropped without unregistering, resources
    /// still open after their runner or the shutdown has ended, those of dead runners.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn leaks(&self) -> Result<Vec<ResourceReport>, ResourceError> {
        self.shared.core().check()?;
        self.shared.mark_dropped();
        let mut all = self.shared.view().resources(|_, _| true);
        all.retain(|resource| resource.leak.is_some());
        Ok(all)
    }
}

impl fmt::Debug for ResourceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceManager")
            .field("runner", &self.shared.id)
            .finish_non_exhaustive()
    }
}

/// One registration. It stays that one's: when the resource is unregistered and its place
/// used again, the handle is stale.
#[derive(Clone)]
pub struct ResourceHandle {
    session: Weak<Session>,
    pub(super) key: Key,
    /// `runner/name`.
    full_name: Arc<str>,
}

impl ResourceHandle {
    pub(super) fn new(session: &Arc<Session>, key: Key, full_name: String) -> Self {
        Self {
            session: Arc::downgrade(session),
            key,
            full_name: full_name.into(),
        }
    }

    pub(super) fn is_of(&self, session: &Arc<Session>) -> bool {
        self.session.ptr_eq(&Arc::downgrade(session))
    }

    /// `runner/name`.
    #[must_use]
    pub fn full_name(&self) -> &str {
        &self.full_name
    }
}

impl fmt::Debug for ResourceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResourceHandle")
            .field(&self.full_name)
            .finish()
    }
}
