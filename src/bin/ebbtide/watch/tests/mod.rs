//! The page drawn into a buffer.

mod keys;
mod words;

use std::time::Duration;

use ebbtide::{
    CrossProcessLock, DeadlockDetector, ResourceManager, ResourceOptions, ResourceType,
    ShutdownRequest,
};
use ebbtide::{Mode, Phase, Runner as Joined, Scope, SegmentOptions, ShutdownCoordinator};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::keys::{Action, Ui};
use super::look::Look;
use super::page::{self, Drawn};
use super::scene::{Lock, Resource, Runner, Scene, State};

const PLAIN: Look = Look {
    is_coloured: false,
    is_unicode: false,
};
const RICH: Look = Look {
    is_coloured: true,
    is_unicode: true,
};

fn runner(id: &str, state: State, done: [Option<u64>; 3]) -> Runner {
    Runner {
        key: id.into(),
        id: id.into(),
        pid: 100,
        state,
        own_phase: Phase::Running,
        done: done.map(|millis| millis.map(Duration::from_millis)),
        silent: None,
        note: format!("note of {id}"),
    }
}

/// 10 s into the 30 s of a shutdown: 2 s of signaling, then draining until 20 s; `b` blocks.
fn draining() -> Scene {
    Scene {
        segment: "job".into(),
        generation: 3,
        phase: Phase::Draining,
        mode: Mode::Graceful,
        reason: "upgrade: version 12, asked by pid 7".into(),
        elapsed: Duration::from_secs(10),
        remaining: Duration::from_secs(20),
        phase_remaining: Duration::from_secs(10),
        overdue: None,
        phases: vec![
            (Phase::Signaling, Duration::from_secs(2)),
            (Phase::Draining, Duration::from_secs(8)),
        ],
        blockers: vec!["b (pid 100) has not done draining for 8 s; handler flush".into()],
        runners: vec![
            runner("a", State::Waits, [Some(1_000), Some(5_000), None]),
            runner("b", State::Blocks, [Some(2_000), None, None]),
            Runner {
                silent: Some((Duration::from_secs(1), Duration::from_secs(7))),
                ..runner("c", State::Dead, [Some(1_000), None, None])
            },
        ],
        resources: vec![Resource {
            name: "b/cache".into(),
            state: "Active".into(),
            note: "Custom; for 1 s".into(),
            is_bad: false,
        }],
        locks: vec![Lock {
            name: "device".into(),
            held_by: vec!["a".into()],
            wanted_by: vec!["b".into()],
        }],
        attached: 4,
    }
}

fn buffer(scene: &Scene, ui: &Ui, look: Look, width: u16, height: u16) -> (Buffer, Drawn) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut drawn = Drawn::default();
    terminal
        .draw(|frame| drawn = page::draw(frame, scene, ui, look))
        .unwrap();
    (terminal.backend().buffer().clone(), drawn)
}

fn lines(scene: &Scene, ui: &Ui, look: Look, width: u16, height: u16) -> Vec<String> {
    let (buffer, _) = buffer(scene, ui, look, width, height);
    let area = buffer.area;
    let line = |y| -> String { (0..area.width).map(|x| buffer[(x, y)].symbol()).collect() };
    let all = (0..area.height).map(|y| line(y).trim_end().to_owned());
    all.collect()
}

#[test]
fn a_whole_page_at_80_by_24() {
    let page = lines(&draining(), &Ui::default(), PLAIN, 80, 24);
    let expected = [
        "job: draining, 10.00 s of 30.00 s, 3 runners of generation 3, 4 attached",
        "graceful, upgrade: version 12, asked by pid 7",
        "sssssdddddddddddddddddddddd..........................|..........................",
        "s signaling 2.00 s  d draining 8.00 s, 10.00 s left  c closing -",
        "",
        " Blocked by",
        "  b (pid 100) has not done draining for 8 s; handler flush",
        "",
        "> a waits  s-dd-----................. pid 100     note of a",
        "  b BLOCKS ssddddddd................. pid 100     note of b",
        "  c dead   s?????x  ................. pid 100     note of c",
        "",
        "1 resource",
        "  b/cache  Active    Custom; for 1 s",
        "",
        "1 lock held or wanted",
        "  device  held by a  wanted by b",
    ];
    assert_eq!(page[..expected.len()], expected);
    assert_eq!(page[expected.len()..23], [""; 6]);
    assert!(page[23].starts_with("q quit  ? help"), "{page:#?}");
}

#[test]
fn a_small_page_still_says_who_blocks() {
    let page = lines(&draining(), &Ui::default(), PLAIN, 20, 5);
    let expected = [
        "job: draining, 10.00",
        "  b (pid 100) has",
        "    not done",
        "    draining for 8",
        "q quit  ? help  s/S",
    ];
    assert_eq!(page, expected);
}

#[test]
fn a_long_name_does_not_hide_the_phase() {
    let mut scene = draining();
    scene.segment = "a-name-of-many-letters".into();
    let page = lines(&scene, &Ui::default(), PLAIN, 20, 5);
    assert_eq!(page[0], "a-name: draining, 10");
}

#[test]
fn no_size_panics_and_a_question_is_seen_in_the_smallest() {
    let scenes = [draining(), idle(), complete()];
    for scene in &scenes {
        for question in [None, Some(Action::Cancel(Scope::All))] {
            let mut ui = Ui::default();
            (ui.question, ui.offset, ui.cursor, ui.follows) = (question, 5, 2, true);
            for width in (0..24).chain([80, 300]) {
                for height in (0..14).chain([24, 100]) {
                    let page = lines(scene, &ui, RICH, width, height);
                    assert_eq!(page.len(), usize::from(height));
                    if ui.question.is_some() && height == 1 && width > 0 {
                        assert!(page[0].starts_with('C'), "{page:?}");
                    }
                }
            }
        }
    }
}

fn idle() -> Scene {
    Scene {
        phase: Phase::Running,
        reason: String::new(),
        elapsed: Duration::ZERO,
        remaining: Duration::ZERO,
        phase_remaining: Duration::ZERO,
        phases: Vec::new(),
        blockers: Vec::new(),
        runners: (0..40)
            .map(|n| runner(&format!("r{n}"), State::Idle, [None; 3]))
            .collect(),
        ..draining()
    }
}

fn complete() -> Scene {
    Scene {
        phase: Phase::Complete,
        remaining: Duration::ZERO,
        phases: Phase::ACKNOWLEDGED
            .iter()
            .zip([2, 5, 3])
            .map(|(phase, secs)| (*phase, Duration::from_secs(secs)))
            .collect(),
        blockers: Vec::new(),
        runners: vec![
            runner("a", State::Completed, [Some(0), Some(2_000), Some(7_000)]),
            runner("b", State::TimedOut, [Some(2_000), None, None]),
        ],
        ..draining()
    }
}

#[test]
fn what_is_over_has_no_time_left_and_late_ones_are_marked() {
    let page = lines(&complete(), &Ui::default(), PLAIN, 40, 16);
    assert_eq!(page[0], "job: complete after 10.00 s, 2 runners o");
    assert_eq!(page[2], "ssssssssddddddddddddddddddddcccccccccccc");
    assert!(
        page.contains(&"> a done   ------------- pid 100     not".into()),
        "{page:#?}"
    );
    assert!(
        page.contains(&"  b late   sssddddddcccc pid 100     not".into()),
        "{page:#?}"
    );
    let (buffer, _) = buffer(&complete(), &Ui::default(), RICH, 40, 16);
    let is_b = |y: &u16| buffer[(2, *y)].symbol() == "b" && buffer[(3, *y)].symbol() == " ";
    let b = (0..16).find(is_b).unwrap();
    assert_eq!(buffer[(2, b)].fg, Color::Red);
    assert_eq!(buffer[(2, b - 1)].fg, Color::Green);
}

#[test]
fn without_colours_nothing_is_coloured_and_blockers_stand_out_all_the_same() {
    let (plain, _) = buffer(&draining(), &Ui::default(), PLAIN, 80, 24);
    let is_coloured =
        |cell: &ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
    assert!(!plain.content().iter().any(is_coloured));
    assert!(plain.content().iter().all(|cell| cell.symbol().is_ascii()));
    let heading = &plain[(1, 5)];
    assert!(
        heading
            .modifier
            .contains(Modifier::REVERSED | Modifier::BOLD),
        "{heading:?}"
    );
    let (rich, _) = buffer(&draining(), &Ui::default(), RICH, 80, 24);
    assert!(rich.content().iter().any(is_coloured));
}

#[test]
fn a_scene_is_taken_from_a_real_segment() {
    let scratch = tempfile::tempdir().unwrap();
    let options = SegmentOptions::new().directory(scratch.path().join("d"));
    let segment = options.create("job").unwrap();
    let runner = Joined::join(&segment, "worker").unwrap();
    let item = runner.begin().unwrap();
    let resources = ResourceManager::new(&runner);
    resources
        .register_resource("cache", ResourceType::Custom, ResourceOptions::new())
        .unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let guard = lock.lock().unwrap();
    runner.set_activity("counting\u{1b}[2J");
    let observer = options.observe("job").unwrap();
    let detector = DeadlockDetector::observing(options.observe("job").unwrap());
    let look = || {
        let locks = super::scene::locks(&detector.owners().unwrap(), &detector.waiters().unwrap());
        Scene::of(
            &observer.status().unwrap(),
            &observer.report().unwrap(),
            locks,
        )
    };
    let idle = look();
    assert_eq!(
        (idle.phase, idle.runners[0].state),
        (Phase::Running, State::Works)
    );
    assert!(!idle.is_moving());
    let note = &idle.runners[0].note;
    assert!(
        note.starts_with("1 in flight; counting\u{fffd}[2J, for "),
        "{note}"
    );
    assert_eq!(idle.resources[0].name, "worker/cache");
    assert_eq!(idle.locks[0].held_by, ["worker"]);
    ShutdownCoordinator::new(&segment)
        .initiate_shutdown(&Scope::All, &ShutdownRequest::new())
        .unwrap();
    let on = look();
    assert_eq!(
        (on.phase, on.runners[0].state),
        (Phase::Signaling, State::Blocks)
    );
    assert!(on.is_moving() && on.length() <= Duration::from_secs(30));
    assert!(on.blockers[0].starts_with("worker (pid "), "{on:?}");
    drop(guard);
    drop(item);
    runner.run_shutdown().unwrap();
    let over = look();
    assert_eq!(
        (over.phase, over.runners[0].state),
        (Phase::Complete, State::Completed)
    );
    assert!(over.runners[0].done.iter().all(Option::is_some) && !over.is_moving());
    let page = lines(&over, &Ui::default(), PLAIN, 80, 24);
    assert!(page[0].starts_with("job: complete after "), "{page:#?}");
}
