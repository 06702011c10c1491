//! A page that driver, victim and survivor share besides the segment: what a victim was
//! doing when it died, kept where its death cannot spoil it and the library cannot see it.
#![allow(unsafe_code)]

use std::fs::File;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// Plain words; all-zero is the first state.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Board {
    /// 1 while somebody is between "the lock is mine" and "I give it back".
    inside: AtomicU32,
    /// Who that is, as far as it has said so.
    owner: AtomicU64,
    /// Entries that met somebody else inside and were not told of a death.
    clashes: AtomicU32,
    /// The twins' spin lock.
    pub spin: AtomicU32,
    /// The twins' three values, written one after the other.
    pub values: [AtomicU64; 3],
    /// The last generation of which it was answered that all of it are gone.
    pub gone: AtomicU64,
    /// 1 if one was stopped while it began a generation: then the group may already bear the
    /// number of the next one.
    pub renewing: AtomicU32,
    /// How often the resource of a stopped process was closed.
    pub closed: AtomicU32,
}

impl Board {
    /// A new page, for this process and all that it forks from now on.
    pub fn new() -> &'static Self {
        let file: File = tempfile::tempfile().expect("a temporary file");
        file.set_len(4096).expect("a page");
        let page: MmapRaw = MmapOptions::new().len(4096).map_raw(&file).expect("mapped");
        let words = page.as_mut_ptr().cast::<Self>();
        // It stays mapped as long as the process lives.
        std::mem::forget(page);
        // SAFETY:
        // - the mapping is 4096 bytes, page-aligned, readable and writable, and never unmapped;
        // - all-zero bytes are a valid Board, which is made of atomics only, so that other
        //   processes may write it at any time;
        // - the file has no name and keeps its size: nobody truncates it.
        unsafe { &*words }
    }

    /// After the lock was taken. `told`: the previous owner died.
    pub fn enter(&self, told: bool) {
        if self.inside.swap(1, Ordering::AcqRel) != 0 && !told {
            self.clashes.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The same for a thread that says which one it is.
    pub fn enter_as(&self, told: bool, owner: u64) {
        self.enter(told);
        self.owner.store(owner, Ordering::Release);
    }

    /// Before such a thread gives the lock back: it must be the one that is inside.
    pub fn leave_as(&self, owner: u64) {
        let is_its_own = self.owner.swap(0, Ordering::AcqRel) == owner;
        if self.inside.swap(0, Ordering::AcqRel) == 0 || !is_its_own {
            self.clashes.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Before the lock is given back.
    pub fn leave(&self) {
        self.inside.store(0, Ordering::Release);
    }

    /// Whether mutual exclusion or the news of a death was missed so far; forgets it.
    pub fn take_clashes(&self) -> u32 {
        self.clashes.swap(0, Ordering::AcqRel)
    }

    /// Everything back to the first state.
    pub fn clear(&self) {
        self.leave();
        self.owner.store(0, Ordering::Release);
        self.take_clashes();
        self.spin.store(0, Ordering::Release);
        for value in self.values.iter().chain([&self.gone]) {
            value.store(0, Ordering::Release);
        }
        self.closed.store(0, Ordering::Release);
        self.renewing.store(0, Ordering::Release);
    }
}
