//! Where one test runs: a private directory with one segment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ebbtide::{
    CoordinationError, Finding, Gravity, Initiation, Liveness, Observer, Outcome, Phase, Scope,
    Segment, SegmentOptions, ShutdownCoordinator, ShutdownReport, ShutdownRequest, Status,
};
use tempfile::TempDir;

use super::{Agent, HANG, until};

/// A private directory, and the options to use it on one liveness back end.
pub struct Place {
    test: &'static str,
    root: TempDir,
    pub liveness: Liveness,
    pub options: SegmentOptions,
}

impl Place {
    /// The segment's name.
    pub const NAME: &'static str = "group";

    pub fn new(test: &'static str, liveness: Liveness) -> Self {
        // Where segments are by default: no disk behind it.
        let memory = Path::new("/dev/shm");
        let root = match tempfile::Builder::new()
            .prefix("ebbtide-test-")
            .tempdir_in(memory)
        {
            Ok(root) => root,
            Err(_) => tempfile::tempdir().unwrap(),
        };
        let options = SegmentOptions::new()
            .directory(root.path().join("segments"))
            .liveness(liveness);
        Self {
            test,
            root,
            liveness,
            options,
        }
    }

    /// The test's name, for its children.
    pub fn test(&self) -> &'static str {
        self.test
    }

    /// The segment directory (mode 0700; the library makes it).
    pub fn directory(&self) -> PathBuf {
        self.root.path().join("segments")
    }

    /// Where the segment's file is.
    pub fn file(&self) -> PathBuf {
        self.directory().join(Self::NAME)
    }

    /// A path for things that are no segments.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn create(&self) -> Segment {
        self.options.create(Self::NAME).unwrap()
    }

    pub fn observe(&self) -> Observer {
        self.options.observe(Self::NAME).unwrap()
    }

    /// What is going on, seen through a read-only mapping.
    pub fn status(&self) -> Status {
        self.observe().status().unwrap()
    }

    /// A child that is attached and no runner.
    pub fn agent(&self, segment: &Segment) -> Agent {
        Agent::spawn(self, "agent", Some(segment))
    }

    /// Children that are registered under these ids.
    pub fn runners<const N: usize>(&self, segment: &Segment, ids: [&str; N]) -> [Agent; N] {
        let mut agents = ids.map(|_| self.agent(segment));
        for (agent, id) in agents.iter_mut().zip(ids) {
            assert_eq!(agent.ask(&format!("join {id}")), "ok");
        }
        agents
    }

    pub fn runner(&self, segment: &Segment, id: &str) -> Agent {
        let [agent] = self.runners(segment, [id]);
        agent
    }

    /// Waits until the group is in the phase (or past it).
    #[track_caller]
    pub fn until_phase(&self, phase: Phase) -> Status {
        let observer = self.observe();
        until(&format!("phase {phase}"), || {
            Some(observer.status().unwrap()).filter(|status| status.phase >= phase)
        })
    }

    /// Waits until this runner, and no other, holds the phase up.
    #[track_caller]
    pub fn until_blocked_by(&self, phase: Phase, id: &str) -> Status {
        let observer = self.observe();
        until(&format!("{id} alone holds {phase} up"), || {
            let status = observer.status().unwrap();
            let alone = matches!(&status.laggards[..], [one] if one.id == id);
            (status.phase == phase && alone).then_some(status)
        })
    }

    /// Whatever a test did, it broke nothing, and what its dead left is settled. Of what is
    /// no segment there is nothing to check.
    fn is_sound(&self, name: &str) {
        let Ok(observer) = self.options.observe(name) else {
            return;
        };
        let found = observer.check().unwrap();
        let is_left = |finding: &Finding| finding.gravity == Gravity::Left;
        assert!(found.findings.iter().all(is_left), "{found:#?}");
        let Ok(segment) = self.options.open(name) else {
            return;
        };
        let found = segment.repair().unwrap();
        assert!(found.is_sound(), "{found:#?}");
    }

    /// Nothing is attached and nothing is left.
    pub fn finish(self) {
        let orphans = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        assert_eq!(orphans.trim(), "", "children that nobody waited for");
        for name in self.options.list().unwrap() {
            self.is_sound(&name);
            // Refused if anybody were attached still.
            self.options.remove(&name, false).unwrap();
        }
        if let Ok(entries) = std::fs::read_dir(self.directory()) {
            let left: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            assert!(left.is_empty(), "left in the segment directory: {left:?}");
        }
    }
}

/// What tests ask of a coordinator again and again.
pub trait Shutdown {
    fn begin(&self, timeout: Duration) -> Initiation;
    fn complete(&self) -> ShutdownReport;
}

impl Shutdown for ShutdownCoordinator {
    /// Begins the shutdown of all.
    #[track_caller]
    fn begin(&self, timeout: Duration) -> Initiation {
        let request = ShutdownRequest::new().timeout(timeout);
        self.initiate_shutdown(&Scope::All, &request).unwrap()
    }

    /// Waits for the shutdown of all.
    #[track_caller]
    fn complete(&self) -> ShutdownReport {
        match self.wait_for_shutdown_complete(&Scope::All, HANG) {
            Ok(report) => report,
            Err(CoordinationError::TimedOut { laggards, .. }) => panic!("hangs: {laggards:?}"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The outcome of one runner in a report.
#[track_caller]
pub fn outcome<'a>(report: &'a ShutdownReport, id: &str) -> &'a Outcome {
    let runner = report.runners.iter().find(|runner| runner.id == id);
    let runner = runner.unwrap_or_else(|| panic!("no runner {id}: {report:?}"));
    runner
        .outcome
        .as_ref()
        .unwrap_or_else(|| panic!("{id} has no outcome: {report:?}"))
}
