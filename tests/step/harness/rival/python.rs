//! Python's `multiprocessing.Lock`. An interpreter is too long to be stepped, so it is killed
//! at random times, while it takes and gives back the lock without pause.

use std::process::{Command, Stdio};

use super::{Found, Score};

/// Prints one word for each kill.
const PROGRAM: &str = r#"
import multiprocessing, os, random, signal, sys, time

def victim(lock, ready):
    ready.set()
    while True:
        with lock:
            pass

if __name__ == "__main__":
    random.seed(int(sys.argv[2]))
    context = multiprocessing.get_context("fork")
    for _ in range(int(sys.argv[1])):
        lock, ready = context.Lock(), context.Event()
        process = context.Process(target=victim, args=(lock, ready), daemon=True)
        process.start()
        ready.wait()
        time.sleep(random.random() * 0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        print("fine" if lock.acquire(timeout=0.2) else "lost", flush=True)
"#;

/// `Err` says why there is no answer.
pub fn score(kills: u64, seed: u64) -> Result<Score, String> {
    let output = Command::new("python3")
        .args(["-c", PROGRAM, &kills.to_string(), &seed.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("no python3: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("python3 ended with {}: {said}", output.status));
    }
    let mut score = Score::new("Python multiprocessing.Lock: acquire, release");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        score.add(match line {
            "fine" => Found::Fine,
            _ => Found::Lost,
        });
    }
    Ok(score)
}
