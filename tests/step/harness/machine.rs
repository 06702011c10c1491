//! What the harness needs of the machine it runs on.

use nix::sys::ptrace;

use crate::harness::fork;
use crate::harness::trace::{self, Seen, Tracee};

/// Keeps the driver, and what it forks from now on, on one processor: waking a thread on
/// another one costs ten times a step. Survivors go where they like.
pub fn stay_on_one_processor() {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    let me = nix::unistd::Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(me) else {
        return;
    };
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let mut one = CpuSet::new();
    if first.is_some_and(|cpu| one.set(cpu).is_ok()) {
        let _ = sched_setaffinity(me, &one);
    }
}

/// Whether this kernel lets a process be traced by its parent; if not, why.
pub fn is_refused() -> Option<String> {
    let probe = fork::run(|| {
        if ptrace::traceme().is_ok() {
            trace::mark();
        }
    });
    let seen = Tracee::new(probe.pid()).first_mark();
    (seen != Some(Seen::Marked)).then(|| "ptrace is refused to processes here".to_string())
}
