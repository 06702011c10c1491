//! A runner that tells a service manager how it stands.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::{Agent, Child, HANG, Shutdown, both_with, event, reply};
use ebbtide::{Phase, Runner, Segment, ShutdownCoordinator, SystemdNotifier, Watchdog};

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
        let address = place.scratch("notify");
        let manager = Manager(UnixDatagram::bind(&address).unwrap());
        let mut command = Agent::command(place, "service");
        command
            .env(Segment::VARIABLE, segment.token().to_string())
            .env("NOTIFY_SOCKET", &address)
            .env("WATCHDOG_USEC", PATIENCE.as_micros().to_string())
            .env_remove("WATCHDOG_PID");
        let mut service = Agent::start("service", command);
        assert_eq!(service.reply("start"), "true");
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
