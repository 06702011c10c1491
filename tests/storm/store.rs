//! Three values whose sum is always the same, moved about by transactions.

use ebbtide::{Segment, SharedStateManager, StateError};

use super::ledger::{Deed, Ledger};
use super::random::Random;
use super::twin::Twin;

const KEYS: [&str; 3] = ["account.a", "account.b", "account.c"];
pub const TOTAL: i64 = 3_000;

pub struct Store(SharedStateManager);

impl Store {
    pub fn open(segment: &Segment) -> Self {
        Self(SharedStateManager::open(segment).unwrap())
    }

    /// By the parent, before anybody else.
    pub fn fill(&self) {
        self.0
            .transaction(|tx| {
                for key in KEYS {
                    tx.set_as(key, &(TOTAL / 3))?;
                }
                Ok::<_, StateError>(())
            })
            .unwrap();
    }

    pub fn move_about(&self, ledger: &Ledger, random: &mut Random, twin: Twin) {
        let from = random.below(3) as usize;
        let to = (from + 1 + random.below(2) as usize) % 3;
        let amount = random.below(50) as i64;
        if twin == Twin::Torn {
            return self.tear(ledger, from, to, amount);
        }
        let moved = self.0.transaction(|tx| {
            let mut values = [0; 3];
            for (value, key) in values.iter_mut().zip(KEYS) {
                *value = tx.get_as::<i64>(key)?.unwrap_or_default();
            }
            let whole = values.iter().sum::<i64>() == TOTAL;
            values[from] -= amount;
            values[to] += amount;
            for (key, value) in KEYS.iter().zip(values) {
                tx.set_as(key, &value)?;
            }
            Ok::<_, StateError>(whole)
        });
        match moved {
            Ok(true) => ledger.count(Deed::Commit),
            Ok(false) => ledger.violate("a transaction began from a sum that is wrong"),
            Err(error) => ledger.violate(&format!("transaction: {error}")),
        }
    }

    /// The twin. Others look as well, but whether they do between the two is luck.
    fn tear(&self, ledger: &Ledger, from: usize, to: usize, amount: i64) {
        let change = |key, by| {
            let changed = self
                .0
                .update_as::<i64>(key, |value| value.unwrap_or_default() + by);
            changed.unwrap();
        };
        change(KEYS[from], -amount);
        self.look(ledger);
        change(KEYS[to], amount);
    }

    pub fn look(&self, ledger: &Ledger) {
        match self.sum() {
            Ok(TOTAL) => ledger.count(Deed::Snapshot),
            other => ledger.violate(&format!("the sum of a snapshot is {other:?}")),
        }
    }

    pub fn sum(&self) -> Result<i64, StateError> {
        let values = self.0.snapshot(&KEYS)?;
        let number = |bytes: &Option<Vec<u8>>| {
            let bytes = bytes.as_deref().unwrap_or_default();
            bytes.try_into().map_or(0, i64::from_ne_bytes)
        };
        Ok(values.iter().map(number).sum())
    }
}
