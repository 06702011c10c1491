//! What was measured: items of cases of contenders, as data.

use serde::Serialize;

use crate::stats::{Ratio, Series, Summary};

/// What a contender is in its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The library.
    Ours,
    /// The least that the machine could do it for.
    Limit,
    /// What one would otherwise take.
    Peer,
    /// Neither: it shows where time goes.
    Aside,
}

/// What the numbers of a case are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Nanoseconds,
    /// More is better.
    PerSecond,
    /// No time at all.
    Bytes,
    /// The least share of one of several, to an equal share: 1 is fair.
    Fairness,
    /// Of processes.
    Count,
}

impl Unit {
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Nanoseconds)
    }
}

/// One contender's results.
#[derive(Debug, Serialize)]
pub struct Contender {
    pub name: String,
    pub role: Role,
    #[serde(flatten)]
    pub summary: Summary,
    /// Values at the shares named in the report.
    pub distribution: Vec<f64>,
    /// To the case's limit; without one, to ours.
    pub to_limit: Option<Ratio>,
    /// What ours takes, to this one.
    pub ours_to_this: Option<Ratio>,
}

/// One circumstance in which all contenders were measured.
#[derive(Debug, Serialize)]
pub struct Case {
    pub label: String,
    /// The number of processes, where it is the axis of a plot.
    pub size: Option<usize>,
    /// Processes and threads were tied to one core each.
    pub pinned: bool,
    pub unit: Unit,
    /// What ours may take, as a multiple of the limit or of the peer named.
    pub target: Option<Target>,
    pub contenders: Vec<Contender>,
}

/// An aim that the issue tracker states.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// The most that ours is to take, as a multiple of `of`.
    pub most: f64,
    pub of: Aim,
    /// Ours is to be ahead of every peer.
    pub ahead: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Aim {
    Limit,
    /// The contender of this name.
    Named(&'static str),
    BestPeer,
    /// An absolute number in the case's unit.
    Absolute,
}

impl Target {
    pub const fn of_limit(most: f64) -> Self {
        Self {
            most,
            of: Aim::Limit,
            ahead: false,
        }
    }
    pub const fn of(most: f64, of: Aim) -> Self {
        Self {
            most,
            of,
            ahead: false,
        }
    }
    #[must_use]
    pub const fn and_ahead(mut self) -> Self {
        self.ahead = true;
        self
    }
}

/// How a case stands to its target.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    pub value: f64,
    pub is_met: bool,
    /// Peers that are ahead though none should be.
    pub behind: Vec<String>,
}

impl Case {
    /// Puts series and contenders together. `names` are in the order of the series.
    pub fn new(label: impl Into<String>, names: &[(&str, Role)], series: &[Series]) -> Self {
        let place = |role| names.iter().position(|(_, other)| *other == role);
        let ours = place(Role::Ours).and_then(|place| series.get(place));
        let limit = place(Role::Limit).and_then(|place| series.get(place));
        let contenders = names.iter().zip(series).filter(|(_, own)| !own.is_empty());
        let contenders = contenders.map(|((name, role), own)| Contender {
            name: (*name).into(),
            role: *role,
            summary: own.summary(),
            distribution: own.distribution(),
            to_limit: limit.or(ours).and_then(|limit| own.ratio_to(limit)),
            ours_to_this: ours.and_then(|ours| ours.ratio_to(own)),
        });
        Self {
            label: label.into(),
            size: None,
            pinned: false,
            unit: Unit::Nanoseconds,
            target: None,
            contenders: contenders.collect(),
        }
    }
    #[must_use]
    pub fn size(mut self, size: usize) -> Self {
        self.size = Some(size);
        self
    }
    #[must_use]
    pub fn pinned(mut self, pinned: bool) -> Self {
        self.pinned = pinned;
        self
    }
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }
    #[must_use]
    pub fn target(mut self, target: Option<Target>) -> Self {
        self.target = target;
        self
    }

    pub fn first(&self, role: Role) -> Option<&Contender> {
        self.contenders.iter().find(|one| one.role == role)
    }

    /// The peer with the best median.
    pub fn best_peer(&self) -> Option<&Contender> {
        let peers = self.contenders.iter().filter(|one| one.role == Role::Peer);
        let order = |a: &&Contender, b: &&Contender| a.summary.median.total_cmp(&b.summary.median);
        match self.unit {
            Unit::PerSecond => peers.max_by(order),
            _ => peers.min_by(order),
        }
    }

    pub fn verdict(&self) -> Option<Verdict> {
        let target = self.target.as_ref()?;
        let ours = self.first(Role::Ours)?;
        let against = match target.of {
            Aim::Limit => self.first(Role::Limit),
            Aim::BestPeer => self.best_peer(),
            Aim::Named(name) => self.contenders.iter().find(|one| one.name == name),
            Aim::Absolute => Some(ours),
        }?;
        let value = match (&target.of, self.unit) {
            (Aim::Absolute, _) => ours.summary.median,
            // How many times as much the other one does in the same time.
            (_, Unit::PerSecond) => 1.0 / against.ours_to_this?.median,
            _ => against.ours_to_this?.median,
        };
        let is_ahead = |peer: &&Contender| {
            let ratio = peer.ours_to_this.map_or(0.0, |ratio| ratio.median);
            peer.role == Role::Peer && target.ahead && ratio > 1.0
        };
        let behind = self.contenders.iter().filter(is_ahead);
        let behind: Vec<String> = behind.map(|peer| peer.name.clone()).collect();
        Some(Verdict {
            value,
            is_met: value <= target.most && behind.is_empty(),
            behind,
        })
    }
}

/// One thing that is measured.
#[derive(Debug, Serialize)]
pub struct Item {
    /// As the command line names it.
    pub name: &'static str,
    pub title: &'static str,
    /// What is compared, and what the limit is.
    pub about: &'static str,
    pub cases: Vec<Case>,
    /// What could not be measured here, and why.
    pub missing: Vec<String>,
}
