//! A dependency by name: on whatever bears the name when it comes to be closed.

use std::time::Duration;

use crate::support::{Agent, Place};
use crate::support::{Child, Shutdown, both_with, event, once, reply};
use ebbtide::{
    ResourceError, ResourceManager, ResourceOptions, ResourceType, Runner, Segment,
    ShutdownCoordinator,
};

/// Registers `name` on `what` (or -), and closes in a shutdown.
fn owner(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, &child.order()).unwrap();
    let manager = ResourceManager::new(&runner);
    loop {
        let order = child.order();
        let words: Vec<&str> = order.split(' ').collect();
        match words[0] {
            "add" => {
                let name = words[1].to_owned();
                let mut options = ResourceOptions::new().cleanup(move |_| {
                    event(&format!("closed {name}"));
                    Ok::<_, String>(())
                });
                if words[2] != "-" {
                    options = options.depends_on_named(words[2]);
                }
                let added = manager.register_resource(words[1], ResourceType::Queue, options);
                reply(&added.map_or_else(|error| error.to_string(), |_| "ok".into()));
            }
            "run" => {
                runner.wait_for_shutdown(None).unwrap();
                let report = runner.run_shutdown().unwrap();
                event(&format!("run {}", report.outcome.name()));
            }
            _ => return,
        }
    }
}

fn start(place: &Place, segment: &Segment, id: &str) -> Agent {
    let mut owner = Agent::spawn(place, "owner", Some(segment));
    owner.tell(id);
    owner
}

/// The resources of all, `name -> what it depends on`.
fn edges(place: &Place) -> Vec<String> {
    let mut edges: Vec<_> = place
        .status()
        .resources
        .iter()
        .filter(|resource| resource.state.name() == "Active")
        .map(|r| format!("{}/{} -> {}", r.runner, r.name, r.depends_on.join(" ")))
        .collect();
    edges.sort();
    edges
}

#[test]
fn a_dependency_survives_the_restart_of_its_owner() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        // Before there is such a name.
        let mut b = start(place, &segment, "B");
        assert_eq!(b.ask("add feed A/res"), "ok");
        assert_eq!(edges(place), ["B/feed -> "]);
        let mut a = start(place, &segment, "A");
        assert_eq!(a.ask("add res -"), "ok");
        assert_eq!(edges(place), ["A/res -> ", "B/feed -> A/res"]);
        a.kill();
        let mut a = start(place, &segment, "A");
        assert_eq!(a.ask("add res -"), "ok");
        assert_eq!(edges(place), ["A/res -> ", "B/feed -> A/res"]);
        // A has nothing else to do, and waits for B, which has not begun to close.
        a.tell("run");
        coordinator.begin(Duration::from_secs(3600));
        assert!(!a.has("closed"));
        b.tell("run");
        assert_eq!(b.event("closed"), "feed");
        assert_eq!(a.event("closed"), "res");
        b.event("run");
        a.event("run");
        let order: Vec<_> = coordinator
            .complete()
            .resources
            .iter()
            .filter(|resource| resource.took.is_some())
            .map(|resource| resource.name.clone())
            .collect();
        assert_eq!(order.len(), 2, "{order:?}");
        a.quit();
        b.quit();
    });
}

#[test]
fn a_name_that_would_close_a_cycle_when_it_comes_is_refused_with_the_names() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let mut b = start(place, &segment, "B");
        assert_eq!(b.ask("add feed A/res"), "ok");
        let mut a = start(place, &segment, "A");
        let told = a.ask("add res B/feed");
        for part in ["cycle", "A/res -> B/feed", "B/feed -> A/res"] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(edges(place), ["B/feed -> "]);
        assert!(segment.check().unwrap().findings.is_empty());
        // Without its edge it is welcome.
        assert_eq!(a.ask("add res -"), "ok");
        assert_eq!(edges(place), ["A/res -> ", "B/feed -> A/res"]);
        a.quit();
        b.quit();
    });
}

#[test]
fn of_two_that_close_a_cycle_by_name_at_once_not_both_are_registered() {
    both_with(here!(), &[("owner", owner)], |place| {
        let segment = place.create();
        let mut a = start(place, &segment, "A");
        let mut b = start(place, &segment, "B");
        for round in 0..20 {
            a.tell(&format!("add r{round} B/r{round}"));
            b.tell(&format!("add r{round} A/r{round}"));
            let told = [a.reply("add"), b.reply("add")];
            assert!(told.iter().filter(|told| *told == "ok").count() < 2);
            assert!(
                told.iter()
                    .all(|told| told == "ok" || told.contains("cycle"))
            );
        }
        assert!(segment.check().unwrap().findings.is_empty());
        a.quit();
        b.quit();
    });
}

#[test]
fn a_handle_is_had_by_name_and_is_of_one_registration() {
    once(here!(), |place| {
        let segment = place.create();
        let (a, b) = (
            Runner::join(&segment, "A").unwrap(),
            Runner::join(&segment, "B").unwrap(),
        );
        let (ours, theirs) = (ResourceManager::new(&a), ResourceManager::new(&b));
        let kind = ResourceType::Queue;
        assert_is!(theirs.find_resource("A/res"), Err(ResourceError::Stale { ref name }) if name == "A/res");
        assert!(theirs.find_resource("res").is_err());
        let first = ours
            .register_resource("res", kind, ResourceOptions::new())
            .unwrap();
        let found = theirs.find_resource("A/res").unwrap();
        assert_eq!(found.full_name(), "A/res");
        let feed = theirs
            .register_resource("feed", kind, ResourceOptions::new())
            .unwrap();
        theirs.add_dependency(&feed, &found).unwrap();
        theirs.add_dependency_named(&feed, "A/later").unwrap();
        assert_eq!(theirs.resource_dependencies(&feed).unwrap(), ["A/res"]);
        assert!(ours.unregister(&first).unwrap());
        let _later = ours
            .register_resource("later", kind, ResourceOptions::new())
            .unwrap();
        assert_eq!(theirs.resource_dependencies(&feed).unwrap(), ["A/later"]);
        assert_is!(
            theirs.add_dependency(&feed, &found),
            Err(ResourceError::Stale { .. })
        );
        let cycle = ours.add_dependency_named(&_later, "B/feed").unwrap_err();
        assert_is!(cycle, ResourceError::Cycle { ref cycle } if cycle.len() == 3);
        drop((a, b));
    });
}
