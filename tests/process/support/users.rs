//! A second user, where root allows one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use super::Place;

/// The user that owns nothing.
pub const NOBODY: u32 = 65534;

/// Gives up root in this child process, for good.
pub fn become_nobody() {
    setgroups(&[]).unwrap();
    setgid(Gid::from_raw(NOBODY)).unwrap();
    setuid(Uid::from_raw(NOBODY)).unwrap();
    // A change of user takes this back.
    set_pdeathsig(Signal::SIGKILL).unwrap();
}

/// Makes the other user the owner of the place's segment directory and its files.
pub fn give_away(place: &Place) {
    own(place, NOBODY);
    // So that they get there.
    let above = place.directory().parent().unwrap().to_path_buf();
    fs::set_permissions(above, Permissions::from_mode(0o711)).unwrap();
}

/// Undoes [`give_away`].
pub fn take_back(place: &Place) {
    own(place, 0);
    fs::set_permissions(place.directory(), Permissions::from_mode(0o700)).unwrap();
}

fn own(place: &Place, user: u32) {
    for entry in fs::read_dir(place.directory()).unwrap() {
        chown(entry.unwrap().path(), Some(user), Some(user)).unwrap();
    }
    chown(place.directory(), Some(user), Some(user)).unwrap();
}
