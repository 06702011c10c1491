//! What the service manager is told, and when: a function of what was seen and of what it
//! was told before.

use std::fmt::Write;

use crate::phase::Phase;

/// What the service manager gives a process that has ended in time to be gone, in
/// microseconds: leaving, the destructors, the exit.
const MARGIN: u64 = 5_000_000;
/// Other runners named in a status.
const NAMED: usize = 3;

/// One look at a runner.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) now: u64,
    pub(super) phase: Phase,
    /// When the shutdown is over at the latest, while one is on.
    pub(super) deadline: Option<u64>,
    pub(super) in_flight: u32,
    pub(super) progress: u64,
    /// What it says that it is doing; empty for nothing.
    pub(super) activity: String,
    /// The others who hold the phase up.
    pub(super) laggards: Vec<String>,
}

/// What is to be fed, and by what sign of life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feeding {
    /// Microseconds between two feedings: half of what the manager allows.
    pub(super) period: u64,
    /// Whether work in flight has to show progress.
    pub(super) needs_progress: bool,
}

/// What the manager knows.
#[derive(Debug, Default)]
pub(super) struct Words {
    is_ready: bool,
    is_stopping: bool,
    status: String,
    deadline: Option<u64>,
    /// When it was fed, and where the progress counter stood then.
    fed: Option<(u64, u64)>,
}

impl Words {
    /// What is to be said now, if anything; and what is known once it is said.
    pub(super) fn next(&self, seen: &Seen, feeding: Option<Feeding>) -> Option<(String, Self)> {
        let mut text = String::new();
        // Writing to a string cannot fail; so also below.
        let mut say = |line: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{line}");
        };
        let is_ready = self.is_ready || seen.phase == Phase::Running;
        if is_ready && !self.is_ready {
            say(format_args!("READY=1"));
        }
        // The manager never takes this back, and until here the shutdown can be called off.
        let is_stopping = self.is_stopping || seen.phase >= Phase::Closing;
        if is_stopping && !self.is_stopping {
            say(format_args!("STOPPING=1"));
        }
        let status = status(seen);
        // Again and again: it counts for the state that the unit is in when it is said, and
        // nobody tells us when the manager begins to stop the unit.
        if let Some(deadline) = seen.deadline
            && (self.deadline != seen.deadline || status != self.status)
        {
            let left = deadline.saturating_sub(seen.now).saturating_add(MARGIN);
            say(format_args!("EXTEND_TIMEOUT_USEC={left}"));
        }
        if status != self.status {
            say(format_args!("STATUS={status}"));
        }
        let fed = match feeding {
            Some(feeding) if self.is_due(seen, feeding) => {
                say(format_args!("WATCHDOG=1"));
                Some((seen.now, seen.progress))
            }
            _ => self.fed,
        };
        (!text.is_empty()).then_some((
            text,
            Self {
                is_ready,
                is_stopping,
                status,
                deadline: seen.deadline,
                fed,
            },
        ))
    }

    fn is_due(&self, seen: &Seen, feeding: Feeding) -> bool {
        let Some((at, progress)) = self.fed else {
            return true;
        };
        let is_well = !feeding.needs_progress || seen.in_flight == 0 || seen.progress != progress;
        seen.now >= at.saturating_add(feeding.period) && is_well
    }

    /// When the next look is due for the watchdog's sake. A stalled runner is looked at
    /// again and again: its progress wakes nobody.
    pub(super) fn next_feeding(&self, now: u64, feeding: Option<Feeding>) -> u64 {
        let Some(feeding) = feeding else {
            return u64::MAX;
        };
        let due = self
            .fed
            .map_or(now, |(at, _)| at.saturating_add(feeding.period));
        due.max(now.saturating_add(feeding.period / 4).saturating_add(1))
    }
}

fn status(seen: &Seen) -> String {
    let mut text = seen.phase.to_string();
    let Some(deadline) = seen.deadline else {
        return text;
    };
    if seen.in_flight > 0 {
        let _ = write!(text, ", {} in flight", seen.in_flight);
    }
    if !seen.activity.is_empty() {
        let _ = write!(text, ", {}", seen.activity);
    }
    let seconds = deadline.saturating_sub(seen.now) / 1_000_000;
    let _ = write!(text, ", {seconds} s left");
    if !seen.laggards.is_empty() {
        let named = seen.laggards.len().min(NAMED);
        let _ = write!(text, "; waiting for {}", seen.laggards[..named].join(", "));
        let more = seen.laggards.len() - named;
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
    }
    // Lines are what the protocol is made of.
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEEDING: Option<Feeding> = Some(Feeding {
        period: 500_000,
        needs_progress: true,
    });

    fn running(now: u64) -> Seen {
        Seen {
            now,
            phase: Phase::Running,
            deadline: None,
            in_flight: 0,
            progress: 0,
            activity: String::new(),
            laggards: Vec::new(),
        }
    }

    fn said(words: &mut Words, seen: &Seen, feeding: Option<Feeding>) -> String {
        match words.next(seen, feeding) {
            Some((text, next)) => {
                *words = next;
                text
            }
            None => String::new(),
        }
    }

    #[test]
    fn each_thing_is_said_once_and_stopping_only_when_there_is_no_way_back() {
        let mut words = Words::default();
        assert_eq!(
            said(&mut words, &running(0), None),
            "READY=1\nSTATUS=running\n"
        );
        assert_eq!(said(&mut words, &running(1), None), "");
        let draining = Seen {
            phase: Phase::Draining,
            deadline: Some(30_000_000),
            in_flight: 2,
            activity: "a\nb".into(),
            laggards: ["w", "x", "y", "z"].map(String::from).into(),
            ..running(10_000_000)
        };
        assert_eq!(
            said(&mut words, &draining, None),
            "EXTEND_TIMEOUT_USEC=25000000\n\
             STATUS=draining, 2 in flight, a b, 20 s left; waiting for w, x, y and 1 more\n"
        );
        assert_eq!(said(&mut words, &draining, None), "");
        // Called off, and begun anew with the same deadline.
        assert_eq!(
            said(&mut words, &running(11_000_000), None),
            "STATUS=running\n"
        );
        assert!(said(&mut words, &draining, None).starts_with("EXTEND_TIMEOUT_USEC="));
        // Extended.
        let extended = Seen {
            deadline: Some(40_000_000),
            ..draining.clone()
        };
        assert!(said(&mut words, &extended, None).starts_with("EXTEND_TIMEOUT_USEC=35000000\n"));
        // A second later: what is left now, as the unit may be being stopped since.
        let later = Seen {
            now: extended.now + 1_000_000,
            ..extended.clone()
        };
        assert!(
            said(&mut words, &later, None).starts_with("EXTEND_TIMEOUT_USEC=34000000\nSTATUS=")
        );
        assert_eq!(said(&mut words, &later, None), "");
        let closing = Seen {
            phase: Phase::Closing,
            ..extended
        };
        let expected = "STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000\nSTATUS=closing";
        assert!(said(&mut words, &closing, None).starts_with(expected));
        let complete = Seen {
            phase: Phase::Complete,
            ..running(12_000_000)
        };
        assert_eq!(said(&mut words, &complete, None), "STATUS=complete\n");
    }

    #[test]
    fn the_watchdog_is_fed_while_idle_or_making_progress_and_not_more_often_than_asked() {
        let mut words = Words::default();
        let is_fed = |words: &mut Words, seen: &Seen, feeding| {
            said(words, seen, feeding).contains("WATCHDOG=1\n")
        };
        assert!(is_fed(&mut words, &running(0), FEEDING));
        assert!(!is_fed(&mut words, &running(499_999), FEEDING));
        assert!(is_fed(&mut words, &running(500_000), FEEDING));
        let busy = |now, progress| Seen {
            in_flight: 1,
            progress,
            ..running(now)
        };
        assert!(
            !is_fed(&mut words, &busy(1_000_000, 0), FEEDING),
            "it stalls"
        );
        assert_eq!(words.next_feeding(1_000_000, FEEDING), 1_125_001);
        assert!(is_fed(&mut words, &busy(1_100_000, 1), FEEDING), "it moved");
        assert_eq!(words.next_feeding(1_100_000, FEEDING), 1_600_000);
        assert!(
            !is_fed(&mut words, &busy(2_000_000, 1), FEEDING),
            "it stalls again"
        );
        assert!(
            is_fed(&mut words, &running(2_000_000), FEEDING),
            "idle again"
        );
        let blind = FEEDING.map(|feeding| Feeding {
            needs_progress: false,
            ..feeding
        });
        assert!(is_fed(&mut words, &busy(3_000_000, 1), blind));
        assert!(!is_fed(&mut words, &running(9_000_000), None));
        assert_eq!(words.next_feeding(0, None), u64::MAX);
    }
}
