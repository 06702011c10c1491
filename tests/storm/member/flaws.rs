//! What goes wrong with a runner by its own doing: handlers that panic, cleanups that fail,
//! runners that go away in the middle; and runners that take the id of a dead one.

use std::sync::Arc;

use ebbtide::{Phase, ResourceManager, ResourceOptions, ResourceType, Runner};

use super::Member;
use crate::ledger::act::Act;
use crate::ledger::line::{Fate, Line};
use crate::plan::Kind;

/// How far back a dead runner is looked for.
const BACK: usize = 16;

fn may_befall(member: &Member) -> bool {
    member.ledger.kind() != Kind::Hammer && member.ledger.faults().is_empty()
}

/// Takes the id of one that was killed, perhaps.
pub fn inherit(member: &mut Member, line: Line<'_>) -> bool {
    let wants = member.random.once_in(2) && may_befall(member);
    let before = (line.index.saturating_sub(BACK)..line.index).rev();
    wants
        && before
            .into_iter()
            .any(|at| line.inherit(Line::at(line.ledger, at)))
}

/// Registers what fails, perhaps; true if the runner is to go away in the middle.
pub fn befall(
    member: &mut Member,
    runner: &Runner,
    line: Line<'_>,
    resources: &ResourceManager,
) -> bool {
    let (what, phase) = (member.random.below(10), member.random.below(3));
    if !may_befall(member) {
        return false;
    }
    let (ledger, index) = (Arc::clone(&member.ledger), line.index);
    let flaw = move || {
        ledger.count(Act::Flaw);
        Line::at(&ledger, index).set_fate(Fate::Flawed);
    };
    match what {
        0 | 1 => {
            let fails = move |_: &ebbtide::HandlerContext| {
                flaw();
                panic!("on purpose");
            };
            let phase = Phase::ACKNOWLEDGED[phase as usize];
            runner
                .register_shutdown_handler(phase, 1, "flaw", fails)
                .unwrap();
        }
        2 | 3 => {
            let options = ResourceOptions::new().cleanup(move |_| {
                flaw();
                match what {
                    2 => Err("on purpose"),
                    _ => panic!("on purpose"),
                }
            });
            // Refused when its shutdown closes already.
            let _ = resources.register_resource("flaw", ResourceType::Custom, options);
        }
        _ => {}
    }
    matches!(what, 4)
}
