//! How many connections there are at once, and who has to go when a further one comes.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long one who was shown out, or is answered already, is waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// So many at once. One that has not asked yet makes room for the next.
pub struct Doors {
    most: usize,
    rooms: Mutex<Rooms>,
    /// Somebody has left.
    left: Condvar,
}

#[derive(Default)]
struct Rooms {
    open: usize,
    next: u64,
    /// Those that have said nothing yet, the oldest first.
    silent: VecDeque<(u64, TcpStream)>,
}

/// One that is in; it leaves when this is dropped.
pub struct Guest<'d> {
    doors: &'d Doors,
    number: u64,
}

impl Doors {
    pub fn new(most: usize) -> Self {
        Self {
            most,
            rooms: Mutex::default(),
            left: Condvar::new(),
        }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one in; if all rooms are taken, at the cost of whoever has been silent for
    /// longest. `None` if all the others are being answered.
    pub fn enter(&self, stream: &TcpStream) -> Option<Guest<'_>> {
        let mut rooms = self.rooms();
        if rooms.open >= self.most {
            if let Some((_, silent)) = rooms.silent.pop_front() {
                // Its thread reads the end of it, and goes.
                let _ = silent.shutdown(Shutdown::Both);
            }
            let is_full = |rooms: &mut Rooms| rooms.open >= self.most;
            let waited = self.left.wait_timeout_while(rooms, PATIENCE, is_full);
            rooms = waited.unwrap_or_else(PoisonError::into_inner).0;
            if rooms.open >= self.most {
                return None;
            }
        }
        let number = rooms.next;
        rooms.next += 1;
        // One that cannot be shown out has its time, like all.
        if let Ok(stream) = stream.try_clone() {
            rooms.silent.push_back((number, stream));
        }
        rooms.open += 1;
        Some(Guest {
            doors: self,
            number,
        })
    }
}

impl Guest<'_> {
    /// From here on it is not shown out.
    pub fn has_asked(&self) {
        let mut rooms = self.doors.rooms();
        rooms.silent.retain(|(number, _)| *number != self.number);
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let mut rooms = self.doors.rooms();
        rooms.silent.retain(|(number, _)| *number != self.number);
        rooms.open -= 1;
        drop(rooms);
        self.doors.left.notify_all();
    }
}
