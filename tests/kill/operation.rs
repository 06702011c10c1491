//! The operations that victims die in: the shipped code on the killing memory.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::memory::{Faulty, accesses, arm};
use super::rendezvous;
use super::survivor::{FIRST_LOCK, RING, SECONDS, open};
use super::{Attached, Tables, store, truth};
use crate::api::core::Core;
use crate::api::options::Liveness;
use crate::api::seat::Seat;
use crate::note::{Kind, Note};
use crate::phase::{Mode, Phase, ReasonCode};
use crate::sync::mutex::NotLocked;
use crate::sync::{Env, Word};
use crate::table::control::{Ask, Control};
use crate::table::inflight::{Begun, Look};
use crate::table::join::{Claim, Claimed, Joined};
use crate::table::order::{Culprit, Step};
use crate::table::request::{Proposer, Terms};
use crate::table::resources::{About, Key, State};
use crate::table::waits::Waiter;

/// A budget that no test reaches.
pub(super) const ASK: Ask = Ask {
    mode: Mode::Graceful,
    code: ReasonCode::Requested,
    budget_millis: 600_000,
};

/// The argument of the victim's record.
pub(super) const RECORDED: u64 = 0x0123_4567_89ab_cdef;

macro_rules! operations {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// One operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Operation { $($variant),* }

        impl Operation {
            pub(super) const ALL: &[Operation] = &[$(Operation::$variant),*];

            pub(super) fn name(self) -> &'static str {
                match self { $(Operation::$variant => $name),* }
            }

            pub(super) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|operation| operation.name() == name)
            }
        }
    };
}

operations! {
    Attach = "attach and detach",
    Join = "join",
    Leave = "leave",
    Initiate = "initiate",
    Merge = "merge",
    Cancel = "cancel",
    Acknowledge = "acknowledge",
    AcknowledgeLast = "acknowledge, advance",
    Own = "own shutdown",
    Work = "begin and end",
    Extend = "extend",
    Renew = "begin generation",
    Shorten = "shorten",
    Tell = "tell a failure",
    Count = "count an ending",
    Lock = "lock and unlock",
    Wait = "wait in a deadlock",
    Disorder = "take out of order",
    Name = "add a name",
    Words = "last words",
    Event = "event set",
    Permit = "semaphore",
    Arrive = "barrier",
    Withdraw = "barrier, withdraw",
    Notify = "notify",
    NoteShared = "wait as a task, notify",
    Reap = "reap",
    StoreSet = "store set",
    StoreTriple = "store transaction of 3 keys",
    StoreDelete = "store delete",
    Register = "register a resource",
    Close = "close a resource",
    Record = "journal record",
}

/// A victim attached as a process with a seat, and perhaps as a runner.
pub(super) struct Scene {
    pub(super) core: Attached,
    pub(super) claim: Option<Claim>,
}

impl Scene {
    pub(super) fn attach(directory: &str, portable: bool) -> Self {
        let liveness = if portable {
            Liveness::Portable
        } else {
            Liveness::Auto
        };
        let core = Core::<Faulty>::attach(open(directory), liveness).unwrap();
        Self { core, claim: None }
    }

    pub(super) fn tables(&self) -> &Tables {
        self.core.tables()
    }

    pub(super) fn seat(&self) -> Seat<'_, Faulty> {
        Seat::take_as_keeper(&self.core).unwrap()
    }

    /// Joins as a runner; false if a shutdown is on.
    pub(super) fn join(&mut self, id: &str) -> bool {
        let group = &self.core.tables().group;
        let claimed = group.claim(self.core.process(), self.core.as_ref());
        let claim = match claimed.unwrap() {
            Claimed::Slot(claim) => claim,
            Claimed::Refused(_) => return false,
            Claimed::Full => panic!("there is room"),
        };
        let tables = self.core.tables();
        tables.texts[claim.slot].id.write(id);
        let generation = tables.processes.word(self.core.process()).generation();
        tables.group.runners[claim.slot]
            .process_generation
            .store(generation, Ordering::Relaxed);
        let joined = group.publish(claim, self.core.as_ref(), |_| false).unwrap();
        let live = matches!(joined, Joined::Live(_));
        self.claim = live.then_some(claim);
        live
    }

    pub(super) fn initiate(&self) {
        let group = &self.tables().group;
        let epoch = group.scope.control().epoch();
        let terms = Terms {
            pid: 1,
            ..Terms::default()
        };
        let process = self.core.process();
        let generation = self.tables().processes.word(process).generation();
        group.scope.request.propose(
            epoch,
            Proposer::new(process, generation),
            terms,
            (&self.tables().reason, "the victim's reason"),
            |_| false,
            || group.scope.control() == Control::running(epoch),
        );
        let _ = group.scope.initiate(ASK, || self.core.now()).unwrap();
        let _ = group.advance(self.core.as_ref()).unwrap();
    }

    pub(super) fn acknowledge(&self, phase: Phase) {
        let Some(Claim { slot, generation }) = self.claim else {
            return;
        };
        let group = &self.tables().group;
        let epoch = group.scope.control().epoch();
        let _ = group
            .acknowledge(slot, generation, epoch, phase, self.core.as_ref())
            .unwrap();
    }

    /// Registers a resource, with a system part that is not there any more.
    pub(super) fn register(&self) -> Option<Key> {
        const PATH: &str = "/nowhere/ebbtide";
        let Claim { slot, generation } = self.claim?;
        let tables = self.tables();
        let table = &tables.resources;
        let key = table
            .claim(self.core.process(), slot, |_, _| false)
            .expect("there is room");
        tables.resource_texts[key.index].name.write("resource");
        tables.resource_texts[key.index].path.write(PATH);
        let about = About {
            runner_generation: generation,
            ..About::default()
        };
        table.describe(key, about, [1, 0, 0, 0], PATH);
        let _ = table.publish(key, self.core.now());
        Some(key)
    }

    pub(super) fn close(&self) {
        let table = &self.tables().resources;
        let now = self.core.now();
        let key = table.key(0);
        let _ = table.move_to(key, &[State::Active], State::Draining, now);
        let _ = table.wait_dependents(key, self.core.as_ref());
        let _ = table.move_to(key, &[State::Draining], State::Closing, now);
        let _ = table.move_to(key, &[State::Closing], State::Closed, now);
    }

    pub(super) fn leave(&mut self) {
        if let Some(Claim { slot, generation }) = self.claim.take() {
            self.tables()
                .group
                .leave(slot, generation, self.core.as_ref())
                .unwrap();
        }
    }
}

/// Runs the operation and dies in it; returns the accesses made if it gets through.
/// What comes before it is not swept.
pub(super) fn run(operation: Operation, access: u64, directory: &str, portable: bool) -> u64 {
    if operation == Operation::Attach {
        let before = accesses();
        arm(access);
        let scene = Scene::attach(directory, portable);
        drop(scene.seat());
        drop(scene);
        return accesses() - before;
    }
    let mut scene = Scene::attach(directory, portable);
    let core = Arc::clone(&scene.core);
    let seat = Scene {
        core: Arc::clone(&core),
        claim: None,
    };
    let seat = seat.seat();
    if operation != Operation::Join {
        assert!(scene.join("victim"));
    }
    prepare(operation, &scene, &seat);
    let before = accesses();
    arm(access);
    act(operation, &mut scene, &seat);
    let made = accesses() - before;
    arm(u64::MAX);
    scene.leave();
    made
}

fn prepare(operation: Operation, scene: &Scene, seat: &Seat<'_, Faulty>) {
    match operation {
        Operation::Merge
        | Operation::Shorten
        | Operation::Tell
        | Operation::Cancel
        | Operation::Acknowledge
        | Operation::Extend => scene.initiate(),
        Operation::AcknowledgeLast => {
            scene.initiate();
            scene.acknowledge(Phase::Signaling);
        }
        Operation::StoreTriple | Operation::StoreDelete => {
            store::write(&scene.core, seat, &store::TRIPLE, Some(store::OLD));
        }
        // Of one that dies in leaving it is left to be reclaimed.
        Operation::Close | Operation::Leave => {
            scene.register();
        }
        _ => {}
    }
}

fn act(operation: Operation, scene: &mut Scene, seat: &Seat<'_, Faulty>) {
    let core = Arc::clone(&scene.core);
    let (tables, env) = (core.tables(), core.as_ref());
    let group = &tables.group;
    match operation {
        Operation::Attach => unreachable!("it has no scene"),
        Operation::Join => {
            scene.join("victim");
        }
        Operation::Leave => scene.leave(),
        Operation::Initiate | Operation::Merge => scene.initiate(),
        Operation::Cancel => {
            let _ = group.scope.cancel().unwrap();
        }
        Operation::Acknowledge => scene.acknowledge(Phase::Signaling),
        Operation::AcknowledgeLast => {
            scene.acknowledge(Phase::Draining);
            scene.acknowledge(Phase::Closing);
        }
        Operation::Own => {
            let Some(Claim { slot, generation }) = scene.claim else {
                return;
            };
            let _ = group.runners[slot].own.initiate(ASK, || env.now()).unwrap();
            for phase in Phase::ACKNOWLEDGED {
                let epoch = group.runners[slot].own.control().epoch();
                let _ = group
                    .acknowledge_own(slot, generation, epoch, phase, env)
                    .unwrap();
            }
        }
        Operation::Work => {
            let Some(Claim { slot, generation }) = scene.claim else {
                return;
            };
            let (gate, holder) = (&group.runners[slot].gate, generation);
            let open = || Look {
                refuses: group.scope.control().refuses_work(),
                epochs: (0, 0),
            };
            if gate.begin_as(holder, open) == Begun::Counted {
                gate.end_as(holder);
            }
        }
        Operation::Extend => {
            let _ = group.scope.extend(group.scope.control(), 1_000, env.now());
        }
        Operation::Renew => {
            scene.leave();
            scene.initiate();
            let control = group.scope.control();
            if control.phase().unwrap() == Phase::Complete {
                group.generation.begin(&group.scope, control).unwrap();
            }
        }
        Operation::Shorten => truth::shorten(scene),
        Operation::Tell => truth::tell(scene),
        Operation::Count => truth::count(scene),
        Operation::Lock => {
            let lock = &tables.locks[FIRST_LOCK];
            if lock.lock(seat.owner, env, env.now() + 30 * SECONDS).is_ok() {
                let _ = lock.unlock(seat.owner);
            }
        }
        Operation::Wait => wait_in_a_deadlock(&core, seat),
        Operation::Disorder => {
            let order = &tables.order;
            let [first, second] = RING;
            let _ = order.step(first, second);
            if let Step::Closes { is_new: true, .. } = order.step(second, first) {
                order.record(second, first, &Culprit::default());
            }
        }
        Operation::Name => {
            let until = env.now() + 30 * SECONDS;
            tables
                .lock_names
                .find_or_add("victim's lock", seat.owner, env, until)
                .unwrap();
        }
        Operation::Words => {
            let Some(Claim { slot, .. }) = scene.claim else {
                return;
            };
            tables.texts[slot]
                .last_words
                .write("new words, whole or not at all");
        }
        Operation::Event => rendezvous::set(&core, seat),
        Operation::Permit => rendezvous::take_permit(&core, seat),
        Operation::Arrive => rendezvous::arrive(&core, seat),
        Operation::Withdraw => rendezvous::withdraw(&core, seat),
        Operation::Notify => tables.condvars[0].notify_all(),
        Operation::NoteShared => rendezvous::wait_as_a_task(&core, seat),
        Operation::Reap => {
            core.reap();
        }
        Operation::StoreSet => store::write(&core, seat, &store::SINGLE, Some(store::NEW)),
        Operation::StoreTriple => store::write(&core, seat, &store::TRIPLE, Some(store::NEW)),
        Operation::StoreDelete => store::write(&core, seat, &store::TRIPLE, None),
        Operation::Register => {
            scene.register();
        }
        Operation::Close => scene.close(),
        Operation::Record => {
            core.note_now(Note::new(Kind::Extended).argument(RECORDED));
        }
    }
}

/// Two seats of the victim hold a lock each and want the other's. The second, which is
/// to give up, only stands there; the first looks, marks it, and waits in vain.
fn wait_in_a_deadlock(core: &Attached, seat: &Seat<'_, Faulty>) {
    let (tables, env) = (core.tables(), core.as_ref());
    let other = Seat::take(core).unwrap();
    for (lock, owner) in RING.into_iter().zip([seat.owner, other.owner]) {
        let _ = tables.locks[lock].lock(owner, env, env.now() + 30 * SECONDS);
    }
    tables.waits.write(other.owner, RING[0], env.now());
    let waiter = Waiter {
        waits: &tables.waits,
        locks: &tables.locks,
        env,
        me: seat.owner,
        lock: RING[1],
        is_published: Cell::new(false),
        deadlock: RefCell::default(),
    };
    let until = env.now() + 2_000;
    let result = tables.locks[RING[1]].lock_watched(seat.owner, env, until, &waiter);
    assert!(
        matches!(result, Err(NotLocked::TimedOut { .. })),
        "{result:?}"
    );
    assert!(waiter.end().is_empty());
    let _ = tables.locks[RING[0]].unlock(seat.owner);
}
