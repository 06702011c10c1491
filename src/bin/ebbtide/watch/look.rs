//! Colours and signs, or their absence.

use ratatui::style::{Color, Modifier, Style};

use ebbtide::Phase;

/// How things look on this terminal.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub is_coloured: bool,
    /// Whether signs beyond ASCII may be drawn.
    pub is_unicode: bool,
}

impl Look {
    /// As the environment wants it: `NO_COLOR`, `TERM`, and the locale's character set.
    pub fn from_env() -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .filter_map(std::env::var_os)
            .find(|value| !value.is_empty())
            .unwrap_or_default();
        let locale = locale.to_string_lossy().to_ascii_lowercase();
        Self {
            is_coloured: crate::output::is_coloured(),
            is_unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    fn colour(self, style: Style, colour: Color) -> Style {
        if self.is_coloured {
            style.fg(colour)
        } else {
            style
        }
    }

    pub fn heading(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Told apart without colours, too.
    pub fn bad(self) -> Style {
        self.colour(self.heading(), Color::Red)
    }

    pub fn good(self) -> Style {
        self.colour(Style::new(), Color::Green)
    }

    pub fn faint(self) -> Style {
        self.colour(Style::new(), Color::DarkGray)
    }

    pub fn reversed(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub fn phase(self, phase: Phase) -> Style {
        let colour = match phase {
            Phase::Running => return Style::new(),
            Phase::Signaling => Color::Cyan,
            Phase::Draining => Color::Yellow,
            Phase::Closing => Color::Magenta,
            Phase::Complete => Color::Green,
        };
        self.colour(Style::new(), colour)
    }

    /// A stretch of time in which a phase was on (and a runner had not done it).
    pub fn sign(self, phase: Phase) -> char {
        match (phase, self.is_unicode) {
            (Phase::Signaling, true) => '░',
            (Phase::Draining, true) => '▒',
            (Phase::Closing, true) => '█',
            (Phase::Signaling, false) => 's',
            (Phase::Draining, false) => 'd',
            (Phase::Closing, false) => 'c',
            (Phase::Running | Phase::Complete, _) => ' ',
        }
    }

    /// A stretch in which a runner waited for the others.
    pub fn waiting(self) -> char {
        if self.is_unicode { '─' } else { '-' }
    }

    /// A stretch in which a runner that is dead by now gave no sign of life.
    pub fn silent(self) -> char {
        '?'
    }

    /// When a dead runner was found.
    pub fn found_dead(self) -> char {
        if self.is_unicode { '✕' } else { 'x' }
    }

    /// What is left of the budget.
    pub fn ahead(self) -> char {
        if self.is_unicode { '·' } else { '.' }
    }

    /// When the present phase is forced.
    pub fn end_of_phase(self) -> char {
        if self.is_unicode { '┊' } else { '|' }
    }

    /// The row that the keys are about.
    pub fn cursor(self) -> char {
        if self.is_unicode { '▶' } else { '>' }
    }
}
