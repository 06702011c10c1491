//! For tests: whether a thread of this process sleeps.

/// Returns once the thread sleeps. It must say its id right before it does.
pub(crate) fn until_asleep(thread: nix::unistd::Pid) {
    let path = format!("/proc/self/task/{thread}/stat");
    loop {
        let stat = std::fs::read_to_string(&path).unwrap();
        // Behind the name, which may hold anything.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        if rest.starts_with('S') {
            return;
        }
        std::thread::yield_now();
    }
}
