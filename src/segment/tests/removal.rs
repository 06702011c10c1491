//! Removers that are stopped or killed between two steps of a removal.

use std::fs;
use std::thread;

use super::super::create::{Blank, build, open_or_create};
use super::super::header::Remover;
use super::super::inode::Inode;
use super::super::map::{Nothing, Unverified};
use super::super::remove::{Removal, Step};
use super::*;
use crate::os::file::{PROCESS_LOCKS, REMOVERS_LOCK, is_held_by_other, try_lock};

impl Place {
    /// What a remover has read before its first step.
    fn looked_up(&self) -> Inode {
        Inode::look_up(&self.directory(), &self.name).unwrap()
    }
}

fn stop_before(step: Step, removal: &mut Removal<'_>) {
    while removal.step().unwrap() != step {}
}

/// It names the process that is in the way, and what to do about it.
fn blames(pid: u32, error: &SegmentError) {
    let SegmentError::InUse {
        attached,
        remover: Some(remover),
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert!(
        attached.is_empty() && remover.pid == pid,
        "{attached:?} {remover:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains("SIGCONT") && text.contains("kill it"),
        "{text}"
    );
    assert!(pid > 0 || text.contains("fdinfo"), "{text}");
    assert!(
        pid == 0 || text.contains(&format!("process {pid}")),
        "{text}"
    );
}

/// The fault: before there was a removers' byte, the others succeeded, and the first one
/// unlinked the name of what they had made.
#[test]
fn a_remover_stopped_before_its_unlink_takes_no_other_segments_name() {
    let own = std::process::id();
    for force in [false, true] {
        let place = Place::with_segment();
        let directory = place.directory();
        let mut removal =
            Removal::begin(&directory, &place.name, place.looked_up(), force).unwrap();
        stop_before(Step::Unlink, &mut removal);
        thread::scope(|scope| {
            scope.spawn(|| blames(own, &place.remove(false).unwrap_err()));
            scope.spawn(|| blames(own, &place.remove(true).unwrap_err()));
            scope.spawn(|| blames(own, &place.create().unwrap_err()));
            let either = || open_or_create::<Words>(&place.name, &place.options);
            scope.spawn(move || blames(own, &either().unwrap_err()));
        });
        // It goes on.
        assert_eq!(removal.step().unwrap(), Step::Over);
        let made = place.create().unwrap().identity();
        drop(removal);
        assert_eq!(place.open().unwrap().identity(), made);
    }
}

#[test]
fn a_remover_stopped_before_it_has_the_byte_leaves_a_new_segment_alone() {
    for (force, other) in [(false, false), (false, true), (true, false), (true, true)] {
        let place = Place::with_segment();
        let directory = place.directory();
        let mut removal =
            Removal::begin(&directory, &place.name, place.looked_up(), force).unwrap();
        place.remove(other).unwrap();
        let made = place.create().unwrap();
        stop_before(Step::Over, &mut removal);
        assert_eq!(place.open().unwrap().identity(), made.identity());
        assert!(!made.is_removed());
    }
}

#[test]
fn a_person_who_unlinks_the_file_meanwhile_is_noticed_at_the_check() {
    let place = Place::with_segment();
    let directory = place.directory();
    let mut removal = Removal::begin(&directory, &place.name, place.looked_up(), true).unwrap();
    stop_before(Step::Check, &mut removal);
    fs::remove_file(place.path()).unwrap();
    let made = place.create().unwrap();
    assert_eq!(removal.step().unwrap(), Step::Over);
    assert_eq!(place.open().unwrap().identity(), made.identity());
}

#[test]
fn what_a_killed_remover_began_is_finished_by_the_next_one() {
    for force in [false, true] {
        for step in [Step::Mark, Step::Check, Step::Unlink, Step::Over] {
            let place = Place::with_segment();
            let directory = place.directory();
            let begin = || {
                let mut removal =
                    Removal::begin(&directory, &place.name, place.looked_up(), force).unwrap();
                stop_before(step, &mut removal);
                // The kernel gives the bytes of a killed one back, as this does.
                drop(removal);
            };
            begin();
            match place.remove(false) {
                Err(SegmentError::NotFound { .. }) if step == Step::Over => {}
                result => result.unwrap(),
            }
            let old = place.create().unwrap().identity();
            begin();
            let new = open_or_create::<Words>(&place.name, &place.options).unwrap();
            assert_eq!(new.identity() == old, step == Step::Mark, "{step:?}");
        }
    }
}

/// The mark alone decides: who is attached has lost the name already.
#[test]
fn a_leftover_is_finished_though_processes_are_attached() {
    let place = Place::with_segment();
    let attached = place.open().unwrap();
    assert_eq!(attached.locks().try_take(PROCESS_LOCKS + 3), Ok(true));
    let directory = place.directory();
    let mut removal = Removal::begin(&directory, &place.name, place.looked_up(), true).unwrap();
    stop_before(Step::Check, &mut removal);
    drop(removal);
    assert!(matches!(
        place.remove(false),
        Err(SegmentError::InUse { remover: None, .. })
    ));
    let made = place.create().unwrap();
    assert!(made.identity() != attached.identity() && attached.is_removed());
}

#[test]
fn an_attacher_is_refused_with_the_holder_of_all_life_bytes() {
    let place = Place::with_segment();
    let attacher = place.open().unwrap();
    assert!(attacher.being_removed().is_none());
    let directory = place.directory();
    let mut removal = Removal::begin(&directory, &place.name, place.looked_up(), false).unwrap();
    stop_before(Step::Mark, &mut removal);
    assert_eq!(attacher.locks().try_take(PROCESS_LOCKS), Ok(false));
    blames(std::process::id(), &attacher.being_removed().unwrap());
}

/// Whatever the file is: the byte is needed, and its holder may be unknown.
#[test]
fn a_held_byte_keeps_files_of_every_kind() {
    for length in [Some(0), Some(100), Some(4096), None] {
        let place = Place::with_segment();
        let remover = place.file();
        assert!(try_lock(&remover, REMOVERS_LOCK).unwrap());
        match length {
            Some(length) => place.file().set_len(length).unwrap(),
            // What a killed remover noted stays, and is no longer true.
            None => place.open().unwrap().header().note_remover(Remover {
                pid: std::process::id(),
                start_time: 1,
                pid_namespace: 0,
            }),
        }
        blames(0, &place.remove(true).unwrap_err());
        drop(remover);
        place.remove(length.is_none()).unwrap();
        assert!(!place.path().exists());
    }
}

#[test]
fn a_remover_is_noted_while_its_byte_is_held() {
    let place = Place::with_segment();
    let opened = place.open().unwrap();
    let directory = place.directory();
    let mut removal = Removal::begin(&directory, &place.name, place.looked_up(), false).unwrap();
    assert_eq!(opened.header().remover(), None);
    stop_before(Step::Mark, &mut removal);
    let (start_time, pid_namespace) = crate::os::process::own_identity();
    let noted = Remover {
        pid: std::process::id(),
        start_time,
        pid_namespace,
    };
    assert_eq!(opened.header().remover(), Some(noted));
    drop(removal);
    assert_eq!(opened.header().remover(), None);
    // One of another pid namespace is named as such.
    let remover = place.file();
    assert!(try_lock(&remover, REMOVERS_LOCK).unwrap());
    opened.header().note_remover(Remover {
        pid_namespace: noted.pid_namespace + 1,
        ..noted
    });
    let error = opened.being_removed().unwrap().to_string();
    assert!(error.contains("of another pid namespace"), "{error}");
}

#[test]
fn a_byte_lock_lasts_as_long_as_the_mapping_of_its_description() {
    // A file system that keeps the description for its mappings, which overlayfs does not.
    let place = Place::in_memory();
    drop(place.create().unwrap());
    let (mine, other) = (place.file(), place.file());
    let mapped = Unverified::<Nothing>::map(&mine).unwrap();
    mapped.keep_from_children().unwrap();
    assert!(try_lock(&mine, REMOVERS_LOCK).unwrap());
    drop(mine);
    assert!(is_held_by_other(&other, REMOVERS_LOCK).unwrap());
    drop(mapped);
    assert!(!is_held_by_other(&other, REMOVERS_LOCK).unwrap());
}

/// All orders of the steps of two removers, of which the one with force begins, and a
/// creator, on real files.
#[test]
fn no_order_of_steps_takes_another_segments_name() {
    fn orders(left: [usize; 3], order: &mut Vec<usize>, run: &mut impl FnMut(&[usize])) {
        if left == [0; 3] {
            return run(order);
        }
        for actor in 0..3 {
            let mut left = left;
            if left[actor] > 0 {
                left[actor] -= 1;
                order.push(actor);
                orders(left, order, run);
                order.pop();
            }
        }
    }
    let place = Place::in_memory();
    let directory = place.directory();
    // Without the leftover path, which is a removal like the two.
    let create = || {
        let blank = Blank::new(&directory, 1).unwrap();
        let made = build::<Nothing>(&directory, &place.name, &place.options, blank);
        made.is_ok()
    };
    let identity = || {
        let seen = observe::<Nothing>(&place.name, &place.options).ok();
        seen.map(|seen| seen.identity)
    };
    let begin = |force| {
        let inode = Inode::look_up(&directory, &place.name).ok()?;
        let removal = Removal::begin(&directory, &place.name, inode, force).unwrap();
        Some((removal, Step::Take, identity()))
    };
    let mut unlinked = [0; 2];
    let mut made = 0;
    // Five steps each, of which a Take may have no effect; before those, a look-up.
    orders([5, 6, 1], &mut Vec::new(), &mut |order| {
        let _ = place.remove(true);
        assert!(create());
        let mut removals = [begin(true), None];
        for &actor in order {
            if actor == 2 {
                made += usize::from(create());
                continue;
            }
            let Some((removal, step, meant)) = &mut removals[actor] else {
                removals[actor] = begin(false);
                continue;
            };
            if *step == Step::Unlink {
                assert_eq!(identity(), *meant, "{order:?}");
                unlinked[actor] += 1;
            }
            *step = removal.step().unwrap();
        }
    });
    assert!(unlinked[0] > 0 && unlinked[1] > 0 && made > 0);
}
