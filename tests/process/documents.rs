//! The documents keep up with the code: every error and exit code is in the FAQ, and what
//! the guide shows works.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The variants of each public enum in a source text, by its name.
fn enums(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("pub enum ") else {
            continue;
        };
        let name = name.trim_end_matches(" {").to_owned();
        let mut variants = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != "}") {
            // Variants are at the first level of indentation.
            let variant = line.strip_prefix("    ").unwrap_or_default();
            if variant.starts_with(|first: char| first.is_ascii_uppercase()) {
                let end = variant.find(|c: char| !c.is_alphanumeric());
                variants.push(variant[..end.unwrap_or(variant.len())].to_owned());
            }
        }
        found.insert(name, variants);
    }
    found
}

/// The rows of the table under each heading, without backquotes: name, when, what to do.
fn tables(text: &str) -> BTreeMap<String, Vec<[String; 3]>> {
    let mut found: BTreeMap<String, Vec<[String; 3]>> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.replace('`', "");
        }
        let Some(row) = line.strip_prefix("| ") else {
            continue;
        };
        let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").collect();
        let [name, when, what] = cells[..] else {
            panic!("not three cells: {line}");
        };
        if !["code", "error"].contains(&name) {
            let name = name.trim_matches('`').to_owned();
            let row = [name, when.trim().to_owned(), what.trim().to_owned()];
            found.entry(heading.clone()).or_default().push(row);
        }
    }
    found
}

#[test]
fn every_error_is_in_the_faq_with_when_and_what_to_do() {
    let faq = tables(&read("docs/faq.md"));
    let mut count = 0;
    for entry in fs::read_dir(root().join("src/error")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for (name, variants) in enums(&text) {
            let rows = faq
                .get(&name)
                .unwrap_or_else(|| panic!("no section {name}"));
            let listed: Vec<_> = rows.iter().map(|row| &row[0]).collect();
            assert_eq!(listed, variants.iter().collect::<Vec<_>>(), "{name}");
            count += variants.len();
        }
    }
    // That the search itself finds them.
    assert!(count > 70, "{count}");
    for row in faq.values().flatten() {
        assert!(
            row.iter().all(|cell| !cell.is_empty()) && row[2].ends_with('.'),
            "{row:?}"
        );
    }
}

#[test]
fn every_exit_code_is_in_the_faq() {
    let source = read("src/bin/ebbtide/exit.rs");
    let body = source.split("pub enum Code {").nth(1).unwrap();
    let codes: Vec<_> = body
        .lines()
        .take_while(|line| *line != "}")
        .filter_map(|line| line.split_once(" = "))
        .map(|(_, code)| code.trim_end_matches(',').to_owned())
        .collect();
    assert!(codes.len() >= 10, "{codes:?}");
    let faq = tables(&read("docs/faq.md"));
    let listed: Vec<_> = faq["Exit codes"].iter().map(|row| row[0].clone()).collect();
    assert_eq!(listed, codes);
}

/// The fenced blocks of a document whose info string is this.
fn blocks(text: &str, info: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    let fence = format!("```{info}");
    while let Some(line) = lines.next() {
        if line == fence {
            let body = lines.by_ref().take_while(|line| *line != "```");
            found.push(body.collect::<Vec<_>>().join("\n"));
        }
    }
    found
}

/// Every document of the project, by its path.
fn documents() -> Vec<String> {
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut all: Vec<_> = names.filter(|name| name.ends_with(".md")).collect();
    assert!(all.len() >= 6, "{all:?}");
    all.iter_mut().for_each(|name| name.insert_str(0, "docs/"));
    all.extend(["README.md", "CHANGELOG.md", "fuzz/README.md"].map(String::from));
    all
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    for document in documents() {
        let text = read(&document);
        let folder = root().join(&document).parent().unwrap().to_owned();
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            let is_local = !target.is_empty() && !target.contains("://");
            assert!(
                !is_local || folder.join(target).exists(),
                "{document}: {target}"
            );
        }
    }
}

/// The text of all sources below a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn files_and_tests_that_the_documents_name_are_there() {
    let mut code = String::new();
    for folder in ["src", "tests", "loom_tests", "fuzz/fuzz_targets"] {
        sources(&root().join(folder), &mut code);
    }
    let (mut files, mut tests) = (0, 0);
    for document in documents() {
        let text = read(&document);
        for name in text.split('`').skip(1).step_by(2) {
            let word = name.split_whitespace().next().unwrap_or_default();
            let is_file = [".rs", ".sh", ".toml"]
                .iter()
                .any(|end| word.ends_with(end));
            if is_file && word.contains('/') && !word.contains(['*', '$', '{']) {
                let places = [root(), root().join("src"), root().join("tests")];
                let is_there = places.iter().any(|place| place.join(word).exists());
                assert!(is_there, "{document}: {word}");
                files += 1;
            }
            let test = name.rsplit("::").next().unwrap_or_default();
            let test = test.trim_end_matches('…');
            let is_test = test.matches('_').count() >= 4
                && test
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if is_test {
                assert!(code.contains(&format!("fn {test}")), "{document}: {name}");
                tests += 1;
            }
        }
    }
    assert!(files > 50 && tests > 20, "{files} files, {tests} tests");
}

#[cfg(feature = "cli")]
mod guide {
    use super::{Path, blocks, read};
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, Output, Stdio};
    use std::time::Duration;

    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    use crate::support::end_of;

    /// A command that finds the built `ebbtide` first, in a private place.
    fn command(program: &str, home: &Path) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_ebbtide"));
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .env(
                "PATH",
                format!("{}:{path}", binary.parent().unwrap().display()),
            )
            .env("EBBTIDE_DIR", home.join("segments"))
            .env_remove("EBBTIDE_SEGMENT")
            .env_remove("EBBTIDE_RUNNER")
            .env_remove("NOTIFY_SOCKET")
            .current_dir(home)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command in a process group of its own, which does not outlive it.
    fn run(mut command: Command) -> Output {
        let mut child = command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
        end_of(&mut child, Duration::from_secs(90), || {
            let _ = killpg(group, Signal::SIGKILL);
        });
        // What it left in the background keeps the pipes open.
        let _ = killpg(group, Signal::SIGKILL);
        child.wait_with_output().unwrap()
    }

    #[test]
    fn the_shell_snippets_of_the_guide_run_from_the_first_to_the_last() {
        let scripts = blocks(&read("docs/guide.md"), "sh run");
        assert!(scripts.len() >= 4, "{scripts:#?}");
        let home = tempfile::tempdir().unwrap();
        let mut shell = command("sh", home.path());
        shell.args(["-eux", "-c", &scripts.join("\n")]);
        let output = run(shell);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{:?}\n{text}",
            output.status.signal()
        );
        let left = std::fs::read_dir(home.path().join("segments"))
            .unwrap()
            .count();
        assert_eq!(left, 0, "the guide does not clean up after itself");
        // Snippets that nobody runs must not look like ones that are.
        assert_eq!(blocks(&read("docs/guide.md"), "sh").len(), 0);
    }

    #[test]
    fn the_commands_in_unit_files_and_manifests_are_ones_that_there_are() {
        let guide = read("docs/guide.md");
        let mut commands = Vec::new();
        for block in blocks(&guide, "ini") {
            let lines = block.lines().filter_map(|line| line.split_once('='));
            let lines =
                lines.filter(|(key, _)| ["ExecStartPre", "ExecStart", "ExecStop"].contains(key));
            for (_, line) in lines {
                // The dash: its failure is none.
                commands.push(
                    line.trim_start_matches('-')
                        .split_whitespace()
                        .map(String::from)
                        .collect::<Vec<_>>(),
                );
            }
        }
        for block in blocks(&guide, "yaml") {
            let lines = block.lines();
            for line in lines.filter_map(|line| line.trim().strip_prefix("command: ")) {
                commands.push(serde_json::from_str(line).unwrap());
            }
        }
        assert!(commands.len() >= 7, "{commands:#?}");
        let begins = |argv: &&Vec<String>| argv.join(" ").contains("ebbtide begin web");
        assert_eq!(commands.iter().filter(begins).count(), 2, "{commands:#?}");
        for argv in commands {
            let home = tempfile::tempdir().unwrap();
            let program = match argv[0].as_str() {
                "sh" => "sh",
                other => {
                    assert!(other.ends_with("ebbtide"), "{argv:?}");
                    env!("CARGO_BIN_EXE_ebbtide")
                }
            };
            let mut tried = command(program, home.path());
            tried.args(&argv[1..]);
            let output = run(tried);
            let text = String::from_utf8_lossy(&output.stderr);
            // No segment, or no such program here; but never a usage error.
            let code = output.status.code().unwrap();
            assert!([3, 127].contains(&code), "{argv:?}: {code}\n{text}");
            assert!(!text.contains("Usage:"), "{argv:?}: {text}");
        }
    }
}
