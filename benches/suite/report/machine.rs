//! Facts about where and when it was measured.

use std::fs;
use std::process::Command;

use serde::Serialize;

#[derive(Clone, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub memory_mb: u64,
    pub kernel: String,
    /// Of the end of the run, UTC.
    pub date: String,
    /// With `+` if the work tree had changes.
    pub commit: String,
    pub compiler: String,
    /// Of the last 1, 5 and 15 minutes, at the end of the run.
    pub load: String,
}

impl Machine {
    pub fn look() -> Self {
        let processor = field("/proc/cpuinfo", "model name").unwrap_or_default();
        let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
        let memory = memory.split_whitespace().next().unwrap_or("0").parse();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load: Vec<_> = load.split_whitespace().take(3).collect();
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
        let changed = !said("git", &["status", "--porcelain"]).is_empty();
        Self {
            cores: crate::cores().len(),
            processor,
            memory_mb: memory.unwrap_or(0) / 1024,
            kernel: said("uname", &["-srm"]),
            date: said("date", &["-u", "+%Y-%m-%d %H:%M"]),
            commit: format!("{commit}{}", if changed { "+" } else { "" }),
            compiler: said("rustc", &["--version"]),
            load: load.join(" "),
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        format!(
            "{} cores ({}), {} MB, {}; {} UTC, commit {}, {}; load {}",
            self.cores,
            self.processor,
            self.memory_mb,
            self.kernel,
            self.date,
            self.commit,
            self.compiler,
            self.load
        )
    }
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().into())
}

/// What a command says, or nothing if it cannot be run.
fn said(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().into()
        }
        _ => String::new(),
    }
}
