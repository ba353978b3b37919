//! A model's calls of tools, put in order while their parts come.
//!
//! **The problem.** Parts of a call are told apart by `index`, but hosts leave it out (Mistral), give every call the index 0
//! (Gemini behind OpenAI's dialect), repeat the id and the name in each part, draw a new id for each, or give no id at all.
//! Programs add the parts up by index, and glue repeated names together. **The rule.** A new id with a name, or a name where
//! none belongs to the call yet, begins a call; calls are numbered in the order in which they begin; id and name are told once,
//! with the first part. **The limits.** At most [`MOST_CALLS`] calls an answer; the parts of more are dropped, and so is what has no
//! name and belongs to no call, and what the host calls itself (xAI): a program can do nothing with either.

use super::{
    answer::surrogates,
    lax::{Count, Object, Text},
};
use crate::message::ToolCall;
use serde::Deserialize;
use serde_json::value::RawValue;

/// No honest answer has as many; a program adds them up in memory.
const MOST_CALLS: usize = 128;

/// A part of a call, as a host wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// The host's own number of the call.
    pub(super) index: Option<u64>,
    /// The host's own id of it; empty if it gave none.
    pub(super) id: String,
    /// The tool's name; empty if this part does not say it.
    pub(super) name: String,
    /// More of the arguments' JSON.
    pub(super) arguments: String,
    /// It begins a call, whatever the others have: the dialect knows.
    pub(super) begins: bool,
}

/// A call in OpenAI's words, which others took over.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Written<'a> {
    index: Count,
    #[serde(borrow)]
    id: Text<'a>,
    /// `function`; many leave it out.
    #[serde(borrow, rename = "type")]
    sort: Text<'a>,
    #[serde(borrow)]
    function: Object<Function<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Written<'_> {
    /// What it says of a call; none if it is no function's.
    pub(super) fn part(self) -> Option<Part> {
        if !matches!(&*self.sort.0, "" | "function") {
            return None;
        }
        let function = self.function.or_default();
        Some(Part {
            index: self.index.0,
            id: self.id.into_owned(),
            name: function.name.into_owned(),
            arguments: function.arguments.map(arguments).unwrap_or_default(),
            begins: false,
        })
    }
}

/// The JSON of a call's arguments, which most hosts write as a text, and some local ones as it is.
pub(super) fn arguments(written: &RawValue) -> String {
    match written.get() {
        "null" => String::new(),
        // Raw JSON is not looked at closely: half a character may be in it.
        text if text.starts_with('"') => serde_json::from_str(text)
            .ok()
            .or_else(|| serde_json::from_str(&surrogates::mended(text)?).ok())
            .unwrap_or_default(),
        json => json.to_owned(),
    }
}

impl Part {
    /// How much it says, in bytes.
    pub(super) fn len(&self) -> usize {
        self.id.len() + self.name.len() + self.arguments.len()
    }
}

/// The calls of one answer so far.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Calls(Vec<Known>);

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Known {
    /// The host's own index.
    index: Option<u64>,
    /// The host's own id; empty if it gave none.
    id: String,
    /// The arguments that were told.
    told: String,
}

impl Calls {
    /// The part with the number of the call that it belongs to; none if there are too many, or it belongs to none.
    pub(super) fn place(&mut self, part: Part) -> Option<ToolCall> {
        let Part { index, id, name, arguments, begins } = part;
        if let Some(place) = self.of(index, &id, &name).filter(|_| !begins) {
            self.0[place].told.push_str(&arguments);
            return Some(ToolCall { index: u32::try_from(place).ok()?, id: None, name: None, arguments });
        }
        let place = self.0.len();
        if place == MOST_CALLS || name.is_empty() {
            return None;
        }
        let told = if id.is_empty() { format!("call_{place}") } else { id.clone() };
        self.0.push(Known { index, id, told: arguments.clone() });
        Some(ToolCall { index: u32::try_from(place).ok()?, id: Some(told), name: Some(name), arguments })
    }

    /// What calls without any arguments still need, once they are whole: hosts leave out `{}`, and programs read JSON.
    pub(super) fn without_arguments(&self) -> impl Iterator<Item = ToolCall> {
        let empty = self.0.iter().enumerate().filter(|(_, call)| call.told.is_empty());
        empty.filter_map(|(place, _)| {
            let index = u32::try_from(place).ok()?;
            Some(ToolCall { index, arguments: "{}".to_owned(), ..ToolCall::default() })
        })
    }

    /// A call that is said once more, as a whole: the part of it that was not told yet; none if all of it was.
    pub(super) fn complete(&mut self, whole: Part) -> Option<ToolCall> {
        let same_id = self.0.iter().rposition(|it| !whole.id.is_empty() && it.id == whole.id);
        // Where another id was drawn for it, the index tells; but some hosts give every call the same.
        let is_same =
            |it: &Known| it.index == whole.index && (it.told.is_empty() || it.told == whole.arguments);
        let same = same_id.or_else(|| whole.index.and_then(|_| self.0.iter().rposition(is_same)));
        let Some(place) = same else { return self.place(Part { begins: true, ..whole }) };
        let known = &mut self.0[place];
        if !known.told.is_empty() || whole.arguments.is_empty() {
            return None;
        }
        known.told.clone_from(&whole.arguments);
        let index = u32::try_from(place).ok()?;
        Some(ToolCall { index, id: None, name: None, arguments: whole.arguments })
    }

    /// The call that goes on with this part; none if it begins one.
    fn of(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        if !id.is_empty() {
            let same = self.0.iter().rposition(|it| it.id == id);
            // Old vLLM servers draw another id for each part. No call begins without a name.
            if same.is_some() || !name.is_empty() {
                return same;
            }
        }
        let known = match index {
            Some(_) => self.0.iter().rposition(|it| it.index == index),
            None => self.0.len().checked_sub(1),
        };
        // A name without an id begins a call, unless the host numbers its calls and this one is known.
        known.filter(|_| name.is_empty() || index.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::lax::List;
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};
    use std::fmt::Write;

    fn read(parts: &Value) -> Vec<Part> {
        let json = parts.to_string();
        let List(parts) = serde_json::from_str::<List<Object<Written<'_>>>>(&json).unwrap();
        parts.into_iter().filter_map(|it| it.0?.part()).collect()
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(chunks: &[Value], expected: Expect) {
        let mut calls = Calls::default();
        let mut told = String::new();
        for call in chunks.iter().flat_map(read).filter_map(|part| calls.place(part)) {
            let (id, name) = (call.id.unwrap_or_default(), call.name.unwrap_or_default());
            writeln!(told, "{} {id:?} {name:?} {:?}", call.index, call.arguments).unwrap();
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn parts_by_index_as_openai_sends_them() {
        check(
            &[
                json!([{"index": 0, "id": "a", "type": "function", "function": {"name": "now", "arguments": ""}}]),
                json!([{"index": 0, "function": {"arguments": "{\"in\":"}}]),
                json!([{"index": 1, "id": "b", "function": {"name": "where", "arguments": ""}}]),
                json!([{"index": 0, "function": {"arguments": "1}"}}, {"index": 1, "function": {"arguments": "{}"}}]),
            ],
            expect![[r#"
                0 "a" "now" ""
                0 "" "" "{\"in\":"
                1 "b" "where" ""
                0 "" "" "1}"
                1 "" "" "{}"
            "#]],
        );
    }

    #[test]
    fn what_hosts_do_differently() {
        // Mistral: no index, whole calls.
        check(
            &[json!([
                {"id": "a", "function": {"name": "now", "arguments": "{}"}},
                {"id": "b", "function": {"name": "now", "arguments": "{}"}},
            ])],
            expect![[r#"
                0 "a" "now" "{}"
                1 "b" "now" "{}"
            "#]],
        );
        // The same index for all, and the id and name with each part.
        check(
            &[
                json!([{"index": 0, "id": "a", "function": {"name": "now", "arguments": "{"}}]),
                json!([{"index": 0, "id": "a", "function": {"name": "now", "arguments": "}"}}]),
                json!([{"index": 0, "id": "b", "function": {"name": "now", "arguments": "{}"}}]),
            ],
            expect![[r#"
                0 "a" "now" "{"
                0 "" "" "}"
                1 "b" "now" "{}"
            "#]],
        );
        // Another id for each part.
        check(
            &[
                json!([{"index": 0, "id": "a", "function": {"name": "now"}}]),
                json!([{"index": 0, "id": "b", "function": {"arguments": "{"}}]),
                json!([{"index": 1, "id": "c", "function": {"name": "where"}}]),
                json!([{"index": 0, "id": "d", "function": {"arguments": "}"}}]),
            ],
            expect![[r#"
                0 "a" "now" ""
                0 "" "" "{"
                1 "c" "where" ""
                0 "" "" "}"
            "#]],
        );
        // No ids, and arguments that are no text.
        check(
            &[
                json!([{"function": {"name": "now", "arguments": {"in": 1}}}, {"function": {"name": "now"}}]),
                json!(7),
            ],
            expect![[r#"
                0 "call_0" "now" "{\"in\":1}"
                1 "call_1" "now" ""
            "#]],
        );
    }

    #[test]
    fn parts_of_no_call_are_dropped_and_calls_without_arguments_are_known() {
        let mut calls = Calls::default();
        let parts = json!([
            {"index": 0, "function": {"arguments": "{}"}},
            {"index": 1, "id": "a", "function": {"name": "now"}},
            {"index": 2, "id": "b", "function": {"name": "where", "arguments": ""}},
            {"index": 1, "function": {"arguments": "{}"}},
            {"index": 3, "function": {"arguments": "{}"}},
        ]);
        let told: Vec<_> = read(&parts).into_iter().filter_map(|part| calls.place(part)).collect();
        assert_eq!(
            told.iter().map(|it| (it.index, &*it.arguments)).collect::<Vec<_>>(),
            [(0, ""), (1, ""), (0, "{}")]
        );
        let needed: Vec<_> = calls.without_arguments().map(|it| (it.index, it.arguments)).collect();
        assert_eq!(needed, [(1, "{}".to_owned())]);
    }

    #[test]
    fn calls_that_are_said_once_more() {
        let mut calls = Calls::default();
        let part = |index, id: &str, name: &str, arguments: &str| {
            let [id, name, arguments] = [id, name, arguments].map(str::to_owned);
            Part { index, id, name, arguments, begins: false }
        };
        calls.place(part(Some(1), "a", "now", "{}"));
        calls.place(part(Some(2), "b", "now", ""));
        calls.place(part(Some(3), "c", "now", "{}"));
        let mut again = |index, id: &str, arguments: &str| {
            let told = calls.complete(part(index, id, "where", arguments));
            told.map_or("-".to_owned(), |it| {
                format!("{} {} {}", it.index, it.id.unwrap_or_default(), it.arguments)
            })
        };
        assert_eq!(again(Some(1), "a", "{}"), "-");
        assert_eq!(again(Some(9), "b", "{1}"), "1  {1}", "its arguments were missing");
        assert_eq!(again(Some(9), "b", "{1}"), "-", "and are told once");
        assert_eq!(again(Some(3), "z", "{}"), "-", "another id was drawn for it");
        assert_eq!(again(Some(3), "z", "{2}"), "3 z {2}", "all have the same index");
        assert_eq!(again(None, "y", ""), "4 y ", "a new one");
        assert_eq!(again(None, "y", "{3}"), "4  {3}");
    }

    #[test]
    fn what_is_no_programs_to_do_is_left_out() {
        check(
            &[
                json!([{"index": 0, "id": "w", "type": "web_search_call", "function": {"name": "web_search", "arguments": "{}"}}]),
                json!([{"index": 0, "function": {"arguments": "x"}}, {"index": 1, "id": "a", "function": {"name": "", "arguments": ""}}]),
                json!([{"index": 1, "id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}}]),
                json!([{"index": 1, "id": null, "type": null, "function": {"name": null, "arguments": ""}}]),
                json!([{"index": 7, "type": "custom", "custom": {"name": "sql", "input": "x"}}]),
            ],
            expect![[r#"
                0 "a" "now" "{}"
                0 "" "" ""
            "#]],
        );
    }

    #[test]
    fn there_is_an_end_to_calls() {
        let mut calls = Calls::default();
        let told = (0..1000).filter_map(|id| {
            let part = json!([{"index": u64::MAX, "id": id.to_string(), "function": {"name": "now"}}]);
            calls.place(read(&part).remove(0))
        });
        assert_eq!(told.count(), MOST_CALLS);
    }
}
