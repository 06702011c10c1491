//! The end of a child process.

use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Sleeps until the child has ended. When it has not after `patience`, runs `kill`, which must
/// end it, and answers `None`.
pub fn end_of(child: &mut Child, patience: Duration, kill: impl FnOnce()) -> Option<ExitStatus> {
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        scope.spawn(move || tell.send(child.wait().unwrap()));
        let status = told.recv_timeout(patience).ok();
        if status.is_none() {
            kill();
        }
        status
    })
}

/// For [`end_of`]: kills the process of this id.
pub fn killer(child: &Child) -> impl FnOnce() + use<> {
    let id = nix::unistd::Pid::from_raw(child.id().cast_signed());
    move || {
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL);
    }
}
