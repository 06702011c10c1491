//! What keys do: a function of the key, the scene and what was chosen before.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use ebbtide::{Mode, Scope};

use super::page::Drawn;
use super::scene::Scene;
use crate::render::budget;

/// The budget of a shutdown that is begun here; that of `ebbtide shutdown`.
pub const BUDGET: Duration = Duration::from_secs(30);
/// How much one extension asks for.
pub const MORE: Duration = Duration::from_secs(10);

pub const HELP: [&str; 25] = [
    "up, k / down, j    choose a runner",
    "page up, page down, home, end   scroll",
    "",
    "s    shut the chosen runner down, alone",
    "S    shut all runners down",
    "e    make the shutdown harder: graceful, fast, immediate",
    "c    call the shutdown off; possible until closing",
    "x    extend the present phase by 10 s, up to the cap",
    "     e, c and x are about the shutdown of all, or, if",
    "     none is on, about that of the chosen runner",
    "",
    "Each asks first: y does it, any other key does not.",
    "",
    "r, Ctrl-L    draw anew",
    "Ctrl-Z       suspend",
    "?            this help, and back",
    "q, Ctrl-C    quit; a shutdown goes on without this view",
    "     while a runner, or whoever waits for it, runs",
    "",
    "In the bars: signaling, draining and closing as in the",
    "legend; a thin line is waiting for the others; dots are",
    "what is left of the budget; the upright line is when the",
    "present phase is forced. Of a dead runner question marks",
    "are where it gave no sign of life: it died there, and was",
    "found where they end.",
];

/// Something that changes the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    ShutDown(Scope),
    Escalate(Scope, Mode),
    Cancel(Scope),
    Extend(Scope),
}

impl Action {
    /// What the person is asked before it is done.
    pub fn question(&self) -> String {
        match self {
            Self::ShutDown(scope) => {
                format!("Shut down {} within {}?", name(scope), budget(BUDGET))
            }
            Self::Escalate(scope, mode) => {
                format!("Make the shutdown of {} {mode}?", name(scope))
            }
            Self::Cancel(scope) => format!("Call the shutdown of {} off?", name(scope)),
            Self::Extend(scope) => format!(
                "Give the shutdown of {} {} more?",
                name(scope),
                budget(MORE)
            ),
        }
    }
}

/// A scope as it is called in sentences.
pub fn name(scope: &Scope) -> String {
    match scope {
        Scope::Runner(id) => crate::output::plain(id),
        _ => "all runners".into(),
    }
}

/// What the person has chosen.
#[derive(Clone, Debug, Default)]
pub struct Ui {
    /// Place of the chosen runner in the scene.
    pub cursor: usize,
    /// Who that is, to find it again in the next scene.
    chosen: Option<(String, u32)>,
    /// First line of the body.
    pub offset: usize,
    /// Whether the chosen runner is kept in sight: since one was chosen, until the person
    /// scrolls. At first the blockers are.
    pub follows: bool,
    pub is_help: bool,
    /// What is asked about.
    pub question: Option<Action>,
    /// What came of the last action, and whether that is bad.
    pub message: Option<(String, bool)>,
}

/// What is to be done after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The key means nothing.
    Nothing,
    /// What is shown is another now.
    Drawn,
    Do(Action),
    /// Draw everything anew.
    Redraw,
    Suspend,
    Quit,
}

impl Ui {
    /// Finds the chosen runner in a new scene.
    pub fn settle(&mut self, scene: &Scene) {
        let key = |place: usize| {
            let runner = scene.runners.get(place)?;
            Some((runner.key.clone(), runner.pid))
        };
        if let Some(chosen) = &self.chosen {
            let mut all = scene.runners.iter();
            let place = all.position(|runner| (&runner.key, runner.pid) == (&chosen.0, chosen.1));
            if let Some(place) = place {
                self.cursor = place;
                return;
            }
        }
        self.cursor = self.cursor.min(scene.runners.len().saturating_sub(1));
        self.chosen = key(self.cursor);
    }

    fn choose(&mut self, scene: &Scene, place: usize) {
        self.chosen = None;
        self.cursor = place;
        self.follows = true;
        self.settle(scene);
    }

    fn scroll(&mut self, offset: usize) {
        self.offset = offset;
        self.follows = false;
    }

    pub fn press(&mut self, key: KeyEvent, scene: &Scene, drawn: Drawn) -> Told {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return Told::Quit,
            KeyCode::Char('z') if is_control => return Told::Suspend,
            KeyCode::Char('l') if is_control => return Told::Redraw,
            _ if is_control => return Told::Nothing,
            _ => {}
        }
        if let Some(action) = self.question.take() {
            return match key.code {
                KeyCode::Char('y' | 'Y') => Told::Do(action),
                _ => Told::Drawn,
            };
        }
        self.message = None;
        let page = drawn.height.max(1);
        match key.code {
            KeyCode::Char('q') => return Told::Quit,
            KeyCode::Esc if self.is_help => self.is_help = false,
            KeyCode::Char('?' | 'h') => {
                self.is_help = !self.is_help;
                self.scroll(0);
            }
            KeyCode::Char('r') => return Told::Redraw,
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(drawn.offset + page),
            KeyCode::PageUp => self.scroll(drawn.offset.saturating_sub(page)),
            KeyCode::Home | KeyCode::Char('g') => self.scroll(0),
            KeyCode::End | KeyCode::Char('G') => self.scroll(usize::MAX),
            KeyCode::Up | KeyCode::Char('k') if self.is_help => {
                self.scroll(drawn.offset.saturating_sub(1));
            }
            KeyCode::Down | KeyCode::Char('j') if self.is_help => self.scroll(drawn.offset + 1),
            KeyCode::Up | KeyCode::Char('k') => {
                self.choose(scene, self.cursor.saturating_sub(1));
            }
            KeyCode::Down | KeyCode::Char('j') => self.choose(scene, self.cursor + 1),
            KeyCode::Char('S') => self.ask(Some(Action::ShutDown(Scope::All)), ""),
            KeyCode::Char('s') => {
                let chosen = self.chosen.clone();
                let action = chosen.map(|(id, _)| Action::ShutDown(Scope::runner(id)));
                self.ask(action, "there is no runner");
            }
            KeyCode::Char('e') => {
                let scope = self.under_way(scene);
                let action = scope.map(|scope| {
                    // Of a runner alone the mode is not shown, so ask for the hardest.
                    let mode = match scope {
                        Scope::All => scene.mode.harder(),
                        _ => Mode::Immediate,
                    };
                    Action::Escalate(scope, mode)
                });
                self.ask(action, "no shutdown is under way");
            }
            KeyCode::Char('c') => {
                let action = self.under_way(scene).map(Action::Cancel);
                self.ask(action, "no shutdown is under way");
            }
            KeyCode::Char('x') => {
                let action = self.under_way(scene).map(Action::Extend);
                self.ask(action, "no shutdown is under way");
            }
            _ => return Told::Nothing,
        }
        Told::Drawn
    }

    fn ask(&mut self, action: Option<Action>, otherwise: &str) {
        match action {
            Some(action) => self.question = Some(action),
            None => self.message = Some((otherwise.into(), true)),
        }
    }

    /// The shutdown that keys are about.
    fn under_way(&self, scene: &Scene) -> Option<Scope> {
        if scene.is_on() {
            return Some(Scope::All);
        }
        let chosen = scene.runners.get(self.cursor)?;
        chosen.is_going_alone().then(|| Scope::runner(&chosen.key))
    }
}
