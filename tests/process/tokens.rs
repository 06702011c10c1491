//! A token means one very segment, wherever it is opened.

use std::str::FromStr;

use crate::support::{Agent, Child, Place, both, both_with, once, reply};
use ebbtide::{Segment, SegmentError, SegmentOptions, Token};

#[test]
fn a_token_travels_as_text_to_another_process() {
    both(here!(), |place| {
        let segment = place.create();
        let text = segment.token().to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        let token = Token::from_str(&text).unwrap();
        assert_eq!(token, segment.token());
        assert_eq!(
            (token.name(), token.directory()),
            (Place::NAME, place.directory().as_path())
        );
        // Agents open by token; the directory of the options is not used.
        let mut agent = place.runner(&segment, "a");
        assert_eq!(agent.ask("check"), "false false");
        let elsewhere = SegmentOptions::new()
            .directory(place.scratch("elsewhere"))
            .liveness(place.liveness);
        assert_eq!(elsewhere.open_token(&token).unwrap().name(), Place::NAME);
        assert!(!place.scratch("elsewhere").exists());
    });
}

#[test]
fn a_token_is_stale_once_its_segment_was_removed_or_made_anew() {
    both(here!(), |place| {
        let segment = place.create();
        let token = segment.token();
        place.options.remove(Place::NAME, true).unwrap();
        assert_is!(
            place.options.open_token(&token),
            Err(SegmentError::Stale { .. })
        );
        let again = place.create();
        assert_ne!(again.token(), token);
        assert_is!(
            place.options.open_token(&token),
            Err(SegmentError::Stale { .. })
        );
        // By name it is the new one, by the new token, too.
        assert_eq!(
            place.options.open(Place::NAME).unwrap().token(),
            again.token()
        );
        assert_eq!(
            place.options.open_token(&again.token()).unwrap().token(),
            again.token()
        );
        // The old handle still shows where it came from, and lets nobody in.
        assert_eq!(segment.token(), token);
        let late = ebbtide::Runner::join(&segment, "a").unwrap_err();
        assert_is!(
            late,
            ebbtide::CoordinationError::Segment(SegmentError::Stale { .. })
        );
    });
}

#[test]
fn what_is_no_token_is_refused_with_what_is_wrong() {
    once(here!(), |place| {
        let good = place.create().token().to_string();
        let cut = &good[..good.len() - 1];
        let long = "x".repeat(20_000);
        let upper = good.to_uppercase();
        for bad in [
            "",
            "group",
            "ebb1:",
            "ebb1:group",
            "ebb2:group:00@/x",
            &upper,
            &long,
            "ebb1:../x:0@/x",
        ] {
            assert_is!(bad.parse::<Token>(), Err(SegmentError::InvalidToken { .. }));
        }
        // Another directory is another place, and there is nothing.
        assert_is!(
            place.options.open_token(&cut.parse().unwrap()),
            Err(SegmentError::Stale { .. })
        );
    });
}

fn from_environment(child: &Child) {
    child.order();
    reply(&match Segment::from_env() {
        Ok(segment) => segment.token().to_string(),
        Err(error) => format!("err {error:?}"),
    });
}

#[test]
fn the_environment_names_a_segment_by_token_or_by_name() {
    both_with(here!(), &[("reader", from_environment)], |place| {
        let segment = place.create();
        let token = segment.token().to_string();
        let read = |value: Option<&str>, directory: Option<&std::path::Path>| {
            let mut command = Agent::command(place, "reader");
            if let Some(value) = value {
                command.env(Segment::VARIABLE, value);
            }
            if let Some(directory) = directory {
                command.env("EBBTIDE_DIR", directory);
            }
            Agent::start("reader", command).ask("read")
        };
        assert_eq!(read(Some(&token), None), token);
        assert_eq!(read(Some(Place::NAME), Some(&place.directory())), token);
        let told = read(None, None);
        assert!(
            told.starts_with("err Environment") && told.contains("EBBTIDE_SEGMENT"),
            "{told}"
        );
        assert!(read(Some("no/name"), None).starts_with("err InvalidName"));
        assert!(read(Some("absent"), Some(&place.directory())).starts_with("err NotFound"));
        assert!(read(Some(Place::NAME), Some("".as_ref())).starts_with("err Environment"));
        place.options.remove(Place::NAME, true).unwrap();
        assert!(read(Some(&token), None).starts_with("err Stale"));
    });
}

#[test]
fn an_unknown_liveness_is_refused_by_name() {
    both_with(here!(), &[("reader", from_environment)], |place| {
        let segment = place.create();
        let mut command = Agent::command(place, "reader");
        command
            .env(Segment::VARIABLE, segment.token().to_string())
            .env("EBBTIDE_LIVENESS", "psychic");
        let told = Agent::start("reader", command).ask("read");
        assert!(
            told.starts_with("err Environment") && told.contains("psychic"),
            "{told}"
        );
    });
}
