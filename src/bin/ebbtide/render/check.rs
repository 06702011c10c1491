//! What a check found, for people and as JSON.

use std::collections::BTreeSet;

use ebbtide::{CheckReport, Finding, Gravity};
use serde::Serialize;

use super::count;
use crate::output::plain;

/// More findings of one kind are counted, not listed.
const LISTED: usize = 50;

#[derive(Serialize)]
pub struct Document<'a> {
    segment: &'a str,
    sound: bool,
    findings: Vec<Found>,
    repaired: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    invariant: u8,
    name: &'static str,
    says: &'static str,
    gravity: &'static str,
    place: String,
    what: String,
    remedy: &'static str,
}

impl Found {
    fn of(finding: &Finding) -> Self {
        Self {
            invariant: finding.invariant.number(),
            name: finding.invariant.name(),
            says: finding.invariant.statement(),
            gravity: finding.gravity.name(),
            place: finding.place.clone(),
            what: finding.what.clone(),
            remedy: finding.remedy(),
        }
    }
}

pub fn document<'a>(segment: &'a str, report: &CheckReport) -> Document<'a> {
    Document {
        segment,
        sound: report.is_sound(),
        findings: report.findings.iter().map(Found::of).collect(),
        repaired: report.repaired.iter().map(Found::of).collect(),
    }
}

pub fn page(segment: &str, report: &CheckReport) -> String {
    let mut text = list("repaired", &report.repaired);
    if report.is_sound() {
        return text + &format!("{}: every invariant holds\n", plain(segment));
    }
    for gravity in [Gravity::Left, Gravity::Broken] {
        let of_it: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| finding.gravity == gravity)
            .cloned()
            .collect();
        text += &list(gravity.name(), &of_it);
    }
    let remedies: BTreeSet<_> = report.findings.iter().map(Finding::remedy).collect();
    for remedy in remedies {
        text += &format!("To do: {remedy}\n");
    }
    let number = count(report.findings.len(), "finding");
    text + &format!("{}: {number}\n", plain(segment))
}

fn list(title: &str, findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings.iter().take(LISTED) {
        text += &format!("{title:8} {}\n", plain(&finding.to_string()));
    }
    if findings.len() > LISTED {
        text += &format!("{title:8} and {} more\n", findings.len() - LISTED);
    }
    text
}
