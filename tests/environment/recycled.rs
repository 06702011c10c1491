//! Pids that come to mean somebody else, in a pid namespace in which there are few.

use std::process::{Child as Process, Command};

use crate::launch::{Launch, refusal};
use crate::support::untested;
use crate::support::{self, Agent, Child, Role, once_with, reply};
use ebbtide::{
    CoordinationError, ProcessHandle, Reclaim, ResourceManager, ResourceOptions, ResourceType,
    Runner, Segment, SegmentOptions, ShutdownCoordinator, SystemResource,
};
use nix::sys::signal::Signal;

/// Those below [`USED_ONCE`] are not used again.
const FEW: &str = "400";
const USED_ONCE: u32 = 300;

const ROLES: [(&str, Role); 2] = [("first", first), ("owner", owner)];

/// The first process of a namespace with few pids. Nobody here is named by its pid alone.
fn first(child: &Child) {
    if let Err(error) = std::fs::write("/proc/sys/kernel/pid_max", FEW) {
        return reply(&format!("untested {error}"));
    }
    if std::fs::read_to_string("/proc/sys/kernel/pid_max")
        .unwrap()
        .trim()
        != FEW
    {
        return reply("untested the kernel has one pid_max for all namespaces");
    }
    let segment = child.open();
    let coordinator = ShutdownCoordinator::new(&segment);
    loop {
        let mut process = Command::new("/bin/true").spawn().unwrap();
        process.wait().unwrap();
        if process.id() >= USED_ONCE {
            break;
        }
    }
    // A runner that has registered a child of its own.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &std::env::var("EBBTIDE_TEST_OF").unwrap()])
        .args(["--nocapture", "--test-threads=1"])
        .env(support::PARENT, std::process::id().to_string())
        .env("EBBTIDE_TEST_ROLE", "owner");
    let mut dead = Agent::start("owner", command);
    let grandchild: u32 = dead.reply("register").parse().unwrap();
    let by_runner = coordinator.process("owner").unwrap();
    let mut sleeper = sleep();
    let by_child = ProcessHandle::of_child(&sleeper).unwrap();
    let pids = [dead.pid(), grandchild, sleeper.id()];
    dead.kill();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    // The grandchild comes to us, as we are the first.
    let orphan = nix::unistd::Pid::from_raw(grandchild as i32);
    nix::sys::signal::kill(orphan, Signal::SIGKILL).unwrap();
    nix::sys::wait::waitpid(orphan, None).unwrap();

    let mut strangers = pids.map(become_another);
    assert!(!by_runner.signal(libc::SIGKILL).unwrap());
    assert!(!by_child.signal(libc::SIGKILL).unwrap());
    match coordinator.process("owner") {
        Err(CoordinationError::NoSuchRunner { .. }) => {}
        // Not counted out yet: then it is a handle of nobody.
        Ok(process) => assert!(!process.signal(libc::SIGKILL).unwrap()),
        Err(error) => panic!("{error:?}"),
    }
    let status = coordinator.status().unwrap();
    let owner = status.runners.iter().find(|runner| runner.id == "owner");
    assert!(owner.is_none_or(|owner| !owner.alive));
    let reaped = segment.reclaim().unwrap();
    assert_eq!(reaped.resources.len(), 1);
    assert_eq!(reaped.resources[0].reclaimed, Some(Reclaim::Absent));
    // A new runner that has the pid of the dead one is somebody else.
    for stranger in &mut strangers {
        assert!(stranger.try_wait().unwrap().is_none(), "a stranger was hit");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
    reply("ok");
}

fn sleep() -> Process {
    Command::new("sleep").arg("600").spawn().unwrap()
}

/// Starts processes until one has this pid.
fn become_another(pid: u32) -> Process {
    for _ in 0..10_000 {
        let mut process = sleep();
        if process.id() == pid {
            return process;
        }
        process.kill().unwrap();
        process.wait().unwrap();
    }
    panic!("pid {pid} does not come again");
}

fn owner(_: &Child) {
    let segment = from_env();
    let runner = Runner::join(&segment, "owner").unwrap();
    let manager = ResourceManager::new(&runner);
    let mut process = sleep();
    let system = SystemResource::process(&process).unwrap();
    let options = ResourceOptions::new().system(system);
    manager
        .register_resource("child", ResourceType::Process, options)
        .unwrap();
    reply(&process.id().to_string());
    // Until it is killed.
    process.wait().unwrap();
}

fn from_env() -> Segment {
    let token = std::env::var(Segment::VARIABLE).unwrap();
    SegmentOptions::new()
        .open_token(&token.parse().unwrap())
        .unwrap()
}

#[test]
fn a_recycled_pid_is_nobody_we_knew() {
    once_with(here!(), &ROLES, |place| {
        // Before 6.14 the number is that of the whole host, which is not ours to change.
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release
            .split(['.', '-'])
            .map(|number| number.parse().unwrap_or(0));
        let version: (u32, u32) = (numbers.next().unwrap(), numbers.next().unwrap());
        if version < (6, 14) {
            return untested(
                place.test(),
                format!("Linux {} has one pid_max", release.trim()),
            );
        }
        let launch = Launch::new().pids();
        if let Some(why) = refusal(&launch) {
            return untested(place.test(), why);
        }
        let segment = place.create();
        let mut command = Agent::command(place, "first");
        command
            .env(Segment::VARIABLE, segment.token().to_string())
            .env("EBBTIDE_TEST_OF", place.test());
        let mut first = launch.start_command("first", command).unwrap();
        let told = first.agent.reply("first");
        match told.strip_prefix("untested ") {
            Some(why) => untested(place.test(), why),
            None => assert_eq!(told, "ok"),
        }
        assert!(first.agent.ended().success());
    });
}
