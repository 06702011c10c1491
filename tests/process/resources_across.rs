//! Resources across processes: order, death in the middle, and reclaiming.

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

use crate::support::{
    self, Agent, Child, HANG, Place, Shutdown, both, both_with, event, outcome, reply,
};
use ebbtide::{
    CrossProcessEvent, Leak, Outcome, Reclaim, ResourceManager, ResourceOptions, ResourceReport,
    ResourceState, ResourceType, Runner, Segment, ShutdownCoordinator, ShutdownOutcome,
    SystemResource,
};

/// Registers what it is told to (a child that it does not wait for, too), and closes when it is told to.
#[expect(clippy::zombie_processes)]
fn owner(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, &child.order()).unwrap();
    let manager = ResourceManager::new(&runner);
    let mut kept = Vec::new();
    loop {
        let order = child.order();
        let words: Vec<&str> = order.split(' ').collect();
        match words[0] {
            // name, what it depends on or -, how its cleanup ends
            "add" => {
                let mut options =
                    ResourceOptions::new().cleanup(cleanup(&segment, words[1], words[3]));
                if words[2] != "-" {
                    options = options.depends_on_named(words[2]);
                }
                let added = manager.register_resource(words[1], ResourceType::Queue, options);
                reply(&added.map_or_else(|error| error.to_string(), |_| "ok".into()));
            }
            "system" => {
                let system = match words[1] {
                    "file" => SystemResource::file(words[2]).unwrap(),
                    "socket" => {
                        kept.push(UnixListener::bind(words[2]).unwrap());
                        SystemResource::socket(words[2]).unwrap()
                    }
                    "memory" => SystemResource::shared_memory(words[2]).unwrap(),
                    _ => {
                        let process = Command::new("sleep").arg("600").spawn().unwrap();
                        event(&format!("child {}", process.id()));
                        SystemResource::process(&process).unwrap()
                    }
                };
                let options = ResourceOptions::new().system(system);
                manager
                    .register_resource(words[1], ResourceType::File, options)
                    .unwrap();
                reply("ok");
            }
            "clean" => {
                let report = manager
                    .cleanup_resources(Duration::from_millis(words[1].parse().unwrap()))
                    .unwrap();
                event(&format!("cleaned {}", summary(&report.resources)));
            }
            "run" => {
                runner.wait_for_shutdown(None).unwrap();
                let report = runner.run_shutdown().unwrap();
                event(&format!(
                    "run {} {}",
                    report.outcome.name(),
                    summary(&report.resources)
                ));
            }
            "reclaim" => {
                let reaped = segment.reclaim().unwrap();
                event(&format!("reclaimed {}", reaped.resources.len()));
            }
            _ => return,
        }
    }
}

fn cleanup(
    segment: &Segment,
    name: &str,
    how: &str,
) -> impl FnOnce(&ebbtide::CleanupContext) -> Result<(), String> + Send + 'static {
    let (name, how) = (name.to_owned(), how.to_owned());
    let gate = CrossProcessEvent::open(segment, &name).unwrap();
    move |_| {
        event(&format!("closing {name}"));
        if how == "gate" {
            gate.wait(None).unwrap();
        }
        event(&format!("closed {name}"));
        Ok(())
    }
}

fn summary(resources: &[ResourceReport]) -> String {
    let one = |r: &ResourceReport| format!("{}={}", r.full_name(), r.state);
    resources.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn start(place: &Place, segment: &Segment, id: &str) -> Agent {
    let mut agent = Agent::spawn(place, "owner", Some(segment));
    agent.tell(id);
    agent
}

/// The queue of `consumer` is needed by the producer of `producer`.
fn pair(place: &Place, segment: &Segment) -> (Agent, Agent) {
    let mut consumer = start(place, segment, "consumer");
    assert_eq!(consumer.ask("add queue - ok"), "ok");
    let mut producer = start(place, segment, "producer");
    assert_eq!(producer.ask("add feed consumer/queue gate"), "ok");
    (consumer, producer)
}

fn state(place: &Place, full_name: &str) -> Option<ResourceState> {
    let resources = place.status().resources;
    let found = resources.into_iter().find(|r| r.full_name() == full_name);
    found.map(|resource| resource.state)
}

#[track_caller]
fn until_state(place: &Place, full_name: &str, wanted: ResourceState) {
    support::until_true(&format!("{full_name} is {wanted}"), || {
        state(place, full_name) == Some(wanted)
    });
}

#[test]
fn a_queue_closes_only_after_its_producer_in_another_process() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let (mut consumer, mut producer) = pair(place, &segment);
        let gate = CrossProcessEvent::open(&segment, "feed").unwrap();
        consumer.tell("run");
        producer.tell("run");
        ShutdownCoordinator::new(&segment).begin(HANG);
        assert_eq!(producer.event("closing"), "feed");
        until_state(place, "consumer/queue", ResourceState::Draining);
        assert!(!consumer.has("closing"));
        gate.set().unwrap();
        assert_eq!(producer.event("closed"), "feed");
        assert_eq!(consumer.event("closed"), "queue");
        assert_eq!(consumer.event("run"), "Completed consumer/queue=Closed");
        assert_eq!(producer.event("run"), "Completed producer/feed=Closed");
        consumer.quit();
        producer.quit();
    });
}

#[test]
fn a_producer_killed_in_the_middle_of_closing_frees_the_queue() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let (mut consumer, mut producer) = pair(place, &segment);
        consumer.tell("run");
        producer.tell("run");
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(HANG);
        assert_eq!(producer.event("closing"), "feed");
        until_state(place, "consumer/queue", ResourceState::Draining);
        producer.kill();
        assert_eq!(consumer.event("closed"), "queue");
        // Its own, and what the dead left.
        assert_eq!(
            consumer.event("run"),
            "Died consumer/queue=Closed producer/feed=Orphaned"
        );
        let report = coordinator.complete();
        assert_eq!(outcome(&report, "producer"), &Outcome::Died);
        let leaks: Vec<_> = report
            .leaks()
            .map(|(r, leak)| (r.full_name(), leak))
            .collect();
        assert_eq!(leaks, [("producer/feed".to_owned(), Leak::OwnerDied)]);
        consumer.quit();
    });
}

#[test]
fn a_queue_whose_producer_never_closes_times_out_and_names_it() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let mut consumer = start(place, &segment, "consumer");
        assert_eq!(consumer.ask("add queue - ok"), "ok");
        let producer = Runner::join(&segment, "producer").unwrap();
        let theirs = ResourceManager::new(&producer);
        let needs = ResourceOptions::new().depends_on_named("consumer/queue");
        let feed = theirs
            .register_resource("feed", ResourceType::Custom, needs)
            .unwrap();
        // Through two processes: the queue must not come to need the feed.
        consumer.tell("clean 50");
        assert_eq!(consumer.event("cleaned"), "consumer/queue=TimedOut");
        assert!(!consumer.has("closing"));
        assert!(theirs.is_resource_active(&feed).unwrap());
        consumer.quit();
    });
}

fn file(place: &Place, name: &str) -> String {
    let path = place.scratch(name);
    std::fs::write(&path, name).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn system_resources_of_a_gone_process_are_reclaimed_and_nothing_else() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let mut doomed = start(place, &segment, "doomed");
        let (kept, replaced) = (file(place, "kept"), file(place, "replaced"));
        let socket = place.scratch("socket").to_str().unwrap().to_owned();
        assert_eq!(doomed.ask(&format!("system file {kept}")), "ok");
        assert_eq!(doomed.ask(&format!("system socket {socket}")), "ok");
        assert_eq!(doomed.ask("system child"), "ok");
        let child: i32 = doomed.event("child").parse().unwrap();
        // The owner lives: hands off.
        let reaped = segment.reclaim().unwrap();
        assert_eq!((reaped.processes, reaped.resources.len()), (0, 0));
        let mut other = start(place, &segment, "other");
        assert_eq!(other.ask(&format!("system file {replaced}")), "ok");
        other.kill();
        // Another file under the registered name is not what was registered.
        std::fs::rename(&replaced, place.scratch("moved")).unwrap();
        let replaced = file(place, "replaced");
        doomed.kill();
        let mut fates = Vec::new();
        support::until_true("all are reclaimed", || {
            let taken = segment.reclaim().unwrap().resources;
            fates.extend(taken.into_iter().map(|r| (r.full_name(), r.reclaimed)));
            fates.len() == 4
        });
        fates.sort_by(|a, b| a.0.cmp(&b.0));
        let reclaimed = Some(Reclaim::Reclaimed);
        assert_eq!(
            fates,
            [
                ("doomed/child".to_owned(), reclaimed),
                ("doomed/file".to_owned(), reclaimed),
                ("doomed/socket".to_owned(), reclaimed),
                ("other/file".to_owned(), Some(Reclaim::Absent)),
            ]
        );
        assert!(!std::path::Path::new(&kept).exists());
        assert!(!std::path::Path::new(&socket).exists());
        assert!(std::path::Path::new(&replaced).exists());
        support::until_true("the child is killed", || {
            match std::fs::read_to_string(format!("/proc/{child}/stat")) {
                Ok(stat) => stat.contains(") Z "),
                Err(_) => true,
            }
        });
        assert!(segment.reclaim().unwrap().resources.is_empty());
    });
}

#[test]
fn of_two_reapers_at_once_one_takes_each() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let mut doomed = start(place, &segment, "doomed");
        let paths: Vec<_> = (0..8).map(|n| file(place, &format!("f{n}"))).collect();
        // A name has one open resource, so one runner each.
        let mut owners = vec![];
        for (number, path) in paths.iter().enumerate() {
            let mut owner = start(place, &segment, &format!("doomed-{number}"));
            assert_eq!(owner.ask(&format!("system file {path}")), "ok");
            owners.push(owner);
        }
        let mut reapers = [start(place, &segment, "x"), start(place, &segment, "y")];
        // One that is killed at some moment of its reaping.
        let mut victim = start(place, &segment, "victim");
        for owner in &mut owners {
            owner.kill();
        }
        doomed.kill();
        victim.tell("reclaim");
        victim.shoot();
        for reaper in &mut reapers {
            reaper.tell("reclaim");
        }
        for reaper in &mut reapers {
            reaper.event("reclaimed");
        }
        drop(victim);
        support::until_true("nothing is left to reclaim", || {
            segment.reclaim().unwrap();
            let resources = place.status().resources;
            resources.iter().all(|r| r.reclaimed.is_some())
        });
        assert!(
            paths
                .iter()
                .all(|path| !std::path::Path::new(path).exists())
        );
        // Each once: whoever came second would have found it absent.
        let resources = place.status().resources;
        let taken = resources
            .iter()
            .filter(|r| r.reclaimed == Some(Reclaim::Reclaimed));
        assert!(taken.count() >= paths.len() - 1, "{resources:?}");
        for reaper in reapers {
            reaper.quit();
        }
    });
}

#[test]
fn a_survivor_reclaims_in_its_own_shutdown() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let mut doomed = start(place, &segment, "doomed");
        let path = file(place, "temporary");
        assert_eq!(doomed.ask(&format!("system file {path}")), "ok");
        doomed.kill();
        let survivor = Runner::join(&segment, "survivor").unwrap();
        ShutdownCoordinator::new(&segment).begin(HANG);
        let report = survivor.run_shutdown().unwrap();
        // Who died before is history; what it left is told all the same.
        assert_eq!(report.outcome, ShutdownOutcome::Completed);
        assert!(!std::path::Path::new(&path).exists());
        let (leaked, leak) = report.leaks().next().unwrap();
        assert_eq!(
            (leak, leaked.reclaimed),
            (Leak::OwnerDied, Some(Reclaim::Reclaimed))
        );
    });
}

#[test]
fn a_full_table_names_holders_and_frees_what_the_dead_left() {
    both(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let manager = ResourceManager::new(&runner);
        let register = |number: usize| {
            let options = ResourceOptions::new();
            manager.register_resource(&format!("r{number}"), ResourceType::Custom, options)
        };
        let handles: Vec<_> = (0..ebbtide::limits::MAX_RESOURCES)
            .map(|number| register(number).unwrap())
            .collect();
        let error = register(5000).unwrap_err().to_string();
        assert!(
            error.contains("resources") && error.contains("runner \"a\""),
            "{error}"
        );
        assert!(manager.unregister(&handles[7]).unwrap());
        register(5000).unwrap();
    });
}

#[cfg(feature = "cli")]
#[test]
fn the_command_shows_and_reclaims_them() {
    both_with(here!(), &[("owner", owner)], |place| {
        let run = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
            let output = command
                .arg("--dir")
                .arg(place.directory())
                .args(arguments)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let segment = place.create();
        let mut doomed = start(place, &segment, "doomed");
        let path = file(place, "temporary");
        assert_eq!(doomed.ask(&format!("system file {path}")), "ok");
        let status: serde_json::Value =
            serde_json::from_str(&run(&["status", Place::NAME, "--json"])).unwrap();
        let resource = &status["resources"][0];
        assert_eq!(resource["name"], "file");
        assert_eq!(resource["runner"], "doomed");
        assert_eq!(resource["type"], "File");
        assert_eq!(resource["state"], "Active");
        assert!(resource["since_us"].is_u64());
        assert!(run(&["status", Place::NAME]).contains("doomed/file"));
        doomed.kill();
        let said = run(&["reap", Place::NAME]);
        assert!(said.contains("doomed/file: Reclaimed"), "{said}");
        assert!(!std::path::Path::new(&path).exists());
    });
}
