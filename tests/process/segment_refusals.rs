//! What is not a whole segment of this user, layout and boot is refused by type, before
//! any byte of it is used.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

use crate::support::{self, Agent, Place, once, once_with};
use ebbtide::{SegmentError, SegmentOptions};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

/// Opening and observing are refused alike; the file can be removed all the same.
#[track_caller]
fn refused(place: &Place, is_expected: fn(&SegmentError) -> bool) {
    let errors = [
        place.options.open(Place::NAME).unwrap_err(),
        place.options.observe(Place::NAME).unwrap_err(),
        place.options.open_or_create(Place::NAME).unwrap_err(),
    ];
    for error in errors {
        assert!(is_expected(&error), "{error:?}");
        assert!(error.to_string().contains(Place::NAME), "{error}");
    }
}

fn file(place: &Place) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(place.file())
        .unwrap()
}

macro_rules! is {
    ($pattern:pat) => {
        |error: &SegmentError| matches!(error, $pattern)
    };
}

#[test]
fn another_size_is_refused() {
    once(here!(), |place| {
        drop(place.create());
        let whole = fs::metadata(place.file()).unwrap().len();
        for size in [0, 1, 4096, whole / 2, whole - 1, whole + 1, whole * 2] {
            file(place).set_len(size).unwrap();
            refused(place, is!(SegmentError::Size { .. }));
        }
        place.options.remove(Place::NAME, false).unwrap();
        drop(place.create());
    });
}

#[test]
fn garbage_of_the_right_size_is_refused() {
    once(here!(), |place| {
        drop(place.create());
        let whole = fs::metadata(place.file()).unwrap().len() as usize;
        for byte in [0, b'x', 0xff] {
            fs::write(place.file(), vec![byte; whole]).unwrap();
            refused(place, is!(SegmentError::Magic { .. }));
        }
    });
}

/// Whether a refusal is the one expected.
type Expected = fn(&SegmentError) -> bool;

/// Offsets as `src/segment/header.rs` proves them.
#[test]
fn magic_layout_fingerprint_and_boot_are_checked() {
    once(here!(), |place| {
        drop(place.create());
        let checks: [(u64, Expected); 7] = [
            (0, is!(SegmentError::Magic { .. })),
            (7, is!(SegmentError::Magic { .. })),
            (8, is!(SegmentError::Layout { .. })),
            (16, is!(SegmentError::Layout { .. })),
            (32, is!(SegmentError::Layout { .. })),
            (40, is!(SegmentError::Layout { .. })),
            (48, is!(SegmentError::Boot { .. })),
        ];
        for (offset, is_expected) in checks {
            let file = file(place);
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).unwrap();
            file.write_all_at(&[byte[0] ^ 0x40], offset).unwrap();
            refused(place, is_expected);
            file.write_all_at(&byte, offset).unwrap();
            drop(place.options.open(Place::NAME).unwrap());
        }
    });
}

#[test]
fn what_is_no_regular_file_is_refused_without_a_hang() {
    once(here!(), |place| {
        drop(place.create());
        let path = place.file();
        let real = place.directory().join("real");
        fs::rename(&path, &real).unwrap();
        let not_regular = is!(SegmentError::NotRegular { .. });
        symlink(&real, &path).unwrap();
        refused(place, not_regular);
        fs::remove_file(&path).unwrap();
        symlink("nowhere", &path).unwrap();
        refused(place, not_regular);
        fs::remove_file(&path).unwrap();
        // Opening a pipe without a writer would block.
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        refused(place, not_regular);
        fs::remove_file(&path).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        refused(place, not_regular);
        drop(socket);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused(place, not_regular);
        assert_is!(
            place.options.remove(Place::NAME, true),
            Err(SegmentError::NotRegular { .. })
        );
        fs::remove_dir(&path).unwrap();
        // None of them is listed.
        assert_eq!(place.options.list().unwrap(), ["real"]);
    });
}

#[test]
fn permissions_for_others_are_refused_unless_asked_for() {
    once(here!(), |place| {
        drop(place.create());
        for mode in [0o666, 0o640, 0o604, 0o700, 0o4600] {
            fs::set_permissions(place.file(), Permissions::from_mode(mode)).unwrap();
            refused(place, is!(SegmentError::Mode { .. }));
        }
        fs::set_permissions(place.file(), Permissions::from_mode(0o640)).unwrap();
        drop(place.options.clone().mode(0o660).open(Place::NAME).unwrap());
        place.options.remove(Place::NAME, false).unwrap();
        drop(place.create());
        assert_eq!(
            fs::metadata(place.file()).unwrap().permissions().mode() & 0o7777,
            0o600
        );
    });
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    once(here!(), |place| {
        drop(place.create());
        let directory = place.directory();
        assert_eq!(
            fs::metadata(&directory).unwrap().permissions().mode() & 0o7777,
            0o700
        );
        for mode in [0o777, 0o770, 0o702] {
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            assert_is!(
                place.options.open(Place::NAME),
                Err(SegmentError::Directory { .. })
            );
            assert_is!(
                place.options.create("other"),
                Err(SegmentError::Directory { .. })
            );
            assert_is!(place.options.list(), Err(SegmentError::Directory { .. }));
        }
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
        let link = place.scratch("link");
        symlink(&directory, &link).unwrap();
        let through = SegmentOptions::new().directory(&link);
        assert_is!(
            through.open(Place::NAME),
            Err(SegmentError::Directory { .. })
        );
        let nowhere = SegmentOptions::new().directory(place.scratch("a/b"));
        assert_is!(nowhere.create("x"), Err(SegmentError::Directory { .. }));
        assert_is!(nowhere.open("x"), Err(SegmentError::NotFound { .. }));
        let plain = SegmentOptions::new().directory(place.file());
        assert_is!(plain.open("x"), Err(SegmentError::Directory { .. }));
    });
}

#[test]
fn names_are_checked_before_anything_is_touched() {
    once(here!(), |place| {
        for bad in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "../group",
            "a b",
            "ä",
            "a\0b",
            &"x".repeat(65),
        ] {
            assert_is!(
                place.options.create(bad),
                Err(SegmentError::InvalidName { .. })
            );
            assert_is!(
                place.options.open(bad),
                Err(SegmentError::InvalidName { .. })
            );
            assert_is!(
                place.options.observe(bad),
                Err(SegmentError::InvalidName { .. })
            );
            assert_is!(
                place.options.open_or_create(bad),
                Err(SegmentError::InvalidName { .. })
            );
            assert_is!(
                place.options.remove(bad, true),
                Err(SegmentError::InvalidName { .. })
            );
        }
        assert!(!place.directory().exists());
        for good in ["a", "-rf", "A.b_c-9", &"x".repeat(64)] {
            assert_eq!(place.options.create(good).unwrap().name(), good);
        }
    });
}

#[test]
fn a_full_file_system_is_an_error_at_creation_and_not_a_crash_later() {
    once(here!(), |place| {
        if !geteuid().is_root() {
            return support::untested(place.test(), "only root can mount a small tmpfs");
        }
        let root = place.scratch("small");
        fs::create_dir(&root).unwrap();
        let _mounted = match Mounted::tmpfs(&root, "size=256k,mode=700") {
            Some(mounted) => mounted,
            None => return support::untested(place.test(), "mount is refused here"),
        };
        let options = SegmentOptions::new()
            .directory(&root)
            .liveness(place.liveness);
        for _ in 0..3 {
            let error = options.create("big").unwrap_err();
            assert_is!(&error, SegmentError::NoSpace { bytes, .. } if *bytes > 256 * 1024);
            assert_is!(
                options.open_or_create("big"),
                Err(SegmentError::NoSpace { .. })
            );
        }
        // Nothing is left of it, also of the space.
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        fs::write(root.join("rest"), vec![1; 200 * 1024]).unwrap();
    });
}

struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(path: &std::path::Path, options: &str) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path)
            .status();
        mount
            .is_ok_and(|status| status.success())
            .then(|| Self(path.into()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Busy at times, see above.
        support::until_true("the file system is unmounted", || {
            let mut unmount = Command::new("umount");
            unmount
                .arg(&self.0)
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        });
    }
}

#[test]
fn a_read_only_file_system_is_a_refusal() {
    once(here!(), |place| {
        if !geteuid().is_root() {
            return support::untested(place.test(), "only root can mount read-only");
        }
        let root = place.scratch("fixed");
        fs::create_dir(&root).unwrap();
        let _mounted = match Mounted::tmpfs(&root, "size=16m,mode=700") {
            Some(mounted) => mounted,
            None => return support::untested(place.test(), "mount is refused here"),
        };
        let options = SegmentOptions::new()
            .directory(&root)
            .liveness(place.liveness);
        drop(options.create("old").unwrap());
        // Busy as long as a child that another test is starting has copies of our files.
        support::until_true("the file system is read-only", || {
            let mut mount = Command::new("mount");
            mount.args(["-o", "remount,ro"]).arg(&root);
            mount.stderr(Stdio::null()).status().unwrap().success()
        });
        for result in [
            options.create("new"),
            options.open("old"),
            options.open_or_create("new"),
        ] {
            assert_is!(
                result,
                Err(SegmentError::Permission { .. } | SegmentError::Io { .. })
            );
        }
        assert!(options.remove("old", false).is_err());
        // Looking needs no right to write.
        assert_eq!(options.list().unwrap(), ["old"]);
        assert_eq!(
            options.observe("old").unwrap().status().unwrap().attached,
            0
        );
    });
}

#[test]
fn a_directory_without_write_permission_is_a_refusal() {
    once_with(
        here!(),
        &[("other-user", |child| {
            support::become_nobody();
            support::reply(&support::answer(child.options.create("new").map(drop)));
            support::reply(&support::answer(child.options.remove("group", false)));
        })],
        |place| {
            if !geteuid().is_root() {
                drop(place.create());
                fs::set_permissions(place.directory(), Permissions::from_mode(0o500)).unwrap();
                let result = place.options.create("new");
                fs::set_permissions(place.directory(), Permissions::from_mode(0o700)).unwrap();
                return assert_is!(result, Err(SegmentError::Permission { .. }));
            }
            // Root may write anywhere; its directory is given to one who may not.
            drop(place.create());
            support::give_away(place);
            fs::set_permissions(place.directory(), Permissions::from_mode(0o500)).unwrap();
            let mut other = Agent::spawn(place, "other-user", None);
            for what in ["create", "remove"] {
                let told = other.reply(what);
                assert!(told.starts_with("err Permission"), "{what}: {told}");
            }
            assert!(other.ended().success());
            support::take_back(place);
        },
    );
}
