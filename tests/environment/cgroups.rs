//! Control groups: a process that is killed for its memory, and one that is frozen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::past::predecessors;
use crate::support::untested;
use crate::support::{self, Agent, Child, HANG, Role, Shutdown, both_with, event, outcome, reply};
use ebbtide::{CrossProcessLock, Outcome, Phase, Runner, ShutdownCoordinator, ShutdownOutcome};

const ROLES: [(&str, Role); 1] = [("glutton", glutton)];
const BYTES: usize = 96 << 20;

/// Holds a lock, and then eats more than it may.
fn glutton(child: &Child) {
    let segment = child.open();
    let _runner = Runner::join(&segment, "glutton").unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let _guard = lock.lock().unwrap();
    reply("ok");
    child.order();
    let mut eaten = Vec::new();
    loop {
        // Each page is touched.
        eaten.push(vec![1_u8; 1 << 20]);
        event(&format!("ate {}", eaten.len()));
    }
}

/// A control group of our own, of the second version or of the first.
struct Group {
    path: PathBuf,
    is_second: bool,
}

impl Group {
    /// # Errors
    /// Why there is none.
    fn make(controller: &str) -> Result<Self, String> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("ebbtide-test-{}-{controller}", std::process::id());
        // With systemd, beside the first version, or the first version's own.
        let mut why = Vec::new();
        for (above, is_second) in [
            (root.to_path_buf(), true),
            (root.join("unified"), true),
            (root.join(controller), false),
        ] {
            let path = above.join(&name);
            let knob = path.join(match (is_second, controller) {
                (true, "memory") => "memory.max",
                (true, _) => "cgroup.freeze",
                (false, "memory") => "memory.limit_in_bytes",
                (false, _) => "freezer.state",
            });
            if let Err(error) = std::fs::create_dir(&path) {
                why.push(format!("{}: {error}", path.display()));
                continue;
            }
            let group = Self { path, is_second };
            if knob.exists() {
                return Ok(group);
            }
            why.push(format!("{} is not there", knob.display()));
        }
        Err(why.join("; "))
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    fn admit(&self, pid: u32) {
        self.write("cgroup.procs", &pid.to_string());
    }

    fn limit_memory(&self, bytes: usize) {
        let file = if self.is_second {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        self.write(file, &bytes.to_string());
    }

    fn freeze(&self) {
        let (file, text) = match self.is_second {
            true => ("cgroup.freeze", "1"),
            false => ("freezer.state", "FROZEN"),
        };
        self.write(file, text);
        support::until_true("all of it is frozen", || match self.is_second {
            true => self.read("cgroup.events").contains("frozen 1"),
            false => self.read("freezer.state").trim() == "FROZEN",
        });
    }

    fn thaw(&self) {
        let (file, text) = match self.is_second {
            true => ("cgroup.freeze", "0"),
            false => ("freezer.state", "THAWED"),
        };
        self.write(file, text);
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have been waited for, and still take a moment to leave it.
        for _ in 0..1000 {
            if std::fs::remove_dir(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn one_that_is_killed_for_its_memory_has_died_like_any_other() {
    both_with(here!(), &ROLES, |place| {
        let group = match Group::make("memory") {
            Ok(group) => group,
            Err(why) => return untested(place.test(), why),
        };
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut well = place.runner(&segment, "well");
        let mut glutton = Agent::spawn(place, "glutton", Some(&segment));
        assert_eq!(glutton.reply("join"), "ok");
        group.limit_memory(BYTES);
        group.admit(glutton.pid());
        well.tell("lock device 30000");
        well.until_asleep();
        glutton.tell("eat");
        assert_eq!(well.event("lock"), "died=true");
        well.tell("unlock device");
        assert!(!glutton.ended().success());
        assert!(glutton.has("ate"), "it was killed for what it ate");
        well.tell("run");
        coordinator.begin(Duration::from_secs(3600));
        assert_eq!(well.event("run"), "Completed well=Completed");
        assert_eq!(predecessors(&coordinator.complete()), ["glutton"]);
        coordinator.wait_gone(1, HANG).unwrap();
        drop((glutton, group));
    });
}

#[test]
fn one_that_is_frozen_is_late_and_not_dead() {
    const BUDGET: Duration = Duration::from_millis(500);
    both_with(here!(), &[], |place| {
        let group = match Group::make("freezer") {
            Ok(group) => group,
            Err(why) => return untested(place.test(), why),
        };
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut well, mut frozen] = place.runners(&segment, ["well", "frozen"]);
        frozen.tell("lock device 30000");
        assert_eq!(frozen.event("lock"), "died=false");
        frozen.tell("run");
        frozen.until_asleep();
        group.admit(frozen.pid());
        group.freeze();
        // Its lock stays held, and its slot its own.
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let error = lock.lock_timeout(Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("frozen"), "{error}");
        assert_eq!(segment.reap().unwrap(), 0);
        well.tell("run");
        coordinator.begin(BUDGET);
        let status = place.until_blocked_by(Phase::Signaling, "frozen");
        assert_eq!(status.laggards[0].locks_held, ["device"]);
        assert!(status.runners.iter().all(|runner| runner.alive));
        let report = coordinator.complete();
        assert_eq!(report.outcome, ShutdownOutcome::TimedOut);
        assert!(report.total >= BUDGET);
        assert_eq!(*outcome(&report, "frozen"), Outcome::TimedOut);
        assert_eq!(*outcome(&report, "well"), Outcome::Completed);
        well.event("run");
        // Back again, it is told, and gives everything back.
        group.thaw();
        assert!(frozen.event("run").starts_with("TimedOut"));
        frozen.tell("unlock device");
        drop(lock.lock_timeout(HANG).unwrap());
        coordinator.wait_gone(1, HANG).unwrap();
        frozen.quit();
        well.quit();
    });
}
