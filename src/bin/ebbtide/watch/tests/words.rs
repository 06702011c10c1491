//! What is said of who is dead, of how many there are more, and of the time that is left.

use std::time::Duration;

use ebbtide::{Outcome, Phase, Scope, SegmentOptions, ShutdownCoordinator, ShutdownRequest};

use super::{PLAIN, Scene, State, Ui, draining, lines, runner};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn page(scene: &Scene) -> Vec<String> {
    lines(scene, &Ui::default(), PLAIN, 80, 24)
}

#[track_caller]
fn line<'p>(page: &'p [String], wanted: &str) -> &'p str {
    let found = page.iter().find(|line| line.contains(wanted));
    found.unwrap_or_else(|| panic!("no {wanted:?} in {page:#?}"))
}

#[test]
fn the_legend_says_how_long_is_left_and_then_how_long_it_is_overdue() {
    let mut scene = draining();
    assert_eq!(
        line(&page(&scene), "signaling 2.00 s"),
        "s signaling 2.00 s  d draining 8.00 s, 10.00 s left  c closing -"
    );
    scene.phase_remaining = Duration::ZERO;
    scene.overdue = Some(secs(3));
    let page = page(&scene);
    assert_eq!(
        line(&page, "signaling 2.00 s"),
        "s signaling 2.00 s  d draining 8.00 s, overdue by 3.00 s  c closing -"
    );
    assert!(!page.iter().any(|line| line.contains(" left")), "{page:#?}");
}

#[test]
fn the_upright_line_is_where_the_phase_is_forced() {
    // 80 cells for 30 s.
    let at = |scene: &Scene| {
        let bar = page(scene)[2].clone();
        bar.chars().position(|sign| sign == '|')
    };
    let mut scene = draining();
    for (left, cell) in [(0, 26), (5, 40), (10, 53)] {
        scene.phase_remaining = secs(left);
        assert_eq!(at(&scene), Some(cell).filter(|_| left > 0), "{left} s");
    }
    // Forced at the end of everything: no line within.
    scene.phase_remaining = secs(20);
    assert_eq!(at(&scene), None);
}

#[test]
fn blockers_that_have_no_room_are_counted() {
    let mut scene = draining();
    for (count, more) in [
        (6, None),
        (7, Some("  and 1 other")),
        (40, Some("  and 34 others")),
    ] {
        let blocker = |n| format!("r{n} (pid 1) has not done draining for 8 s");
        scene.blockers = (0..count).map(blocker).collect();
        let page = page(&scene);
        assert!(page.contains(&"  r5 (pid 1) has not done draining for 8 s".into()));
        let found = page.iter().find(|line| line.starts_with("  and "));
        assert_eq!(found.map(String::as_str), more, "{page:#?}");
    }
}

#[test]
fn a_dead_runner_is_not_drawn_as_working() {
    let dead = |done, silent: (u64, u64)| super::Runner {
        silent: Some((secs(silent.0), secs(silent.1))),
        ..runner("x", State::Dead, done)
    };
    let mut scene = draining();
    let mut bar = |runner| {
        scene.runners = vec![runner];
        let page = page(&scene);
        line(&page, "x dead").to_owned()
    };
    // Dead before it began, and found at once.
    assert_eq!(
        bar(dead([None; 3], (0, 0))),
        "> x dead   x        ................. pid 100     note of x"
    );
    // Never seen since, and not counted out yet.
    assert_eq!(
        bar(dead([None; 3], (0, 10))),
        "> x dead   ????????x................. pid 100     note of x"
    );
    assert_eq!(
        bar(dead([Some(1_000), None, None], (5, 7))),
        "> x dead   s-dd??x  ................. pid 100     note of x"
    );
}

#[test]
fn one_that_was_killed_before_is_dead_in_the_scene_from_its_beginning() {
    let scratch = tempfile::tempdir().unwrap();
    let options = SegmentOptions::new().directory(scratch.path().join("d"));
    let segment = options.create("job").unwrap();
    let here = super::Joined::join(&segment, "here").unwrap();
    ShutdownCoordinator::new(&segment)
        .initiate_shutdown(&Scope::All, &ShutdownRequest::new())
        .unwrap();
    let observer = options.observe("job").unwrap();
    let (mut status, report) = (observer.status().unwrap(), observer.report().unwrap());
    let one = &mut status.runners[0];
    (one.alive, one.dead, one.outcome) = (false, true, Some(Outcome::Died));
    one.ended = Some(Duration::ZERO);
    let scene = Scene::of(&status, &report, Vec::new());
    assert_eq!(scene.phase, Phase::Signaling);
    let one = &scene.runners[0];
    assert_eq!(one.state, State::Dead);
    assert_eq!(one.silent, Some((Duration::ZERO, Duration::ZERO)));
    // It has done nothing of it, and is alive: nothing of that is said.
    let scene = Scene::of(&observer.status().unwrap(), &report, Vec::new());
    assert_eq!(scene.runners[0].silent, None);
    here.run_shutdown().unwrap();
}
