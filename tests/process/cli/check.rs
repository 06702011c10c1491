//! `ebbtide check`: what is found, and its exit codes.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::support::{Place, both};
use nix::sys::signal::Signal;
use serde_json::json;

#[test]
fn a_sound_segment_is_0_and_one_that_is_not_there_is_3() {
    both(|place| {
        place.run(&["set", "seg", "key", "value"]).code(0);
        let said = place.run(&["check", "seg"]).code(0);
        assert_eq!(said.out, "seg: every invariant holds\n");
        let document = place.run(&["check", "seg", "--json"]).code(0).json();
        let expected = json!({"segment": "seg", "sound": true, "findings": [], "repaired": []});
        assert_eq!(document, expected);
        place.run(&["check", "seg", "--repair"]).code(0);
        place.run(&["rm", "seg"]).code(0);
        place
            .run(&["check", "seg", "--json"])
            .code(3)
            .error("missing");
    });
}

#[test]
fn a_broken_one_is_6_and_stays_so() {
    both(|place| {
        place.run(&["set", "seg", "hostile!", "value"]).code(0);
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .open(place.file("seg"))
            .unwrap();
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let key = bytes
            .windows(8)
            .position(|eight| eight == b"hostile!")
            .unwrap();
        // The word before a key says how long it and its value are.
        file.write_all_at(&[0xff; 8], key as u64 - 8).unwrap();
        let document = place.run(&["check", "seg", "--json"]).code(6).json();
        let [finding] = &document["findings"].as_array().unwrap()[..] else {
            panic!("{document:#}")
        };
        assert_eq!(
            (&finding["name"], &finding["gravity"]),
            (&json!("version"), &json!("broken"))
        );
        assert_eq!(finding["invariant"], 25);
        let page = place.run(&["check", "seg", "--repair"]).code(6).out;
        assert!(page.starts_with("broken   25 version: key "), "{page}");
        assert!(
            page.contains("To do: end its users, remove the segment"),
            "{page}"
        );
        assert!(page.ends_with("seg: 1 finding\n"), "{page}");
        place.run(&["rm", "seg"]).code(0);
    });
}

#[test]
fn what_the_dead_left_is_5_until_it_is_repaired() {
    let place = Place::new("auto");
    let script = "echo ready; read end";
    let mut victim = place.exec("seg", "victim", &[], &["sh", "-c", script]);
    victim.signal(Signal::SIGKILL);
    victim.status();
    let document = place.run(&["check", "seg", "--json"]).code(5).json();
    let found = document["findings"].as_array().unwrap();
    let is_left = |finding: &serde_json::Value| finding["gravity"] == "left";
    assert!(
        !found.is_empty() && found.iter().all(is_left),
        "{document:#}"
    );
    let repaired = place
        .run(&["check", "seg", "--repair", "--json"])
        .code(0)
        .json();
    assert_eq!(repaired["sound"], true);
    assert!(
        !repaired["repaired"].as_array().unwrap().is_empty(),
        "{repaired:#}"
    );
    place.run(&["check", "seg"]).code(0);
    place.run(&["rm", "seg"]).code(0);
}
