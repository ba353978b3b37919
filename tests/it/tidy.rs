//! The house keeps its shape: rooms only know the rooms below them, and every file says what it is for.

use expect_test::expect;
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// Who may name whom. Read from below: data goes down these stairs, and comes back as return values.
const HOUSE: &[(&str, &[&str])] = &[
    ("message", &[]),
    ("outcome", &["message"]),
    ("metrics", &["outcome"]),
    ("config", &[]),
    ("providers", &["message", "outcome"]),
    ("store", &["message", "outcome"]),
    ("router", &["config", "message", "outcome", "providers"]),
    ("ledger", &["message", "metrics", "outcome", "store"]),
    ("chat", &["config", "ledger", "message", "metrics", "outcome", "providers", "router", "store"]),
    ("api", &["ledger", "message", "metrics", "outcome", "providers", "router"]),
    ("discord", &["chat", "config", "message", "metrics"]),
    ("status", &["chat", "message", "router", "store"]),
    (
        "app",
        &[
            "api",
            "chat",
            "config",
            "discord",
            "ledger",
            "message",
            "metrics",
            "outcome",
            "providers",
            "router",
            "status",
            "store",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "chat",
            "config",
            "discord",
            "ledger",
            "message",
            "metrics",
            "outcome",
            "providers",
            "router",
            "status",
            "store",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// What only some may name: the word, and how their paths begin.
const TRUSTED: &[(&str, &[&str])] = &[
    ("reqwest::", &["src/providers", "src/discord/rest"]),
    ("sqlx::", &["src/store"]),
    ("serenity::", &["src/discord"]),
    ("axum::", &["src/status"]),
    ("hyper::", &["src/api", "src/providers/wire"]),
    ("hyper_util::", &["src/api"]),
    ("sim::", &["src/cli/demo", "src/cli/faults", "src/discord/outbound/past", "src/discord/shards"]),
    ("std::env", &["src/config"]),
    ("println!", &["src/cli"]),
    ("print!", &["src/cli"]),
    ("eprintln!", &["src/cli"]),
    ("eprint!", &["src/cli"]),
];

/// A file of the house: its path from the root, and its text.
struct File {
    path: String,
    text: String,
}

/// Everything that is not as it should be, a line each.
fn tidy(files: &[File]) -> String {
    let mut complaints = String::new();
    for file in files {
        let File { path, text } = file;
        if !begins_with_a_sentence(text) {
            writeln!(complaints, "{path}: begin with one `//! ` sentence that says what this file is for")
                .unwrap();
        }
        for (number, line) in text.lines().enumerate() {
            let later = [concat!("TO", "DO"), concat!("FIX", "ME")].into_iter().find(|it| line.contains(it));
            if let Some(later) = later {
                let rest = line.split_once(later).map_or("", |(_, rest)| rest);
                writeln!(complaints, "{path}:{}: do it before the merge{rest}", number + 1).unwrap();
            }
        }
        let code = without_comments(text);
        complain_of_words(path, &code, &mut complaints);
        if path.starts_with("src/") {
            complain_of_direction(path, &code, &mut complaints);
        }
    }
    complaints
}

fn begins_with_a_sentence(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().map_while(|it| it.strip_prefix("//! ")).collect();
    lines.last().is_some_and(|it| it.ends_with(['.', '!', '?', ':']))
}

fn complain_of_words(path: &str, code: &str, complaints: &mut String) {
    let is_test = is_test(path);
    for (number, line) in untested(code).lines().enumerate() {
        for (word, places) in TRUSTED.iter().filter(|_| !is_test) {
            let is_trusted = places.iter().any(|it| path.starts_with(it));
            if path.starts_with("src/") && !is_trusted && has_word(line, word) {
                writeln!(complaints, "{path}:{}: `{word}` is for {}", number + 1, places.join(" and "))
                    .unwrap();
            }
        }
        if path.starts_with("sim/") && has_word(line, "neverdark::") {
            writeln!(complaints, "{path}:{}: the stage does not know who plays on it", number + 1).unwrap();
        }
    }
}

/// Whether a line has this beginning of a path, or macro, and not as the end of a longer name or path.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|it: char| it.is_alphanumeric() || "_:".contains(it)))
}

fn complain_of_direction(path: &str, code: &str, complaints: &mut String) {
    let room = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').next().unwrap_or_default();
    let Some((_, below)) = HOUSE.iter().find(|(it, _)| *it == room) else {
        writeln!(complaints, "{path}: `{room}` has no place in the house; say in `tidy.rs` whom it may know")
            .unwrap();
        return;
    };
    for (line, other) in named(untested(code)).into_iter().filter(|_| !is_test(path)) {
        let is_room = HOUSE.iter().any(|(it, _)| *it == other);
        if is_room && other != room && !below.contains(&other) {
            writeln!(complaints, "{path}:{line}: `{room}` does not know `{other}`").unwrap();
        }
    }
}

/// Whether a file is a room's tests: what they build to try it may come from anywhere.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// A file without the tests at its end.
fn untested(code: &str) -> &str {
    code.split_once("#[cfg(test)]\nmod tests {").map_or(code, |(code, _)| code)
}

/// The modules of the crate that a text names, each with its line: `crate::a`, `crate::{a, b::{c, d}}`.
fn named(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for root in ["crate::", "neverdark::"] {
        for (at, _) in code.match_indices(root) {
            let start = at + root.len();
            let mut depth = 0_usize;
            let mut begins = true;
            for (offset, it) in code[start..].char_indices() {
                match it {
                    '{' => (depth, begins) = (depth + 1, depth == 0),
                    '}' => depth = depth.saturating_sub(1),
                    ',' if depth == 1 => begins = true,
                    it if it.is_whitespace() => {}
                    _ if begins => {
                        begins = false;
                        let from = &code[start + offset..];
                        let end =
                            from.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(from.len());
                        found.push((code[..start + offset].lines().count().max(1), &from[..end]));
                    }
                    _ => {}
                }
                if depth == 0 && !begins {
                    break;
                }
            }
        }
    }
    found.sort_unstable();
    found
}

/// The text with its lines, but without what stands behind `//` in them.
fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code).trim_end().to_owned() + "\n")
        .collect()
}

fn rust_files(root: &Path, folder: &str) -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                files.push(File { path: name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    files
}

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<File> = ["src", "sim/src", "tests"].iter().flat_map(|it| rust_files(root, it)).collect();
    assert!(files.len() > 100, "only {} files were found", files.len());
    assert_eq!(tidy(&files), "");
}

#[test]
fn the_stage_does_not_depend_on_the_house() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/Cargo.toml")).unwrap();
    let dependencies = manifest.split_once("[dependencies]").unwrap().1;
    assert!(!dependencies.contains("neverdark") && !dependencies.contains("path ="), "{dependencies}");
}

#[test]
fn an_untidy_house_is_told_so() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let fixme = concat!("// FIX", "ME: later\n");
    let house = [
        file("src/chat.rs", &format!("use crate::router::Router;\n{fixme}")),
        file(
            "src/router/retry.rs",
            "//! Decides.\n\nuse crate::{\n    message::{Prompt, Role},\n    outcome::Failure,\n    store::Store,\n};\n\
             fn f() { crate::chat::play() } // crate::cli is only a word here\n",
        ),
        file(
            "src/store.rs",
            "//! Keeps.\nuse crate::message::TurnId;\n#[cfg(test)]\nmod tests {\n    use crate::chat;\n}\n",
        ),
        file(
            "src/chat/lanes.rs",
            "//! Queues.\nuse sqlx::Row;\nfn f() { println!(\"{}\", my_sqlx::it()) }\n",
        ),
        file("src/cellar.rs", "//! A room that nobody knows.\n"),
        file("src/main.rs", "//! Runs one command,\n//! and ends.\nuse neverdark::{app, cli};\n"),
        file("sim/src/lib.rs", "//! A stage.\nuse neverdark::app;\nconst NAME: &str = \"neverdark\";\n"),
        file("tests/it/main.rs", "//! No sentence\n"),
    ];
    expect![[r#"
        src/chat.rs: begin with one `//! ` sentence that says what this file is for
        src/chat.rs:2: do it before the merge: later
        src/router/retry.rs:6: `router` does not know `store`
        src/router/retry.rs:8: `router` does not know `chat`
        src/chat/lanes.rs:2: `sqlx::` is for src/store
        src/chat/lanes.rs:3: `println!` is for src/cli
        src/cellar.rs: `cellar` has no place in the house; say in `tidy.rs` whom it may know
        src/main.rs:3: `main` does not know `app`
        sim/src/lib.rs:2: the stage does not know who plays on it
        tests/it/main.rs: begin with one `//! ` sentence that says what this file is for
    "#]]
    .assert_eq(&tidy(&house));
}
