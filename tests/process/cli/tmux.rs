//! A terminal for tests: tmux, with its own server.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::support::Place;
use crate::support::untested;

/// A terminal with a shell in it. Its server ends with it.
pub struct Tmux {
    socket: std::path::PathBuf,
    _scratch: tempfile::TempDir,
}

impl Tmux {
    /// `None`, with the reason on standard error, where there is no tmux.
    pub fn start(place: &Place, width: u16, height: u16) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            untested("cli::watch", "tmux is not installed");
            return None;
        }
        let scratch = tempfile::tempdir().unwrap();
        let tmux = Self {
            socket: scratch.path().join("tmux"),
            _scratch: scratch,
        };
        // The environment of the server is that of its shells.
        let mut command = place.command(&[]);
        let variables: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command = tmux.command(&["new-session", "-d"]);
        command
            .args(["-x", &width.to_string(), "-y", &height.to_string()])
            .args(["sh", "-i"])
            .envs(variables)
            .env("PS1", "ready>")
            .env("ENV", "")
            .env("LC_ALL", "C.UTF-8")
            .env("EBBTIDE", env!("CARGO_BIN_EXE_ebbtide"));
        check(&command.output().unwrap());
        tmux.run(&["set", "-g", "status", "off"]);
        // The status line was one of its lines.
        tmux.resize(width, height);
        tmux.until("the shell is there", |page| page.contains("ready>"));
        Some(tmux)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(&self.socket)
            .args(["-f", "/dev/null"]);
        command.args(args).env_remove("TMUX");
        command
    }

    pub fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        check(&output);
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn keys(&self, keys: &[&str]) {
        let mut args = vec!["send-keys"];
        args.extend(keys);
        self.run(&args);
    }

    /// Types a command line.
    pub fn line(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
        self.keys(&["Enter"]);
    }

    pub fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.run(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// What is on the screen.
    pub fn page(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// What tmux knows of the terminal, for example `#{alternate_on}`.
    pub fn asked(&self, format: &str) -> String {
        self.run(&["display-message", "-p", format]).trim().into()
    }

    /// The screen, once it is as wanted.
    #[track_caller]
    pub fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let page = self.page();
            if wanted(&page) {
                return page;
            }
            assert!(Instant::now() < until, "never: {what}:\n{page}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

#[track_caller]
fn check(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}
