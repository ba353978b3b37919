//! What holds after any run, read from the outside: what people see on the stage, and the rows in the tables.

use neverdark::message::MessageId;
use sim::{
    discord::{Discord, Shown},
    providers::tale,
};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

/// Discord's limit for a message, in UTF-16 units.
const LIMIT: usize = 2000;
/// Whether the program looks for what was said while it did not listen.
const CATCHES_UP: bool = true;
/// So many findings of a sort are shown; more of the same say nothing new.
const SHOWN: usize = 5;
/// The providers of a run; each has the model of its name and `-1`.
pub(crate) const TELLERS: [&str; 3] = ["alpha", "beta", "gamma"];

/// What somebody asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Its message.
    pub(crate) id: u64,
    pub(crate) channel: u64,
    /// The tale that was asked for, by its title; a question that was edited has both.
    pub(crate) titles: Vec<String>,
    /// What its asker, or somebody else, did about it.
    pub(crate) fate: Fate,
}

/// What people did about a question while it was answered, or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing: there is exactly one whole answer in the end.
    Kept,
    /// Its text was changed: the answer is to the old or to the new one.
    Edited,
    /// It was deleted: no answer is left, or one that was whole before.
    Deleted,
    /// Its answer was stopped: what was shown stays.
    Stopped,
    /// Another answer was wanted: one whole answer, or the sentence of a failure.
    AskedAgain,
}

/// A row of `turns`.
#[derive(Debug, sqlx::FromRow)]
struct Turn {
    id: String,
    message: i64,
    state: String,
    provider: Option<String>,
    error: Option<String>,
    is_ended: bool,
}

/// What was found, by sort.
#[derive(Debug, Default)]
pub(crate) struct Findings(BTreeMap<&'static str, Vec<String>>);

impl Findings {
    fn add(&mut self, sort: &'static str, what: String) {
        self.0.entry(sort).or_default().push(what);
    }

    /// How many there are of a sort.
    pub(crate) fn count(&self, sort: &str) -> usize {
        self.0.get(sort).map_or(0, Vec::len)
    }

    /// The first ones of each sort, a line each.
    pub(crate) fn told(&self, sorts: &[&str]) -> String {
        let wanted = self.0.iter().filter(|(sort, _)| sorts.contains(sort));
        let lines =
            wanted.flat_map(|(sort, all)| all.iter().take(SHOWN).map(move |it| format!("{sort}: {it}\n")));
        lines.collect()
    }
}

/// The sorts of findings about turns and messages. `unheard` and `refused` are told apart from them by the caller.
pub(crate) const SORTS: [&str; 10] = [
    "lost",      // a question that was claimed has no answer
    "open",      // a turn has not ended
    "doubled",   // a question has two answers, or a message belongs to none
    "not whole", // what is shown is not what its provider said
    "no answer", // an apology, or a turn that nobody cancelled was cancelled
    "too long",  // some state of a message was over the limit
    "fences",    // some state of a message had an open fence
    "pings",     // somebody was notified
    "previews",  // links may unfurl
    "tables",    // the tables do not fit each other
];

/// The tables, at rest.
pub(crate) struct Tables {
    turns: HashMap<u64, Turn>,
    /// Which turn a message shows a part of.
    parts: HashMap<u64, String>,
    /// Who was asked in a turn, and how it went.
    calls: HashMap<String, Vec<String>>,
    integrity: String,
}

impl Tables {
    /// Reads the database.
    pub(crate) async fn read(file: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let mut it = options.connect().await.unwrap();
        let turns: Vec<Turn> = rows(
            &mut it,
            "SELECT id, COALESCE(question_id, discord_message_id) AS message, state, provider, error,
                    ended_at IS NOT NULL AS is_ended
             FROM turns t WHERE NOT EXISTS (SELECT 1 FROM turns later WHERE later.replaces = t.id)",
        )
        .await;
        let parts: Vec<(i64, String)> = rows(&mut it, "SELECT message_id, turn_id FROM reply_parts").await;
        let attempts: Vec<(String, String)> = rows(
            &mut it,
            "SELECT turn_id, provider || ' ' || COALESCE(failure || ' ' || COALESCE(detail, ''), outcome) FROM attempts ORDER BY id",
        )
        .await;
        let mut calls: HashMap<String, Vec<String>> = HashMap::new();
        for (turn, call) in attempts {
            calls.entry(turn).or_default().push(call);
        }
        let integrity: Vec<(String,)> = rows(&mut it, "PRAGMA integrity_check").await;
        it.close().await.unwrap();
        Self {
            turns: turns.into_iter().map(|it| (it.message.cast_unsigned(), it)).collect(),
            parts: parts.into_iter().map(|(message, turn)| (message.cast_unsigned(), turn)).collect(),
            calls,
            integrity: integrity.into_iter().map(|it| it.0).collect::<Vec<_>>().join(", "),
        }
    }

    /// How many turns there are in each state.
    pub(crate) fn states(&self) -> BTreeMap<&str, usize> {
        let mut states = BTreeMap::new();
        for turn in self.turns.values() {
            *states.entry(turn.state.as_str()).or_default() += 1;
        }
        states
    }

    /// Whether each of these questions has a turn that has ended, or an answer without one.
    pub(crate) fn is_done(&self, questions: &[Question], discord: &Discord) -> bool {
        let refused =
            |it: &Question| answers(discord, it.channel).iter().any(|shown| shown.reply_to == Some(it.id));
        questions.iter().all(|it| match self.turns.get(&it.id) {
            Some(turn) => turn.is_ended,
            None => !CATCHES_UP || it.fate == Fate::Deleted || refused(it),
        })
    }
}

async fn rows<R>(it: &mut SqliteConnection, query: &'static str) -> Vec<R>
where
    R: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
{
    sqlx::query_as(query).fetch_all(it).await.unwrap()
}

/// Looks at everything. `size` is what tales were asked for with.
pub(crate) fn audit(discord: &Discord, tables: &Tables, questions: &[Question], size: usize) -> Findings {
    let mut findings = Findings::default();
    if tables.integrity != "ok" {
        findings.add("tables", format!("integrity_check says {}", tables.integrity));
    }
    for question in questions {
        of_question(discord, tables, question, size, &mut findings);
    }
    let channels: HashSet<u64> = questions.iter().map(|it| it.channel).collect();
    for message in channels.iter().flat_map(|it| discord.messages(*it)).filter(|it| it.bot) {
        of_message(&message, &mut findings);
    }
    let asked: HashSet<u64> = questions.iter().map(|it| it.id).collect();
    for message in channels.iter().flat_map(|it| answers(discord, *it)) {
        let is_refusal =
            message.reply_to.is_some_and(|it| asked.contains(&it) && !tables.turns.contains_key(&it));
        if !tables.parts.contains_key(&message.id) && !is_refusal && message.interaction.is_none() {
            findings.add(
                "doubled",
                format!("message {} belongs to no answer: {:?}", message.id, begin(&message.content)),
            );
        }
    }
    findings
}

/// What the bot says in a channel now.
fn answers(discord: &Discord, channel: u64) -> Vec<Shown> {
    discord.messages(channel).into_iter().filter(|it| it.bot && !it.deleted).collect()
}

fn of_question(
    discord: &Discord,
    tables: &Tables,
    question: &Question,
    size: usize,
    findings: &mut Findings,
) {
    let told = |what: &str| {
        let Question { id, channel, titles, fate } = question;
        format!("{} ({fate:?}, message {id} in {channel}, {}): {what}", titles[0], clock(*id))
    };
    let shown = answers(discord, question.channel);
    let replies = shown.iter().filter(|it| it.reply_to == Some(question.id)).count();
    // Behind the parts of an answer that is given again others may have spoken, so that its further parts reply, too.
    if replies > 1 && question.fate != Fate::AskedAgain {
        findings.add("doubled", told(&format!("{replies} replies")));
    }
    let Some(turn) = tables.turns.get(&question.id) else {
        match (replies, question.fate) {
            (_, Fate::Deleted) => {}
            (0, _) => findings.add(if CATCHES_UP { "lost" } else { "unheard" }, told("no turn")),
            _ => findings.add("refused", told("no turn but a sentence")),
        }
        return;
    };
    if !turn.is_ended {
        findings.add("open", told(&turn.state));
    }
    let mut parts: Vec<&Shown> =
        shown.iter().filter(|it| tables.parts.get(&it.id) == Some(&turn.id)).collect();
    parts.sort_by_key(|it| it.id);
    match (turn.state.as_str(), question.fate) {
        ("answered", Fate::Deleted) if parts.is_empty() => {}
        ("answered", _) if parts.is_empty() => findings.add("lost", told("answered, and nothing is shown")),
        ("answered", _) => {
            if let Err(why) = is_whole(&parts, question, turn, size) {
                findings.add("not whole", told(&why));
            }
        }
        (_, Fate::AskedAgain) if is_whole(&parts, question, turn, size).is_ok() => {}
        ("cancelled", Fate::Stopped | Fate::Deleted | Fate::AskedAgain) => {}
        ("failed", _) if parts.is_empty() && question.fate != Fate::Deleted => {
            findings.add("lost", told(&format!("failed ({:?}), and nothing is shown", turn.error)));
        }
        (state, _) => {
            let calls = tables.calls.get(&turn.id).map(|it| it.join(", ")).unwrap_or_default();
            findings.add("no answer", told(&format!("{state}: {:?} after {calls}", turn.error)));
        }
    }
}

/// Whether the parts show what the provider said, all of it, and nothing else.
fn is_whole(parts: &[&Shown], question: &Question, turn: &Turn, size: usize) -> Result<(), String> {
    let is_gone = question.fate == Fate::Deleted;
    let Some(first) = parts.first() else { return Err("nothing is shown".to_owned()) };
    let is_again = question.fate == Fate::AskedAgain;
    if first.reply_to != Some(question.id) && !is_gone
        || parts[1..].iter().any(|it| it.reply_to.is_some()) && !is_again
    {
        return Err("the first part, and no other, is a reply".to_owned());
    }
    let shown = parts.iter().map(|it| it.content.as_str()).collect::<Vec<_>>().join("\n");
    let shown = without_footer(&shown);
    let provider = turn.provider.as_deref().unwrap_or_default();
    // Who was asked once more and failed leaves the answer of somebody else standing.
    let tellers = if question.fate == Fate::AskedAgain { &TELLERS[..] } else { &[provider][..] };
    let told_by = |teller: &&str| {
        let is_tale =
            |title: &String| substance(shown) == substance(&tale(&format!("{teller}-1"), title, size));
        question.titles.iter().any(is_tale)
    };
    if tellers.iter().any(told_by) {
        return Ok(());
    }
    let end = shown.trim_end().lines().next_back().unwrap_or_default();
    Err(format!(
        "{provider} did not say this: {:?} … {:?} in {} parts",
        begin(shown),
        begin(end),
        parts.len()
    ))
}

fn without_footer(text: &str) -> &str {
    let text = text.trim_end();
    match text.rsplit_once('\n') {
        Some((before, last)) if last.starts_with("-# ") => before,
        _ => text,
    }
}

/// When a message was said, as the log has it: UTC.
fn clock(message: u64) -> String {
    let millis = MessageId(message).said_at().0;
    let seconds = millis / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, millis % 1000)
}

fn begin(text: &str) -> String {
    text.chars().take(48).collect()
}

/// A text's own characters, in order: without white space, without the lines that are only a fence, and without the brackets
/// that keep a link from unfurling.
fn substance(text: &str) -> String {
    let lines = text.lines().filter(|it| !it.starts_with("```"));
    lines.flat_map(str::chars).filter(|it| !it.is_whitespace() && !matches!(it, '<' | '>')).collect()
}

fn of_message(message: &Shown, findings: &mut Findings) {
    let told = |what: String| format!("message {}: {what}", message.id);
    for state in message.history.iter().chain([&message.content]) {
        let units = state.encode_utf16().count();
        if units > LIMIT {
            findings.add("too long", told(format!("{units} units")));
        }
        if !is_balanced(state) {
            findings.add("fences", told(format!("{:?} has an open one", begin(state))));
        }
        if state.match_indices("https://").any(|(at, _)| !state[..at].ends_with('<')) {
            findings.add("previews", told(format!("{:?} has a live link", begin(state))));
        }
    }
    if !message.pinged.is_empty() {
        findings.add("pings", told(message.pinged.join(", ")));
    }
    if !message.embeds_suppressed && !message.content.is_empty() {
        findings.add("previews", told("links may unfurl".to_owned()));
    }
}

/// Whether each fence that stands at the beginning of a line is closed, as Markdown has it.
fn is_balanced(text: &str) -> bool {
    let mut open: Option<(char, usize)> = None;
    for line in text.lines() {
        let line = line.trim_start_matches(' ');
        let mark = if line.starts_with('~') { '~' } else { '`' };
        let info = line.trim_start_matches(mark);
        let length = line.len() - info.len();
        open = match open {
            Some((by, least)) if mark == by && length >= least && info.trim().is_empty() => None,
            None if length >= 3 && !(mark == '`' && info.contains('`')) => Some((mark, length)),
            unchanged => unchanged,
        };
    }
    open.is_none()
}

/// A number that was ordered by an environment variable, for the long forms.
pub(crate) fn ordered(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "an order to a test, no setting of the program")]
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} takes a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_fence_is_found() {
        for closed in ["a", "```\na\n```", "~~~rust\n```\n~~~", "````\n```\n````", "``` a ``` b", "a ```b```"]
        {
            assert!(is_balanced(closed), "{closed:?}");
        }
        for open in ["```\na", "```rs\na\n``", "~~~\n```", "````\n```\n```", "a\n```\nb\n```\n```"] {
            assert!(!is_balanced(open), "{open:?}");
        }
    }

    #[test]
    fn a_footer_is_no_part_of_the_answer() {
        assert_eq!(without_footer("a\nb\n-# answered by beta"), "a\nb");
        assert_eq!(without_footer("a\nb\n"), "a\nb");
        assert_eq!(substance("a b\n```rust\nc\n```\nd"), "abcd");
    }
}
