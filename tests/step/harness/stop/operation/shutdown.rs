//! Joining, working, leaving, and the steps of the group's shutdown.

use std::time::Duration;

use ebbtide::{Mode, Phase, ReasonCode, Runner, Scope, ShutdownCoordinator, ShutdownRequest};

use super::{
    ALONE, Answer, Operation, REGISTERED, Scene, Thread, by_coordinator, by_process, by_runner,
    joined, props, text,
};
use crate::harness::stage::{Stage, leak};
use crate::harness::stop::cast::Who;

/// Of a runner, in a shutdown that the survivor began.
const IN_SHUTDOWN: Operation = Operation {
    ready: |cast| cast.told(Who::Survivor, "initiate", "600000"),
    ..REGISTERED
};

/// The same; the survivor is a runner, too.
const OF_TWO: Operation = Operation {
    arrange: |cast| cast.told(Who::Survivor, "join if it runs", ""),
    ..IN_SHUTDOWN
};

/// The same; the survivor has acknowledged.
const LAST: Operation = Operation {
    ready: |cast| {
        cast.told(Who::Survivor, "initiate", "600000")?;
        cast.told(Who::Survivor, "acknowledge", "")
    },
    ..OF_TWO
};

pub const ALL: &[Operation] = &[
    Operation {
        name: "join",
        scene: |stage| {
            let (segment, id) = (stage.segment(), stage.id);
            Scene::new(props(segment, None), move || {
                let joined = Runner::join(segment, id);
                let said = text(&joined);
                let runner = joined.ok().map(|runner| leak(runner));
                Answer::new(said, props(segment, runner))
            })
        },
        ..ALONE
    },
    Operation {
        name: "initiate",
        scene: initiate,
        ..REGISTERED
    },
    Operation {
        name: "merge",
        scene: initiate,
        ..IN_SHUTDOWN
    },
    Operation {
        // One dead runner is marked dead on the way; this process is none.
        name: "initiate beside the dead",
        scene: |stage| {
            by_process(stage, |segment| {
                let coordinator = ShutdownCoordinator::new(segment);
                move || text(&coordinator.initiate_shutdown(&Scope::All, &request()))
            })
        },
        ready: |cast| cast.dies(Who::Dead, "grasp"),
        ..ALONE
    },
    Operation {
        name: "shorten",
        scene: |stage| {
            by_coordinator(stage, |coordinator| {
                let request = ShutdownRequest::new().timeout(Duration::from_secs(300));
                text(&coordinator.initiate_shutdown(&Scope::All, &request))
            })
        },
        ..IN_SHUTDOWN
    },
    Operation {
        name: "acknowledge, last",
        scene: acknowledge,
        ..LAST
    },
    Operation {
        name: "acknowledge, not last",
        scene: acknowledge,
        ..OF_TWO
    },
    Operation {
        name: "run shutdown",
        scene: |stage| {
            by_runner(stage, |_, runner| {
                || match runner.run_shutdown() {
                    Ok(report) => format!("{:?}", report.outcome),
                    Err(error) => format!("refused: {error}"),
                }
            })
        },
        // In a shutdown that another process began meanwhile it may wait for others.
        asleep: |cast| cast.told(Who::Survivor, "calm", ""),
        ..IN_SHUTDOWN
    },
    Operation {
        name: "leave",
        scene: |stage| leaving(stage, Runner::leave),
        ..REGISTERED
    },
    Operation {
        name: "leave, last",
        scene: |stage| leaving(stage, Runner::leave),
        ..LAST
    },
    Operation {
        // It tells what it leaves undone, and is judged.
        name: "leave, undone",
        scene: |stage| {
            let (segment, runner) = joined(stage);
            for (phase, name) in [(Phase::Draining, "flush"), (Phase::Closing, "close")] {
                let registered = runner.register_shutdown_handler(phase, 0, name, |_| ());
                registered.expect("there is room");
            }
            Scene::new(props(segment, Some(runner)), move || {
                runner.leave();
                Answer::new("ok", props(segment, None))
            })
        },
        ..IN_SHUTDOWN
    },
    Operation {
        name: "leave forced",
        scene: |stage| leaving(stage, Runner::leave_forced),
        ..REGISTERED
    },
    Operation {
        name: "fail",
        scene: |stage| leaving(stage, |runner| runner.fail("the victim's cause")),
        ..REGISTERED
    },
    Operation {
        name: "begin and end",
        scene: |stage| by_runner(stage, |_, runner| || text(&runner.begin())),
        ..REGISTERED
    },
    Operation {
        name: "cancel",
        scene: |stage| {
            by_coordinator(stage, |coordinator| {
                let cancelled = coordinator.cancel_shutdown(&Scope::All);
                text(&cancelled).replacen("ok", "cancelled", 1)
            })
        },
        ..IN_SHUTDOWN
    },
    Operation {
        name: "extend",
        scene: |stage| {
            by_runner(stage, |_, runner| {
                runner.progress();
                || extended(&runner.extend(Duration::from_secs(10)))
            })
        },
        ..IN_SHUTDOWN
    },
    Operation {
        name: "extend, coordinator",
        scene: |stage| {
            by_coordinator(stage, |coordinator| {
                extended(&coordinator.extend(&Scope::All, Duration::from_secs(10)))
            })
        },
        ..IN_SHUTDOWN
    },
    Operation {
        name: "escalate",
        scene: |stage| {
            by_coordinator(stage, |coordinator| {
                text(&coordinator.escalate(&Scope::All, Mode::Fast))
            })
        },
        ..IN_SHUTDOWN
    },
    Operation {
        name: "begin generation",
        scene: |stage| {
            by_process(stage, |segment| {
                let coordinator = ShutdownCoordinator::new(segment);
                move || text(&coordinator.begin_generation())
            })
        },
        ready: |cast| cast.told(Who::Survivor, "finish", ""),
        ..ALONE
    },
    Operation {
        name: "join or begin",
        scene: |stage| {
            let (segment, id) = (stage.segment(), stage.id);
            Scene::new(props(segment, None), move || {
                let joined = Runner::join_or_begin(segment, id, Duration::from_millis(100));
                let said = text(&joined);
                let runner = joined.ok().map(|runner| leak(runner));
                Answer::new(said, props(segment, runner))
            })
        },
        ready: |cast| cast.told(Who::Survivor, "finish", ""),
        ..ALONE
    },
    Operation {
        name: "wait gone",
        scene: |stage| {
            by_process(stage, |segment| {
                let coordinator = ShutdownCoordinator::new(segment);
                move || text(&coordinator.wait_gone(1, Duration::ZERO))
            })
        },
        ready: |cast| {
            cast.dies(Who::Dead, "grasp")?;
            cast.told(Who::Survivor, "finish", "")
        },
        ..ALONE
    },
    Operation {
        // The keeper goes on looking after an acknowledgement by hand.
        name: "keeper",
        thread: Thread::Named("ebbtide-keeper"),
        scene: acknowledge,
        ..OF_TWO
    },
    Operation {
        // The thread that waits for futures and descriptors sees a shutdown begin.
        name: "waiter",
        thread: Thread::Named("ebbtide-waiter"),
        scene: |stage| {
            let (segment, runner) = joined(stage);
            let coordinator = ShutdownCoordinator::new(segment);
            let complete = coordinator.shutdown_complete(&Scope::All);
            let complete = complete.expect("consistent").pollable();
            let complete = leak(complete.expect("a descriptor"));
            Scene::new(props(segment, Some(runner)), move || {
                let begun = coordinator.initiate_shutdown(&Scope::All, &request());
                Answer::new(text(&begun), props(segment, Some(runner))).keeping(complete)
            })
        },
        ..REGISTERED
    },
];

/// Longer than anybody else's, so that merging it changes nothing.
fn request() -> ShutdownRequest {
    ShutdownRequest::new()
        .timeout(Duration::from_secs(1_000_000))
        .reason(ReasonCode::Requested, "the victim's")
}

fn initiate(stage: &Stage) -> Scene {
    by_coordinator(stage, |coordinator| {
        text(&coordinator.initiate_shutdown(&Scope::All, &request()))
    })
}

/// Also in the runner's own scope, if that has the shutdown.
pub(super) fn acknowledge(stage: &Stage) -> Scene {
    by_runner(stage, |_, runner| {
        || text(&runner.acknowledge(Phase::Signaling))
    })
}

fn extended<T, E: std::fmt::Display>(granted: &Result<T, E>) -> String {
    text(granted).replacen("ok", "extended", 1)
}

fn leaving(stage: &Stage, leave: impl FnOnce(&Runner) + 'static) -> Scene {
    let (segment, runner) = joined(stage);
    Scene::new(props(segment, Some(runner)), move || {
        leave(runner);
        Answer::new("ok", props(segment, None))
    })
}
