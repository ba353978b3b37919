//! The fault table of docs/reliability.md is true: what it says of each fault is what people see when it is played again.

use crate::process::bot::program;
use expect_test::expect;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::time::timeout;

/// How many rows may be looked at a second time: a machine that is busy with other tests can make alpha slow.
const SECOND_LOOKS: usize = 8;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the file is there")
}

/// How long the whole list may take on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(180);

/// `neverdark demo` with these arguments: its exit code, and what it said on stdout and stderr.
async fn demo(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut command = program(folder.path(), &[&["demo"], arguments].concat());
    // Nothing here speaks TLS, and reading the system's certificates is most of the work of starting a service.
    command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", folder.path());
    let ended = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
    let ended = timeout(LIMIT, ended).await.expect("it ends in time").expect("it is waited for");
    let ended = ended.expect("the program can be started");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

/// What a row says that does not depend on time: what people see, and the calls.
type Says = (String, String);

/// The rows of the page's fault table, with the heading that each is under; in their order.
fn page() -> Vec<(String, String, Says)> {
    let page = read("docs/reliability.md");
    let table =
        page.split_once("<!-- faults -->").and_then(|(_, after)| after.split_once("<!-- /faults -->"));
    let (table, _) =
        table.expect("docs/reliability.md has its table between <!-- faults --> and <!-- /faults -->");
    let (mut group, mut rows) = (String::new(), Vec::new());
    for line in table.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            heading.clone_into(&mut group);
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", name, sees, _, _, calls, _, ""] = cells[..]
            && name != "alpha's fault"
            && name != "---"
        {
            rows.push((group.clone(), name.to_owned(), (sees.to_owned(), calls.to_owned())));
        }
    }
    rows
}

/// The groups and names of the list that the program carries; in their order.
fn list() -> Vec<(String, String)> {
    let (mut group, mut rows) = (String::new(), Vec::new());
    for line in read("src/cli/faults/faults.txt").lines() {
        if let Some(heading) = line.strip_prefix("== ") {
            heading.clone_into(&mut group);
        } else if let Some(name) = line.strip_prefix("fault ") {
            rows.push((group.clone(), name.trim().to_owned()));
        }
    }
    rows
}

/// Plays faults, and returns what came of each by its name. Those that chance decides are left out.
async fn play(arguments: &[&str]) -> BTreeMap<String, (Says, String)> {
    let (_, stdout, stderr) = demo(&[&["--faults", "--json"], arguments].concat()).await;
    let json: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("no JSON: {stderr}"));
    let rows = json["faults"].as_array().expect("a list of faults");
    let told = rows.iter().filter(|it| it["by_chance"] == false).map(|it| {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let calls = format!("{} + {}", it["calls"]["alpha"], it["calls"]["beta"]);
        (text(&it["fault"]), ((text(&it["sees"]), calls), it["not_as_expected"].to_string()))
    });
    told.collect()
}

#[test]
fn the_page_has_every_fault_of_the_list() {
    let page: Vec<_> = page().into_iter().map(|(group, name, _)| (group, name)).collect();
    assert_eq!(page, list(), "print the table anew: neverdark demo --faults");
}

/// All but those that take long: about 170 stages, each with the whole service, in some 20 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_says_of_a_fault_is_what_people_see() {
    let page: BTreeMap<String, Says> = page().into_iter().map(|(_, name, says)| (name, says)).collect();
    let differs = |(name, (says, found)): &(String, (Says, String))| {
        let is_untold = ["expected", "told"].iter().any(|word| found.contains(word));
        page.get(name) != Some(says) || is_untold
    };
    let played = play(&["--quick"]).await;
    assert!(played.len() > 150, "only {} faults were played", played.len());
    let suspects: Vec<_> = played.into_iter().filter(differs).collect();
    assert!(suspects.len() <= SECOND_LOOKS, "these are not as the page says: {suspects:#?}");
    for (name, first) in suspects {
        let second = play(&["--only", &name]).await.remove(&name).expect("it was played");
        let told = (name.clone(), second);
        assert!(
            !differs(&told),
            "{name}\non the page: {:?}\n      first: {first:?}\n      then: {:?}",
            page.get(&name),
            told.1
        );
    }
}

/// The other dialects.
const DIALECTS: [&str; 5] = ["openai-responses", "anthropic", "gemini", "completions", "ollama"];

/// What the page says of other dialects: the dialect, the fault, and what people see of it there.
fn other_dialects() -> BTreeMap<(String, String), String> {
    let page = read("docs/reliability.md");
    let table =
        page.split_once("<!-- dialects -->").and_then(|(_, after)| after.split_once("<!-- /dialects -->"));
    let (table, _) = table.expect("docs/reliability.md has its table between these");
    let mut rows = BTreeMap::new();
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", kinds, fault, sees, ""] = cells[..]
            && kinds.starts_with('`')
        {
            let kinds = kinds.split(", ").map(|it| it.trim_matches('`').to_owned());
            rows.extend(kinds.map(|kind| ((kind, fault.to_owned()), sees.to_owned())));
        }
    }
    rows
}

/// Plays faults with alpha in another dialect, and compares with the page; and again what differs, for the machine may be busy.
async fn ends_as_in_openais(kind: &str, arguments: &[&str]) -> usize {
    let page: BTreeMap<String, Says> = page().into_iter().map(|(_, name, says)| (name, says)).collect();
    let others = other_dialects();
    let differs = |(name, ((sees, calls), found)): &(String, (Says, String))| {
        let expected = others.get(&(kind.to_owned(), name.clone())).unwrap_or(&page[name].0);
        expected != sees || page[name].1 != *calls || found != "[]"
    };
    let played = play(&[&["--kind", kind], arguments].concat()).await;
    let count = played.len();
    for (name, _) in played.into_iter().filter(differs) {
        let second = play(&["--kind", kind, "--only", &name]).await.remove(&name).expect("it was played");
        let told = (name.clone(), second);
        assert!(!differs(&told), "{kind}: {told:#?}\non the page: {:?}", page.get(&name));
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_is_seen_when_alpha_speaks_another_dialect() {
    let played = ends_as_in_openais("anthropic", &["--quick", "--only", "Server errors"]).await;
    assert!(played > 10, "only {played} faults were played");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "five times the list: two minutes; tests/it/dialects.rs has the gist of it"]
async fn the_same_is_seen_in_every_dialect() {
    for kind in DIALECTS {
        let played = ends_as_in_openais(kind, &["--quick"]).await;
        println!("{kind}: {played}");
        assert!(played > 100, "only {played} faults were played with {kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_wishes_are_told() {
    let mut told = String::new();
    for wish in [
        "--faults --only nothing",
        "--outage --only nothing",
        "--faults short.scene",
        "--faults --outage",
        "--outage --port 9560",
        "--outage --quick",
        "--only 429",
        "--json",
        "--kind gemini",
        "--faults --kind latin",
    ] {
        let (code, stdout, stderr) = demo(&wish.split(' ').collect::<Vec<_>>()).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{wish}");
        let first = stderr.split("\n\n").next().unwrap_or_default().trim_end();
        told += &format!("{wish}\n  {}\n", first.replace('\n', "\n  "));
    }
    expect![[r#"
        --faults --only nothing
          neverdark: no fault has `nothing` in its name or its group. The groups are: Too many requests · Money, keys and models · The question · Server errors · A 200 that is no answer · Streams that fail before any text · Streams that fail after text · Connections · Waits · Not faults: it must simply work · The legacy dialect (completions) · Nobody is well
        --outage --only nothing
          neverdark: no outage has `nothing` in its name. There are: silent, 503, refused
        --faults short.scene
          error: the argument '--faults' cannot be used with '[FILE]'
        --faults --outage
          error: the argument '--faults' cannot be used with '--outage'
        --outage --port 9560
          error: the argument '--outage' cannot be used with '--port <PORT>'
        --outage --quick
          error: the argument '--outage' cannot be used with '--quick'
        --only 429
          error: the following required arguments were not provided:
            <--faults|--outage>
        --json
          error: the following required arguments were not provided:
            <--faults|--outage>
        --kind gemini
          error: the following required arguments were not provided:
            --faults
        --faults --kind latin
          error: invalid value 'latin' for '--kind <KIND>': `kind=latin`: expected openai, openai-responses, anthropic, gemini, completions, ollama
    "#]].assert_eq(&told);
}
