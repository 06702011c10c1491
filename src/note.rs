//! Vocabulary of the journal: what is worth writing down, as plain numbers.
//!
//! The algorithms hand a [`Note`] to [`Env::note`](crate::sync::Env::note) and forget it;
//! nothing they decide reads one back.

/// What happened. The numbers are part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Argument: pid. Text: id.
    Joined = 1,
    /// Detail: what it said of itself.
    Left = 2,
    /// Counted out by the writer.
    Died = 3,
    /// Detail: mode and code. Argument: budget in ms. Text: reason.
    Initiated = 4,
    /// Detail: mode. Argument: budget in ms.
    Merged = 5,
    /// Detail: the mode now. Argument: the mode before.
    Escalated = 6,
    Cancelled = 7,
    /// Detail: the phase entered, FORCED. Argument: microseconds of the one before.
    Phase = 8,
    /// Detail: the phase done, LATE.
    Acknowledged = 9,
    /// Detail: phase. Text: name.
    HandlerStarted = 10,
    /// Detail: phase and how it ended. Argument: sequence of its start. Text: name.
    HandlerEnded = 11,
    /// Detail: the state now. Argument: index and generation. Text: name.
    Resource = 12,
    /// Argument: microseconds granted.
    Extended = 13,
    /// Argument: index of the lock. Text: its name.
    OwnerDied = 14,
    /// Detail: how many threads. Argument: index of the lock wanted. Text: its name.
    Deadlock = 15,
    /// Argument: index of the lock held, and of the one wanted. Text: name of the latter.
    LockOrder = 16,
    /// Argument: the new generation.
    Renewed = 17,
    /// The writer's process lost its life byte. Detail: [`REGAINED`] if it has it again.
    LockLost = 18,
}

impl Kind {
    /// How many numbers there are, 0 included.
    pub(crate) const COUNT: usize = 19;

    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Joined,
            2 => Self::Left,
            3 => Self::Died,
            4 => Self::Initiated,
            5 => Self::Merged,
            6 => Self::Escalated,
            7 => Self::Cancelled,
            8 => Self::Phase,
            9 => Self::Acknowledged,
            10 => Self::HandlerStarted,
            11 => Self::HandlerEnded,
            12 => Self::Resource,
            13 => Self::Extended,
            14 => Self::OwnerDied,
            15 => Self::Deadlock,
            16 => Self::LockOrder,
            17 => Self::Renewed,
            18 => Self::LockLost,
            _ => return None,
        })
    }

    /// Whether it is counted, too: what is rare, so that the count costs nobody.
    pub(crate) const fn is_rare(self) -> bool {
        !matches!(
            self,
            Self::Acknowledged
                | Self::HandlerStarted
                | Self::HandlerEnded
                | Self::Resource
                | Self::Left
                | Self::Joined
                | Self::LockLost
        )
    }
}

/// In a note's detail: it is of the runner's own shutdown, not of the group's.
pub(crate) const OWN: u8 = 1 << 7;
/// In the detail of a phase: somebody had not done the one before.
pub(crate) const FORCED: u8 = 1 << 6;
/// The detail of a lost lock that was taken again.
pub(crate) const REGAINED: u8 = 1;
/// In the detail of an acknowledgement: the phase had gone on.
pub(crate) const LATE: u8 = 1 << 6;

/// A runner slot, and the low bits of the holder's generation. The journal is advice: it
/// has room for no more, and a holder is taken for another one 65,536 claims of its slot
/// later, if a record of it is still in the ring then.
pub(crate) type RunnerKey = (u16, u16);

/// The key of a holder of a slot. Compare keys, not generations.
pub(crate) const fn runner_key(slot: usize, generation: u64) -> RunnerKey {
    (slot as u16, generation as u16)
}

/// The low bits of an epoch, which are all that the journal keeps of it; likewise.
pub(crate) const fn kept_epoch(epoch: u64) -> u64 {
    epoch & KEPT_EPOCH
}

/// The latest epoch of which this is kept, and which is not after `present`.
pub(crate) const fn epoch_before(kept: u64, present: u64) -> u64 {
    present.wrapping_sub(present.wrapping_sub(kept) & KEPT_EPOCH)
}

const KEPT_EPOCH: u64 = 0xff_ffff;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) kind: Kind,
    /// By kind.
    pub(crate) detail: u8,
    /// The runner that it is about.
    pub(crate) runner: Option<RunnerKey>,
    /// Thread slot of the thread that it is about.
    pub(crate) thread: Option<u16>,
    /// Of the scope that it is about; of a note that was read back, [what is
    /// kept](kept_epoch).
    pub(crate) epoch: u64,
    /// By kind.
    pub(crate) argument: u64,
    pub(crate) text: Short,
}

impl Note {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: 0,
            runner: None,
            thread: None,
            epoch: 0,
            argument: 0,
            text: Short::EMPTY,
        }
    }

    pub(crate) const fn detail(mut self, detail: u8) -> Self {
        self.detail = detail;
        self
    }

    pub(crate) const fn runner(mut self, slot: usize, generation: u64) -> Self {
        self.runner = Some(runner_key(slot, generation));
        self
    }

    pub(crate) const fn thread(mut self, slot: u16) -> Self {
        self.thread = Some(slot);
        self
    }

    pub(crate) const fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    pub(crate) const fn argument(mut self, argument: u64) -> Self {
        self.argument = argument;
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.text = Short::of(text);
        self
    }
}

/// The beginning of a text, and how long the whole was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) words: [u64; Self::WORDS],
    /// Bytes of the whole text, at most 255.
    pub(crate) length: u8,
}

impl Short {
    pub(crate) const WORDS: usize = 3;
    /// Bytes that are kept.
    pub(crate) const BYTES: usize = Self::WORDS * size_of::<u64>();
    pub(crate) const EMPTY: Self = Self {
        words: [0; Self::WORDS],
        length: 0,
    };

    pub(crate) fn of(text: &str) -> Self {
        let mut end = text.len().min(Self::BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let kept = &text.as_bytes()[..end];
        let mut words = [0; Self::WORDS];
        for (word, chunk) in words.iter_mut().zip(kept.chunks(size_of::<u64>())) {
            let mut raw = [0; size_of::<u64>()];
            raw[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(raw);
        }
        Self {
            words,
            length: u8::try_from(text.len()).unwrap_or(u8::MAX),
        }
    }

    /// The text, with an ellipsis if it was cut. Whatever the bytes are, a short string.
    pub(crate) fn read(&self) -> String {
        let bytes: Vec<u8> = self.words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0);
        let length = usize::from(self.length);
        let kept = &bytes[..end.unwrap_or(bytes.len()).min(length)];
        let mut text = String::from_utf8_lossy(kept).into_owned();
        if length > Self::BYTES {
            text.push('…');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_come_back_and_long_ones_show_that_they_were_cut() {
        assert_eq!(Short::of("").read(), "");
        assert_eq!(Short::of("flush-cache").read(), "flush-cache");
        let full = "abcdefghijklmnopqrstuvwx";
        assert_eq!(full.len(), Short::BYTES);
        assert_eq!(Short::of(full).read(), full);
        assert_eq!(Short::of(&format!("{full}y")).read(), format!("{full}…"));
        // Cut before a character that does not fit, not within it.
        let wide = "abcdefghijklmnopqrstuvwé and more";
        assert_eq!(Short::of(wide).read(), "abcdefghijklmnopqrstuvw…");
        assert_eq!(Short::of(&"x".repeat(300)).length, u8::MAX);
    }

    #[test]
    fn strange_bytes_are_a_short_string() {
        let strange = Short {
            words: [u64::MAX; 3],
            length: 200,
        };
        assert!(strange.read().chars().count() <= Short::BYTES + 1);
    }

    #[test]
    fn an_epoch_is_found_again_by_what_is_kept_of_it() {
        let present = 0x12_3400_0005;
        for before in [0, 5, 6, 0xff_ffff] {
            let epoch = present - before;
            assert_eq!(epoch_before(kept_epoch(epoch), present), epoch);
        }
        assert_eq!(
            epoch_before(kept_epoch(present - 0x100_0000), present),
            present
        );
        assert_eq!(runner_key(3, 0x1_0007), (3, 7));
    }

    #[test]
    fn kinds_are_their_numbers() {
        for bits in 0..=u8::MAX {
            match Kind::from_bits(bits) {
                Some(kind) => assert_eq!(kind as u8, bits),
                None => assert!(bits == 0 || usize::from(bits) >= Kind::COUNT),
            }
        }
    }
}
