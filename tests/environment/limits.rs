//! Limits of a process: descriptors and address space. What cannot be had is refused by
//! type, what is there goes on, and nothing is lost of what was tried.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{self, Agent, Child, HANG, Place, Role, once_with, reply};
use ebbtide::{
    CrossProcessEvent, CrossProcessLock, Phase, ProcessHandle, ResourceManager, ResourceOptions,
    ResourceType, Runner, Scope, Segment, SegmentError, SharedStateManager, ShutdownCoordinator,
    ShutdownRequest, Token,
};

const ROLES: [(&str, Role); 3] = [
    ("descriptors", descriptors),
    ("memory", memory),
    ("file size", file_size),
];

fn limit(resource: libc::__rlimit_resource_t, soft: u64) {
    let mut limits = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: valid for writes.
    assert_eq!(unsafe { libc::getrlimit(resource, &raw mut limits) }, 0);
    limits.rlim_cur = soft.min(limits.rlim_max);
    // SAFETY: valid for reads.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limits) }, 0);
}

/// The limit that leaves room for so many descriptors.
fn leave(room: usize) {
    let is_free = |number: &u64| {
        // SAFETY: it asks about a number.
        unsafe { libc::fcntl(*number as libc::c_int, libc::F_GETFD) == -1 }
    };
    let first_denied = (0..).filter(is_free).nth(room).unwrap();
    limit(libc::RLIMIT_NOFILE, first_denied);
}

/// One that may be refused, and the words of the refusal.
fn tried<T, E: std::error::Error>(what: &str, room: impl Debug, result: Result<T, E>) -> bool {
    if let Err(error) = &result {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            text.push_str(&format!(": {inner}"));
            source = inner.source();
        }
        println!("{what} with {room:?}: {text}");
    }
    result.is_ok()
}

/// Where this child's segments are.
fn directory() -> PathBuf {
    std::env::var_os("EBBTIDE_TEST_DIRECTORY").unwrap().into()
}

/// Everything that makes something new, each on its own. How many succeed.
fn make_things(child: &Child, segment: &Segment, runner: &Runner, room: impl Debug) -> usize {
    let coordinator = ShutdownCoordinator::new(segment);
    let flag = CrossProcessEvent::open(segment, "flag").unwrap();
    let options = &child.options;
    let awaits = || {
        let mut wait = std::pin::pin!(flag.awaited());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::future::Future::poll(wait.as_mut(), &mut context) {
            std::task::Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    };
    let done = [
        tried("open", &room, options.open(Place::NAME)),
        tried("open_or_create", &room, options.open_or_create(Place::NAME)),
        tried("create", &room, options.create("other")),
        tried("list", &room, options.list()),
        tried("observe", &room, options.observe(Place::NAME)),
        tried("await", &room, awaits()),
        tried("notifier", &room, runner.shutdown_notifier()),
        tried("process", &room, coordinator.process("limited")),
    ];
    // Whole and attached to, or not there at all.
    let is_there = directory().join("other").exists();
    assert_eq!(done[2], is_there, "create, with {room:?}");
    if is_there {
        limit(libc::RLIMIT_NOFILE, u64::MAX);
        options.remove("other", false).unwrap();
    }
    done.into_iter().filter(|done| *done).count()
}

/// Attaches for the first time when there is room for a thread.
fn first_time(child: &Child) {
    let token: Token = std::env::var(Segment::VARIABLE).unwrap().parse().unwrap();
    limit(libc::RLIMIT_AS, address_space() + 64 * 1024);
    let error = child.options.open_token(&token).unwrap_err();
    assert_is!(error, SegmentError::Io { .. });
    // Room for the segment, not for the stack of a thread.
    let file = directory().join(Place::NAME);
    let bytes = std::fs::metadata(file).unwrap().len();
    limit(libc::RLIMIT_AS, address_space() + bytes + 64 * 1024);
    let error = child.options.open_token(&token).unwrap_err();
    assert_is!(&error, SegmentError::Io { operation, .. } if operation.contains("thread"));
    limit(libc::RLIMIT_AS, u64::MAX);
    let segment = child.options.open_token(&token).unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    drop(lock.lock_timeout(HANG).unwrap());
    reply("ok");
}

/// Whether a process had life words is seen by how its threads wait: for two words.
#[test]
fn a_first_attachment_that_fails_for_want_of_a_thread_spoils_no_later_one() {
    once_with(here!(), &[("first", first_time)], |place| {
        let segment = place.create();
        let lock = CrossProcessLock::open(&segment, "device").unwrap();
        let guard = lock.lock().unwrap();
        let mut child = Agent::spawn(place, "first", Some(&segment));
        let tasks = format!("/proc/{}/task", child.pid());
        support::until_true("it waits for the lock and for us", || {
            let tasks = std::fs::read_dir(&tasks).unwrap().flatten();
            let mut calls =
                tasks.filter_map(|task| std::fs::read_to_string(task.path().join("syscall")).ok());
            calls.any(|call| call.starts_with(&format!("{} ", libc::SYS_futex_waitv)))
        });
        drop(guard);
        assert_eq!(child.reply("lock"), "ok");
        assert!(child.ended().success());
    });
}

/// What needs nothing new goes on as ever.
fn go_on(segment: &Segment, runner: &Runner) {
    let lock = CrossProcessLock::open(segment, "device").unwrap();
    drop(lock.lock_timeout(HANG).unwrap());
    drop(runner.begin().unwrap());
    let state = SharedStateManager::open(segment).unwrap();
    state.set("key", "value").unwrap();
    assert_eq!(state.get("key").unwrap().unwrap(), b"value");
    let flag = CrossProcessEvent::open(segment, "own").unwrap();
    flag.set().unwrap();
    assert!(flag.wait_timeout(HANG).unwrap());
    assert_eq!(
        ShutdownCoordinator::new(segment).status().unwrap().phase,
        Phase::Running
    );
    segment.reap().unwrap();
}

fn shut_down(segment: &Segment, runner: &Runner) -> String {
    let coordinator = ShutdownCoordinator::new(segment);
    let request = ShutdownRequest::new().timeout(Duration::from_secs(20));
    coordinator
        .initiate_shutdown(&Scope::All, &request)
        .unwrap();
    let report = runner.run_shutdown().unwrap();
    let ran =
        |handler: &ebbtide::HandlerReport| handler.outcome == ebbtide::HandlerOutcome::Finished;
    let closed = |one: &ebbtide::ResourceReport| one.state == ebbtide::ResourceState::Closed;
    let all_ran = report.handlers.iter().all(ran) && report.resources.iter().all(closed);
    // Completed says that all has run, and nothing else does.
    assert_eq!(
        report.outcome == ebbtide::ShutdownOutcome::Completed,
        all_ran,
        "{report:#?}"
    );
    support::summary(&report)
}

fn descriptors(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "limited").unwrap();
    let mut process = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let everything = make_things(child, &segment, &runner, "no limit");
    assert_eq!(everything, 8);
    let mut fewest = usize::MAX;
    for room in 0..16 {
        leave(room);
        let done = make_things(child, &segment, &runner, room);
        tried("of_child", room, ProcessHandle::of_child(&process));
        go_on(&segment, &runner);
        limit(libc::RLIMIT_NOFILE, u64::MAX);
        fewest = fewest.min(done);
    }
    assert!(fewest < everything, "the limit limited nothing");
    // Nothing is lost for good, and nothing was left open.
    assert_eq!(
        make_things(child, &segment, &runner, "no limit"),
        everything
    );
    leave(0);
    let ran = shut_down(&segment, &runner);
    limit(libc::RLIMIT_NOFILE, u64::MAX);
    process.kill().unwrap();
    process.wait().unwrap();
    drop((runner, segment));
    reply(&ran);
}

#[test]
fn without_descriptors_what_is_new_is_refused_and_what_is_there_goes_on() {
    once_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let mut child = Agent::spawn(place, "descriptors", Some(&segment));
        assert_eq!(child.reply("descriptors"), "Completed limited=Completed");
        assert!(child.ended().success());
        assert_eq!(place.status().attached, 1);
    });
}

/// Once no other thread of the process runs: one that starts maps an arena twice as large as it
/// keeps, for a moment.
fn address_space() -> u64 {
    let me = nix::unistd::gettid().to_string();
    support::until_true("the other threads sleep", || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let mut others = tasks.filter(|task| task.file_name() != me.as_str());
        others.all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat"));
            stat.map_or(true, |stat| stat.contains(") S "))
        })
    });
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Small pieces are still to be had: what cannot be had at all ends a Rust program.
fn memory(child: &Child) {
    const PIECE: u64 = 512 * 1024;
    let segment = child.open();
    let runner = Runner::join(&segment, "limited").unwrap();
    let handler = |_: &ebbtide::HandlerContext| {};
    runner
        .register_shutdown_handler(Phase::Closing, 0, "unrun", handler)
        .unwrap();
    let manager = ResourceManager::new(&runner);
    let cleanup = ResourceOptions::new().cleanup(|_| Ok::<_, String>(()));
    manager
        .register_resource("queue", ResourceType::Queue, cleanup)
        .unwrap();
    let mut fewest = usize::MAX;
    for pieces in [1, 2, 4, 8, 16, 18, 20, 22, 24, 28, 32, 40] {
        limit(libc::RLIMIT_AS, address_space() + pieces * PIECE);
        let done = make_things(child, &segment, &runner, pieces);
        go_on(&segment, &runner);
        limit(libc::RLIMIT_AS, u64::MAX);
        fewest = fewest.min(done);
    }
    assert!(fewest < 8, "the limit limited nothing");
    assert_eq!(make_things(child, &segment, &runner, "no limit"), 8);
    // No thread for the handler, nor for the closure of the resource.
    limit(libc::RLIMIT_AS, address_space() + PIECE);
    let ran = shut_down(&segment, &runner);
    limit(libc::RLIMIT_AS, u64::MAX);
    drop((manager, runner, segment));
    reply(&ran);
}

#[test]
fn without_address_space_what_is_new_is_refused_and_what_is_there_goes_on() {
    once_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let mut child = Agent::spawn(place, "memory", Some(&segment));
        // Where the C library has kept a stack, the closures got their threads.
        let told = child.reply("memory");
        let (done, undone) = ("Completed", "CompletedWithFailures");
        let either = [done, undone].map(|outcome| format!("{outcome} limited={outcome}"));
        assert!(either.contains(&told), "{told}");
        assert!(child.ended().success());
        assert_eq!(place.status().attached, 1);
    });
}

/// The kernel would end the process by SIGXFSZ.
fn file_size(child: &Child) {
    let file = directory().join(Place::NAME);
    let bytes = std::fs::metadata(&file).unwrap().len();
    let refused = |what: &str, result: Result<Segment, SegmentError>, soft: u64| {
        let error = result.map(drop).unwrap_err();
        assert_is!(&error, SegmentError::NoSpace { limit, bytes: needed, .. }
            if *limit == Some(soft) && *needed == bytes);
        let text = error.to_string();
        assert!(
            text.contains(&soft.to_string()) && text.contains("RLIMIT_FSIZE"),
            "{text}"
        );
        println!("{what}: {text}");
    };
    for soft in [0, 1, bytes - 1] {
        limit(libc::RLIMIT_FSIZE, soft);
        refused("create", child.options.create("other"), soft);
        refused(
            "open_or_create",
            child.options.open_or_create("other"),
            soft,
        );
        assert_eq!(std::fs::read_dir(directory()).unwrap().count(), 1);
        // What has all its room needs no file to grow.
        let segment = child.open();
        let runner = Runner::join(&segment, "limited").unwrap();
        go_on(&segment, &runner);
    }
    // One with holes may need it.
    let sparse = std::fs::File::options().write(true).open(&file).unwrap();
    limit(libc::RLIMIT_FSIZE, u64::MAX);
    sparse.set_len(4096).unwrap();
    sparse.set_len(bytes).unwrap();
    limit(libc::RLIMIT_FSIZE, bytes - 1);
    refused("open", child.options.open(Place::NAME), bytes - 1);
    limit(libc::RLIMIT_FSIZE, bytes);
    drop(child.options.open(Place::NAME).unwrap());
    drop(child.options.create("other").unwrap());
    child.options.remove("other", false).unwrap();
    reply("ok");
}

#[test]
fn a_limit_on_the_size_of_files_refuses_new_segments_and_ends_nobody() {
    once_with(here!(), &ROLES, |place| {
        let segment = place.create();
        let mut child = Agent::spawn(place, "file size", Some(&segment));
        drop(segment);
        assert_eq!(child.reply("file size"), "ok");
        assert!(child.ended().success());
    });
}
