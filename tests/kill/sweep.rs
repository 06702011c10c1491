//! The sweeps.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use nix::sys::signal::Signal;

use super::child::{self, Orders};
use super::operation::{self, Operation};
use super::survivor::{Peer, check, create};

/// The entry of victims; in the test run itself there is nothing to do.
#[test]
fn victim() {
    if let Some(orders) = Orders::read() {
        let made = operation::run(
            orders.operation,
            orders.access,
            &orders.directory,
            orders.portable,
        );
        println!("accesses {made}");
    }
}

/// One victim; `None` if it died, else how many accesses it made.
fn kill_at(operation: Operation, access: u64, portable: bool) -> Option<u64> {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("segments");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(
        &directory,
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    drop(create(&directory));
    let text = directory.to_str().unwrap();
    if operation == Operation::Reap {
        // Somebody to reap: a live runner that dies at once.
        let (status, _) = child::start(&directory, Operation::Leave, 0, portable).end();
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
    }
    let peer = Peer::start(text, portable, operation != Operation::Reap);
    let (status, said) = child::start(&directory, operation, access, portable).end();
    let died = status.signal() == Some(Signal::SIGKILL as i32);
    assert!(
        died || status.success(),
        "{} at {access}: {status}, {said}",
        operation.name()
    );
    check(text, portable);
    peer.end();
    let count = said
        .lines()
        .find_map(|line| line.split_once("accesses ")?.1.parse().ok());
    if died {
        None
    } else {
        Some(count.expect("a victim that lives says its accesses"))
    }
}

fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Kill points tried one by one; beyond, random ones.
const ONE_BY_ONE: u64 = 700;

fn sweep(operations: &[Operation], portable: bool) {
    if Orders::read().is_some() {
        return;
    }
    let seed = env_number("EBBTIDE_SEED").unwrap_or(20_261_123);
    let random = env_number("EBBTIDE_KILLS").unwrap_or(40);
    let mut state = seed;
    for operation in operations {
        let begin = Instant::now();
        let (mut kills, mut length) = (0, 0);
        for access in 0.. {
            match kill_at(*operation, access, portable) {
                None => kills += 1,
                Some(made) => {
                    length = made;
                    break;
                }
            }
            if access + 1 == ONE_BY_ONE {
                break;
            }
        }
        if length == 0 {
            // Long: the rest of its length at random.
            length = kill_at(*operation, u64::MAX / 2, portable).expect("it is never reached");
            for _ in 0..random {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let access = ONE_BY_ONE + (state >> 33) % (length - ONE_BY_ONE).max(1);
                kills += u64::from(kill_at(*operation, access, portable).is_none());
            }
        }
        println!(
            "kill sweep {:22} {length:5} accesses, {kills:4} kills, 0 violations ({:.1} s, seed {seed}{})",
            operation.name(),
            begin.elapsed().as_secs_f64(),
            if portable { ", portable" } else { "" },
        );
    }
}

/// The operations in four parts, so that they run beside one another.
fn part(index: usize) -> Vec<Operation> {
    Operation::ALL
        .iter()
        .copied()
        .skip(index)
        .step_by(4)
        .collect()
}

#[test]
fn a_process_killed_anywhere_harms_nobody_1() {
    sweep(&part(0), false);
}

#[test]
fn a_process_killed_anywhere_harms_nobody_2() {
    sweep(&part(1), false);
}

#[test]
fn a_process_killed_anywhere_harms_nobody_3() {
    sweep(&part(2), false);
}

#[test]
fn a_process_killed_anywhere_harms_nobody_4() {
    sweep(&part(3), false);
}

/// The portable back end differs where deaths are noticed: the shutdown's own steps, and
/// what is taken from the dead.
#[test]
fn a_process_killed_anywhere_harms_nobody_portable() {
    use Operation::{
        Acknowledge, AcknowledgeLast, Event, Initiate, Leave, Lock, Permit, StoreTriple,
    };
    sweep(&[Initiate, Acknowledge, AcknowledgeLast, Leave], true);
    sweep(&[Lock, Event, Permit, StoreTriple, Operation::Wait], true);
}

#[test]
fn a_process_killed_while_it_waits_leaves_no_wait() {
    sweep(&[Operation::Wait, Operation::Disorder], false);
}
