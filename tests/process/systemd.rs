//! A runner that tells a service manager how it stands.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::{Agent, Child, HANG, Place, Shutdown, both_with, event, reply};
use ebbtide::{Phase, Runner, Scope, Segment, ShutdownCoordinator, SystemdNotifier, Watchdog};

/// What the manager allows between two signs of life.
const PATIENCE: Duration = Duration::from_millis(200);

/// A runner that does as it is told.
fn service(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "service").unwrap();
    let notifier = SystemdNotifier::start(&runner, Watchdog::WhileWorking).unwrap();
    reply(&format!("{}", notifier.is_some()));
    let mut item = None;
    loop {
        match child.order().as_str() {
            "begin" => item = Some(runner.begin().unwrap()),
            "progress" => runner.progress(),
            "end" => item = None,
            "handler" => runner
                .register_shutdown_handler(Phase::Closing, 0, "flush", |_| {})
                .unwrap(),
            "run" => {
                let report = runner.run_shutdown().unwrap();
                event(&format!("over {}", report.outcome.name()));
            }
            "quit" => return,
            other => panic!("{other}"),
        }
        reply(if item.is_some() { "busy" } else { "idle" });
    }
}

struct Manager(UnixDatagram);

impl Manager {
    /// Starts a service that speaks to this one.
    fn start(&self, place: &Place, segment: &Segment, patience: Option<Duration>) -> Agent {
        let mut command = Agent::command(place, "service");
        command
            .env(Segment::VARIABLE, segment.token().to_string())
            .env(
                "NOTIFY_SOCKET",
                self.0.local_addr().unwrap().as_pathname().unwrap(),
            )
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID");
        if let Some(patience) = patience {
            command.env("WATCHDOG_USEC", patience.as_micros().to_string());
        }
        let mut service = Agent::start("service", command);
        assert_eq!(service.reply("start"), "true");
        service
    }

    /// The next line that is not what `skip` says, within a time.
    fn next(&self, within: Duration) -> Option<Vec<String>> {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 4096];
        match self.0.recv(&mut buffer) {
            Ok(length) => {
                let text = std::str::from_utf8(&buffer[..length]).unwrap();
                Some(text.lines().map(String::from).collect())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn until(&self, wanted: &str) {
        loop {
            let lines = self.next(HANG).unwrap_or_else(|| panic!("no {wanted}"));
            if lines.iter().any(|line| line.starts_with(wanted)) {
                return;
            }
        }
    }
}

#[test]
fn work_that_stands_still_starves_the_watchdog() {
    both_with(here!(), &[("service", service)], |place| {
        let segment = place.create();
        let manager = Manager(UnixDatagram::bind(place.scratch("notify")).unwrap());
        let mut service = manager.start(place, &segment, Some(PATIENCE));
        let first = manager.next(HANG).unwrap();
        assert_eq!(first, ["READY=1", "STATUS=running", "WATCHDOG=1"]);
        // Idle: fed again and again.
        manager.until("WATCHDOG=1");
        manager.until("WATCHDOG=1");
        // Busy without progress: at most what was under way, then no more, for longer than
        // the manager waits.
        assert_eq!(service.ask("begin"), "busy");
        while manager.next(PATIENCE * 3).is_some() {}
        assert_eq!(service.ask("progress"), "busy");
        manager.until("WATCHDOG=1");
        while manager.next(PATIENCE * 3).is_some() {}
        assert_eq!(service.ask("end"), "idle");
        manager.until("WATCHDOG=1");
        // The end of it all: it is told though the process is gone in no time.
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(Duration::from_secs(60));
        assert_eq!(service.ask("handler"), "idle");
        service.tell("run");
        assert_eq!(service.event("over"), "Completed");
        assert_eq!(service.reply("run"), "idle");
        service.quit();
        manager.until("STOPPING=1");
        while let Some(lines) = manager.next(Duration::from_millis(1)) {
            assert!(!lines.iter().any(|line| line == "STOPPING=1"), "{lines:?}");
        }
    });
}

#[test]
fn the_timeout_is_extended_again_with_each_status_of_a_shutdown() {
    both_with(here!(), &[("service", service)], |place| {
        let segment = place.create();
        let manager = Manager(UnixDatagram::bind(place.scratch("notify")).unwrap());
        let mut service = manager.start(place, &segment, None);
        assert_eq!(manager.next(HANG).unwrap(), ["READY=1", "STATUS=running"]);
        assert_eq!(service.ask("begin"), "busy");
        let coordinator = ShutdownCoordinator::new(&segment);
        // Begun before the manager stops the unit, if it ever does.
        coordinator.begin(Duration::from_secs(60));
        let mut left = Vec::new();
        while left.len() < 3 {
            let lines = manager.next(HANG).unwrap();
            let has = |start: &str| lines.iter().find_map(|line| line.strip_prefix(start));
            assert!(has("STATUS=").is_some(), "{lines:?}");
            let micros = has("EXTEND_TIMEOUT_USEC=").unwrap_or_else(|| panic!("{lines:?}"));
            left.push(micros.parse::<u64>().unwrap());
        }
        // To the same end, with less to go each time.
        assert!(left.is_sorted_by(|one, next| one > next), "{left:?}");
        assert!(left[0] <= 65_000_000 && left[2] > 5_000_000, "{left:?}");
        coordinator.cancel_shutdown(&Scope::All).unwrap();
        manager.until("STATUS=running");
        assert_eq!(service.ask("end"), "idle");
        service.quit();
    });
}

#[test]
fn without_a_manager_nothing_is_told() {
    both_with(here!(), &[("service", service)], |place| {
        let segment = place.create();
        let mut command = Agent::command(place, "service");
        command
            .env(Segment::VARIABLE, segment.token().to_string())
            .env_remove("NOTIFY_SOCKET");
        let mut service = Agent::start("service", command);
        assert_eq!(service.reply("start"), "false");
        service.quit();
    });
}
