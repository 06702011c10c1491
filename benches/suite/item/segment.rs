//! The segment itself: to make it, to attach to it, and what it holds.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use ebbtide::{Runner, Segment, ShutdownCoordinator};
use memmap2::MmapRaw;
use shared_memory::ShmemConf;

use crate::Fallible;
use crate::outcome::{Aim, Case, Item, Role, Target, Unit};
use crate::plan::Plan;
use crate::stats::{Series, alternate};
use crate::timing::{Batch, batches};
use crate::troop::{options, scratch};

/// The parts of a life.
const PARTS: [&str; 3] = ["create", "open and attach", "detach"];

const NAMES: [(&str, Role); 3] = [
    ("file, mapped", Role::Limit),
    ("ebbtide", Role::Ours),
    ("shared_memory", Role::Peer),
];

pub fn measure(plan: &Plan) -> Fallible<Item> {
    let mut cases = Vec::new();
    for pinned in plan.pinnings() {
        crate::pin(pinned)?;
        cases.extend(lives(plan, pinned)?);
        cases.extend(populations(plan, pinned)?);
    }
    Ok(Item {
        name: "segment",
        title: "The segment: create, attach, detach; its size; what runners cost",
        about: "The limit is a file of the same size, allocated, mapped and unmapped. Attaching \
                includes verifying the header, a process slot, a byte lock and the keeper \
                thread. Memory is what the file takes, and what of it this process has touched.",
        cases,
        missing: Vec::new(),
    })
}

/// Create, open, detach of the three, by nanoseconds.
fn lives(plan: &Plan, pinned: bool) -> Fallible<Vec<Case>> {
    let scratch = scratch()?;
    let length = options(scratch.path()).create("measured")?;
    let length = length.path().metadata()?.len();
    let mut parts = vec![vec![Series::default(); NAMES.len()]; PARTS.len()];
    let rounds = plan.some_rounds(2, 50, 300);
    let mut round = 0;
    alternate(rounds, &[1; NAMES.len()], |contender| {
        round += 1;
        let times = match contender {
            0 => raw_life(&scratch.path().join("raw"), length)?,
            1 => our_life(scratch.path())?,
            _ => shared_memory_life(length as usize)?,
        };
        let place = (round - 1) / NAMES.len();
        if place >= rounds.warm_up {
            for (part, time) in parts.iter_mut().zip(times) {
                part[contender].push(place, time);
            }
        }
        Ok(times[0])
    })?;
    let cases = PARTS.iter().zip(&parts).map(|(part, series)| {
        let target = match *part {
            "open and attach" => Some(Target::of(60_000.0, Aim::Absolute)),
            _ => None,
        };
        Case::new(*part, &NAMES, series)
            .pinned(pinned)
            .target(target)
    });
    Ok(cases.collect())
}

fn timed<T>(part: impl FnOnce() -> Fallible<T>) -> Fallible<(T, f64)> {
    let began = Instant::now();
    let made = part()?;
    Ok((made, began.elapsed().as_nanos() as f64))
}

fn raw_life(path: &Path, length: u64) -> Fallible<[f64; 3]> {
    let ((file, map), create) = timed(|| {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        nix::fcntl::posix_fallocate(&file, 0, length as i64)?;
        let map = MmapRaw::map_raw(&file)?;
        Ok((file, map))
    })?;
    let ((other, again), open) = timed(|| {
        let file = File::options().read(true).write(true).open(path)?;
        let map = MmapRaw::map_raw(&file)?;
        Ok((file, map))
    })?;
    let ((), detach) = timed(|| {
        drop((other, again));
        Ok(())
    })?;
    drop((file, map));
    std::fs::remove_file(path)?;
    Ok([create, open, detach])
}

fn our_life(scratch: &Path) -> Fallible<[f64; 3]> {
    let options = options(scratch);
    let (made, create) = timed(|| Ok(options.create("life")?))?;
    let (opened, open) = timed(|| Ok(options.open("life")?))?;
    let ((), detach) = timed(|| {
        drop(opened);
        Ok(())
    })?;
    drop(made);
    options.remove("life", false)?;
    Ok([create, open, detach])
}

fn shared_memory_life(length: usize) -> Fallible<[f64; 3]> {
    let (made, create) = timed(|| Ok(ShmemConf::new().size(length).create()?))?;
    let id = made.get_os_id().to_owned();
    let (opened, open) = timed(|| Ok(ShmemConf::new().os_id(&id).open()?))?;
    let ((), detach) = timed(|| {
        drop(opened);
        Ok(())
    })?;
    Ok([create, open, detach])
}

/// What costs how much with so many runners registered.
fn populations(plan: &Plan, pinned: bool) -> Fallible<Vec<Case>> {
    let mut cases = Vec::new();
    for count in plan.pick(vec![1], vec![1, 64], vec![1, 64, 1023]) {
        let scratch = scratch()?;
        let segment = options(scratch.path()).create("populated")?;
        let join = |index| Runner::join(&segment, &format!("runner-{index}"));
        let runners: Vec<_> = (0..count).map(join).collect::<Result<_, _>>()?;
        let coordinator = ShutdownCoordinator::new(&segment);
        let contenders = vec![
            Batch::new("join and leave one more", Role::Ours, || {
                join(count).expect("there is room").leave();
            }),
            Batch::new("status of all", Role::Aside, || {
                black_box(coordinator.status().expect("it can be read"));
            }),
        ];
        let label = format!("{count} runners are registered");
        let case = batches(plan, label, contenders)?;
        cases.push(case.size(count).pinned(pinned));
        if !pinned {
            cases.push(memory(&segment, count)?);
        }
        drop(runners);
    }
    Ok(cases)
}

fn memory(segment: &Segment, count: usize) -> Fallible<Case> {
    let metadata = segment.path().metadata()?;
    let sizes = [
        ("file", metadata.len() as f64),
        ("allocated", metadata.blocks() as f64 * 512.0),
        ("touched by this process", touched(segment.path())?),
    ];
    let series = sizes.map(|(_, bytes)| {
        let mut series = Series::default();
        series.push(0, bytes);
        series
    });
    let names = sizes.map(|(name, _)| (name, Role::Aside));
    let label = format!("memory, {count} runners");
    Ok(Case::new(label, &names, &series).unit(Unit::Bytes))
}

/// Bytes of the mapping that this process has touched.
fn touched(path: &Path) -> Fallible<f64> {
    let maps = std::fs::read_to_string("/proc/self/smaps")?;
    let mut lines = maps.lines();
    // By its inode: who made the segment mapped it before it had its name.
    let inode = path.metadata()?.ino().to_string();
    let mapped = |line: &&str| line.split_whitespace().nth(4) == Some(&inode);
    lines.find(mapped).ok_or("the segment is not mapped")?;
    let resident = lines.find_map(|line| line.strip_prefix("Rss:"));
    let kilobytes = resident.and_then(|text| text.split_whitespace().next());
    Ok(kilobytes.ok_or("no Rss")?.parse::<f64>()? * 1024.0)
}
