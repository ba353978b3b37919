//! What is written about the program is true: the transcript, the links, the commands and their options.

use crate::process::{
    bot::{Bot, program},
    demo::without_times,
};
use expect_test::expect;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The texts for people: those beside the manifest, and those in `docs/`.
fn texts() -> BTreeMap<PathBuf, String> {
    let files = |folder: &str| fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let paths = files("").chain(files("docs")).map(|it| it.path());
    let texts = paths.filter(|it| it.extension().is_some_and(|it| it == "md"));
    texts.map(|it| (it.clone(), fs::read_to_string(&it).expect("it is text"))).collect()
}

/// `http://127.0.0.1:40123` → `http://127.0.0.1:PORT`
fn without_port(text: &str) -> String {
    const BEFORE: &str = "http://127.0.0.1:";
    let Some((before, after)) = text.split_once(BEFORE) else { return text.to_owned() };
    format!("{before}{BEFORE}PORT{}", after.trim_start_matches(|it: char| it.is_ascii_digit()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_shows_what_the_demo_prints() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README.md");
    let marked = readme.split_once("<!-- demo -->").and_then(|(_, after)| after.split_once("<!-- /demo -->"));
    let (marked, _) = marked.expect("README.md has its transcript between <!-- demo --> and <!-- /demo -->");
    let block = marked.split_once("```text\n").and_then(|(_, after)| after.rsplit_once("```"));
    let (shown, _) = block.expect("the transcript is in a ```text block");

    let folder = TempDir::new().expect("a temporary folder");
    let ended = Bot::start(program(folder.path(), &["demo"]), "").ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let is = without_port(&without_times(&ended.stdout));
    assert_eq!(
        shown.trim_end(),
        is.trim_end(),
        "\nThe demo prints something else than README.md shows. This is what it prints:\n\n{is}"
    );
}

#[test]
fn every_link_leads_somewhere() {
    let texts = texts();
    assert!(texts.keys().any(|it| it.ends_with("README.md")), "there is no README.md");
    let mut dead = Vec::new();
    for (path, text) in &texts {
        let folder = path.parent().unwrap_or(Path::new(""));
        for link in links(text) {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { path.clone() } else { folder.join(target) };
            let is_there = match (fs::read_to_string(&target), anchor) {
                (_, "") => target.exists(),
                (Ok(text), anchor) => headings(&text).any(|it| it == anchor),
                (Err(_), _) => false,
            };
            if !is_there {
                dead.push(format!("{}: {link}", path.strip_prefix(root()).unwrap_or(path).display()));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

/// Where `[text](target)` leads to, inside the project and outside of code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|it| it.split("](").skip(1)).filter_map(|it| it.split_once(')'));
    targets.map(|(target, _)| target).filter(|it| !it.contains("://") && !it.starts_with("mailto:"))
}

/// The anchors of a text, as GitHub makes them of its headings.
fn headings(text: &str) -> impl Iterator<Item = String> + '_ {
    let titles =
        text.lines().filter_map(|it| it.strip_prefix('#')).map(|it| it.trim_start_matches('#').trim());
    titles.map(|it| {
        let kept = it.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    })
}

#[test]
fn every_command_that_is_written_about_exists() {
    let mut program = Program::default();
    let (mut wrong, mut right) = (Vec::new(), 0);
    for (path, text) in texts() {
        for words in code(&text).filter_map(invocation) {
            match program.unknown(&words) {
                None => right += 1,
                Some(unknown) => wrong.push(format!("{}: {} ({unknown})", path.display(), words.join(" "))),
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "these are not commands and options of the program");
    assert!(right > 0, "nothing is written about any command");
    let mut of = |words: &str| program.unknown(&words.split(' ').collect::<Vec<_>>());
    let odd = ["privacy forgot 7", "privacy export --since 7", "nothing"].map(&mut of);
    expect![[r#"
        [
            Some(
                "forgot after [\"privacy\"]",
            ),
            Some(
                "--since after [\"privacy\", \"export\"]",
            ),
            Some(
                "nothing after []",
            ),
        ]
    "#]]
    .assert_debug_eq(&odd);
}

/// Lines of code blocks, and code within a line.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").enumerate().flat_map(|(number, piece)| -> Vec<&str> {
        if number % 2 == 1 { piece.lines().collect() } else { piece.split('`').skip(1).step_by(2).collect() }
    })
}

/// `… neverdark ask TEXT --json` and `cargo run … -- ask TEXT --json` → `ask TEXT --json`
fn invocation(line: &str) -> Option<Vec<&str>> {
    let line = line.split(" #").next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_cargo = words.windows(2).any(|it| it == ["cargo", "run"]);
    // A sentence that speaks of "this neverdark" is no command.
    let may_precede =
        |it: &str| ["$", "|", "&&", "sudo", "docker", "podman"].contains(&it) || it.contains('=');
    let is_program = |at: usize| {
        let is_named = words[at] == "neverdark" || words[at].ends_with("/neverdark");
        is_named && (at == 0 || words[..at].iter().any(|it| may_precede(it)))
    };
    let start = (0..words.len()).find(|at| if is_cargo { words[*at] == "--" } else { is_program(*at) })? + 1;
    let ends = |it: &&&str| ["|", "||", "&&", "<", ">", "2>", ";", "·"].contains(*it);
    let rest: Vec<&str> = words[start..].iter().take_while(|it| !ends(it)).copied().collect();
    let is_word =
        |it: &&str| it.chars().all(|it| it.is_ascii_lowercase() || it == '-') && !it.starts_with('-');
    rest.first().is_some_and(is_word).then_some(rest)
}

/// What the program says of a command, or of a command of a command.
#[derive(Default)]
struct Help {
    options: BTreeSet<String>,
    commands: BTreeSet<String>,
}

/// The program by its own help, of each level that was asked for.
#[derive(Default)]
struct Program {
    known: BTreeMap<String, Help>,
}

impl Program {
    fn help(&mut self, level: &[&str]) -> &Help {
        self.known.entry(level.join(" ")).or_insert_with(|| {
            let help = Command::new(env!("CARGO_BIN_EXE_neverdark")).args(level).arg("--help").output();
            let help = help.expect("the program can be started");
            assert!(help.status.success(), "{level:?} has no help");
            read_help(&String::from_utf8(help.stdout).expect("help is text"))
        })
    }

    /// The first word that is no command, or no option, of the level where it stands.
    fn unknown(&mut self, words: &[&str]) -> Option<String> {
        let (mut level, mut before) = (Vec::new(), "");
        for word in words {
            let help = self.help(&level);
            let option = word.split('=').next().unwrap_or_default();
            let is_option = word.starts_with("--") && word.len() > 2;
            let is_value = before.starts_with("--") || !word.starts_with(|it: char| it.is_ascii_lowercase());
            if is_option && !help.options.contains(option) {
                return Some(format!("{option} after {level:?}"));
            }
            if help.commands.contains(*word) {
                level.push(*word);
            } else if !help.commands.is_empty() && !is_option && !is_value {
                return Some(format!("{word} after {level:?}"));
            }
            before = word;
        }
        None
    }
}

fn read_help(text: &str) -> Help {
    let words = text.split(|it: char| !(it.is_ascii_alphanumeric() || it == '-')).map(str::to_owned);
    let (_, below) = text.split_once("\nCommands:\n").unwrap_or_default();
    let lines = below.lines().take_while(|it| !it.is_empty());
    let commands = lines.filter(|it| it.starts_with("  ") && !it.starts_with("   "));
    let commands = commands.filter_map(|it| it.split_whitespace().next()).map(str::to_owned);
    Help { options: words.filter(|it| it.starts_with("--")).collect(), commands: commands.collect() }
}

#[test]
fn commands_are_found_in_code_only() {
    let found = |text| code(text).filter_map(invocation).map(|it| it.join(" ")).collect::<Vec<_>>();
    assert_eq!(found("`this neverdark knows nothing`, `A=b sudo neverdark check`"), ["check"]);
    assert_eq!(found("Say neverdark run --now, or `neverdark ask - --json | jq`."), ["ask - --json"]);
    assert_eq!(
        found(
            "```\n$ cargo run --release -- demo < /dev/null\n  neverdark  ↳ Hello.\n/usr/bin/neverdark run # serves\n```"
        ),
        ["demo", "run"]
    );
    let help = read_help(
        "A bot.\n\nCommands:\n  run   Serve\n  ask   Ask\n        once\n\nOptions:\n      --json  Print `--json`\n",
    );
    assert_eq!(help.commands.into_iter().collect::<Vec<_>>(), ["ask", "run"]);
    assert_eq!(help.options.into_iter().collect::<Vec<_>>(), ["--json"]);
    let linked: Vec<_> = links("[a](b.md#c) [d](https://e.f) ```[x](y)``` [g](h)").collect();
    assert_eq!(linked, ["b.md#c", "h"]);
    assert_eq!(headings("# Why `this`?\n## A b-c\n").collect::<Vec<_>>(), ["why-this", "a-b-c"]);
}
