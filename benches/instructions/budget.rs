//! The stated budgets.

use crate::Fallible;
use crate::operation::Operation;

/// The most instructions that an operation may take, and why.
pub struct Budget {
    pub name: &'static str,
    pub most: u32,
    pub why: &'static str,
}

/// The file's lines: `name most why…`; empty ones and those that begin with `#` say nothing.
pub fn all() -> Fallible<Vec<Budget>> {
    let lines = include_str!("budget.txt").lines();
    let said = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    said.map(|line| {
        let mut fields = line.splitn(3, char::is_whitespace);
        match (fields.next(), fields.next(), fields.next()) {
            (Some(name), Some(most), Some(why)) => {
                Operation::named(name)?;
                Ok(Budget {
                    name,
                    most: most.parse()?,
                    why: why.trim(),
                })
            }
            _ => Err(format!("budget.txt: not a budget: {line:?}").into()),
        }
    })
    .collect()
}
