//! A runner's record against the slot's next holder: nothing that a late thread of the old
//! holder writes is found there.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use loom::sync::Mutex;

use super::memory::Loom;
use super::model::{Model, must_fail};
use super::world::World;
use crate::sync::Word;
use crate::sync::latch::Text;
use crate::table::runner::{Runner, Texts, Verdict};

const OLD: u64 = 1;
const NEW: u64 = 2;

type Record = Runner<Loom>;
type Step = fn(&Record);

/// A late step of the old holder, while the slot comes to the next one.
fn late(world: &Rc<World>, step: Step) {
    let record = Rc::new(Record::default());
    record.renew(OLD, || true);
    let old = Rc::clone(&record);
    world.spawn(move |_| step(&old));
    let new = Rc::clone(&record);
    world.spawn(move |_| {
        new.renew(NEW, || true);
        new.count_progress(NEW);
    });
    world.finish();
    assert_eq!(record.verdict(NEW), Verdict::None, "judged for another");
    assert_eq!(record.progress(NEW), 1, "credited to another");
    assert!(record.progress_to_extend(NEW).is_some());
}

#[test]
fn what_the_old_holder_says_of_itself_is_not_said_of_the_next() {
    let steps: [(&str, Step); 3] = [
        ("record, late verdict", |old| {
            old.judge(OLD, Verdict::Forced)
        }),
        ("record, late progress", |old| old.count_progress(OLD)),
        ("record, late extension", |old| {
            if let Some(progress) = old.progress_to_extend(OLD) {
                old.extended(OLD, progress);
            }
        }),
    ];
    for (name, step) in steps {
        Model::new(name).check(move |world| late(world, step));
    }
    must_fail("progress by an addition", || {
        Model::new("record, addition").check(|world| {
            late(world, |old| {
                old.words()[0].fetch_add(1 << 24, Ordering::Relaxed);
            });
        });
    });
    must_fail("a verdict that is read, then stored", || {
        Model::new("record, stored verdict").check(|world| {
            late(world, |old| {
                if old.verdict(OLD) == Verdict::None {
                    old.words()[1].store(NEW << 8 | 1, Ordering::Release);
                }
            });
        });
    });
}

/// A thread of the old holder says what it does, while another one leaves and the slot comes
/// to the next holder. `asks_inside`: it reads under the lock whether the runner has left.
fn say_against_leave(world: &Rc<World>, asks_inside: bool) {
    let texts = Rc::new(Texts::<Loom> {
        id: Text::default(),
        activity: Text::default(),
        last_words: Text::default(),
        cause: Text::default(),
        reason: Default::default(),
    });
    let left = Rc::new(Mutex::new(false));
    let (shared, lock) = (Rc::clone(&texts), Rc::clone(&left));
    world.spawn(move |_| {
        let before = *lock.lock().unwrap();
        let guard = lock.lock().unwrap();
        if !(if asks_inside { *guard } else { before }) {
            shared.set_activity("old", 1);
        }
    });
    let shared = Rc::clone(&texts);
    world.spawn(move |_| {
        *left.lock().unwrap() = true;
        shared.set_activity("new", 2);
    });
    world.finish();
    assert_eq!(texts.activity(), Some(("new".into(), 2)));
}

#[test]
fn nothing_is_said_in_the_next_holders_record() {
    Model::new("record, activity against leave").check(|world| say_against_leave(world, true));
    must_fail("asks before the lock", || {
        Model::new("record, asked before").check(|world| say_against_leave(world, false));
    });
}
