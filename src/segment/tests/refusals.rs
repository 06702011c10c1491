//! Every way in which a file can be refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};

use super::*;

#[test]
fn what_does_not_exist_is_not_found_and_nothing_is_made() {
    let place = Place::new();
    assert!(matches!(place.open(), Err(SegmentError::NotFound { .. })));
    assert!(matches!(
        place.observe(),
        Err(SegmentError::NotFound { .. })
    ));
    assert!(matches!(
        place.remove(true),
        Err(SegmentError::NotFound { .. })
    ));
    assert!(!place.options.path().unwrap().exists());
    place.directory();
    assert!(matches!(place.open(), Err(SegmentError::NotFound { .. })));
    assert!(matches!(
        place.remove(false),
        Err(SegmentError::NotFound { .. })
    ));
}

#[test]
fn only_regular_files_are_opened() {
    let place = Place::new();
    let path = place.path();
    let not_regular = is!(SegmentError::NotRegular { .. });
    type Make = fn(&Path);
    let kinds: [(&str, Make); 3] = [
        ("named pipe", |path| {
            mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap()
        }),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("symbolic link", |path| {
            symlink("/etc/passwd", path).unwrap()
        }),
    ];
    for (kind, make) in kinds {
        make(&path);
        place.expect(not_regular);
        assert!(place.open().unwrap_err().to_string().contains(kind));
        assert!(matches!(
            place.remove(true),
            Err(SegmentError::NotRegular { .. })
        ));
        assert!(matches!(place.create(), Err(SegmentError::Exists { .. })));
        fs::rename(&path, path.with_extension(kind.replace(' ', "-"))).unwrap();
    }
    // A link to a true segment is none either.
    drop(place.create().unwrap());
    symlink(place.name.as_str(), place.directory().path().join("alias")).unwrap();
    let alias = SegmentName::new("alias").unwrap();
    assert!(matches!(
        open::<Words>(&alias, &place.options),
        Err(SegmentError::NotRegular { .. })
    ));
}

#[test]
fn another_size_is_refused() {
    let place = Place::with_segment();
    let whole = place.file().metadata().unwrap().len();
    for length in [0, 1, 4095, 4096, whole - 1, whole + 1, whole * 2] {
        place.file().set_len(length).unwrap();
        place.expect(is!(SegmentError::Size { .. }));
    }
    // The right size again, but torn: the head is gone.
    place.file().set_len(0).unwrap();
    place.file().set_len(whole).unwrap();
    place.expect(is!(SegmentError::Magic { .. }));
    place.remove(false).unwrap();
}

#[test]
fn holes_are_filled_before_use() {
    let place = Place::with_segment();
    let whole = place.file().metadata().unwrap().len();
    place.file().set_len(4096).unwrap();
    place.file().set_len(whole).unwrap();
    assert!(place.file().metadata().unwrap().blocks() * 512 < whole);
    place.open().unwrap();
    assert!(place.file().metadata().unwrap().blocks() * 512 >= whole);
}

#[test]
fn foreign_headers_are_refused_in_order() {
    let place = Place::with_segment();
    place.overwrite(0, is!(SegmentError::Magic { .. }));
    place.overwrite(8, is!(SegmentError::Layout { .. }));
    place.overwrite(32, is!(SegmentError::Layout { .. }));
    place.overwrite(40, is!(SegmentError::Layout { .. }));
    place.overwrite(48, is!(SegmentError::Boot { .. }));
    assert!(matches!(
        open::<Others>(&place.name, &place.options),
        Err(SegmentError::Layout { .. })
    ));
    // All of them can be removed.
    place.file().write_all_at(&[1], 8).unwrap();
    place.remove(false).unwrap();
    assert!(matches!(place.open(), Err(SegmentError::NotFound { .. })));
}

#[test]
fn open_permissions_are_refused_unless_allowed() {
    let mut place = Place::with_segment();
    fs::set_permissions(place.path(), Permissions::from_mode(0o666)).unwrap();
    place.expect(is!(SegmentError::Mode {
        mode: 0o666,
        allowed: 0o600,
        ..
    }));
    place.options.mode = 0o666;
    place.open().unwrap();
    place.remove(false).unwrap();
    place.options.mode = 0o640;
    let made = place.create().unwrap();
    assert_eq!(
        fs::metadata(made.path()).unwrap().permissions().mode() & 0o7777,
        0o640
    );
}

#[test]
fn files_of_other_users_are_refused_and_kept() {
    if !geteuid().is_root() {
        return println!("not tested: only root can give files away");
    }
    let place = Place::with_segment();
    std::os::unix::fs::chown(place.path(), Some(65534), None).unwrap();
    place.expect(is!(SegmentError::ForeignOwner { owner: 65534, .. }));
    assert!(matches!(
        place.remove(true),
        Err(SegmentError::ForeignOwner { .. })
    ));
    assert!(place.path().exists());
}

#[test]
fn a_full_file_system_is_an_error_at_creation() {
    if !geteuid().is_root() {
        return println!("not tested: only root can mount a tmpfs");
    }
    let root = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"])
        .arg(root.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return println!("not tested: mount refused");
    }
    let options = Options {
        directory: Some(root.path().to_path_buf()),
        ..Options::default()
    };
    let name = SegmentName::new("big").unwrap();
    let result = create::<Words>(&name, &options).map(drop);
    let left = fs::read_dir(root.path()).unwrap().count();
    assert!(
        Command::new("umount")
            .arg(root.path())
            .status()
            .unwrap()
            .success()
    );
    match result {
        Err(SegmentError::NoSpace { bytes, .. }) => assert!(bytes > 128 * 1024),
        other => panic!("{other:?}"),
    }
    assert_eq!(left, 0);
}

#[test]
fn refusals_of_the_system_are_named() {
    let place = Place::with_segment();
    if geteuid().is_root() {
        println!("permissions not tested: root has them all");
    } else {
        let directory = place.directory().path().to_path_buf();
        fs::set_permissions(&directory, Permissions::from_mode(0o500)).unwrap();
        let other = SegmentName::new("other").unwrap();
        let result = create::<Words>(&other, &place.options).map(drop);
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
        assert!(
            matches!(result, Err(SegmentError::Permission { .. })),
            "{result:?}"
        );
        fs::set_permissions(place.path(), Permissions::from_mode(0o000)).unwrap();
        place.expect(is!(SegmentError::Permission { .. }));
    }
}
