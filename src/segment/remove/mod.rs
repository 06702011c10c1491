//! Removing a segment: one remover for each file at a time.
//!
//! No system call unlinks a name only if it still leads to a given file. A remover has to
//! read where the name leads and to unlink it then, and it may be stopped between the two
//! for any time. So each file has a *removers' byte* ([`REMOVERS_LOCK`]), and a process takes
//! the name away from a file only while it holds that byte of that file:
//!
//! ```text
//! look up   the name leads to file F, which is held open from here on
//! Take      the removers' byte of F; without force all life bytes of F in the same request
//! Mark      F as removed
//! Check     that the name still leads to F; if not, nothing is left to do
//! Unlink    the name
//! ```
//!
//! # Why no unlink takes the name of another file
//!
//! 1. *A file has the name during one interval at most.* Its creator links it once, before
//!    any other process can find it; the link fails with EEXIST while the name is taken.
//! 2. *Only a holder of the file's removers' byte ends the interval.* Every unlink of a
//!    segment's name is the step above: of [`remove`], with or without force, of
//!    [`remove_leftover`] for creators, and of [`take_back`]. (A temporary file's name begins
//!    with a dot, which no segment's name does, and is random.)
//! 3. So when Check finds that the name leads to F, it leads to F until the same holder
//!    unlinks it, however long that one is stopped: the byte is held for as long. F is held
//!    open, so no other file can have its inode number, and Check mistakes none for it.
//!
//! The pairs:
//! - *Two removers of one file* exclude each other. The second one's Check fails, whatever
//!   it had read before it had the byte.
//! - *Removers of different files* do not meet: the name leads to one file, and Check fails
//!   for the other.
//! - *Remover and creator*: the link fails before the unlink; after it the remover does not
//!   touch the name again.
//! - *Leftover path and creator, or remover*: the leftover path is a remover. Stopped after
//!   it has read the mark, it goes on with Take and Check like any other.
//! - *A remover killed at any step*: the kernel frees the byte. Before Mark nothing has
//!   happened; after Mark the segment is a leftover, which the next remover or creator
//!   finishes; after Unlink it is done. The mark is never taken back, so each step may be
//!   repeated by any number of others.
//! - *Remover and attacher*: without force, Mark comes while all life bytes are held. An
//!   attacher that has its byte before makes Take fail; one that has it after sees the mark.
//! - *A person's `rm` or `mv`* takes no byte. If it comes while a remover is stopped
//!   between Check and Unlink, and a new segment is made then, the remover takes the name
//!   of the new one; its processes go on by themselves, as after a removal by force. `ebbtide
//!   rm --force` does what a bare `rm` does, and cannot lead to this.
//!
//! `segment/tests/removal_search.rs` searches all states of this protocol, driven by the same
//! [`Step::next`], with removers and creators stopped and killed at every step.
//!
//! # Who holds the byte
//!
//! A byte lock belongs to the open file description. It is also mapped here (the header,
//! where the file has one), so that it lasts when other code of this process closes or
//! replaces the descriptor between two steps. Not on overlayfs, where a mapping holds the
//! file below and not the description. Children do not inherit it: the descriptor
//! is a [`PrivateFile`], the mapping is kept from them. A child that was made without fork
//! handlers (a raw `clone`) has a copy of the descriptor; if the remover is killed then, the
//! byte stays held until that child ends, too.
//!
//! The holder notes its identity in the header before it acts. A process that finds the byte
//! held tries again for a second, then returns `InUse` with that identity. The words are
//! advice: a holder that is stopped between Take and the note is not known, and what a killed
//! one left there is not reported, as no such process exists.

mod holder;

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::SegmentError;
use crate::limits::{MAX_PROCESSES, WAIT_BOUND_MICROS};
use crate::os::file::{REMOVERS_LOCK, first_held_by_other, try_lock_range, unlock_range};
use crate::os::fork::PrivateFile;
use crate::segment::directory::Directory;
use crate::segment::header::{HEADER_BYTES, Header, Identity, Remover};
use crate::segment::inode::{Inode, not_found};
use crate::segment::map::{Nothing, Unverified};
use crate::segment::name::SegmentName;
use crate::segment::open::{Options, stale};
use crate::segment::refused;
use holder::{being_removed, own_identity};

/// How long a remover waits for another one of the same file, which needs a few system
/// calls, before it reports that one.
const PATIENCE: Duration = Duration::from_micros(WAIT_BOUND_MICROS);

/// Pause between two tries. The kernel has a wait for a byte lock, but none that ends by
/// itself.
const PAUSE: Duration = Duration::from_millis(1);

/// The life bytes and the removers' byte before them.
const ALL_BYTES: u64 = 1 + MAX_PROCESSES as u64;

/// Removes a segment. Works on whatever regular file of this user has the name:
/// torn ones, other layouts, other boots.
///
/// It takes the removers' byte and all life bytes at once, which shows that nobody is
/// attached and keeps attachers out; marks the header, so that a process that has opened the
/// file but not attached yet detects that; and unlinks the name. With `force` it continues
/// although processes are attached. That the name was taken away by another
/// meanwhile is no error.
///
/// Returns how many bytes that freed (while processes still map the file: will free); `None`
/// if another remover took the name away.
///
/// Without `force`, `is_in_use` is asked once while the bytes are held: a process that has
/// lost its life byte keeps no remover off by it, but may live.
///
/// With `only` it removes the segment of that identity and no other one of the name.
///
/// # Errors
/// With `only`, `Stale` when the name leads to another segment or to nothing.
/// `InUse` with an empty list (the caller knows whom to name), or with the remover that has
/// not finished within a second; `NotFound`, `Directory`, `ForeignOwner`, `NotRegular`,
/// `Permission`, `Io`.
pub(crate) fn remove(
    name: &SegmentName,
    options: &Options,
    force: bool,
    only: Option<Identity>,
    is_in_use: impl Fn(Identity) -> bool,
) -> Result<Option<u64>, SegmentError> {
    let absent = |error| match error {
        SegmentError::NotFound { .. } if only.is_some() => stale(name),
        error => error,
    };
    let path = options.path()?;
    let Some(directory) = Directory::existing(&path)? else {
        return Err(absent(not_found(name, path.join(name.as_str()))));
    };
    let inode = Inode::look_up(&directory, name).map_err(absent)?;
    let freed = inode.freed();
    let removal = Removal::begin(&directory, name, inode, force)?;
    // The header is of the inode that is removed.
    if only.is_some() && removal.header().map(Header::identity) != only {
        return Err(stale(name));
    }
    Ok(removal.run(is_in_use)?.then_some(freed))
}

/// Removes a segment again that its creator could not attach to, unless another process has
/// by now. As far as that can be done: it is nothing but an empty segment.
pub(crate) fn take_back(name: &SegmentName, options: &Options, made: Identity) {
    let remove = || {
        let directory = Directory::existing(&options.path()?)?;
        let Some(directory) = directory else {
            return Ok(());
        };
        let inode = Inode::look_up(&directory, name)?;
        let removal = Removal::begin(&directory, name, inode, false)?;
        if removal.header().map(Header::identity) == Some(made) {
            removal.run(|_| false)?;
        }
        Ok::<_, SegmentError>(())
    };
    let _ = remove();
}

/// Finishes the removal of a segment that is marked as removed but still has its
/// name, because its remover was killed in between. `true` if the name is free now,
/// `false` if it leads to a segment that is not marked, or to something else.
///
/// Processes that are attached do not matter: the mark says that they lose the name.
///
/// # Errors
/// As [`remove`]; `InUse` only with a remover.
pub(super) fn remove_leftover(
    directory: &Directory,
    name: &SegmentName,
) -> Result<bool, SegmentError> {
    let inode = match Inode::look_up(directory, name) {
        Err(SegmentError::NotFound { .. }) => return Ok(true),
        inode => inode?,
    };
    if inode.check_owner_and_kind().is_err() {
        return Ok(false);
    }
    let removal = Removal::begin(directory, name, inode, true)?;
    if !removal.header().is_some_and(Header::is_removed) {
        return Ok(false);
    }
    removal.run(|_| false).map(|_| true)
}

/// The steps of a removal. A process may be stopped or killed before each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    /// Takes the bytes, if they are to be had.
    Take,
    Mark,
    /// Reads whether the name leads to the file.
    Check,
    Unlink,
    Over,
}

impl Step {
    /// The step after this one, which had the result `done`: bytes taken, name leads there.
    pub(super) const fn next(self, done: bool) -> Self {
        match (self, done) {
            (Self::Take, false) => Self::Take,
            (Self::Take, true) => Self::Mark,
            (Self::Mark, _) => Self::Check,
            (Self::Check, true) => Self::Unlink,
            (Self::Check, false) | (Self::Unlink | Self::Over, _) => Self::Over,
        }
    }
}

/// One removal under way. Dropping it gives the bytes back.
pub(super) struct Removal<'a> {
    directory: &'a Directory,
    name: &'a SegmentName,
    inode: Inode,
    force: bool,
    step: Step,
    /// Read first: the note follows Take at once.
    own: Remover,
    /// Home of the byte locks.
    locks: PrivateFile,
    /// Through the same open file description. `None` where the file has no header that
    /// some release of ebbtide wrote. The words used here are at the same place in every
    /// layout.
    mapped: Option<Unverified<Nothing>>,
}

impl<'a> Removal<'a> {
    /// Opens the file and changes nothing.
    ///
    /// # Errors
    /// `ForeignOwner`, `NotRegular`, `Permission`, `Io`.
    pub(super) fn begin(
        directory: &'a Directory,
        name: &'a SegmentName,
        inode: Inode,
        force: bool,
    ) -> Result<Self, SegmentError> {
        inode.check_owner_and_kind()?;
        let fail = |operation| {
            let path = inode.path();
            move |error: io::Error| refused(operation, path, error)
        };
        let locks = PrivateFile::open(|| inode.reopen(true)).map_err(fail("open"))?;
        let reader = inode.reopen(false).map_err(fail("open"))?;
        let mapped = if inode.len() >= HEADER_BYTES as u64 && inode.has_magic(&reader)? {
            let descriptor = locks.descriptor().ok_or(SegmentError::ForkedHandle)?;
            let mapped = Unverified::map(descriptor).map_err(fail("map"))?;
            mapped.keep_from_children().map_err(fail("map"))?;
            // A mapping of another file, if the descriptor was replaced before.
            if !inode.is_of(descriptor) {
                return Err(fail("map")(Errno::EBADF.into()));
            }
            Some(mapped)
        } else {
            None
        };
        Ok(Self {
            directory,
            name,
            force,
            step: Step::Take,
            own: own_identity(),
            locks,
            mapped,
            inode,
        })
    }

    fn header(&self) -> Option<&Header> {
        self.mapped.as_ref().map(Unverified::header)
    }

    /// All steps; waits for another remover of this file, for a second at most. `true` if
    /// this one took the name away.
    fn run(mut self, is_in_use: impl Fn(Identity) -> bool) -> Result<bool, SegmentError> {
        let until = Instant::now() + PATIENCE;
        let mut is_mine = false;
        while self.step()? != Step::Over {
            is_mine |= self.step == Step::Unlink;
            if self.step == Step::Mark
                && !self.force
                && self.header().is_some_and(|it| is_in_use(it.identity()))
            {
                return Err(self.in_use());
            }
            if self.step != Step::Take {
                continue;
            }
            if !self.is_named()? {
                // The other one has finished, but for giving the byte back.
                break;
            }
            if Instant::now() >= until {
                return Err(being_removed(self.name, self.header()));
            }
            thread::sleep(PAUSE);
        }
        Ok(is_mine)
    }

    /// Does the next step and returns the one after it.
    ///
    /// # Errors
    /// `InUse` with an empty list; the system refuses to lock or to unlink.
    pub(super) fn step(&mut self) -> Result<Step, SegmentError> {
        let done = match self.step {
            Step::Take => self.take()?,
            Step::Mark => {
                if let Some(header) = self.header() {
                    header.mark_removed();
                }
                true
            }
            Step::Check => self.is_named()?,
            Step::Unlink => self.unlink().map(|()| true)?,
            Step::Over => true,
        };
        self.step = self.step.next(done);
        Ok(self.step)
    }

    /// Takes the bytes; `false` when another remover has them.
    fn take(&self) -> Result<bool, SegmentError> {
        let fail = |error: io::Error| refused("lock", self.inode.path(), error);
        let descriptor = self.locks.descriptor().ok_or(SegmentError::ForkedHandle)?;
        let bytes = if self.force { 1 } else { ALL_BYTES };
        if try_lock_range(descriptor, REMOVERS_LOCK, bytes).map_err(fail)? {
            if let Some(header) = self.header() {
                header.note_remover(self.own);
            }
            if self.inode.is_of(descriptor) {
                return Ok(true);
            }
            // Set on another file by its number; it lies beyond the contents of any file.
            let _ = unlock_range(descriptor, REMOVERS_LOCK, bytes);
            if let Some(header) = self.header() {
                header.forget_remover();
            }
            return Err(fail(Errno::EBADF.into()));
        }
        match first_held_by_other(descriptor, REMOVERS_LOCK, bytes).map_err(fail)? {
            // Life bytes alone are a process's own: one is attached.
            Some(byte) if byte != REMOVERS_LOCK && self.is_named()? => Err(self.in_use()),
            _ => Ok(false),
        }
    }

    fn in_use(&self) -> SegmentError {
        SegmentError::InUse {
            name: self.name.to_string(),
            attached: Vec::new(),
            remover: None,
        }
    }

    fn is_named(&self) -> Result<bool, SegmentError> {
        self.inode
            .is_still_named(self.directory, self.name.as_str())
    }

    fn unlink(&self) -> Result<(), SegmentError> {
        match unlinkat(
            self.directory,
            self.name.as_str(),
            UnlinkatFlags::NoRemoveDir,
        ) {
            // ENOENT: a person's `rm`.
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(refused("remove", self.inode.path(), error)),
        }
    }
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        // Before the bytes are given back: after that the words are the next one's.
        if self.step > Step::Take
            && let Some(header) = self.header()
        {
            header.forget_remover();
        }
    }
}
