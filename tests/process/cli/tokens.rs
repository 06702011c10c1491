//! Tokens in place of names, and the directory that a program of `exec` is given.

use std::fs;

use super::support::{Place, both};

/// The token of a segment, as `exec` passes it.
fn token_of(place: &Place, segment: &str) -> String {
    let program = ["sh", "-c", "echo $EBBTIDE_SEGMENT"];
    let args = ["exec", segment, "--runner", "maker", "--"];
    let args: Vec<&str> = args.into_iter().chain(program).collect();
    place.run(&args).code(0).out.trim().into()
}

#[test]
fn a_program_in_another_directory_finds_the_segment_of_a_relative_one() {
    both(|place| {
        let home = place.directory();
        let home = home.parent().unwrap();
        let print = "cd / && printf %s \"$EBBTIDE_DIR\"";
        for (option, variable) in [(Some("segments"), None), (None, Some("segments"))] {
            let program = ["exec", "job", "--runner", "a", "--", "sh", "-c", print];
            let args: Vec<&str> = option.iter().flat_map(|dir| ["--dir", dir]).collect();
            let mut command = place.command(&[&args[..], &program[..]].concat());
            command.current_dir(home).env_remove("EBBTIDE_DIR");
            if let Some(directory) = variable {
                command.env("EBBTIDE_DIR", directory);
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let found = fs::canonicalize(String::from_utf8(output.stdout).unwrap());
            let expected = fs::canonicalize(place.directory());
            assert_eq!(found.unwrap(), expected.unwrap());
        }
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn every_command_takes_a_token_for_a_name_and_refuses_a_stale_one() {
    both(|place| {
        place.segment("job");
        let token = token_of(place, "job");
        let commands: [(&[&str], i32); 21] = [
            (&["set", "T", "key", "value"], 0),
            (&["get", "T", "key"], 0),
            (&["keys", "T"], 0),
            (&["watch", "T", "key", "--count", "1"], 0),
            (&["del", "T", "key"], 0),
            (&["event", "set", "T", "up"], 0),
            (&["event", "wait", "T", "up"], 0),
            (&["event", "list", "T"], 0),
            (&["locks", "T"], 0),
            (&["status", "T"], 0),
            (&["status", "T", "--ready"], 0),
            (&["why", "T"], 0),
            (&["metrics", "T"], 0),
            (&["check", "T"], 0),
            (&["reap", "T"], 0),
            (&["cancel", "T"], 7),
            (&["exec", "T", "--runner", "a", "--", "true"], 0),
            (&["shutdown", "T"], 0),
            (&["wait", "T"], 0),
            (&["timeline", "T"], 0),
            (&["begin", "T"], 0),
        ];
        let run = |place: &Place, command: &[&str], dir: Option<&str>| {
            let words = command.iter().map(|word| match *word {
                "T" => token.as_str(),
                word => word,
            });
            let options = dir.iter().flat_map(|dir| ["--dir", dir]);
            place.run(&options.chain(words).collect::<Vec<_>>())
        };
        let elsewhere = place.directory().join("elsewhere");
        let elsewhere = elsewhere.to_str().unwrap();
        for (command, code) in commands {
            run(place, command, None).code(code);
            let refused = run(place, command, Some(elsewhere)).code(2);
            assert!(
                refused.err.contains("not the one of the options"),
                "{refused:?}"
            );
        }
        let here = place.directory();
        run(place, &["status", "T"], here.to_str()).code(0);
        run(place, &["rm", "T"], Some(elsewhere)).code(2);
        run(place, &["rm", "T"], None).code(0);
        // Gone, and then made anew.
        for _ in 0..2 {
            for (command, _) in commands {
                run(place, command, None).code(3);
            }
            run(place, &["rm", "T"], None).code(3);
            run(place, &["rm", "T", "--force"], None).code(3);
            place.segment("job");
        }
        place.run(&["rm", "job"]).code(0);
    });
}
