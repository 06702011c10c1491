//! The steps of a proposal, each left out in turn: a small copy of the shipped code.

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::adapters::Shutdowns;
use super::memory::U64;
use super::model::Model;
use super::world::World;
use crate::sync::Word;

/// How a record differs from what ships; each but the first must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Shipped,
    /// Its words are stored whatever they are.
    StoresBlindly,
    /// The tag is not read before each swap of a word.
    TagNotRead,
    /// A swap that fails is not tried again.
    NoSecondTry,
    /// The control word is read before the tag, and not after it.
    ControlReadFirst,
}

/// The words of a record, small: a tag and two words.
#[derive(Default)]
struct Record {
    tag: U64,
    words: [U64; 2],
}

const WRITING: u64 = 1 << 8;
const READY: u64 = 2 << 8;
const VALUE: u32 = 16;

impl Record {
    /// Returns whether it has published.
    fn propose(&self, manner: Manner, scope: &Shutdowns, epoch: u64, process: u64) -> bool {
        let is_running = || {
            let control = scope.scope.control();
            !control.is_shutting_down() && control.epoch() == epoch
        };
        if manner == Manner::ControlReadFirst && !is_running() {
            return false;
        }
        let tag = self.tag.load(Ordering::Acquire);
        // Everybody lives here.
        if tag & 0xff == epoch && tag & (WRITING | READY) != 0 {
            return false;
        }
        if manner != Manner::ControlReadFirst && !is_running() {
            return false;
        }
        let claim = epoch | WRITING | process << VALUE;
        if !swap(&self.tag, tag, claim) {
            return false;
        }
        let value = epoch | process << VALUE;
        for word in &self.words {
            loop {
                let seen = word.load(Ordering::Acquire);
                if manner != Manner::TagNotRead && self.tag.load(Ordering::Acquire) != claim {
                    return false;
                }
                if manner == Manner::StoresBlindly {
                    word.store(value, Ordering::Relaxed);
                    break;
                }
                if swap(word, seen, value) || manner == Manner::NoSecondTry {
                    break;
                }
            }
        }
        swap(&self.tag, claim, epoch | READY | process << VALUE)
    }

    /// What was published for an epoch stays while the epoch lasts.
    fn check(&self, epoch: u64, published: u64) {
        let tag = self.tag.load(Ordering::Acquire);
        if tag & 0xff == epoch && tag & READY != 0 {
            let value = tag & !(WRITING | READY);
            for word in &self.words {
                assert_eq!(
                    word.load(Ordering::Acquire),
                    value,
                    "not what was published"
                );
            }
        } else {
            assert_ne!(published, epoch + 1, "what was published is gone");
        }
    }
}

fn swap(word: &U64, from: u64, to: u64) -> bool {
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}

fn records(world: &mut World, manner: Manner) {
    let scope = Shutdowns::new(world);
    let record = world.table("record", &["tag", "first", "second"], Record::default);
    // The last epoch that terms were published for, plus one.
    let published = world.ghost("published");
    for process in 0..3_u64 {
        let (scope, record) = (Rc::clone(&scope), Rc::clone(&record));
        let published = Rc::clone(&published);
        world.actor(&format!("initiator {process}"), move |me| {
            let seen = scope.scope.control();
            let epoch = seen.epoch();
            if me.call("propose", || record.propose(manner, &scope, epoch, process)) {
                published.set(published.get().max(epoch + 1));
            }
            me.state_is("proposed");
            let _ = me.call("initiate", || scope.initiate(1000, me));
            me.state_is("initiated");
            me.call("cancel", || scope.cancel());
        });
    }
    world.always(move |_| {
        record.check(scope.scope.control().epoch(), published.get());
    });
}

#[test]
fn each_step_of_a_proposal_is_needed() {
    let model = |manner: Manner| Model::new(&format!("terms, {manner:?}"));
    model(Manner::Shipped).holds(|world| records(world, Manner::Shipped));
    for broken in [
        Manner::StoresBlindly,
        Manner::TagNotRead,
        Manner::NoSecondTry,
        Manner::ControlReadFirst,
    ] {
        model(broken).must_be_found(|world| records(world, broken));
    }
}
