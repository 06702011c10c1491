//! The table on one page: every case that has an aim.

use std::fmt::Write;

use crate::outcome::{Aim, Case, Role};

use super::Report;
use super::markdown::{aim, value};

pub fn table(report: &Report) -> String {
    let mut text = String::from(
        "| what | ours, median | limit | ours to the aim's measure | best peer | aim | |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for item in &report.items {
        for case in &item.cases {
            row(&mut text, item.name, case);
        }
    }
    text
}

fn row(text: &mut String, item: &str, case: &Case) {
    let (Some(target), Some(verdict), Some(ours)) =
        (&case.target, case.verdict(), case.first(Role::Ours))
    else {
        return;
    };
    let limit = case.first(Role::Limit);
    let against = match target.of {
        Aim::Limit => ours.to_limit,
        Aim::Absolute => None,
        Aim::Named(name) => {
            let named = case.contenders.iter().find(|one| one.name == name);
            named.and_then(|one| one.ours_to_this)
        }
        Aim::BestPeer => case.best_peer().and_then(|one| one.ours_to_this),
    };
    let _ = writeln!(
        text,
        "| {item}: {}{} | {} | {} | {} | {} | {} | {} |",
        case.label,
        if case.pinned { "" } else { ", free" },
        value(case.unit, ours.summary.median),
        limit.map_or("–".into(), |limit| value(case.unit, limit.summary.median)),
        against.map_or("–".into(), |ratio| format!(
            "{:.2} ({:.2}–{:.2})",
            ratio.median, ratio.p10, ratio.p90
        )),
        case.best_peer().map_or("–".into(), |peer| format!(
            "{} {}",
            peer.name,
            value(case.unit, peer.summary.median)
        )),
        aim(case.unit, target),
        if verdict.is_met { "met" } else { "**missed**" },
    );
}
