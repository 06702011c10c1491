//! The terminal: taken for the view, and given back as it was, whatever happens.

use std::io::{self, Stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::{getpgrp, tcgetpgrp};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// Whether the terminal is ours now. Of this process there is one terminal.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while the view is on. Dropping it gives it back; so does a panic, in
/// whatever thread, before its message is printed.
pub struct Terminal(ratatui::Terminal<CrosstermBackend<Stdout>>);

impl Terminal {
    pub fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        enter()?;
        // From here on it is given back also if the next line fails.
        let guard = Guard;
        let terminal = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))?;
        std::mem::forget(guard);
        Ok(Self(terminal))
    }

    pub fn draw(&mut self, page: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.0.draw(page).map(drop)
    }

    /// Has the next drawing not rely on what is there: others may have written over it.
    pub fn forget(&mut self) -> io::Result<()> {
        self.0.clear()
    }

    /// After a stop: the shell has used the terminal meanwhile, and its modes.
    pub fn retake(&mut self) -> io::Result<()> {
        // Also where nobody could give it back before (SIGSTOP).
        let _ = disable_raw_mode();
        enter()?;
        self.forget()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::Release);
    execute!(io::stdout(), EnterAlternateScreen, Hide)
}

/// Gives the terminal back. May be repeated. Fails silently: if there is no terminal any
/// more (the connection is gone), there is nothing to clean either.
pub fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::AcqRel) {
        return;
    }
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    // A job in the background is stopped when it sets modes, and they are the shell's then.
    if is_in_front() {
        let _ = disable_raw_mode();
    }
}

/// Whether this process may use its terminal (and has one).
pub fn is_in_front() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}
