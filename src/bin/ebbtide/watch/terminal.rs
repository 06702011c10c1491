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
use ratatui::layout::{Position, Rect};

/// Whether the terminal is ours now. Of this process there is one terminal.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether a thread has panicked: the terminal was given back, and is drawn on no more.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// The terminal while the view is on. Dropping it gives it back; so does a panic, in
/// whatever thread, before its message is printed.
pub struct Terminal(ratatui::Terminal<CrosstermBackend<Stdout>>);

impl Terminal {
    pub fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                HAS_PANICKED.store(true, Ordering::Release);
                give_back();
                before(panic);
            }));
        });
        // Gives it back also if one of the next lines fails half-way.
        let guard = Guard;
        enter()?;
        let terminal = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))?;
        std::mem::forget(guard);
        Ok(Self(terminal))
    }

    pub fn draw(&mut self, page: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        if HAS_PANICKED.load(Ordering::Acquire) {
            return Err(io::Error::other("given back, as a thread has panicked"));
        }
        self.0.draw(page).map(drop)
    }

    /// Has the next drawing not rely on what is there: others may have written over it.
    ///
    /// Not by `clear`, which asks the terminal where its cursor is and reads the answer, or
    /// keys that come first, for up to two seconds.
    pub fn forget(&mut self) -> io::Result<()> {
        let size = self.0.size()?;
        self.0.resize(Rect::from((Position::ORIGIN, size)))
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

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    /// What makes this test the process in the terminal.
    const INSIDE: &str = "EBBTIDE_TEST_TERMINAL";

    fn tmux(socket: &std::path::Path, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(socket).args(["-f", "/dev/null"]);
        let output = command.args(args).env_remove("TMUX").output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_panic_in_any_thread_leaves_the_terminal_clean() {
        if std::env::var_os(INSIDE).is_some() {
            let mut terminal = Terminal::take().unwrap();
            terminal.draw(|_| {}).unwrap();
            let other = std::thread::spawn(|| panic!("words of the panic"));
            let _ = other.join();
            assert!(terminal.draw(|_| {}).is_err(), "nobody draws on it now");
            // As after a kill: nothing else gives the terminal back.
            std::process::exit(7);
        }
        if Command::new("tmux").arg("-V").output().is_err() {
            println!("skipped: tmux is not installed");
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let socket = scratch.path().join("tmux");
        let test = std::env::current_exe().unwrap();
        let name = "watch::terminal::tests::a_panic_in_any_thread_leaves_the_terminal_clean";
        let line = format!(
            "{INSIDE}=1 '{}' --exact {name} --nocapture; echo code=$?; stty -a",
            test.display()
        );
        tmux(
            &socket,
            &["new-session", "-d", "-x", "200", "-y", "50", "sh", "-i"],
        );
        tmux(&socket, &["send-keys", "-l", &line]);
        tmux(&socket, &["send-keys", "Enter"]);
        let until = Instant::now() + Duration::from_secs(60);
        let page = loop {
            let page = tmux(&socket, &["capture-pane", "-p"]);
            let is_over = page.lines().any(|line| line.trim() == "code=7");
            if is_over && page.contains("isig") {
                break page;
            }
            assert!(Instant::now() < until, "{page}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let modes = tmux(
            &socket,
            &["display-message", "-p", "#{alternate_on} #{cursor_flag}"],
        );
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(&socket)
            .arg("kill-server")
            .output();
        assert_eq!(modes.trim(), "0 1", "{page}");
        assert!(page.contains("words of the panic"), "{page}");
        for mode in ["isig", "icanon", "echo"] {
            let is_on = page.split([' ', '\n', ';']).any(|word| word == mode);
            assert!(is_on, "no {mode}: {page}");
        }
    }
}
