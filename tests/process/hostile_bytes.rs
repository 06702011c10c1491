//! Another process may write anything into a segment. Whatever it is, every call gives
//! an answer or a typed error: no panic, no crash, no endless wait.
//!
//! The body of a segment is overwritten through another descriptor, at random but by a
//! printed seed, and everything is tried on it in a child process: a crash or a hang is
//! the child's, and is told with its seed. What is written and called: `hostile/`.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use crate::hostile::bytes::{Body, Random};
use crate::hostile::calls::{Lived, try_fresh};
use crate::hostile::{SHORT, trying, watch_steps, watch_threads};
use crate::support::{Agent, Child, HANG, Place, both, both_with, event, reply};
use ebbtide::{CrossProcessLock, Segment, ShutdownRequest, SignalPolicy};
use nix::sys::signal::{Signal, raise};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn victim(child: &Child) {
    watch_steps(HANG / 2, event);
    watch_threads(event);
    let order = child.order();
    let words: Vec<&str> = order.split(' ').collect();
    let first: u64 = words[1].parse().unwrap();
    let rounds: u64 = words[2].parse().unwrap();
    let options = &child.options;
    let (mut opened, mut refused) = (0, 0);
    for seed in first..first + rounds {
        event(&format!("seed {seed}"));
        let mut random = Random::new(seed);
        let segment = options.create(Place::NAME).unwrap();
        let path = segment.path().to_path_buf();
        if words[0] == "fresh" {
            drop(Lived::new(segment, random.below(3)));
            Body::of_nobody(&path).scribble(&mut random);
        } else {
            let body = Body::of_users(&path, child.liveness);
            let lived = Lived::new(segment, random.below(3));
            if seed == first {
                bind(&lived.segment);
            }
            if words[0] == "disturbed" {
                let first = body.first_life().map_or("none".into(), |at| at.to_string());
                event(&format!("disturb {} {first}", path.display()));
                assert_eq!(child.order(), "goes on");
            }
            for _ in 0..3 {
                body.scribble(&mut random);
                lived.try_all(words[0] == "disturbed");
                try_bound(&lived.segment);
                if words[0] == "disturbed" {
                    // A lock that names a living thread is soon written over.
                    lived.wait_for_change();
                }
            }
            trying("drop");
            drop(lived);
        }
        if words[0] == "disturbed" {
            event("done");
            assert_eq!(child.order(), "goes on");
        }
        match try_fresh(options, Place::NAME) {
            true => opened += 1,
            false => refused += 1,
        }
        trying("remove");
        // Whoever the bytes name may live.
        let unused = options.remove_unused().unwrap();
        assert!(unused.refused.is_empty(), "{unused:?}");
        if unused.removed.is_empty() {
            options.remove(Place::NAME, true).unwrap();
        }
    }
    // Nothing is allocated by a length that was read. (A sanitizer keeps what was freed.)
    let most = if std::env::var_os("ASAN_OPTIONS").is_some() {
        4096
    } else {
        512
    };
    let peak = peak_mebibytes();
    assert!(peak < most, "{peak} MiB");
    reply(&format!("{opened} opened, {refused} refused, {peak} MiB"));
}

/// The most memory that this process ever had resident.
fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let peak = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes = peak.trim().strip_suffix("kB").unwrap().trim();
    kibibytes.parse::<u64>().unwrap() / 1024
}

/// What a process does once: its signals and its instances are of the first segment, and
/// stay, whatever becomes of that.
fn bind(segment: &Segment) {
    trying("bind");
    for _ in 0..2 {
        SignalPolicy::uninstall();
        let request = ShutdownRequest::new().timeout(SHORT);
        let policy = SignalPolicy::for_all(segment).request(request);
        policy.ignore_interrupt().install().unwrap();
    }
    ebbtide::init(segment, "bound").ok();
}

fn try_bound(segment: &Segment) {
    trying("signal");
    raise(Signal::SIGTERM).unwrap();
    trying("instances");
    let _ = ebbtide::init(segment, "bound");
    if let Ok(runner) = ebbtide::runner() {
        let _ = (runner.phase(), SignalPolicy::for_runner(runner).scope());
        let _ = runner.wait_for_shutdown(Some(SHORT));
    }
    let _ = ebbtide::shutdown_coordinator().map(|coordinator| coordinator.status().is_ok());
    let _ = ebbtide::deadlock_detector().map(|detector| detector.owners().is_ok());
    let _ = ebbtide::resource_manager().map(|manager| manager.leaks().is_ok());
}

/// Writes into a segment until it is told to stop.
fn disturber(child: &Child) {
    let mut random = Random::new(child.order().parse().unwrap());
    loop {
        let order = child.order();
        if order == "quit" {
            return;
        }
        let (path, first) = order.rsplit_once(' ').unwrap();
        let body = Body::of_others(&PathBuf::from(path), first.parse().ok());
        event("writes");
        body.disturb(&mut random, || child.try_order().is_none());
        reply("stopped");
    }
}

/// That of the environment, or one of this process.
pub fn seed() -> u64 {
    let seed = std::env::var("EBBTIDE_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    seed.unwrap_or(u64::from(std::process::id()) << 16)
}

fn run(place: &Place, how: &str, rounds: u64) {
    let seed = seed();
    // A service manager that never reads.
    let manager = place.scratch("manager");
    let _manager = UnixDatagram::bind(&manager).unwrap();
    let mut command = Agent::command(place, "victim");
    command.env("NOTIFY_SOCKET", &manager);
    let mut child = Agent::start("victim", command);
    println!("{how}: seeds from {seed}");
    child.tell(&format!("{how} {seed} {rounds}"));
    let mut writer = (how == "disturbed").then(|| {
        let mut writer = Agent::spawn(place, "disturber", None);
        writer.tell(&seed.to_string());
        writer
    });
    for seed in seed..seed + rounds {
        assert_eq!(child.event("seed"), seed.to_string());
        if let Some(writer) = &mut writer {
            writer.tell(&child.event("disturb"));
            writer.event("writes");
            child.tell("goes on");
            child.event("done");
            assert_eq!(writer.ask("stop"), "stopped");
            child.tell("goes on");
        }
    }
    println!("{how}: {}", child.reply("the last round"));
    assert!(child.ended().success());
    if let Some(writer) = writer {
        writer.quit();
    }
    std::fs::remove_file(manager).unwrap();
}

#[test]
fn a_segment_overwritten_before_it_is_opened_is_answered_for() {
    both_with(here!(), &[("victim", victim)], |place| {
        run(place, "fresh", 40);
    });
}

#[test]
fn a_segment_overwritten_under_its_users_is_answered_for() {
    both_with(here!(), &[("victim", victim)], |place| {
        run(place, "attached", 15);
    });
}

/// Another process writes all the while.
#[test]
fn a_segment_overwritten_while_it_is_used_is_answered_for() {
    let roles: [(&str, crate::support::Role); 2] = [("victim", victim), ("disturber", disturber)];
    both_with(here!(), &roles, |place| run(place, "disturbed", 6));
}

/// The C library links what stands for a thread's life into a list of its own, so no other
/// thread may make it anew.
#[test]
fn slots_that_look_free_are_not_taken_from_living_threads() {
    both_with(here!(), &[("robbed", robbed)], |place| {
        let mut child = Agent::spawn(place, "robbed", None);
        assert_eq!(child.reply("the last round"), "ok");
        assert!(child.ended().success());
    });
}

fn robbed(child: &Child) {
    watch_steps(HANG / 2, event);
    for _ in 0..3 {
        let segment = child.options.create(Place::NAME).unwrap();
        let body = Body::of_users(segment.path(), child.liveness);
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        drop(lock.lock().unwrap());
        // The keeper's slot and ours.
        let lives = body.lives();
        body.free_threads();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(lock.lock_timeout(SHORT)));
        });
        for _ in 0..3 {
            if let Ok(again) = child.options.open(Place::NAME) {
                let lock = CrossProcessLock::open(&again, "device");
                let _ = lock.map(|lock| lock.lock_timeout(SHORT).map(drop));
            }
        }
        assert!(
            body.lives() == lives,
            "another thread's mutex was made anew"
        );
        drop((lock, segment));
        child.options.remove(Place::NAME, true).unwrap();
    }
    reply("ok");
}

/// A few words chosen by proptest, which shrinks them to those that matter.
#[test]
fn any_few_words_are_answered_for() {
    both(here!(), |place| {
        watch_steps(HANG, |_| ());
        watch_threads(|_| ());
        let value = prop_oneof![
            any::<u64>(),
            0..8_u64,
            0..0x1_0000_u64,
            Just(u64::MAX),
            (0..64_u32).prop_map(|bit| 1 << bit),
        ];
        let one = (any::<prop::sample::Index>(), value);
        let few = prop::collection::vec(one, 1..12);
        let config = Config {
            cases: 24,
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new(config);
        let answered = runner.run(&(few, 0..3_usize), |(words, state)| {
            drop(Lived::new(place.create(), state));
            let body = Body::of_nobody(&place.file());
            // Where anything is: the rest is zeros, of which one is as the other.
            let bytes = body.read();
            let used: Vec<usize> = (0..body.words())
                .filter(|word| bytes[4096 + word * 8..][..8] != [0; 8])
                .collect();
            for (at, value) in words {
                body.put(used[at.index(used.len())], value);
            }
            try_fresh(&place.options, Place::NAME);
            place.options.remove(Place::NAME, true).unwrap();
            Ok(())
        });
        answered.unwrap();
    });
}
