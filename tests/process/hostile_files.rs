//! Whatever stands in the place of a segment, every operation and every command answers
//! for it by type, in bounded time, and the file system is as before.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::hostile::bytes::Random;
use crate::support::{self, Place, once};
use ebbtide::SegmentError;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{geteuid, mkfifo};

/// Makes one thing at the path, from a whole segment's bytes. False where the system
/// does not let us.
type Make = fn(&Path, &[u8]) -> bool;

fn file(path: &Path, bytes: &[u8]) -> bool {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    true
}

fn sized(path: &Path, bytes: &[u8], size: u64) -> bool {
    file(path, bytes);
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(size)
        .unwrap();
    true
}

fn device(path: &Path, kind: SFlag, number: (u64, u64)) -> bool {
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    geteuid().is_root() && mknod(path, kind, mode, makedev(number.0, number.1)).is_ok()
}

const THINGS: &[(&str, Make)] = &[
    ("nothing", |_, _| true),
    ("empty", |path, _| file(path, &[])),
    ("one byte", |path, _| file(path, &[7])),
    ("half", |path, bytes| file(path, &bytes[..bytes.len() / 2])),
    ("a header", |path, bytes| file(path, &bytes[..4096])),
    ("one byte less", |path, bytes| {
        file(path, &bytes[..bytes.len() - 1])
    }),
    ("one byte more", |path, bytes| {
        sized(path, bytes, bytes.len() as u64 + 1)
    }),
    ("enormous and sparse", |path, bytes| {
        sized(path, bytes, 1 << 40)
    }),
    ("zeros", |path, bytes| file(path, &vec![0; bytes.len()])),
    ("all holes", |path, bytes| {
        sized(path, &[], bytes.len() as u64)
    }),
    ("a header and holes", |path, bytes| {
        sized(path, &bytes[..4096], bytes.len() as u64)
    }),
    ("random", |path, bytes| {
        let mut random = Random::new(bytes.len() as u64);
        let bytes: Vec<u8> = (0..bytes.len()).map(|_| random.next() as u8).collect();
        file(path, &bytes)
    }),
    ("random behind the magic number", |path, bytes| {
        let mut random = Random::new(7);
        let mut bytes: Vec<u8> = bytes.to_vec();
        bytes[8..4096]
            .iter_mut()
            .for_each(|byte| *byte = random.next() as u8);
        // But not marked as removed: such a one is replaced.
        bytes[12..16].fill(0);
        file(path, &bytes)
    }),
    ("random behind the header", |path, bytes| {
        let mut random = Random::new(8);
        let mut bytes: Vec<u8> = bytes.to_vec();
        bytes[4096..]
            .iter_mut()
            .for_each(|byte| *byte = random.next() as u8);
        file(path, &bytes)
    }),
    ("a copy", file),
    ("for others to read", |path, bytes| {
        file(path, bytes);
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        true
    }),
    ("for nobody to read", |path, bytes| {
        file(path, bytes);
        fs::set_permissions(path, Permissions::from_mode(0o0)).unwrap();
        true
    }),
    ("of another user", |path, bytes| {
        file(path, bytes);
        geteuid().is_root() && {
            std::os::unix::fs::chown(path, Some(support::NOBODY), None).unwrap();
            true
        }
    }),
    ("a hard link", |path, bytes| {
        let other = path.with_file_name("other");
        file(&other, bytes);
        fs::hard_link(&other, path).unwrap();
        true
    }),
    ("a link to a segment", |path, bytes| {
        file(&path.with_file_name("other"), bytes);
        symlink("other", path).unwrap();
        true
    }),
    ("a link to nothing", |path, _| {
        symlink("nowhere", path).is_ok()
    }),
    ("a link to itself", |path, _| symlink("group", path).is_ok()),
    ("a link to a device", |path, _| {
        symlink("/dev/zero", path).is_ok()
    }),
    ("a fifo", |path, _| {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).is_ok()
    }),
    ("a directory", |path, _| fs::create_dir(path).is_ok()),
    ("a socket", |path, _| {
        std::os::unix::net::UnixListener::bind(path).is_ok()
    }),
    ("a character device", |path, _| {
        device(path, SFlag::S_IFCHR, (1, 5))
    }),
    ("a block device", |path, _| {
        device(path, SFlag::S_IFBLK, (7, 250))
    }),
];

/// What is there, without opening it.
fn kind(path: &Path) -> Option<String> {
    let status = fs::symlink_metadata(path).ok()?;
    let kind = status.file_type();
    Some(format!(
        "{} {} {} {}",
        kind.is_file(),
        kind.is_fifo() || kind.is_socket(),
        status.ino(),
        status.len()
    ))
}

fn clear(place: &Place) {
    for entry in fs::read_dir(place.directory()).unwrap() {
        let path = entry.unwrap().path();
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    }
}

#[test]
fn whatever_stands_for_a_segment_is_answered_for() {
    once(here!(), |place| {
        drop(place.create());
        let whole = fs::read(place.file()).unwrap();
        clear(place);
        for (what, make) in THINGS {
            if !make(&place.file(), &whole) {
                support::untested(place.test(), format!("the system refuses to make {what}"));
                clear(place);
                continue;
            }
            println!("{what}");
            let before = kind(&place.file());
            let may_open = ["a copy", "a hard link", "random behind the header"].contains(what);
            let may_open = may_open
                || *what == "a header and holes"
                || *what == "for nobody to read" && geteuid().is_root();
            let opened = place
                .options
                .open(Place::NAME)
                .map(|segment| segment.check());
            assert_eq!(opened.is_ok(), may_open, "{opened:?}");
            let observed = place.options.observe(Place::NAME).map(|seen| seen.check());
            assert_eq!(observed.is_ok(), may_open, "{observed:?}");
            assert_eq!(kind(&place.file()), before);
            if *what != "nothing" {
                let created = place.options.create(Place::NAME).map(drop);
                assert_is!(created, Err(SegmentError::Exists { .. }));
                let made = place.options.open_or_create(Place::NAME).map(drop);
                assert_eq!(made.is_ok(), may_open, "{made:?}");
            }
            let listed = place.options.list().unwrap();
            assert!(listed.len() <= 2, "{listed:?}");
            commands(place, may_open);
            assert_eq!(kind(&place.file()), before);
            let removed = place.options.remove(Place::NAME, false);
            let is_there = fs::symlink_metadata(place.file()).is_ok();
            assert_eq!(
                removed.is_ok(),
                before.is_some() && !is_there,
                "{removed:?}"
            );
            clear(place);
        }
    });
}

/// A segment that is cut under its observer is told before a byte of it is touched.
#[test]
fn a_segment_cut_under_its_observer_is_told() {
    once(here!(), |place| {
        drop(place.create());
        let observer = place.observe();
        let file = File::options().write(true).open(place.file()).unwrap();
        for length in [0, 100, 4096] {
            file.set_len(length).unwrap();
            let report = observer.check().unwrap();
            assert_eq!(report.findings.len(), 1, "{report:#?}");
            assert!(report.findings[0].what.contains("bytes"), "{report:#?}");
        }
        file.write_all_at(&[0; 8], 0).unwrap();
    });
}

#[cfg(not(feature = "cli"))]
fn commands(_: &Place, _: bool) {}

/// Every command that takes a segment, on whatever is there.
#[cfg(feature = "cli")]
fn commands(place: &Place, may_open: bool) {
    for args in [
        &["ls"][..],
        &["status", "group"],
        &["check", "group"],
        &["locks", "group"],
        &["keys", "group"],
        &["get", "group", "key"],
        &["event", "list", "group"],
        &["cancel", "group"],
        &["wait", "group", "--timeout", "1ms"],
        &["reap", "group"],
        &["check", "--repair", "group"],
    ] {
        let code = crate::cli_bytes::run(place, args);
        let is_answer = (0..=7).contains(&code);
        assert!(is_answer, "{args:?}: {code}");
        assert!(may_open || args[0] == "ls" || code != 0, "{args:?}: {code}");
    }
    std::io::stdout().flush().unwrap();
}
