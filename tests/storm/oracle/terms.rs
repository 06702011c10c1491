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
//!   ([`watch`]): an initiator that drives a shutdown has seen its full terms at an instant
//!   `t`, and later it sees the default ones for its budget. If the shutdown of the later
//!   status began before `t`, it is the same: it was on at `t`, and is on still. It began
//!   at the time of the status less `elapsed`, at the latest at the end of the call less
//!   `elapsed`.

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
        return Err(format!("terms of two: the text is by {who}, the pid is {pid}"));
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
/// For how long it is watched.
const WATCH: Duration = Duration::from_millis(10);

/// Initiates a shutdown with the terms of this process, watches them, and cancels it.
pub fn watch(ledger: &Ledger, coordinator: &ShutdownCoordinator, process: usize) {
    let (code, text) = reason(process);
    let request = ShutdownRequest::new().timeout(WATCHED).cap(2 * WATCHED);
    let request = request.reason(code, text.clone()).shares(SHARES).unwrap();
    let initiated = coordinator.initiate_shutdown(&Scope::All, &request);
    if initiated.unwrap_or_else(|error| panic!("initiate: {error:?}")) != Initiation::Drives {
        return;
    }
    let (begin, mut full_at) = (Instant::now(), None);
    while begin.elapsed() < WATCH {
        let status = coordinator.status().unwrap();
        let is_mine = |status: &Status| status.reason.as_ref().is_some_and(|it| it.text == text);
        if !(Phase::Signaling..Phase::Closing).contains(&status.phase) {
            break;
        }
        if is_mine(&status) && has(&status, &SHARES) {
            full_at.get_or_insert_with(Instant::now);
            ledger.count(Act::Terms);
        }
        let Some(full_at) = full_at else {
            continue;
        };
        let lost = || {
            let status = coordinator.status().ok()?;
            let began = Instant::now().checked_sub(status.elapsed?)?;
            (began <= full_at && has(&status, &DEFAULT)).then_some(())
        };
        if repeated(lost).is_some() {
            let who = ledger.describe(process);
            ledger.violate(&format!("terms were lost: those of {who}, in {}", status.phase));
            break;
        }
    }
    let _ = coordinator.cancel_shutdown(&Scope::All);
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
        coordinator.initiate_shutdown(&Scope::All, &request).unwrap();
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
    fn terms_of_nobody_and_of_two_are_caught() {
        let _alone = crate::alone();
        let (_directory, ledger, _segment, mut status) = initiated([500, 300, 200]);
        assert!(check(&ledger, 0, &status).unwrap_err().contains("nobody"));
        status.reason.as_mut().unwrap().pid += 1;
        assert!(check(&ledger, 0, &status).unwrap_err().contains("of two"));
    }
}
