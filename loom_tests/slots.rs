//! Attaching, detaching and reaping, with the byte lock as the kernel keeps it.

use core::sync::atomic::Ordering;
use std::cell::Cell;
use std::rc::Rc;

use loom::sync::atomic::AtomicU32;

use super::memory::Loom;
use super::model::{Model, kill_sweep};
use super::shutdown::group;
use super::world::{Actor, World};
use crate::sync::{Env, Pulse};
use crate::table::group::Group;
use crate::table::join::Joined;
use crate::table::member::State;
use crate::table::slots::{Gone, Processes};
use crate::table::sweep::sweep;
use crate::table::threads::Threads;

const SLOTS: usize = 1;

/// Byte locks: held by a thread of the model while it lives, free when it is dead.
struct Bytes<'a> {
    holders: &'a [AtomicU32; SLOTS],
    me: u32,
    env: &'a World,
}

impl Bytes<'_> {
    fn is_dead(&self, holder: u32) -> bool {
        matches!(self.env.process_pulse(holder as usize - 1), Pulse::Dead)
    }
}

impl Gone for Bytes<'_> {
    fn try_claim(&self, process: usize) -> bool {
        let holder = self.holders[process].load(Ordering::Acquire);
        let free = holder == 0 || holder != self.me && self.is_dead(holder);
        free && self.holders[process]
            .compare_exchange(holder, self.me, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
    fn release(&self, process: usize) {
        self.holders[process].store(0, Ordering::Release);
    }
    fn is_held(&self, process: usize) -> bool {
        let holder = self.holders[process].load(Ordering::Acquire);
        holder != 0 && !self.is_dead(holder)
    }
}

/// The tables that attaching touches, with room for one process.
struct Tables {
    group: Rc<Group<Loom, 1>>,
    processes: Processes<Loom, SLOTS>,
    threads: Threads<Loom, 1>,
    bytes: [AtomicU32; SLOTS],
    /// Who is between attach and detach, outside the model: two at once is a violation.
    inside: Cell<u32>,
}

impl Tables {
    fn new(world: &World) -> Rc<Self> {
        Rc::new(Self {
            group: group::<1>(world, 0),
            processes: Processes::default(),
            threads: Threads::default(),
            bytes: Default::default(),
            inside: Cell::new(0),
        })
    }

    fn bytes<'a>(&'a self, actor: &'a Actor) -> Bytes<'a> {
        let me = u32::from(actor.me().slot) + 1;
        Bytes {
            holders: &self.bytes,
            me,
            env: actor.env(),
        }
    }

    fn sweep(&self, dead: usize, env: &World) {
        // The dead holder of the one slot; whoever sweeps it holds its byte lock.
        sweep(&self.group, &self.threads, dead, env, |_| ()).unwrap();
    }

    /// Attaches, joins as a runner, and is inside. False if the slot is taken.
    fn attach(&self, actor: &Actor) -> bool {
        let bytes = self.bytes(actor);
        let claimed = self
            .processes
            .claim(&bytes, |dead| self.sweep(dead, actor.env()));
        let Some(process) = claimed else { return false };
        let owner = self.threads.attach(process).expect("swept, so free");
        assert!(self.threads.go_live(owner, process));
        self.processes.go_live(process, usize::from(owner.slot));
        let claim = self.group.claim(process).unwrap().expect("swept, so free");
        let joined = self
            .group
            .publish(claim, &Alive(actor.env()), |_| false)
            .unwrap();
        assert!(matches!(joined, Joined::Live(_)));
        true
    }

    fn detach(&self, actor: &Actor) {
        let generation = self.group.member(0).generation();
        assert!(
            self.group
                .leave(0, generation, &Alive(actor.env()))
                .unwrap()
        );
        self.threads.free(0, self.threads.word(0));
        self.processes.free(0);
        self.bytes(actor).release(0);
    }
}

/// In this model process slot 0 has several holders in turn, so the life of "process 0"
/// is not that of thread 0; nobody waits here, so it is enough that it lives.
struct Alive<'a>(&'a World);

impl Env<Loom> for Alive<'_> {
    fn now(&self) -> u64 {
        self.0.now()
    }
    fn process_pulse(&self, _process: usize) -> Pulse<'_, Loom> {
        Pulse::Alive(None)
    }
    fn thread_pulse(&self, owner: crate::sync::Owner) -> Pulse<'_, Loom> {
        self.0.thread_pulse(owner)
    }
}

#[test]
fn a_slot_has_one_holder_at_a_time() {
    Model::new("attach and detach, 2 processes, 1 slot")
        .bound(1)
        .check(|world| {
            let tables = Tables::new(world);
            for _ in 0..2 {
                let tables = Rc::clone(&tables);
                world.spawn(move |actor| {
                    if tables.attach(actor) {
                        assert_eq!(tables.inside.replace(1), 0, "two holders of one slot");
                        tables.inside.set(0);
                        tables.detach(actor);
                    }
                });
            }
            world.finish();
            assert!(tables.processes.word(0).is_free());
            assert!(tables.threads.word(0).is_free());
            assert_eq!(tables.group.member(0).state(), Ok(State::Left));
        });
}

/// A process is killed at every point between its first claim and the end of its
/// detaching; afterwards a survivor gets the whole of the slot.
#[test]
fn the_slot_of_a_process_killed_anywhere_is_reaped() {
    kill_sweep(
        Model::new("attach and detach, killed").bound(1),
        |_, world| {
            let tables = Tables::new(world);
            let shared = Rc::clone(&tables);
            world.spawn_victim(move |actor| {
                if shared.attach(actor) {
                    shared.detach(actor);
                }
            });
            let shared = Rc::clone(&tables);
            world.spawn(move |reaper| {
                // Concurrently, and perhaps in the middle of it.
                shared.processes.reap(&shared.bytes(reaper), |dead| {
                    shared.sweep(dead, reaper.env())
                });
            });
            world.finish_in_time();
            let late = Rc::clone(&tables);
            world.spawn(move |survivor| {
                assert!(late.attach(survivor), "the slot is lost");
                late.detach(survivor);
            });
            world.finish_in_time();
        },
    );
}

/// The reaper is killed at every point of its sweep; the next one finishes it.
#[test]
fn a_sweep_left_half_done_is_done_again() {
    kill_sweep(Model::new("reaper killed").bound(1), |_, world| {
        let tables = Tables::new(world);
        let shared = Rc::clone(&tables);
        world.spawn(move |actor| {
            assert!(shared.attach(actor));
            actor.die();
        });
        world.finish_in_time();
        let shared = Rc::clone(&tables);
        world.spawn_victim(move |reaper| {
            shared.processes.reap(&shared.bytes(reaper), |dead| {
                shared.sweep(dead, reaper.env())
            });
        });
        let shared = Rc::clone(&tables);
        world.spawn(move |reaper| {
            shared.processes.reap(&shared.bytes(reaper), |dead| {
                shared.sweep(dead, reaper.env())
            });
        });
        world.finish_in_time();
        let late = Rc::clone(&tables);
        world.spawn(move |survivor| {
            assert!(late.attach(survivor), "the slot is lost");
            late.detach(survivor);
        });
        world.finish_in_time();
    });
}
