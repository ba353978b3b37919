//! A question in no vendor's words (pure): what dialects write theirs from.
//!
//! **The problem.** Questions come from Discord (people's lines) and from programs (OpenAI's words, with tools, pictures and
//! parameters), and vendors want them in shapes of their own: a system prompt apart, roles that alternate, no empty text. **The
//! rule.** Both become one [`Asked`] that keeps what vendors demand: the system prompt stands apart, turns alternate, the first one
//! is a person's, and none is empty. **The limits.** What no vendor here can take (sound, files) makes it an error; parameters that
//! are not listed here are left out, as an answer does without them.

use super::prompt_text;
use crate::{
    message::{Image, Prompt, Request, Role},
    outcome::{Failed, Failure},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a conversation begins with that the bot's own words would begin: vendors want a person first.
const BEFORE: &str = "(The conversation began earlier.)";

/// A question.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// Who the bot is; empty for none.
    pub(super) system: String,
    /// Person and bot in turn, a person first; none of them empty.
    pub(super) turns: Vec<Turn>,
    pub(super) tools: Vec<Tool>,
    pub(super) tool_choice: ToolChoice,
    /// Whether the model may call several tools at once, if the program says so.
    pub(super) parallel_tools: Option<bool>,
    /// The most tokens of the answer.
    pub(super) reply_tokens: u32,
    /// Texts at which the answer ends.
    pub(super) stop: Vec<String>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) presence_penalty: Option<f64>,
    pub(super) frequency_penalty: Option<f64>,
    pub(super) seed: Option<i64>,
    pub(super) format: Format,
    /// How hard the model should think: `low`, `medium`, `high` and the like.
    pub(super) effort: Option<String>,
}

/// All that one side says before the other does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) parts: Vec<Part>,
}

/// A part of what is said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// Never empty, nor white space only.
    Text(String),
    Picture(Picture),
    /// The bot called a tool.
    Call {
        id: String,
        name: String,
        arguments: Value,
    },
    /// What a tool said; a person's part. Its name is known if the call is in the conversation.
    Result {
        id: String,
        name: String,
        text: String,
    },
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    Here(Image),
    /// The vendor has to fetch it.
    At(String),
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// The JSON schema of its arguments; null for none.
    pub(super) parameters: Value,
    pub(super) strict: Option<bool>,
}

/// Whether a tool has to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    Never,
    /// Some tool.
    Required,
    /// This one.
    Named(String),
}

/// What the answer has to look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Format {
    #[default]
    Text,
    /// A JSON object.
    Json,
    /// JSON of this schema.
    Schema { name: String, schema: Value, strict: Option<bool> },
}

impl Asked {
    /// Reads a prompt. `temperature` is the operator's; a program's own goes before it.
    ///
    /// # Errors
    /// `UnsupportedParameter`: a program sends what none of these dialects can say.
    pub(super) fn new(prompt: &Prompt, temperature: Option<f64>) -> Result<Self, Failed> {
        let mut asked = Self { reply_tokens: prompt.reply_tokens, temperature, ..Self::default() };
        match prompt.request.as_deref() {
            Some(request) => asked.read(request)?,
            None => asked.converse(prompt),
        }
        // Vendors demand somebody who asks.
        if asked.turns.is_empty() && !asked.system.trim().is_empty() {
            let parts = vec![Part::Text(std::mem::take(&mut asked.system))];
            asked.turns.push(Turn { role: Role::User, parts });
        }
        let begins_with_bot = asked.turns.first().is_some_and(|turn| turn.role == Role::Assistant);
        if begins_with_bot {
            let parts = vec![Part::Text(BEFORE.to_owned())];
            asked.turns.insert(0, Turn { role: Role::User, parts });
        }
        Ok(asked)
    }

    /// People's lines; pictures belong to the last one.
    fn converse(&mut self, prompt: &Prompt) {
        self.system.clone_from(&prompt.system);
        let is_named = prompt_text::has_several_speakers(prompt);
        for line in prompt.lines.iter().filter(|line| !line.text.trim().is_empty()) {
            self.say(line.role, Part::Text(prompt_text::spoken(line, is_named)));
        }
        for image in &prompt.images {
            self.say(Role::User, Part::Picture(Picture::Here(image.clone())));
        }
    }

    /// A program's request, in OpenAI's words.
    fn read(&mut self, request: &Request) -> Result<(), Failed> {
        let messages = request.get("messages").unwrap_or_default();
        for message in messages.as_array().into_iter().flatten() {
            self.message(message)?;
        }
        let get = |name| request.get(name).unwrap_or_default();
        self.tools = get("tools").as_array().into_iter().flatten().filter_map(tool).collect();
        self.tool_choice = tool_choice(&get("tool_choice"));
        self.parallel_tools = get("parallel_tool_calls").as_bool();
        self.stop = texts(&get("stop"));
        self.temperature = get("temperature").as_f64().or(self.temperature);
        self.top_p = get("top_p").as_f64();
        self.presence_penalty = get("presence_penalty").as_f64();
        self.frequency_penalty = get("frequency_penalty").as_f64();
        self.seed = get("seed").as_i64();
        self.format = format(&get("response_format"));
        self.effort = get("reasoning_effort").as_str().map(str::to_owned);
        Ok(())
    }

    fn message(&mut self, message: &Value) -> Result<(), Failed> {
        let content = &message["content"];
        let role = match message["role"].as_str().unwrap_or_default() {
            "system" | "developer" => {
                let text = texts_of(content);
                if !text.trim().is_empty() {
                    let gap = if self.system.is_empty() { "" } else { "\n\n" };
                    self.system += &format!("{gap}{text}");
                }
                return Ok(());
            }
            "tool" | "function" => {
                let id = word(&message["tool_call_id"]);
                let name = self.called(&id).unwrap_or_else(|| word(&message["name"]));
                self.say(Role::User, Part::Result { id, name, text: texts_of(content) });
                return Ok(());
            }
            "assistant" => Role::Assistant,
            _ => Role::User,
        };
        if let Some(text) = content.as_str() {
            self.say(role, Part::Text(text.to_owned()));
        }
        for part in content.as_array().into_iter().flatten() {
            self.say(role, read_part(part)?);
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            let arguments = function["arguments"].as_str().unwrap_or_default();
            // What is no JSON was the model's own mistake, and it may see it again.
            let arguments =
                serde_json::from_str(arguments).unwrap_or_else(|_| Value::Object(Default::default()));
            self.say(role, Part::Call { id: word(&call["id"]), name: word(&function["name"]), arguments });
        }
        Ok(())
    }

    /// The name of the tool that was called by this id.
    fn called(&self, id: &str) -> Option<String> {
        let mut parts = self.turns.iter().rev().flat_map(|turn| &turn.parts);
        parts.find_map(|part| match part {
            Part::Call { id: called, name, .. } if called == id => Some(name.clone()),
            Part::Call { .. } | Part::Text(_) | Part::Picture(_) | Part::Result { .. } => None,
        })
    }

    fn say(&mut self, role: Role, part: Part) {
        let is_nothing = matches!(&part, Part::Text(text) if text.trim().is_empty());
        if is_nothing {
            return;
        }
        if self.turns.last().is_none_or(|turn| turn.role != role) {
            self.turns.push(Turn { role, parts: Vec::new() });
        }
        let Some(turn) = self.turns.last_mut() else { return };
        match (turn.parts.last_mut(), part) {
            (Some(Part::Text(before)), Part::Text(text)) => *before += &format!("\n{text}"),
            (_, part) => turn.parts.push(part),
        }
    }
}

impl Picture {
    /// Where it is, or all of it as an address.
    pub(super) fn into_url(self) -> String {
        match self {
            Self::Here(image) => format!("data:{};base64,{}", image.media_type, image.base64),
            Self::At(url) => url,
        }
    }
}

/// The content of a message: one text as a text, which every host reads, and anything else as a list of what is written of it.
pub(super) fn content(parts: Vec<Part>, write: impl FnMut(Part) -> Option<Value>) -> Value {
    match <[Part; 1]>::try_from(parts) {
        Ok([Part::Text(text)]) => Value::from(text),
        Ok(parts) => parts.into_iter().filter_map(write).collect(),
        Err(parts) => parts.into_iter().filter_map(write).collect(),
    }
}

/// The arguments of a call where only an object can be said, and not a list or a bare text.
pub(super) fn object(arguments: Value) -> Value {
    if arguments.is_object() { arguments } else { json!({}) }
}

/// The object with this in it, if there is a value.
pub(super) fn with(mut object: Value, key: &str, value: Option<impl Into<Value>>) -> Value {
    if let Some(value) = value {
        object[key] = value.into();
    }
    object
}

/// What a dialect cannot say, in one word: somebody else is asked.
pub(super) fn unsupported(what: &str) -> Failed {
    Failed::new(Failure::UnsupportedParameter, what)
}

fn read_part(part: &Value) -> Result<Part, Failed> {
    match part["type"].as_str().unwrap_or_default() {
        "text" => Ok(Part::Text(word(&part["text"]))),
        "refusal" => Ok(Part::Text(word(&part["refusal"]))),
        "image_url" => {
            let url = part.pointer("/image_url/url").unwrap_or(&part["image_url"]);
            let picture = url.as_str().and_then(picture).ok_or_else(|| unsupported("image"))?;
            Ok(Part::Picture(picture))
        }
        "input_audio" => Err(unsupported("audio")),
        _ => Err(unsupported("file")),
    }
}

/// `data:image/png;base64,…`, or an address.
fn picture(url: &str) -> Option<Picture> {
    let Some(data) = url.strip_prefix("data:") else {
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        return is_web.then(|| Picture::At(url.to_owned()));
    };
    let (head, base64) = data.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some(Picture::Here(Image { media_type: media_type.to_owned(), base64: Arc::from(base64) }))
}

fn tool(tool: &Value) -> Option<Tool> {
    let function = &tool["function"];
    Some(Tool {
        name: function["name"].as_str()?.to_owned(),
        description: function["description"].as_str().map(str::to_owned),
        parameters: function["parameters"].clone(),
        strict: function["strict"].as_bool(),
    })
}

fn tool_choice(choice: &Value) -> ToolChoice {
    match (choice.as_str(), choice.pointer("/function/name").and_then(Value::as_str)) {
        (_, Some(name)) => ToolChoice::Named(name.to_owned()),
        (Some("none"), None) => ToolChoice::Never,
        (Some("required"), None) => ToolChoice::Required,
        (_, None) => ToolChoice::Auto,
    }
}

fn format(format: &Value) -> Format {
    match format["type"].as_str() {
        Some("json_object") => Format::Json,
        Some("json_schema") => {
            let schema = &format["json_schema"];
            Format::Schema {
                name: schema["name"].as_str().unwrap_or("answer").to_owned(),
                schema: schema["schema"].clone(),
                strict: schema["strict"].as_bool(),
            }
        }
        _ => Format::Text,
    }
}

/// A text, or the texts of a list of parts.
fn texts_of(content: &Value) -> String {
    let parts = content.as_array().into_iter().flatten();
    let parts: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
    content.as_str().map_or_else(|| parts.join("\n"), str::to_owned)
}

/// A text or a list of texts.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::scripted::{answered, said};
    use expect_test::{Expect, expect};
    use serde_json::json;
    use std::fmt::Write;

    fn shown(prompt: &Prompt) -> String {
        let asked = match Asked::new(prompt, Some(0.3)) {
            Ok(asked) => asked,
            Err(failed) => return failed.to_string(),
        };
        let mut text = String::new();
        if !asked.system.is_empty() {
            writeln!(text, "system {:?}", asked.system).unwrap();
        }
        for turn in &asked.turns {
            writeln!(text, "{:?} {:?}", turn.role, turn.parts).unwrap();
        }
        let Asked { tools, tool_choice, stop, temperature, format, effort, .. } = asked;
        writeln!(text, "{tools:?} {tool_choice:?} {stop:?} {temperature:?} {format:?} {effort:?}").unwrap();
        text
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(body: Value, expected: Expect) {
        let request = Some(Arc::new(serde_json::from_value(body).unwrap()));
        expected.assert_eq(&shown(&Prompt { request, ..Prompt::default() }));
    }

    #[test]
    fn a_conversation() {
        let image = Image { media_type: "image/png".to_owned(), base64: Arc::from("AA==") };
        let prompt = Prompt {
            system: "Be kind.".to_owned(),
            lines: vec![
                answered("Hello all."),
                said("Ana", "hi"),
                said("Bo", " "),
                answered(""),
                said("Bo", "look"),
            ],
            images: vec![image],
            ..Prompt::default()
        };
        expect![[r#"
            system "Be kind."
            User [Text("(The conversation began earlier.)")]
            Assistant [Text("Hello all.")]
            User [Text("Ana: hi\nBo: look"), Picture(Here(image/png in 4 bytes of base 64))]
            [] Auto [] Some(0.3) Text None
        "#]]
        .assert_eq(&shown(&prompt));
        expect![[r#"
            User [Text("hi")]
            [] Auto [] Some(0.3) Text None
        "#]]
        .assert_eq(&shown(&Prompt { lines: vec![said("Ana", "hi")], ..Prompt::default() }));
    }

    #[test]
    fn a_programs_request() {
        check(
            json!({
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": [
                        {"type": "text", "text": "what is this?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                    ]},
                    {"role": "developer", "content": [{"type": "text", "text": "Be short."}]},
                    {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{\"in\":1}"}},
                        {"id": "c2", "type": "function", "function": {"name": "where", "arguments": "oops"}},
                    ]},
                    {"role": "tool", "tool_call_id": "c1", "content": "7 o'clock"},
                    {"role": "tool", "tool_call_id": "c9", "content": [{"type": "text", "text": "?"}]},
                    {"role": "user", "content": "and now?"},
                ],
                "tools": [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}, {"type": "other"}],
                "tool_choice": {"type": "function", "function": {"name": "now"}},
                "stop": "END", "temperature": 0.5, "reasoning_effort": "low",
                "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
            }),
            expect![[r#"
                system "Be kind.\n\nBe short."
                User [Text("what is this?"), Picture(Here(image/png in 2 bytes of base 64)), Picture(At("https://x/y.png"))]
                Assistant [Call { id: "c1", name: "now", arguments: Object {"in": Number(1)} }, Call { id: "c2", name: "where", arguments: Object {} }]
                User [Result { id: "c1", name: "now", text: "7 o'clock" }, Result { id: "c9", name: "", text: "?" }, Text("and now?")]
                [Tool { name: "now", description: None, parameters: Object {"type": String("object")}, strict: None }] Named("now") ["END"] Some(0.5) Schema { name: "a", schema: Object {}, strict: None } Some("low")
            "#]],
        );
        check(
            json!({"tool_choice": "required", "stop": ["a", "", 7], "response_format": {"type": "json_object"}}),
            expect![[r#"
            [] Required ["a"] Some(0.3) Json None
        "#]],
        );
    }

    #[test]
    fn what_cannot_be_said() {
        let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
        check(part(json!({"type": "input_audio"})), expect!["unsupported_parameter: audio"]);
        check(part(json!({"type": "file"})), expect!["unsupported_parameter: file"]);
        check(
            part(json!({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}})),
            expect!["unsupported_parameter: image"],
        );
        check(
            part(json!({"type": "image_url", "image_url": {"url": "data:image/png,AA"}})),
            expect!["unsupported_parameter: image"],
        );
    }
}
