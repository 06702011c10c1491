//! The segment's clock: microseconds of `CLOCK_MONOTONIC` as the initial time
//! namespace counts them.
//!
//! A time namespace shifts `CLOCK_MONOTONIC` by an offset of its own, so two
//! processes may read different values at the same instant. Every stamp and
//! deadline in a segment is therefore normalised: local time minus the offset
//! that `/proc/self/timens_offsets` shows.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::error::SegmentError;
use crate::os::fork;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Local time minus initial-namespace time, in nanoseconds. Zero until [`init`].
static OFFSET: AtomicI64 = AtomicI64::new(0);

/// The same of `CLOCK_BOOTTIME`, which start times of processes are counted in.
static BOOT_OFFSET: AtomicI64 = AtomicI64::new(0);

/// The fork count for which the offsets are right, plus one; zero before the first
/// [`init`]. A child may live in another time namespace than its parent.
static KNOWN_FOR: AtomicU64 = AtomicU64::new(0);

/// Learns this process's clock offset. Cheap after the first call of a process.
///
/// Must have returned `Ok` before [`now`] is used for a segment.
///
/// # Errors
/// [`SegmentError::Clock`] when the offset cannot be known: `/proc` is missing or
/// unreadable, or the process has unshared its time namespace without forking
/// (`timens_offsets` then shows its children's namespace, not its own).
pub(crate) fn init() -> Result<(), SegmentError> {
    let process = u64::from(fork::fork_count()) + 1;
    if KNOWN_FOR.load(Ordering::Acquire) == process {
        return Ok(());
    }
    let [monotonic, boot] =
        read_offsets(Path::new("/proc/self")).map_err(|problem| SegmentError::Clock { problem })?;
    OFFSET.store(monotonic, Ordering::Relaxed);
    BOOT_OFFSET.store(boot, Ordering::Relaxed);
    // Threads that race here store the same value twice.
    KNOWN_FOR.store(process, Ordering::Release);
    Ok(())
}

/// The present instant. Async-signal-safe.
#[inline]
pub(crate) fn now() -> u64 {
    // CLOCK_MONOTONIC with a valid address cannot fail; zero would only make a
    // deadline look far away, and every sleep is bounded.
    let local = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        time.tv_sec()
            .saturating_mul(NANOS_PER_SECOND)
            .saturating_add(time.tv_nsec())
    });
    normalise(local, OFFSET.load(Ordering::Relaxed))
}

/// Wall clock minus segment clock in microseconds, as measured; the least value before that.
static WALL: AtomicI64 = AtomicI64::new(i64::MIN);

/// How far two measurements of that may differ while nobody has set the clock.
const WALL_NOISE: u64 = 50_000;

/// The wall-clock time of an instant of the segment, by the present offset between the clocks.
/// It is another one when the wall clock was set, or the machine was suspended, since.
pub(crate) fn wall(at: u64) -> SystemTime {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let wall = wall.map_or(0, |wall| {
        i64::try_from(wall.as_micros()).unwrap_or(i64::MAX)
    });
    let measured = wall.saturating_sub(i64::try_from(now()).unwrap_or(i64::MAX));
    let kept = WALL.load(Ordering::Relaxed);
    // So that the same instant has the same time each time it is asked for.
    let offset = match kept.abs_diff(measured) <= WALL_NOISE {
        true => kept,
        false => {
            WALL.store(measured, Ordering::Relaxed);
            measured
        }
    };
    let micros = u64::try_from(i128::from(at) + i128::from(offset)).unwrap_or(0);
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_micros(micros))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// How far this process's `CLOCK_BOOTTIME` is ahead of that of the initial time namespace,
/// in nanoseconds. Zero until [`init`].
pub(crate) fn boot_offset() -> i64 {
    BOOT_OFFSET.load(Ordering::Relaxed)
}

/// The local `CLOCK_MONOTONIC` value of a normalised instant, saturating.
pub(crate) fn local(until_micros: u64) -> TimeSpec {
    localise(until_micros, OFFSET.load(Ordering::Relaxed))
}

fn normalise(local_nanos: i64, offset: i64) -> u64 {
    u64::try_from(local_nanos.saturating_sub(offset)).unwrap_or(0) / 1_000
}

fn localise(until_micros: u64, offset: i64) -> TimeSpec {
    let nanos = i128::from(until_micros) * 1_000 + i128::from(offset);
    let nanos = nanos.clamp(0, i128::from(i64::MAX)) as i64;
    TimeSpec::new(nanos / NANOS_PER_SECOND, nanos % NANOS_PER_SECOND)
}

/// Of the monotonic and the boot clock.
fn read_offsets(process: &Path) -> Result<[i64; 2], String> {
    let offsets = process.join("timens_offsets");
    let text = match std::fs::read_to_string(&offsets) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A kernel without time namespaces has the directory but not the file.
            return if process.join("ns").is_dir() {
                Ok([0; 2])
            } else {
                Err(format!(
                    "{} does not exist (is /proc mounted?)",
                    process.display()
                ))
            };
        }
        Err(error) => return Err(format!("{}: {error}", offsets.display())),
    };
    let link = |name: &str| {
        let path = process.join("ns").join(name);
        std::fs::read_link(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    if link("time")? != link("time_for_children")? {
        return Err(String::from(
            "it has unshared its time namespace, so timens_offsets shows that of its children; \
             fork once before using the segment",
        ));
    }
    let parsed = |clock| {
        parse_offset(&text, clock)
            .ok_or_else(|| format!("{} has no usable line {clock:?}", offsets.display()))
    };
    Ok([parsed("monotonic")?, parsed("boottime")?])
}

/// Parses `<clock> <seconds> <nanoseconds>`: the offset in nanoseconds.
fn parse_offset(text: &str, clock: &str) -> Option<i64> {
    let mut fields = text.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.next() == Some(clock)).then_some(fields)
    })?;
    let seconds: i64 = fields.next()?.parse().ok()?;
    let nanos: i64 = fields.next()?.parse().ok()?;
    if fields.next().is_some() || !(0..NANOS_PER_SECOND).contains(&nanos) {
        return None;
    }
    seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_lines_are_parsed_strictly() {
        let kernel = "monotonic           0         0\nboottime            0         0\n";
        let monotonic = |text| parse_offset(text, "monotonic");
        assert_eq!(monotonic(kernel), Some(0));
        assert_eq!(monotonic("monotonic -5 250000000\n"), Some(-4_750_000_000));
        assert_eq!(
            parse_offset("monotonic 1 0\nboottime 2 5", "boottime"),
            Some(2_000_000_005)
        );
        for bad in [
            "",
            "boottime 1 1",
            "monotonic",
            "monotonic 1",
            "monotonic x 0",
            "monotonic 1 2 3",
            "monotonic 1 -1",
            "monotonic 1 1000000000",
            "monotonic 9223372036854775807 0",
        ] {
            assert_eq!(monotonic(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn missing_file_is_zero_only_where_the_kernel_has_no_time_namespaces() {
        let process = tempfile::tempdir().unwrap();
        assert!(read_offsets(process.path()).is_err());
        std::fs::create_dir(process.path().join("ns")).unwrap();
        assert_eq!(read_offsets(process.path()), Ok([0; 2]));
        let text = "monotonic 1 0\nboottime 2 0";
        std::fs::write(process.path().join("timens_offsets"), text).unwrap();
        assert!(read_offsets(process.path()).is_err(), "unknown namespace");
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, process.path().join("ns").join(name)).unwrap();
        };
        link("time:[1]", "time");
        link("time:[2]", "time_for_children");
        assert!(
            read_offsets(process.path())
                .unwrap_err()
                .contains("unshared")
        );
        std::fs::remove_file(process.path().join("ns/time_for_children")).unwrap();
        link("time:[1]", "time_for_children");
        let known = [NANOS_PER_SECOND, 2 * NANOS_PER_SECOND];
        assert_eq!(read_offsets(process.path()), Ok(known));
    }

    #[test]
    fn instants_survive_the_way_to_the_kernel_and_back() {
        for offset in [0, 7_000_000_123, -3_000_000_456] {
            let local = localise(10_000_000, offset);
            let nanos = local.tv_sec() * NANOS_PER_SECOND + local.tv_nsec();
            assert_eq!(normalise(nanos, offset), 10_000_000);
        }
        assert!(localise(u64::MAX, i64::MAX).tv_sec() > 9_000_000_000);
        assert_eq!(localise(0, -1).tv_sec(), 0);
        init().unwrap();
        let first = now();
        assert!(now() >= first && first > 0);
    }
}
