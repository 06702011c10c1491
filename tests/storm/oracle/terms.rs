//! Initiations: the terms of a shutdown are those of one initiator, and they last.
//!
//! - *Of one*: each initiator names itself in the text of its reason. The pid that the
//!   library reports beside the text must be that of the same process. A pid of zero or an
//!   empty text says nothing: an initiator may be killed before it has written it.
//! - *They last*, in patient rounds: all initiators ask for the same budget and the same
//!   shares, which are not the default ones, and a generation has one shutdown. The time
//!   that has passed and the time that remains for the phase add up to what the shares
//!   give it, and what extensions added; or to what the default shares give it, as long as
//!   the first initiator has not written its terms, for it may be stopped or killed there.
//!   Once the full terms were seen, the default ones are never seen again in that
//!   generation: *seen* is read before the status is asked for.
//! - *They last*, where shutdowns are initiated and cancelled as fast as possible
//!   ([`watch`]): an initiator that drives a shutdown asks for the status at an instant `t`
//!   and gets its full terms, and later it gets the default ones for its budget. Another
//!   shutdown can only have begun after its own had ended, so after `t`. One that began
//!   before `t` is the same. It began at the time of the status less `elapsed`, at the
//!   latest at the end of the call less `elapsed`. The terms are read word by word after the phase; that they were read while
//!   that shutdown was on is known when the next status shows it still.

use std::time::{Duration, Instant};

use ebbtide::{Initiation, Phase, Scope, ShutdownCoordinator, ShutdownRequest, Status};

use super::repeated;
use crate::ledger::act::Act;
use crate::ledger::{Head, Ledger};
use crate::plan::{FOREVER, SHARES, author, reason};

/// More than all extensions of a round together.
const EXTENSIONS: Duration = Duration::from_secs(60);
/// The shares without terms.
const DEFAULT: [u16; 3] = ebbtide::limits::DEFAULT_SHARES;

/// The status was asked for by the caller, who read `full` before it.
fn check(ledger: &Ledger, full: u64, status: &Status) -> Result<(), String> {
    if let Some(reason) = &status.reason
        && let Some(process) = author(&reason.text)
        && reason.pid != 0
        && reason.pid != ledger.pid(process)
    {
        let (who, pid) = (ledger.describe(process), reason.pid);
        return Err(format!(
            "terms of two: the text is by {who}, the pid is {pid}"
        ));
    }
    let Some(sum) = ledger.is_patient().then(|| phase_budget(status)).flatten() else {
        return Ok(());
    };
    // One that asks again may shorten the budget by what was extended before.
    let fits = |shares: &[u16; 3]| sum.abs_diff(share(shares, status.phase, FOREVER)) < EXTENSIONS;
    if fits(&SHARES) {
        ledger.raise(Head::FullTerms, status.generation.into());
        ledger.count(Act::Terms);
        return Ok(());
    }
    let (phase, generation) = (status.phase, status.generation);
    if !fits(&DEFAULT) {
        return Err(format!(
            "terms of nobody: {phase} of generation {generation} has {sum:?}"
        ));
    }
    if full >= u64::from(generation) {
        return Err(format!(
            "terms were lost: {phase} of generation {generation} has {sum:?} by default shares"
        ));
    }
    Ok(())
}

/// What the present phase has had and has left. Nothing of Closing: all shares have the
/// same sum.
fn phase_budget(status: &Status) -> Option<Duration> {
    let remaining = status.phase_remaining?;
    // Over: what remains says nothing.
    let is_on = !remaining.is_zero() && status.phase < Phase::Closing;
    let elapsed = status.elapsed.filter(|_| is_on)?;
    // Both are of one instant and whole microseconds.
    Some(elapsed + remaining)
}

fn share(shares: &[u16; 3], phase: Phase, budget: Duration) -> Duration {
    let phases = (phase as usize).clamp(1, 2);
    let share: u32 = shares[..phases].iter().map(|share| u32::from(*share)).sum();
    budget / 1000 * share
}

/// The budget of a shutdown that is watched, and what extensions add to it.
const WATCHED: Duration = Duration::from_secs(100);
const WATCHED_EXTENSIONS: Duration = Duration::from_secs(5);
/// What is asked for where shutdowns are watched. All ask for the same, but for their names,
/// so that one that was stopped in its initiation does not change what another one watches.
pub fn watched_request(process: usize) -> ShutdownRequest {
    let (code, text) = reason(process);
    let request = ShutdownRequest::new().timeout(WATCHED).cap(2 * WATCHED);
    request.reason(code, text).shares(SHARES).unwrap()
}

/// For how long one is watched, and one after the other.
const WATCH: Duration = Duration::from_millis(5);
const ALL_WATCHES: Duration = Duration::from_millis(60);

/// Initiates shutdowns with the terms of this process, watches each for a while, and
/// cancels it, so that the epoch moves under an initiator that is stopped.
pub fn watch(ledger: &Ledger, coordinator: &ShutdownCoordinator, process: usize) {
    let ((_, text), request) = (reason(process), watched_request(process));
    let begin = Instant::now();
    while begin.elapsed() < ALL_WATCHES {
        let initiated = coordinator.initiate_shutdown(&Scope::All, &request);
        if initiated.unwrap_or_else(|error| panic!("initiate: {error:?}")) != Initiation::Drives {
            return;
        }
        if let Some(phase) = lost_phase(ledger, coordinator, &text) {
            let who = ledger.describe(process);
            ledger.violate(&format!("terms were lost: those of {who}, before {phase}"));
        }
        if coordinator.cancel_shutdown(&Scope::All).is_err() {
            return;
        }
        ledger.count(Act::Cancel);
    }
}

/// Watches one shutdown; the phase in which its terms were found to be lost.
fn lost_phase(ledger: &Ledger, coordinator: &ShutdownCoordinator, text: &str) -> Option<Phase> {
    let (begin, mut seen) = (Instant::now(), Seen::default());
    while begin.elapsed() < WATCH {
        let asked = Instant::now();
        let status = coordinator.status().unwrap();
        if seen.is_lost(&status, asked, Instant::now(), text) {
            return Some(status.phase);
        }
        ledger.count(Act::Terms);
        if !(Phase::Signaling..Phase::Closing).contains(&status.phase) {
            break;
        }
    }
    None
}

/// What was seen of a watched shutdown.
#[derive(Default)]
struct Seen {
    /// When the last status was asked for that had its full terms.
    full_at: Option<Instant>,
    /// The default ones were seen after that.
    is_default: bool,
}

impl Seen {
    /// The next status, and the beginning and end of its call. True if the default terms were seen before,
    /// and the same shutdown is on, or over, still: so they were those of this one.
    fn is_lost(&mut self, status: &Status, asked: Instant, at: Instant, text: &str) -> bool {
        let is_mine = status.reason.as_ref().is_some_and(|it| it.text == text);
        if is_mine && has(status, &SHARES) {
            self.full_at = Some(asked);
        }
        let began = status.elapsed.and_then(|elapsed| at.checked_sub(elapsed));
        // Without one: cancelled.
        let is_same = began
            .zip(self.full_at)
            .is_some_and(|(began, full)| began <= full);
        let is_lost = is_same && self.is_default;
        self.is_default |= is_same && has(status, &DEFAULT);
        is_lost
    }
}

/// Whether the present phase of a watched shutdown has what these shares give it.
fn has(status: &Status, shares: &[u16; 3]) -> bool {
    let share = share(shares, status.phase, WATCHED);
    phase_budget(status).is_some_and(|sum| sum.abs_diff(share) < WATCHED_EXTENSIONS)
}

/// Asks for the status, in the middle of everything.
pub fn in_status(ledger: &Ledger, coordinator: &ShutdownCoordinator) {
    let wrong = || {
        let full = ledger.get(Head::FullTerms);
        check(ledger, full, &coordinator.status().ok()?).err()
    };
    if let Some(text) = repeated(wrong) {
        ledger.violate(&text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use ebbtide::Segment;

    use super::*;
    use crate::ledger::scratch;
    use crate::plan::Kind;

    fn segment(directory: &tempfile::TempDir) -> Segment {
        let options = ebbtide::SegmentOptions::new().directory(directory.path().join("d"));
        options.create("terms").unwrap()
    }

    fn initiated(shares: [u16; 3]) -> (tempfile::TempDir, Ledger, Segment, Status) {
        let (directory, ledger) = scratch();
        let kind = Kind::Patient as u64;
        ledger.head(Head::Kind).store(kind, Ordering::Relaxed);
        ledger.set_pid(5, std::process::id());
        let segment = segment(&directory);
        let runner = ebbtide::Runner::join(&segment, "one").unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        let (code, text) = reason(5);
        let request = ShutdownRequest::new().timeout(FOREVER).reason(code, text);
        let request = request.shares(shares).unwrap();
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        in_status(&ledger, &coordinator);
        let status = coordinator.status().unwrap();
        drop(runner);
        (directory, ledger, segment, status)
    }

    #[test]
    fn full_terms_are_right_and_default_ones_only_before_them() {
        let _alone = crate::alone();
        let (_directory, ledger, _segment, status) = initiated(SHARES);
        assert_eq!(ledger.violations(), [""; 0]);
        assert_eq!(ledger.get(Head::FullTerms), status.generation.into());
        let (_directory, ledger, _segment, status) = initiated(DEFAULT);
        assert_eq!(ledger.violations(), [""; 0]);
        assert_eq!(ledger.get(Head::FullTerms), 0);
        assert_eq!(check(&ledger, 0, &status), Ok(()));
        let error = check(&ledger, status.generation.into(), &status);
        assert!(error.unwrap_err().contains("lost"));
    }

    #[test]
    fn watched_terms_that_go_away_are_caught_and_a_newer_shutdown_is_none() {
        let _alone = crate::alone();
        let (_directory, ledger, segment, _) = initiated(SHARES);
        let coordinator = ShutdownCoordinator::new(&segment);
        let _ = coordinator.cancel_shutdown(&Scope::All);
        watch(&ledger, &coordinator, 5);
        assert_eq!(ledger.violations(), [""; 0]);
        let status = |shares: [u16; 3], elapsed: u64| {
            let mut status = coordinator.status().unwrap();
            let (code, text) = reason(5);
            let budget = share(&shares, Phase::Signaling, WATCHED);
            status.phase = Phase::Signaling;
            status.elapsed = Some(Duration::from_millis(elapsed));
            status.phase_remaining = Some(budget - Duration::from_millis(elapsed));
            status.reason = Some(ebbtide::Reason::default());
            let reason = status.reason.as_mut().unwrap();
            (reason.code, reason.text) = (code, text);
            status
        };
        let now = Instant::now() + Duration::from_secs(1);
        let after = |millis| now + Duration::from_millis(millis);
        let mut seen = Seen::default();
        let text = reason(5).1;
        for (shares, elapsed, at, is_lost) in [
            (DEFAULT, 1, 1, false),
            (SHARES, 2, 2, false),
            // Begun since.
            (DEFAULT, 1, 4, false),
            (SHARES, 2, 5, false),
            // The same as at first.
            (DEFAULT, 6, 6, false),
            (SHARES, 7, 7, true),
        ] {
            assert_eq!(
                seen.is_lost(&status(shares, elapsed), after(at), after(at), &text),
                is_lost
            );
        }
    }

    #[test]
    fn terms_of_nobody_and_of_two_are_caught() {
        let _alone = crate::alone();
        let (_directory, ledger, _segment, mut status) = initiated([500, 300, 200]);
        assert!(check(&ledger, 0, &status).unwrap_err().contains("nobody"));
        status.reason.as_mut().unwrap().pid += 1;
        assert!(check(&ledger, 0, &status).unwrap_err().contains("of two"));
    }
}
