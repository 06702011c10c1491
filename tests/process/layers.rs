//! The shape of the source: imports point downward only, files stay small, unsafe code
//! stays where it is allowed, every sleep in tests has a reason.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up; a file may import its own layer and those before it.
const LAYERS: [&[&str]; 6] = [
    &["error", "graph", "limits", "note", "phase"],
    &["os"],
    &["sync"],
    &["segment"],
    &["table"],
    &["layout"],
];
/// Above all of those.
const TOP: &str = "api";

/// Imports that go up on purpose, each with its reason.
const EXCEPTIONS: [(&str, &str); 1] = [
    // The errors of system calls that open a segment are segment errors, and the one
    // wait result is named where the memory trait is.
    ("os", "sync"),
];

/// Files that may contain unsafe code.
const UNSAFE: [&str; 7] = [
    "src/os/futex.rs",
    "src/os/signal.rs",
    "src/sync/mem.rs",
    "src/sync/life.rs",
    "src/sync/mutex.rs",
    "src/segment/shared.rs",
    "src/segment/map.rs",
];

const LONGEST: usize = 400;
/// A file that is longer for a reason.
const LONG: [&str; 0] = [];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in folders {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(!files.is_empty());
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    files
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect()
}

fn layer(module: &str) -> usize {
    if module == TOP {
        return LAYERS.len();
    }
    LAYERS
        .iter()
        .position(|modules| modules.contains(&module))
        .unwrap_or(LAYERS.len() + 1)
}

#[test]
fn imports_point_downward_only() {
    let mut upward = Vec::new();
    for (file, text) in sources(&["src"]) {
        if file.starts_with("src/bin") || file == "src/lib.rs" || file.contains("tests") {
            continue;
        }
        let own = file
            .trim_start_matches("src/")
            .split(['/', '.'])
            .next()
            .unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for rest in line.split("crate::").skip(1) {
                let module: String = rest
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let known = LAYERS
                    .iter()
                    .any(|modules| modules.contains(&module.as_str()))
                    || module == TOP;
                let excused = EXCEPTIONS.contains(&(own, module.as_str()));
                if known && layer(&module) > layer(own) && !excused {
                    upward.push(format!("{file}:{}: {own} imports {module}", number + 1));
                }
            }
        }
    }
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
}

#[test]
fn the_command_line_uses_the_public_api_only() {
    for (file, text) in sources(&["src/bin"]) {
        assert!(!text.contains("unsafe {"), "{file} has unsafe code");
        assert!(!text.contains("#[path"), "{file} reaches into the library");
    }
}

#[test]
fn files_are_small() {
    let folders = [
        "src",
        "tests",
        "loom_tests",
        "search_tests",
        "benches",
        "examples",
    ];
    let long: Vec<_> = sources(&folders)
        .into_iter()
        .filter(|(file, text)| text.lines().count() > LONGEST && !LONG.contains(&file.as_str()))
        .map(|(file, text)| format!("{file}: {} lines", text.lines().count()))
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LONGEST} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn unsafe_code_is_where_it_is_allowed() {
    for (file, text) in sources(&["src"]) {
        let found = ["unsafe {", "unsafe impl", "unsafe fn", "allow(unsafe_code)"]
            .iter()
            .any(|word| {
                text.lines()
                    .any(|line| line.contains(word) && !line.trim_start().starts_with("//"))
            });
        // A `mod.rs` lets a file be; the macro's home is `segment/shared.rs`.
        let allowed = UNSAFE.contains(&file.as_str()) || file.ends_with("mod.rs");
        assert!(!found || allowed, "{file} has unsafe code");
    }
}
