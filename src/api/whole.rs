//! Gathers an answer that is sent at once: what broke off is forgotten when the next provider begins anew (pure).

use super::chunks::{self, Chunks};
use crate::{
    message::ToolCall,
    outcome::Usage,
    providers::Finish,
    router::{End, Event},
};
use serde::Serialize;

/// An answer so far.
#[derive(Debug, Default)]
pub(super) struct Whole {
    provider: Option<String>,
    model: String,
    text: String,
    calls: Vec<Call>,
    usage: Usage,
}

#[derive(Debug, Default, Serialize)]
struct Call {
    #[serde(skip)]
    index: u32,
    id: String,
    r#type: &'static str,
    function: Function,
}

#[derive(Debug, Default, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Call]>::is_empty")]
    tool_calls: &'a [Call],
}

impl Whole {
    /// Takes in an event; the end, when it is that.
    pub(super) fn hear(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Attempt(attempt) => {
                if self.provider.as_ref() == Some(&attempt.provider) {
                    self.usage = attempt.usage;
                }
            }
            Event::Opened { provider, model, afresh: _ } => {
                *self = Self { provider: Some(provider), model, ..Self::default() };
            }
            Event::Text(text) => self.text.push_str(&text),
            Event::ToolCall(call) => self.add(call),
            Event::Ended(end) => return Some(end),
        }
        None
    }

    fn add(&mut self, part: ToolCall) {
        let place = self.calls.iter().position(|it| it.index == part.index).unwrap_or_else(|| {
            self.calls.push(Call { index: part.index, r#type: "function", ..Call::default() });
            self.calls.len() - 1
        });
        let call = &mut self.calls[place];
        call.id.push_str(&part.id.unwrap_or_default());
        call.function.name.push_str(&part.name.unwrap_or_default());
        call.function.arguments.push_str(&part.arguments);
    }

    /// A content filter ended it, maybe before its first word.
    pub(super) fn filtered(&mut self, by: &str) -> Finish {
        if self.provider.is_none() {
            (self.provider, self.model) = (Some(by.to_owned()), by.to_owned());
        }
        Finish::ContentFilter
    }

    /// Who gave it.
    pub(super) fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// The answer as a document.
    pub(super) fn document(&self, chunks: &Chunks, finish: &Finish) -> Vec<u8> {
        let content = (!self.text.is_empty() || self.calls.is_empty()).then_some(self.text.as_str());
        let message = Message { role: "assistant", content, refusal: None, tool_calls: &self.calls };
        chunks.document(&self.model, &message, chunks::word(finish, !self.calls.is_empty()), self.usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{TurnId, UnixMillis};
    use expect_test::expect;

    fn document(events: Vec<Event>) -> String {
        let mut whole = Whole::default();
        for event in events {
            assert!(whole.hear(event).is_none());
        }
        let chunks = Chunks::new(&TurnId("0123456789".to_owned()), UnixMillis(1_700_000_000_000), false);
        String::from_utf8(whole.document(&chunks, &Finish::Stop)).unwrap()
    }

    fn opened(provider: &str) -> Event {
        Event::Opened { provider: provider.to_owned(), model: format!("{provider}-1"), afresh: false }
    }

    fn part(index: u32, id: Option<&str>, arguments: &str) -> Event {
        let (id, name) = (id.map(str::to_owned), id.map(|_| "now".to_owned()));
        Event::ToolCall(ToolCall { index, id, name, arguments: arguments.to_owned() })
    }

    #[test]
    fn what_broke_off_is_not_in_it() {
        let text = |text: &str| Event::Text(text.to_owned());
        let said = vec![
            opened("alpha"),
            text("Hel"),
            part(0, Some("x"), "{}"),
            opened("beta"),
            text("Good "),
            text("day"),
        ];
        expect![[r#"{"id":"chatcmpl-0123456789","object":"chat.completion","created":1700000000,"model":"beta-1","choices":[{"index":0,"message":{"role":"assistant","content":"Good day","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#]].assert_eq(&document(said));
    }

    #[test]
    fn calls_are_put_together() {
        let said = vec![
            opened("alpha"),
            part(0, Some("a"), "{\"in\""),
            part(1, Some("b"), "{}"),
            part(0, None, ":1}"),
        ];
        expect![[r#"{"id":"chatcmpl-0123456789","object":"chat.completion","created":1700000000,"model":"alpha-1","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"now","arguments":"{\"in\":1}"}},{"id":"b","type":"function","function":{"name":"now","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#]].assert_eq(&document(said));
    }
}
