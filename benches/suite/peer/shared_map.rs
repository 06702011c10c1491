//! The map that one would write oneself: slots in shared memory behind one robust mutex.

use std::cell::UnsafeCell;

use crate::raw::pthread;

const SLOTS: usize = 64;
const KEY: usize = 64;
const VALUE: usize = 1024;

/// A key and its value; a slot without a key is free.
#[repr(C)]
struct Slot {
    key_length: usize,
    key: [u8; KEY],
    length: usize,
    value: [u8; VALUE],
}

/// All zero, and made once.
#[repr(C)]
pub struct SharedMap {
    mutex: pthread::Mutex,
    /// Under the mutex.
    slots: UnsafeCell<[Slot; SLOTS]>,
}

// SAFETY: the slots are accessed only by the holder of the mutex.
unsafe impl Sync for SharedMap {}

impl SharedMap {
    pub fn make(&self) {
        self.mutex.make(true);
    }

    fn with<T>(&self, look: impl FnOnce(&mut [Slot; SLOTS]) -> T) -> T {
        self.mutex.lock();
        // SAFETY: the mutex is held until the reference is gone; any bytes are a Slot.
        let answer = look(unsafe { &mut *self.slots.get() });
        self.mutex.unlock();
        answer
    }

    pub fn get(&self, key: &[u8], into: &mut Vec<u8>) -> bool {
        self.with(|slots| {
            let Some(slot) = find(slots, key).filter(|slot| slot.key_length != 0) else {
                return false;
            };
            into.clear();
            into.extend_from_slice(&slot.value[..slot.length]);
            true
        })
    }

    pub fn set_all(&self, keys: &[&[u8]], value: &[u8]) {
        self.with(|slots| {
            for key in keys {
                let slot = find(slots, key).expect("there is room");
                slot.key[..key.len()].copy_from_slice(key);
                slot.key_length = key.len();
                slot.value[..value.len()].copy_from_slice(value);
                slot.length = value.len();
            }
        });
    }

    /// Several values of one moment.
    pub fn get_all(&self, keys: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        self.with(|slots| {
            let one = |key: &&[u8]| {
                let slot = find(slots, key).filter(|slot| slot.key_length != 0)?;
                Some(slot.value[..slot.length].to_vec())
            };
            keys.iter().map(one).collect()
        })
    }
}

/// The slot of a key, or the first free one on its way.
fn find<'a>(slots: &'a mut [Slot; SLOTS], key: &[u8]) -> Option<&'a mut Slot> {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let first = hash as usize % SLOTS;
    let place = (first..SLOTS).chain(0..first).find(|place| {
        let slot = &slots[*place];
        slot.key_length == 0 || slot.key.get(..slot.key_length) == Some(key)
    });
    place.map(|place| &mut slots[place])
}
