//! What keys do to the page.

use ebbtide::{Mode, Phase, Scope};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::keys::{Action, HELP, Told, Ui};
use super::super::page::Drawn;
use super::super::scene::{Scene, State};
use super::{PLAIN, buffer, draining, idle, lines};

fn press(ui: &mut Ui, scene: &Scene, code: KeyCode) -> Told {
    ui.settle(scene);
    let (_, drawn) = buffer(scene, ui, PLAIN, 80, 24);
    ui.offset = drawn.offset;
    ui.press(KeyEvent::from(code), scene, drawn)
}

#[test]
fn every_action_asks_first_and_only_y_does_it() {
    let (idle, on) = (idle(), draining());
    let one = Action::ShutDown(Scope::runner("r1"));
    let all = Scope::All;
    let cases = [
        (&idle, 's', one, "Shut down r1 within 30 s? [y/N]"),
        (
            &on,
            'S',
            Action::ShutDown(all.clone()),
            "Shut down all runners within 30 s? [y/N]",
        ),
        (
            &on,
            'e',
            Action::Escalate(all.clone(), Mode::Fast),
            "Make the shutdown of all runners fast? [y/N]",
        ),
        (
            &on,
            'c',
            Action::Cancel(all.clone()),
            "Call the shutdown of all runners off? [y/N]",
        ),
        (
            &on,
            'x',
            Action::Extend(all),
            "Give the shutdown of all runners 10 s more? [y/N]",
        ),
    ];
    for (scene, key, action, question) in cases {
        for (answer, expected) in [
            (KeyCode::Char('y'), Told::Do(action.clone())),
            (KeyCode::Char('n'), Told::Drawn),
            (KeyCode::Enter, Told::Drawn),
            (KeyCode::Char('q'), Told::Drawn),
        ] {
            let mut ui = Ui::default();
            press(&mut ui, scene, KeyCode::Down);
            assert_eq!(press(&mut ui, scene, KeyCode::Char(key)), Told::Drawn);
            let page = lines(scene, &ui, PLAIN, 80, 24);
            assert_eq!(page[23], question);
            assert_eq!(press(&mut ui, scene, answer), expected, "{key} {answer:?}");
            assert_eq!(ui.question, None);
        }
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    for key in ['e', 'c', 'x'] {
        let mut ui = Ui::default();
        press(&mut ui, &idle(), KeyCode::Char(key));
        assert_eq!(ui.question, None);
        let page = lines(&idle(), &ui, PLAIN, 80, 24);
        assert_eq!(page[23], "no shutdown is under way");
    }
    // One that is shut down alone is what the keys are about, when it is chosen.
    let mut scene = idle();
    scene.runners[1].state = State::Alone;
    scene.runners[1].own_phase = Phase::Draining;
    let mut ui = Ui::default();
    press(&mut ui, &scene, KeyCode::Down);
    press(&mut ui, &scene, KeyCode::Char('c'));
    assert_eq!(ui.question, Some(Action::Cancel(Scope::runner("r1"))));
}

#[test]
fn the_chosen_one_stays_in_sight_and_chosen() {
    let mut ui = Ui::default();
    let mut scene = idle();
    for _ in 0..30 {
        press(&mut ui, &scene, KeyCode::Down);
    }
    assert!(
        lines(&scene, &ui, PLAIN, 80, 24)
            .iter()
            .any(|line| line.starts_with("> r30"))
    );
    // Others come and go; it is still the one that is meant.
    scene.runners.remove(0);
    scene.runners.remove(3);
    ui.settle(&scene);
    assert!(
        lines(&scene, &ui, PLAIN, 80, 24)
            .iter()
            .any(|line| line.starts_with("> r30"))
    );
    press(&mut ui, &scene, KeyCode::Home);
    assert!(lines(&scene, &ui, PLAIN, 80, 24)[2].starts_with("  r1"));
    press(&mut ui, &scene, KeyCode::End);
    assert_eq!(
        lines(&scene, &ui, PLAIN, 80, 24)[22],
        "  device  held by a  wanted by b"
    );
    for _ in 0..3 {
        // Beyond the end there is nothing.
        press(&mut ui, &scene, KeyCode::PageDown);
    }
    press(&mut ui, &scene, KeyCode::PageUp);
    assert!(!lines(&scene, &ui, PLAIN, 80, 24)[22].contains("device"));
}

#[test]
fn help_tells_every_key_and_control_keys_are_not_letters() {
    let mut ui = Ui::default();
    press(&mut ui, &idle(), KeyCode::Char('?'));
    let page = lines(&idle(), &ui, PLAIN, 80, 40);
    for line in HELP {
        assert!(page.contains(&line.to_owned()), "{line}");
    }
    press(&mut ui, &idle(), KeyCode::Esc);
    assert!(!ui.is_help);
    let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    let mut told = |letter| ui.press(control(letter), &idle(), Drawn::default());
    assert_eq!(told('c'), Told::Quit);
    assert_eq!(told('z'), Told::Suspend);
    assert_eq!(told('s'), Told::Nothing);
}
