//! Reads the list of faults: what alpha does, and what must come of it.

use sim::providers::{Cast, Kind};
use std::time::Duration;

/// The list that the program carries.
const LIST: &str = include_str!("faults.txt");

/// What shows that an answer is written out: the short words for chunks, and fields of events.
const BYTES: [&str; 7] = ["$text", "$begin", "$stop", "$done", "data:", "event:", "error: "];

/// What alpha and beta say when they are well; no beginning of one is a beginning of the other.
pub(super) const ALPHA: &str = "Alpha says: the tide turns twice a day.";
pub(super) const BETA: &str = "Beta says: the moon pulls the water.";

/// One fault.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    /// The part of the list that it is in.
    pub(super) group: String,
    pub(super) name: String,
    /// Behaviours, in the words of the scenes.
    pub(super) alpha: String,
    pub(super) beta: String,
    /// Alpha's dialect; beta's is always OpenAI's.
    pub(super) kind: Kind,
    /// The dialects in which this can happen; empty: whichever can say it.
    only: Vec<Kind>,
    /// What alpha sends is written out, in the bytes of one dialect.
    is_in_bytes: bool,
    pub(super) expected: Expected,
    /// For how long alpha must be left alone; none: nothing is said of it.
    pub(super) rests: Option<Duration>,
    /// The most until the first text, and until the whole answer; none: nothing is said of it.
    pub(super) first: Option<Duration>,
    pub(super) whole: Option<Duration>,
    /// Alpha's health check says that it is not well.
    pub(super) is_ill: bool,
    /// Beta has a wider window.
    pub(super) is_wider: bool,
    /// It takes more than about five seconds.
    pub(super) is_slow: bool,
    /// Chance decides who is asked again.
    pub(super) is_by_chance: bool,
}

/// Who gives the whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Alpha,
    Beta,
    Either,
    /// Nobody, and people are told so.
    Told,
}

/// All of them, in their order.
///
/// # Errors
/// The line that is not understood; a test sees to it that there is none.
pub(super) fn all() -> Result<Vec<Fault>, String> {
    read(LIST)
}

fn read(text: &str) -> Result<Vec<Fault>, String> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut group = String::new();
    for line in joined(text) {
        if let Some(title) = line.strip_prefix("== ") {
            title.clone_into(&mut group);
            continue;
        }
        let (word, value) = line.split_once(' ').map_or((line.as_str(), ""), |(word, it)| (word, it.trim()));
        if word == "fault" {
            faults.push(Fault::new(&group, value));
            continue;
        }
        let fault = faults.last_mut().ok_or_else(|| format!("`{line}` stands before the first fault"))?;
        fault.set(word, value).map_err(|mistake| format!("{}: {mistake}", fault.name))?;
    }
    Ok(faults)
}

/// The lines without comments, each with those that go on with it.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|it| !it.trim().is_empty() && !it.starts_with("//")) {
        match lines.last_mut() {
            Some(former) if line.starts_with(' ') => *former += &format!(" {}", line.trim()),
            _ => lines.push(line.trim_end().to_owned()),
        }
    }
    lines
}

impl Fault {
    fn new(group: &str, name: &str) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            alpha: String::new(),
            beta: format!("'{BETA}'"),
            kind: Kind::OpenAi,
            only: Vec::new(),
            is_in_bytes: false,
            expected: Expected::Beta,
            rests: None,
            first: None,
            whole: None,
            is_ill: false,
            is_wider: false,
            is_slow: false,
            is_by_chance: false,
        }
    }

    fn set(&mut self, word: &str, value: &str) -> Result<(), String> {
        match (word, value) {
            ("alpha", words) => {
                self.is_in_bytes = BYTES.iter().any(|it| words.contains(it));
                self.alpha = spelt_out(words);
            }
            ("kind", kind) => self.kind = Kind::parse(kind)?,
            ("only", kinds) => {
                self.only = kinds.split_whitespace().map(Kind::parse).collect::<Result<_, _>>()?;
            }
            ("beta", words) => self.beta = spelt_out(words),
            ("sees", "alpha") => self.expected = Expected::Alpha,
            ("sees", "beta") => self.expected = Expected::Beta,
            // Who is a moment earlier.
            ("sees", "either") => (self.expected, self.is_by_chance) = (Expected::Either, true),
            ("sees", "told") => self.expected = Expected::Told,
            ("rests", time) => self.rests = Some(duration(time)?),
            ("first", time) => self.first = Some(duration(time)?),
            ("whole", time) => self.whole = Some(duration(time)?),
            ("health", "bad") => self.is_ill = true,
            ("wider", "") => self.is_wider = true,
            ("slow", "") => self.is_slow = true,
            ("chance", "") => self.is_by_chance = true,
            _ => return Err(format!("`{word} {value}` is not understood")),
        }
        Ok(())
    }

    /// The same with alpha in another dialect; none if it would be something else there, or nothing.
    pub(super) fn in_kind(&self, kind: Kind) -> Option<Self> {
        if kind == self.kind {
            return Some(self.clone());
        }
        let can_happen = self.kind == Kind::OpenAi
            && !self.is_in_bytes
            && (self.only.is_empty() || self.only.contains(&kind));
        let told = Self { kind, ..self.clone() };
        (can_happen && Cast::parse(&told.cast()).is_ok()).then_some(told)
    }

    /// The cast's line.
    pub(super) fn cast(&self) -> String {
        format!("alpha: kind={} {} | beta: {}", self.kind, self.alpha, self.beta)
    }

    /// Whether it takes up to a minute, and nothing is measured that a busy machine would spoil.
    pub(super) fn is_long(&self) -> bool {
        self.is_slow && self.first.is_none() && self.whole.is_none()
    }

    /// Whether this word is in its name or its group's, in whatever letters.
    pub(super) fn has(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        self.name.to_lowercase().contains(&word) || self.group.to_lowercase().contains(&word)
    }
}

/// The short words of the list, written out.
fn spelt_out(words: &str) -> String {
    let chunk = |delta: &str, finish: &str| {
        let choice = format!(r#"{{"index":0,"delta":{{{delta}}},"finish_reason":{finish}}}"#);
        format!(r#"data: {{"choices":[{choice}]}}\n\n"#)
    };
    words
        .replace("$text", &chunk(r#""content":"$alpha""#, "null"))
        .replace("$begin", &chunk(r#""content":"Alpha says: the tide turns twice""#, "null"))
        .replace("$stop", &chunk("", r#""stop""#))
        .replace("$done", r"data: [DONE]\n\n")
        .replace("$alpha", ALPHA)
}

fn duration(text: &str) -> Result<Duration, String> {
    let number = |unit: &str| text.strip_suffix(unit)?.parse::<f64>().ok();
    let seconds = number("s").or_else(|| Some(60.0 * number("m")?));
    let time = seconds.and_then(|it| Duration::try_from_secs_f64(it).ok());
    time.ok_or_else(|| format!("`{text}` is not a time such as `7.5s` or `2m`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::{collections::BTreeSet, fmt::Write as _};

    #[test]
    fn the_list_can_be_played() {
        let faults = all().unwrap();
        assert!(faults.len() > 150);
        for fault in &faults {
            if let Err(mistake) = Cast::parse(&fault.cast()) {
                panic!("{}: {mistake}", fault.name);
            }
            assert!(!fault.name.contains('|') && !fault.group.is_empty(), "{}", fault.name);
        }
        let names: BTreeSet<_> = faults.iter().map(|it| &it.name).collect();
        assert_eq!(names.len(), faults.len(), "two faults have one name");
    }

    #[test]
    fn most_faults_can_happen_in_any_dialect() {
        let mut told = String::new();
        let all = all().unwrap();
        for kind in Kind::ALL {
            let played = all.iter().filter_map(|it| it.in_kind(kind));
            assert!(played.clone().all(|it| it.kind == kind));
            writeln!(told, "{kind} {}", played.count()).unwrap();
        }
        expect![[r#"
            openai 159
            openai-responses 129
            anthropic 129
            gemini 129
            completions 148
            ollama 126
        "#]]
        .assert_eq(&told);
        let fault = |text: &str| read(&format!("fault a\n{text}")).unwrap().remove(0);
        let is_told = |text, kind| fault(text).in_kind(kind).is_some();
        assert!(is_told("alpha 503", Kind::Gemini));
        assert!(!is_told("alpha raw='$stop'", Kind::Gemini), "the bytes are OpenAI's");
        assert!(!is_told("alpha 'Hi.' cr", Kind::Ollama), "its lines cannot end so");
        assert!(!is_told("alpha 503\nkind completions", Kind::Gemini), "it is about another dialect");
        assert!(!is_told("alpha 503\nonly openai completions", Kind::Gemini));
        assert!(is_told("alpha 503\nonly openai completions", Kind::Completions));
    }

    #[test]
    fn what_is_written_is_read() {
        let text = "// a comment\n== Group\nfault  one, two\nalpha  raw='$begin$stop'\n       x-y=1\nrests  7.5s\nsees   told\n\
                    wider\nslow\nhealth bad\nwhole  2m\nbeta   503\n";
        expect![[r#"
            [
                Fault {
                    group: "Group",
                    name: "one, two",
                    alpha: "raw='data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Alpha says: the tide turns twice\"},\"finish_reason\":null}]}\\n\\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\\n\\n' x-y=1",
                    beta: "503",
                    kind: OpenAi,
                    only: [],
                    is_in_bytes: true,
                    expected: Told,
                    rests: Some(
                        7.5s,
                    ),
                    first: None,
                    whole: Some(
                        120s,
                    ),
                    is_ill: true,
                    is_wider: true,
                    is_slow: true,
                    is_by_chance: false,
                },
            ]"#]]
        .assert_eq(&format!("{:#?}", read(text).unwrap()));
        expect!["a: `sees nothing` is not understood"].assert_eq(&read("fault a\nsees nothing").unwrap_err());
        expect!["a: `soon` is not a time such as `7.5s` or `2m`"]
            .assert_eq(&read("fault a\nrests soon").unwrap_err());
        expect!["`slow` stands before the first fault"].assert_eq(&read("slow").unwrap_err());
    }
}
