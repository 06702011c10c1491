//! From creation to removal, alone and with others at the same time.

use core::mem::size_of;
use core::sync::atomic::Ordering;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::super::create::{Blank, build};
use super::super::inode::allocate;
use super::*;
use crate::os::file::{CREATORS_LOCK, PROCESS_LOCKS, try_lock};

#[test]
fn a_new_segment_is_complete_private_and_shared() {
    let place = Place::new();
    let made = place.create().unwrap();
    assert_eq!(made.body().first.load(Ordering::Relaxed), 0);
    let found = fs::metadata(made.path()).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    assert_eq!(found.len(), 4096 + size_of::<Words>() as u64);

    let opened = place.open().unwrap();
    let observed = place.observe().unwrap();
    assert_eq!(opened.identity(), made.identity());
    assert_eq!(observed.token(), made.token());
    assert_ne!(made.identity(), [0, 0]);
    made.body().rest[9].store(5, Ordering::Relaxed);
    assert_eq!(opened.body().rest[9].load(Ordering::Relaxed), 5);
    assert_eq!(observed.body().rest[9].load(Ordering::Relaxed), 5);
    assert!(opened.header().created_at() > 0);
    assert_eq!(opened.header().creator_pid(), std::process::id());
    opened.probe().unwrap();

    assert!(matches!(place.create(), Err(SegmentError::Exists { .. })));
    let names = place.directory().names().unwrap();
    assert_eq!(names, std::slice::from_ref(&place.name));
}

#[test]
fn a_read_only_mapping_can_be_waited_on() {
    use crate::os::futex::{Cell, wait, wait_any};
    use crate::sync::mem::Woken;
    let place = Place::with_segment();
    let observed = place.observe().unwrap();
    let cell = Cell::low_half_of(&observed.body().first);
    assert_eq!(
        wait(cell, 0, crate::os::clock::now() + 1_000),
        Woken::TimedOut
    );
    assert_eq!(wait(cell, 1, u64::MAX), Woken::Look);
    let until = crate::os::clock::now() + 1_000;
    while wait_any(&[(cell, 0), (cell, 0)], until) == Woken::Look {}
    // A wake through another mapping arrives.
    let opened = place.open().unwrap();
    thread::scope(|scope| {
        let (tell, tid) = std::sync::mpsc::channel();
        scope.spawn(move || {
            tell.send(nix::unistd::gettid()).unwrap();
            while observed.body().first.load(Ordering::Acquire) == 0 {
                wait(cell_of(&observed), 0, u64::MAX);
            }
        });
        // Asleep, so that only the wake can end it.
        crate::os::asleep::until_asleep(tid.recv().unwrap());
        opened.body().first.store(1, Ordering::Release);
        crate::os::futex::wake(Cell::low_half_of(&opened.body().first), 1);
    });
    fn cell_of(observed: &Observed<Words>) -> Cell<'_> {
        Cell::low_half_of(&observed.body().first)
    }
}

#[test]
fn of_many_creators_one_wins_and_the_rest_attach() {
    const THREADS: usize = 8;
    for _ in 0..20 {
        let place = Place::new();
        let barrier = Barrier::new(THREADS);
        let race = || {
            barrier.wait();
            open_or_create::<Words>(&place.name, &place.options)
                .unwrap()
                .identity()
        };
        let identities = thread::scope(|scope| {
            let threads = [(); THREADS].map(|()| scope.spawn(race));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(identities, [identities[0]; THREADS]);
    }
}

#[test]
fn creating_and_removing_at_once_never_tears() {
    let place = Place::new();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..200 {
                    drop(open_or_create::<Words>(&place.name, &place.options).unwrap());
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                match place.remove(false) {
                    Ok(()) | Err(SegmentError::NotFound { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
    });
}

#[test]
fn nothing_is_removed_while_a_process_is_attached() {
    let place = Place::with_segment();
    let attached = place.open().unwrap();
    let waiting = place.open().unwrap();
    assert!(attached.locks().try_take(PROCESS_LOCKS + 17).unwrap());
    attached.probe().unwrap();
    let observed = place.observe().unwrap();
    assert!(observed.is_held(PROCESS_LOCKS + 17) && !observed.is_held(PROCESS_LOCKS + 16));
    assert!(matches!(
        place.remove(false),
        Err(SegmentError::InUse { .. })
    ));
    assert!(!attached.is_removed());

    place.remove(true).unwrap();
    assert!(attached.is_removed() && observed.is_removed());
    assert!(matches!(waiting.probe(), Err(SegmentError::Stale { .. })));
    assert!(matches!(place.open(), Err(SegmentError::NotFound { .. })));
    let again = place.create().unwrap();
    assert_ne!(again.identity(), attached.identity());

    // A lock that was released hinders nobody.
    drop(attached);
    place.remove(false).unwrap();
}

#[test]
fn a_bare_unlink_makes_handles_stale() {
    let place = Place::with_segment();
    let opened = place.open().unwrap();
    fs::remove_file(place.path()).unwrap();
    assert!(matches!(opened.probe(), Err(SegmentError::Stale { .. })));
}

#[test]
fn a_removal_that_was_killed_half_way_is_finished() {
    let place = Place::with_segment();
    let old = place.open().unwrap();
    old.header().mark_removed();
    assert!(matches!(place.open(), Err(SegmentError::Stale { .. })));
    let new = open_or_create::<Words>(&place.name, &place.options).unwrap();
    assert_ne!(new.identity(), old.identity());
    new.header().mark_removed();
    place.create().unwrap();
}

#[test]
fn a_token_means_one_segment_only() {
    let place = Place::with_segment();
    let opened = place.open().unwrap();
    let text = opened.token().to_string();
    let token: Token = text.parse().unwrap();
    let elsewhere = Options::default();
    let again = open_token::<Words>(&token, &elsewhere).unwrap();
    assert_eq!(again.identity(), opened.identity());
    assert_eq!(place.observe().unwrap().token(), token);

    place.remove(false).unwrap();
    assert!(matches!(
        open_token::<Words>(&token, &elsewhere),
        Err(SegmentError::Stale { .. })
    ));
    place.create().unwrap();
    assert!(matches!(
        open_token::<Words>(&token, &elsewhere),
        Err(SegmentError::Stale { .. })
    ));
}

#[test]
fn file_systems_without_unnamed_files_leave_no_temporary_name() {
    let place = Place::new();
    let directory = place.directory();
    let abandoned = directory.path().join(".tmp-1-dead");
    File::create(&abandoned)
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    let fresh = directory.path().join(".tmp-1-alive");
    File::create(&fresh).unwrap();
    let build = || {
        let blank = Blank::named(&directory, 1).unwrap();
        build::<Words>(&directory, &place.name, &place.options, blank)
    };
    let identity = build().unwrap().identity();
    assert_eq!(place.open().unwrap().identity(), identity);
    assert!(matches!(build(), Err(SegmentError::Exists { .. })));
    assert!(fresh.exists() && !abandoned.exists());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn a_temporary_file_is_discarded_only_without_a_living_creator() {
    let place = Place::new();
    let directory = place.directory();
    let discard = |name: &str| temporary::discard(&directory, name, Duration::ZERO).unwrap();
    let names = || temporary::names(&directory).unwrap();
    let blank = Blank::named(&directory, 1).unwrap();
    let [held] = names().try_into().unwrap();
    assert_eq!(discard(&held), None, "its creator lives");
    drop(build::<Words>(&directory, &place.name, &place.options, blank).unwrap());
    assert!(names().is_empty());
    place.open().unwrap();

    // The creator was stopped before it took its byte: it does not use the file.
    let path = directory.path().join(".tmp-1-left");
    let file = File::create(&path).unwrap();
    allocate(&file, 8192, &path).unwrap();
    let freed = discard(".tmp-1-left");
    assert!(freed.is_some_and(|freed| freed >= 8192) && !path.exists());
    assert!(!temporary::claim(&file).unwrap());
    assert_eq!(discard(".tmp-1-left"), None);
    // The remover has the byte.
    let file = File::create(&path).unwrap();
    let remover = File::options().write(true).open(&path).unwrap();
    assert!(try_lock(&remover, CREATORS_LOCK).unwrap());
    assert!(!temporary::claim(&file).unwrap());
    assert_eq!(discard(".tmp-1-left"), None, "another remover has it");
    drop(remover);
    // The segment of a creator killed before it removed the temporary name keeps its own.
    fs::remove_file(&path).unwrap();
    fs::hard_link(place.path(), &path).unwrap();
    assert_eq!(discard(".tmp-1-left"), Some(0));
    place.open().unwrap();
}
