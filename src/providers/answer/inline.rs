//! Tells a model's thoughts from its answer where a host leaves both in one text (pure).
//!
//! **The problem.** A host that does not know the model's template passes its thoughts on as text, between `<think>` and
//! `</think>`. People must not see them, yet they are a sign of life. **The rule.** A block that begins the answer is thoughts, and
//! so is one that never ends; white space around it belongs to it. **The limits.** Only one block, and only where nothing but
//! white space stands before it: whoever talks about such tags is left alone. A template that begins the block itself, so that
//! only its end is written, cannot be told from an answer until it is too late.

/// What thoughts begin and end with. Most models write the first; Gemini behind OpenAI's dialect has `thought`, Magistral brackets.
const TAGS: [(&str, &str); 5] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
];

/// The text of one answer so far.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Inline {
    place: Place,
    /// The beginning of what may become a tag; shorter than one.
    held: String,
    /// There were thoughts, be they empty.
    began: bool,
    /// A word was thought.
    thought: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Nothing was said yet.
    #[default]
    Start,
    /// In thoughts that end with this.
    Thoughts(&'static str),
    /// Behind them: white space there is not the answer's.
    Behind,
    Answer,
}

impl Inline {
    /// Takes more text. Returns what of it is thought, and what is said.
    pub(super) fn read(&mut self, text: String) -> (String, String) {
        if self.place == Place::Answer || text.is_empty() {
            return (String::new(), text);
        }
        let text = if self.held.is_empty() { text } else { std::mem::take(&mut self.held) + &text };
        match self.place {
            Place::Start => self.begin(text),
            Place::Thoughts(end) => self.think(&text, end),
            Place::Behind => (String::new(), self.go_on(&text)),
            Place::Answer => (String::new(), text),
        }
    }

    /// Whether it began with thoughts: what was said before them was white space, and not the answer's.
    pub(super) fn has_thoughts(&self) -> bool {
        self.began
    }

    /// What is left to say when the answer ends as it should: an answer may be as short as a tag's beginning.
    pub(super) fn end(&mut self) -> String {
        if self.place == Place::Start { std::mem::take(&mut self.held) } else { String::new() }
    }

    fn begin(&mut self, mut text: String) -> (String, String) {
        let begins = text.trim_start();
        if begins.is_empty() {
            return (String::new(), text);
        }
        if let Some((tag, end)) = TAGS.into_iter().find(|(tag, _)| begins.starts_with(tag)) {
            (self.place, self.began) = (Place::Thoughts(end), true);
            return self.think(&begins[tag.len()..], end);
        }
        if TAGS.iter().any(|(tag, _)| tag.starts_with(begins)) {
            self.held = text.split_off(text.len() - begins.len());
            return (String::new(), text);
        }
        self.place = Place::Answer;
        (String::new(), text)
    }

    fn think(&mut self, text: &str, end: &str) -> (String, String) {
        let (thoughts, rest) = match text.split_once(end) {
            Some((thoughts, rest)) => {
                self.place = Place::Behind;
                (thoughts, rest)
            }
            None => {
                let at = text.len() - half_a_tag(text, end);
                self.held = text[at..].to_owned();
                (&text[..at], "")
            }
        };
        let thoughts = if self.thought { thoughts } else { thoughts.trim_start() };
        self.thought |= !thoughts.is_empty();
        (thoughts.to_owned(), if rest.is_empty() { String::new() } else { self.go_on(rest) })
    }

    fn go_on(&mut self, text: &str) -> String {
        let begins = text.trim_start();
        if !begins.is_empty() {
            self.place = Place::Answer;
        }
        begins.to_owned()
    }
}

/// How many bytes at the end of this text may be the beginning of that tag.
fn half_a_tag(text: &str, tag: &str) -> usize {
    (1..tag.len()).rev().find(|length| text.ends_with(&tag[..*length])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use std::fmt::Write;

    fn read<'a>(parts: impl IntoIterator<Item = &'a str>) -> (String, String) {
        let mut inline = Inline::default();
        let (mut thoughts, mut said) = (String::new(), String::new());
        for part in parts {
            let (thought, text) = inline.read(part.to_owned());
            assert!(inline.held.len() < "</seed:think>".len(), "{inline:?}");
            if inline.has_thoughts() && said.trim().is_empty() {
                // As the answer does it.
                said.clear();
            }
            thoughts += &thought;
            said += &text;
        }
        said += &inline.end();
        (thoughts, said)
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(texts: &[&str], expected: Expect) {
        let mut told = String::new();
        for text in texts {
            let (thoughts, said) = read([*text]);
            writeln!(told, "{text:?}: thought {thoughts:?}, said {said:?}").unwrap();
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn thoughts_that_begin_an_answer() {
        check(
            &[
                "<think>\nhm\n</think>\n\nHello.",
                "\n\n<think></think>Hello.",
                "<think>\n\n</think>\n\n  Hello. </think>",
                "<think>hm",
                "<think>hm</thi",
                "<thought>**Plan**</thought>Hello.",
                "[THINK]hm[/THINK]Hello.",
                "<think>a</think> <think>b</think>",
            ],
            expect![[r#"
                "<think>\nhm\n</think>\n\nHello.": thought "hm\n", said "Hello."
                "\n\n<think></think>Hello.": thought "", said "Hello."
                "<think>\n\n</think>\n\n  Hello. </think>": thought "", said "Hello. </think>"
                "<think>hm": thought "hm", said ""
                "<think>hm</thi": thought "hm", said ""
                "<thought>**Plan**</thought>Hello.": thought "**Plan**", said "Hello."
                "[THINK]hm[/THINK]Hello.": thought "hm", said "Hello."
                "<think>a</think> <think>b</think>": thought "a", said "<think>b</think>"
            "#]],
        );
    }

    #[test]
    fn whoever_talks_about_tags_is_left_alone() {
        check(
            &[
                "The tag <think> begins thoughts, </think> ends them.",
                "`<think>` is a tag.",
                "<thin",
                "<",
                "  <b>x</b>",
                "    indented",
                "<Think>x</Think>",
                "</think>Hello.",
            ],
            expect![[r#"
                "The tag <think> begins thoughts, </think> ends them.": thought "", said "The tag <think> begins thoughts, </think> ends them."
                "`<think>` is a tag.": thought "", said "`<think>` is a tag."
                "<thin": thought "", said "<thin"
                "<": thought "", said "<"
                "  <b>x</b>": thought "", said "  <b>x</b>"
                "    indented": thought "", said "    indented"
                "<Think>x</Think>": thought "", said "<Think>x</Think>"
                "</think>Hello.": thought "", said "</think>Hello."
            "#]],
        );
    }

    /// The rule, for a text that is all there.
    fn rule(text: &str) -> (String, String) {
        let begins = text.trim_start();
        let Some((tag, end)) = TAGS.into_iter().find(|(tag, _)| begins.starts_with(tag)) else {
            return (String::new(), text.to_owned());
        };
        let (thoughts, said) = begins[tag.len()..].split_once(end).unwrap_or_else(|| {
            let inside = &begins[tag.len()..];
            (&inside[..inside.len() - half_a_tag(inside, end)], "")
        });
        (thoughts.trim_start().to_owned(), said.trim_start().to_owned())
    }

    proptest! {
        #[test]
        fn split_anywhere_it_is_the_same(
            words in proptest::collection::vec(proptest::sample::select(&[
                "<think>", "</think>", "<thought>", "</thought>", "[THINK]", "[/THINK]", "<thi", "nk>", "</", "<", " ", "\n", "ü", "👋", "a",
            ][..]), 0..12),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        ) {
            let text = words.concat();
            let mut at: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let told = read(at.windows(2).map(|pair| &text[pair[0]..pair[1]]));
            prop_assert_eq!(told, rule(&text), "{:?} cut at {:?}", text, at);
        }
    }
}
