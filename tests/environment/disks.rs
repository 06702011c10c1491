//! A file system that is full, or has just room enough.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::launch::{Launch, mount, refusal};
use crate::support::untested;
use crate::support::{self, Agent, Child, HANG, Role, once_with, reply};
use ebbtide::{
    CrossProcessEvent, CrossProcessLock, EventKind, Liveness, Runner, Scope, SegmentError,
    SegmentOptions, SharedStateManager, ShutdownCoordinator, ShutdownRequest,
};

const ROLES: [(&str, Role); 1] = [("tenant", tenant)];

/// In a mount namespace of its own, so that nobody else sees, or keeps busy, what it mounts.
fn tenant(child: &Child) {
    let root = child.order();
    let at = std::ffi::CString::new(root.as_str()).unwrap();
    mount(c"tmpfs", &at, c"tmpfs", 0).unwrap();
    let mut size = Command::new("mount");
    size.args(["-o", "remount,size=16m"]).arg(&root);
    assert!(size.status().unwrap().success());
    std::fs::set_permissions(&root, Permissions::from_mode(0o700)).unwrap();
    for liveness in [Liveness::Auto, Liveness::Portable] {
        let options = SegmentOptions::new().directory(&root).liveness(liveness);
        let segment = options.create("tenant").unwrap();
        fill(Path::new(&root));
        // No room for another one, and nothing of it is left.
        for _ in 0..2 {
            let error = options.create("other").unwrap_err();
            assert_is!(error, SegmentError::NoSpace { .. });
        }
        assert_eq!(options.list().unwrap(), ["tenant"]);
        // Everything that is there has all the room it will ever need.
        let runner = Runner::join(&segment, "tenant").unwrap();
        let state = SharedStateManager::open(&segment).unwrap();
        for key in 0..ebbtide::limits::MAX_KEYS {
            state
                .set(&format!("key {key}"), [7; ebbtide::limits::VALUE_BYTES])
                .unwrap();
        }
        for number in 0..ebbtide::limits::MAX_EVENTS - 1 {
            let event = CrossProcessEvent::open(&segment, &format!("event {number}")).unwrap();
            for _ in 0..ebbtide::limits::EVENT_RING {
                event.set_with(EventKind::Custom(1), &[7; 256]).unwrap();
            }
        }
        for number in 0..ebbtide::limits::MAX_LOCKS {
            let lock = CrossProcessLock::open(&segment, &format!("lock {number}")).unwrap();
            drop(lock.lock_timeout(HANG).unwrap());
        }
        let others: Vec<_> = (1..ebbtide::limits::MAX_RUNNERS)
            .map(|number| Runner::join(&segment, &format!("runner {number}")).unwrap())
            .collect();
        drop(others);
        let again = options.open("tenant").unwrap();
        drop(again);
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator
            .initiate_shutdown(&Scope::All, &ShutdownRequest::new())
            .unwrap();
        let ran = support::summary(&runner.run_shutdown().unwrap());
        assert_eq!(ran, "Completed tenant=Completed");
        drop((runner, state, coordinator, segment));
        options.remove("tenant", false).unwrap();
        std::fs::remove_file(Path::new(&root).join(".filler")).unwrap();
    }
    reply("ok");
}

/// Until there is no page left.
fn fill(root: &Path) {
    let mut filler = File::create(root.join(".filler")).unwrap();
    for size in [1 << 20, 4096] {
        let piece = vec![1; size];
        while filler.write_all(&piece).is_ok() {}
    }
}

#[test]
fn on_a_full_file_system_what_is_attached_goes_on() {
    once_with(here!(), &ROLES, |place| {
        let launch = Launch::new().mounts();
        if let Some(why) = refusal(&launch) {
            return untested(place.test(), why);
        }
        let root = place.scratch("full");
        std::fs::create_dir(&root).unwrap();
        let command = Agent::command(place, "tenant");
        let mut tenant = launch.start_command("tenant", command).unwrap();
        tenant.agent.tell(&root.display().to_string());
        assert_eq!(tenant.agent.reply("tenant"), "ok");
        assert!(tenant.agent.ended().success());
    });
}
