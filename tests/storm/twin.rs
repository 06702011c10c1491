//! Twins of the storm in which something is broken on purpose: each must be caught.

/// What is broken. The parent names it in the environment of its children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Twin {
    Nothing,
    /// A lock that looks first and takes then.
    Racy,
    /// Three writes in place of one transaction.
    Torn,
    /// Items that are finished and not counted out.
    Uncounted,
    /// A permit that is not asked for.
    Unasked,
}

const VARIABLE: &str = "EBBTIDE_TEST_TWIN";

impl Twin {
    const ALL: [Self; 4] = [Self::Racy, Self::Torn, Self::Uncounted, Self::Unasked];

    pub fn name(self, command: &mut std::process::Command) {
        command.env(VARIABLE, format!("{self:?}"));
    }

    pub fn named() -> Self {
        let name = std::env::var(VARIABLE).unwrap_or_default();
        let mut all = Self::ALL.into_iter();
        all.find(|twin| format!("{twin:?}") == name)
            .unwrap_or(Self::Nothing)
    }
}
