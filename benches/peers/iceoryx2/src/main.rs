//! Says `ready`; answers each line `go` with the nanoseconds from the notification to the
//! last of N resident processes that saw it. Ends with its input.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use iceoryx2::prelude::*;

type Fallible<T = ()> = Result<T, Box<dyn Error>>;

/// The argument of a resident.
const ROLE: &str = "resident";

fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn event(
    name: &str,
    all: usize,
) -> Fallible<iceoryx2::service::port_factory::event::PortFactory<ipc::Service>> {
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let service = node.service_builder(&name.try_into()?).event();
    Ok(service
        .max_listeners(all + 1)
        .max_nodes(all + 2)
        .open_or_create()?)
}

/// Says when it is about to wait and when it saw the notification.
fn stay(name: &str, all: usize) -> Fallible {
    let event = event(name, all)?;
    let listener = event.listener_builder().create()?;
    let mut output = std::io::stdout();
    loop {
        writeln!(output, "waiting")?;
        output.flush()?;
        if listener.blocking_wait_one()?.is_some() {
            writeln!(output, "{}", now())?;
            output.flush()?;
            while listener.try_wait_one()?.is_some() {}
        }
    }
}

struct Resident {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Resident {
    fn line(&mut self) -> Fallible<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("a resident ended".into()),
            _ => Ok(line.trim().into()),
        }
    }

    fn is_asleep(&self) -> bool {
        let path = format!("/proc/{}/stat", self.child.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let state = text.rsplit(')').next().unwrap_or("").trim_start();
        state.starts_with('S')
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> Fallible {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, name, all] = arguments.as_slice()
        && role == ROLE
    {
        return stay(name, all.parse()?);
    }
    let all: usize = arguments.first().ok_or("how many processes?")?.parse()?;
    let name = format!("ebbtide-bench-{}", std::process::id());
    let event = event(&name, all)?;
    let notifier = event.notifier_builder().create()?;
    let mut residents = Vec::new();
    for _ in 0..all {
        let mut child = Command::new(std::env::current_exe()?)
            .args([ROLE, &name, &all.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        residents.push(Resident {
            child,
            output: BufReader::new(output),
        });
    }
    println!("ready");
    for line in std::io::stdin().lines() {
        line?;
        for resident in &mut residents {
            while resident.line()? != "waiting" {}
            while !resident.is_asleep() {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        let began = now();
        notifier.notify()?;
        let mut last = 0;
        for resident in &mut residents {
            last = last.max(resident.line()?.parse()?);
        }
        println!("{}", last - began);
    }
    Ok(())
}
