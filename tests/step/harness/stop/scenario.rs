//! What other processes do while one is stopped.

use super::cast::{Cast, Played, Who};
use super::operation::{About, Operation};
use crate::harness::survivor::Violation;

/// One scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// Whether it makes sense for an operation.
    pub fits: fn(&Operation) -> bool,
    /// While the victim is stopped.
    pub play: fn(&mut Cast) -> Played,
    /// What must be so when the victim has gone on, or waits for others, or was killed.
    pub after: fn(&mut Cast) -> Played,
}

const PLAIN: Scenario = Scenario {
    name: "",
    fits: |operation| operation.about == About::Group,
    play: Cast::nothing,
    after: Cast::nothing,
};

/// What brings a tag of the first layout round: 16 bits of a slot's generation.
const ONCE_ROUND: &str = "65535";
/// More than half of what such a tag of an epoch holds.
const HALF_ROUND: &str = "40000";

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "nothing",
        fits: |operation| operation.about != About::Nothing,
        ..PLAIN
    },
    Scenario {
        name: "cancelled",
        play: |cast| cast.told(Who::Survivor, "cancelled", &cast.turns()),
        ..PLAIN
    },
    Scenario {
        name: "terms",
        play: |cast| own_after(cast, &cast.turns()),
        after: own_stands,
        ..PLAIN
    },
    Scenario {
        name: "many epochs",
        play: |cast| own_after(cast, &many(cast)),
        after: |cast| {
            let is_own = cast.is_own;
            own_stands(cast)?;
            // A shutdown's time passes, whatever a stopped process has stored.
            match is_own {
                true => cast.told(Who::Survivor, "forces", ""),
                false => Ok(()),
            }
        },
        ..PLAIN
    },
    Scenario {
        // The same of the scope of one runner.
        name: "many epochs of its own",
        fits: |operation| operation.is_registered,
        play: |cast| {
            let times = many(cast);
            cast.told(Who::Survivor, "cancelled of", &format!("victim {times}"))
        },
        after: |cast| {
            if !cast.has(Who::Beside) {
                return Ok(());
            }
            cast.told(Who::Survivor, "forces of", "victim")?;
            cast.told(Who::Beside, "leave", "")
        },
    },
    Scenario {
        name: "generations",
        play: |cast| cast.told(Who::Survivor, "whole", &cast.turns()),
        ..PLAIN
    },
    Scenario {
        // The last shutdown is over, all of its generation are gone, and the next one has
        // not begun.
        name: "finished",
        play: |cast| {
            // In the very epoch in which the victim was stopped, or one of the same tag.
            let more = cast.rounds - super::rounds();
            let turns = if cfg!(feature = "narrow") {
                4 * more
            } else {
                0
            };
            if cast.ask(Who::Survivor, "whole", &turns.to_string())? == "renewed" {
                cast.told(Who::Survivor, "finish", "")?;
                cast.told(Who::Survivor, "all gone", "")?;
            }
            Ok(())
        },
        ..PLAIN
    },
    Scenario {
        name: "next holder",
        play: next_holder,
        after: records_stand,
        ..PLAIN
    },
    Scenario {
        // The next holder has ended, with a verdict of its own.
        name: "next holder fails",
        fits: |operation| operation.is_registered,
        play: |cast| {
            if next_holders(cast)? {
                cast.told(Who::Other, "fail", "")?;
                cast.has_failed = true;
            }
            Ok(())
        },
        after: |cast| match std::mem::take(&mut cast.has_failed) {
            true => cast.told(Who::Survivor, "failed", Who::Other.id()),
            false => Ok(()),
        },
    },
    Scenario {
        name: "next holder, same process",
        fits: |operation| operation.is_registered,
        play: |cast| {
            if cast.victim_leaves()? && cast.ask(Who::Survivor, "whole", "1")? == "renewed" {
                cast.told(Who::Beside, "join", "")?;
                cast.told(Who::Beside, "records", "")?;
                cast.recorded = Some(Who::Beside);
            }
            Ok(())
        },
        after: |cast| {
            records_stand(cast)?;
            match cast.has(Who::Beside) {
                true => cast.told(Who::Beside, "leave", ""),
                false => Ok(()),
            }
        },
    },
    Scenario {
        name: "threads",
        play: |cast| {
            // A process that comes now takes the first slots that the dead left.
            cast.told(Who::Survivor, "reap", "")?;
            cast.enter(Who::Other)?;
            cast.told(Who::Survivor, "churn", &cast.turns())
        },
        after: |cast| cast.told(Who::Survivor, "churn ends", ""),
        ..PLAIN
    },
    Scenario {
        name: "death",
        play: |cast| {
            cast.enter(Who::Other)?;
            let got = cast.ask(Who::Other, "grasp", "")?;
            cast.kill(Who::Other);
            if got.contains("lock") {
                cast.told(Who::Survivor, "lock", "")?;
                cast.told(Who::Survivor, "unlock", "")?;
            }
            cast.told(Who::Survivor, "reap", "")?;
            cast.told(Who::Survivor, "cancelled", "1")
        },
        ..PLAIN
    },
    Scenario {
        // What the dead had is handed on, though the process that began that is stopped.
        name: "inheritance",
        fits: |operation| {
            ["reap", "initiate beside the dead", "wait gone"].contains(&operation.name)
        },
        play: |cast| {
            cast.told(Who::Survivor, "lock", "")?;
            cast.told(Who::Survivor, "unlock", "")?;
            cast.told(Who::Survivor, "initiate", "600000")?;
            cast.told(Who::Survivor, "comes to its end", "")
        },
        ..PLAIN
    },
    Scenario {
        name: "refused",
        play: |cast| refused(cast, &cast.turns()),
        after: records_stand,
        ..PLAIN
    },
    Scenario {
        name: "refused for long",
        fits: |operation| operation.name == "initiate beside the dead",
        play: |cast| {
            // So that the dead one's slot is the first to be used again.
            cast.told(Who::Survivor, "whole", "1")?;
            let times = if cfg!(feature = "narrow") {
                "7"
            } else {
                ONCE_ROUND
            };
            refused(cast, times)
        },
        after: records_stand,
    },
    Scenario {
        name: "attachments",
        fits: |operation| operation.about != About::Nothing,
        play: |cast| {
            for _ in 0..cast.rounds {
                cast.told(Who::Survivor, "pass by", "")?;
            }
            if cast.operation.about == About::Names {
                return cast.told(Who::Survivor, "open or create", "");
            }
            cast.told(Who::Survivor, "reap", "")?;
            cast.enter(Who::Other)?;
            cast.told(Who::Other, "join if it runs", "")
        },
        ..PLAIN
    },
    Scenario {
        name: "replaced",
        fits: |operation| operation.about != About::Nothing,
        play: |cast| {
            let replaced = cast.ask(Who::Survivor, "replace", &cast.turns())?;
            cast.is_replaced = replaced == "replaced";
            Ok(())
        },
        ..PLAIN
    },
    Scenario {
        name: "counts",
        fits: |operation| operation.about == About::Nothing,
        play: |cast| cast.told(Who::Survivor, "count", ""),
        ..PLAIN
    },
];

/// Those during which a second process may be stopped as well.
pub const FOR_TWO: &[&str] = &["nothing", "cancelled", "generations", "finished", "death"];

pub fn named(name: &str) -> &'static Scenario {
    let found = ALL.iter().find(|scenario| scenario.name == name);
    found.unwrap_or_else(|| panic!("there is no scenario {name:?}"))
}

impl Cast {
    fn turns(&self) -> String {
        self.rounds.to_string()
    }
}

/// Enough turns to pass half of a tag of the first layout.
fn many(cast: &Cast) -> String {
    match cfg!(feature = "narrow") {
        true => cast.turns(),
        false => HALF_ROUND.into(),
    }
}

/// `times` epochs pass, and then a shutdown with its own terms is under way.
fn own_after(cast: &mut Cast, times: &str) -> Played {
    if cast.ask(Who::Survivor, "cancelled", times)? == "held up" {
        return Ok(());
    }
    cast.is_own = cast.ask(Who::Survivor, "own", "")? == "under way";
    Ok(())
}

fn own_stands(cast: &mut Cast) -> Played {
    if !std::mem::take(&mut cast.is_own) || cast.said(Who::Victim) == "cancelled" {
        return Ok(());
    }
    let more = if cast.said(Who::Victim) == "extended" {
        "10000"
    } else {
        "0"
    };
    cast.told(Who::Survivor, "own stands", more)
}

/// The runner of the victim leaves, or is dead already, and others have its slot, one after
/// the other; false if that is not possible. The next one to join has the slot, too.
fn next_holders(cast: &mut Cast) -> Result<bool, Violation> {
    if !cast.victim_leaves()? || cast.ask(Who::Survivor, "whole", "1")? != "renewed" {
        return Ok(false);
    }
    cast.told(Who::Survivor, "reap", "")?;
    cast.enter(Who::Other)?;
    for _ in 1..cast.rounds {
        cast.told(Who::Other, "join", "")?;
        cast.told(Who::Other, "leave", "")?;
        if cast.ask(Who::Survivor, "whole", "1")? != "renewed" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The last holder has records of its own.
fn next_holder(cast: &mut Cast) -> Played {
    match next_holders(cast)? {
        true => records(cast),
        false => Ok(()),
    }
}

fn records(cast: &mut Cast) -> Played {
    cast.told(Who::Other, "join", "")?;
    cast.told(Who::Other, "records", "")?;
    cast.recorded = Some(Who::Other);
    Ok(())
}

fn records_stand(cast: &mut Cast) -> Played {
    match cast.recorded.take() {
        Some(who) if cast.has(who) => cast.told(who, "records stand", ""),
        _ => Ok(()),
    }
}

/// `times` joins are refused while the group is Complete; then one is admitted.
fn refused(cast: &mut Cast, times: &str) -> Played {
    cast.told(Who::Survivor, "finish", "")?;
    cast.told(Who::Survivor, "reap", "")?;
    cast.enter(Who::Other)?;
    cast.told(Who::Other, "refused", times)?;
    if cast.ask(Who::Survivor, "renew", "")? == "renewed" {
        records(cast)?;
    }
    Ok(())
}
