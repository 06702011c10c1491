//! The mappings of a segment in a victim, taken away and given back.

use std::fs;

use nix::unistd::Pid;

use crate::harness::arch::Registers;

/// One shared mapping of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    start: u64,
    length: u64,
    protection: u64,
}

/// All that a victim has mapped of segments.
#[derive(Debug, Default)]
pub struct Areas(Vec<Area>);

impl Areas {
    /// What a process has mapped of files below a directory.
    pub fn of(process: Pid, directory: &str) -> Self {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
        let areas = maps.lines().filter(|line| line.contains(directory));
        Self(areas.filter_map(Self::line).collect())
    }

    fn line(line: &str) -> Option<Area> {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let (start, end) = (
            u64::from_str_radix(start, 16).ok()?,
            u64::from_str_radix(end, 16).ok()?,
        );
        let letters = words.next()?;
        let bit = |letter, bit| if letters.contains(letter) { bit } else { 0 };
        Some(Area {
            start,
            length: end - start,
            protection: bit('r', libc::PROT_READ as u64) | bit('w', libc::PROT_WRITE as u64),
        })
    }

    /// Follows a system call that has returned; true if it changed anything.
    pub fn follow(&mut self, call: &Registers, answer: i64) -> bool {
        let number = call.number().cast_signed();
        let is_shared = call.argument(3) & libc::MAP_SHARED as u64 != 0;
        let of_file = call.argument(4).cast_signed() as i32 >= 0;
        if number == libc::SYS_mmap && answer > 0 && is_shared && of_file {
            self.0.push(Area {
                start: answer.cast_unsigned(),
                length: call.argument(1),
                protection: call.argument(2),
            });
            return true;
        }
        let before = self.0.len();
        if number == libc::SYS_munmap && answer == 0 {
            self.0.retain(|area| area.start != call.argument(0));
        }
        self.0.len() != before
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, address: u64) -> bool {
        self.0
            .iter()
            .any(|area| (area.start..area.start + area.length).contains(&address))
    }

    /// Arguments of the calls of `mprotect` that take them away or give them back.
    pub fn protections(&self, taken: bool) -> impl Iterator<Item = [u64; 3]> {
        self.0.iter().map(move |area| {
            let protection = if taken { 0 } else { area.protection };
            [area.start, area.length, protection]
        })
    }
}
