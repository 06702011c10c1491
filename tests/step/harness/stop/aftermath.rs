//! What must be so when a stopped process has gone on, or was killed, and all is quiet.

use super::cast::{Cast, Played, Who};
use super::operation::About;
use super::victim::Victim;
use crate::harness::place::NAME;
use crate::harness::survivor::Violation;

/// Checks everything, and ends all processes but the survivor on the way.
pub fn check(cast: &mut Cast) -> Played {
    let stopped = [Who::Victim, Who::Second].map(|who| (who, cast.has(who)));
    for (who, is_alive) in stopped {
        let operation = match who {
            Who::Second => cast.second.as_ref().map(Victim::operation),
            _ => Some(cast.operation),
        };
        if let (true, Some(operation)) = (is_alive, operation) {
            (operation.after)(cast, who)?;
        }
    }
    if cast.operation.about == About::Nothing {
        return Ok(());
    }
    let survivor = Who::Survivor;
    cast.told(survivor, "unlock", "")?;
    cast.told(survivor, "give permits", "")?;
    cast.told(survivor, "churn ends", "")?;
    if cast.operation.about == About::Names && !is_attached(cast, survivor)? {
        let opened = cast.ask(survivor, "open or create", "")?;
        if opened != "attached" {
            return Err(Violation::of("the name cannot be used any more"));
        }
    }
    cast.told(survivor, "no harm", "")?;
    // What is removed by force is marked, and its users go on by themselves.
    let is_forced = cast.operation.name == "remove, forced";
    if is_forced && cast.ask(survivor, "is marked", "")? == "yes" {
        cast.is_replaced = true;
        cast.told(survivor, "open or create", "")?;
    }
    cast.told(survivor, "named", "")?;
    let mut all = vec![survivor];
    for (who, is_alive) in stopped {
        if is_alive && is_attached(cast, who)? {
            cast.told(who, "no harm", "")?;
            if !cast.is_replaced {
                all.push(who);
                cast.told(who, "named", "")?;
            }
        }
    }
    if cast.is_replaced {
        // They are among themselves in the old segment, whose lock is another.
        cast.kill(Who::Other);
        cast.beside = None;
        (cast.victim, cast.second) = (None, None);
        cast.board.clear();
    } else if cast.has(Who::Other) {
        all.push(Who::Other);
    }
    members(cast, &all)?;
    shutdown(cast, &all)?;
    holds(cast, &all)?;
    alone(cast)
}

fn is_attached(cast: &mut Cast, who: Who) -> Result<bool, Violation> {
    Ok(cast.ask(who, "is attached", "")? == "yes")
}

/// All are members of the present generation or of none, and the group runs.
fn members(cast: &mut Cast, all: &[Who]) -> Played {
    for who in all {
        cast.told(*who, "member", "")?;
    }
    if cast.ask(Who::Survivor, "calm", "")? != "running" {
        for who in all {
            cast.told(*who, "leave", "")?;
        }
        let calm = cast.ask(Who::Survivor, "calm", "")?;
        if calm != "running" {
            return Err(Violation::of(format!("all have left, and it is {calm}")));
        }
    }
    for who in all {
        cast.told(*who, "member", "")?;
        cast.told(*who, "join if it has not", "")?;
    }
    Ok(())
}

/// The next shutdown has its own terms, waits for all and for nobody else, and completes.
fn shutdown(cast: &mut Cast, all: &[Who]) -> Played {
    let ids: Vec<_> = all.iter().map(|who| who.id()).collect();
    let ids = ids.join(",");
    let own = cast.ask(Who::Survivor, "own", "")?;
    if own != "under way" {
        return Err(Violation::of(format!("a shutdown of its own is {own}")));
    }
    cast.told(Who::Survivor, "counts", &ids)?;
    cast.together(all, "run", "")?;
    cast.told(Who::Survivor, "completed", &ids)?;
    let renewed = cast.ask(Who::Survivor, "renew", "")?;
    if renewed != "renewed" {
        return Err(Violation::of(format!(
            "all have left, and renewal is {renewed}"
        )));
    }
    Ok(())
}

/// A lock excludes, permits are conserved, events and values pass between them.
fn holds(cast: &mut Cast, all: &[Who]) -> Played {
    for owner in all {
        cast.told(*owner, "lock", "")?;
        for other in all {
            cast.told(*other, "locked out", "")?;
        }
        cast.told(*owner, "unlock", "")?;
    }
    let last = *all.last().unwrap_or(&Who::Survivor);
    cast.told(Who::Survivor, "permits", "2")?;
    cast.told(last, "permits", "1")?;
    cast.told(Who::Survivor, "no permit", "")?;
    cast.told(last, "no permit", "")?;
    for who in all {
        cast.told(*who, "give permits", "")?;
    }
    cast.told(Who::Survivor, "all permits", "")?;
    let number = cast.ask(last, "set event", "")?;
    cast.told(Who::Survivor, "event is set", &number)?;
    for who in all {
        cast.told(*who, "set value", who.id())?;
        cast.told(Who::Survivor, "value is", who.id())?;
    }
    Ok(())
}

/// All others are killed: nothing of them is left, and the segment can be removed.
fn alone(cast: &mut Cast) -> Played {
    cast.told(Who::Survivor, "closed once", "")?;
    cast.kill(Who::Other);
    (cast.victim, cast.second) = (None, None);
    cast.told(Who::Survivor, "alone", "")?;
    cast.kill(Who::Survivor);
    let removed = cast.place.options().remove(NAME, false);
    removed.map_err(|error| Violation::of(format!("nobody is attached: {error}")))?;
    let left = std::fs::read_dir(cast.place.segments());
    let left: Vec<_> = left
        .into_iter()
        .flatten()
        .flatten()
        .map(|one| one.path())
        .collect();
    if !left.is_empty() {
        return Err(Violation::of(format!("left behind: {left:?}")));
    }
    Ok(())
}
