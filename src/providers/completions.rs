//! The `completions` dialect: the legacy `POST /completions` with one flat prompt, and `GET /health`.
//!
//! The model goes on writing where the text ends. So the prompt is written as a play: each line begins with its
//! speaker's name, and the last one is the bot's cue. Left alone, a model goes on with the next person's line, too;
//! the people's names are therefore its stop sequences. What no flat text can say (tools, pictures) is refused without a call.

use super::{
    Finish,
    answer::Said,
    body::Body,
    dialect::{Dialect, Framing, Question},
    lax::{self, Count, Present, Text},
    openai::Chunk,
    prompt_text,
};
use crate::{
    message::{Prompt, Role},
    outcome::{Failed, Failure, Usage},
};
use serde::Deserialize;
use serde_json::Value;

pub(super) static DIALECT: Dialect = Dialect {
    questions: |_| "/completions".to_owned(),
    health: "/health",
    models: "/models",
    key_header: "authorization",
    headers: &[],
    write,
    renames: &[],
    // They are the roles of the play.
    names_speakers: |_| true,
    framing: Framing::Events,
    read,
    finish_may_be_early: false,
    trims_start: true,
};

/// The bot's name in the play.
const BOT: &str = "Assistant";
/// Somebody whose name is not known, and whoever else the model may think of.
const SOMEBODY: &str = "User";
/// OpenAI's limit, which other hosts took over.
const MAX_STOPS: usize = 4;

/// What a program may say in this dialect, too, beside the limit and the stop sequences.
const PASSED_ON: [&str; 7] =
    ["frequency_penalty", "logit_bias", "presence_penalty", "seed", "temperature", "top_p", "user"];

fn write(question: Question<'_>) -> Result<Body<'_>, Failed> {
    let Question { prompt, model, temperature, .. } = question;
    let request = prompt.request.as_deref();
    let beyond = request.and_then(prompt_text::beyond_text);
    let beyond = beyond.or((!prompt.images.is_empty()).then_some("image"));
    if let Some(what) = beyond {
        return Err(Failed::new(Failure::UnsupportedParameter, what));
    }
    let mut body = Body::default();
    body.put("model", model);
    body.put("prompt", flat(prompt));
    body.put("max_tokens", prompt.reply_tokens);
    body.put("stop", stops(prompt));
    body.put("stream", true);
    let has_own = request.is_some_and(|it| it.0.contains_key("temperature"));
    body.put_some("temperature", temperature.filter(|_| !has_own));
    for name in PASSED_ON {
        if let Some(value) = request.and_then(|it| it.0.get(name)) {
            body.pass_on(name, value);
        }
    }
    Ok(body)
}

fn flat(prompt: &Prompt) -> String {
    let mut text = String::new();
    if !prompt.system.is_empty() {
        text = format!("{}\n\n", prompt.system);
    }
    for line in &prompt.lines {
        let who = match line.role {
            Role::User => person(line.speaker.as_deref()),
            Role::Assistant => BOT.to_owned(),
        };
        text += &format!("{who}: {}\n", line.text);
    }
    text + BOT + ":"
}

/// A person's name in the play; nobody plays the bot.
fn person(name: Option<&str>) -> String {
    let label = prompt_text::label(name.unwrap_or(SOMEBODY));
    if label.eq_ignore_ascii_case(BOT) { SOMEBODY.to_owned() } else { label }
}

/// Where the answer ends at the latest: where a program wants it to, and at anybody's next line. Whoever spoke last is the
/// likeliest to go on.
fn stops(prompt: &Prompt) -> Vec<String> {
    let mut stops = asked_stops(prompt);
    for name in prompt_text::speakers(prompt).rev() {
        let stop = format!("\n{}:", person(Some(name)));
        if stops.len() < MAX_STOPS - 1 && !stops.contains(&stop) {
            stops.push(stop);
        }
    }
    let somebody = format!("\n{SOMEBODY}:");
    if stops.len() < MAX_STOPS && !stops.contains(&somebody) {
        stops.push(somebody);
    }
    stops
}

/// `stop` of a program's request: a text or a list of texts.
fn asked_stops(prompt: &Prompt) -> Vec<String> {
    let stop = prompt.request.as_deref().and_then(|said| said.get("stop"));
    let list =
        stop.as_ref().map_or(&[][..], |it| it.as_array().map_or(std::slice::from_ref(it), Vec::as_slice));
    list.iter().filter_map(Value::as_str).take(MAX_STOPS).map(str::to_owned).collect()
}

/// Reads a chunk or a whole answer: they have the same shape.
fn read(json: &str) -> serde_json::Result<Said> {
    let mut chunk: Chunk<'_> = lax::read(json)?;
    let mut said = Said::default();
    match &mut chunk.choices.0 {
        Some(choice) => said.text = std::mem::take(&mut choice.text).into_owned(),
        None => lax::read::<Native<'_>>(json)?.tell(&mut said),
    }
    chunk.end(&mut said);
    Ok(said)
}

/// What llama.cpp says at `/completions` without `/v1` before it: its own shape, without choices.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Native<'a> {
    #[serde(borrow)]
    content: Text<'a>,
    stop: Present,
    #[serde(borrow)]
    stop_type: Text<'a>,
    /// Of old, where there is no `stop_type`.
    stopped_limit: Present,
    tokens_evaluated: Count,
    tokens_predicted: Count,
}

impl Native<'_> {
    fn tell(self, said: &mut Said) {
        said.known = !self.content.0.is_empty() || self.stop.0;
        said.text = self.content.into_owned();
        if self.stop.0 {
            let is_cut = self.stop_type.0 == "limit" || self.stopped_limit.0;
            said.finish = Some(if is_cut { Finish::Length } else { Finish::Stop });
            said.usage = Some(Usage {
                tokens_in: self.tokens_evaluated.0,
                tokens_out: self.tokens_predicted.0,
                is_estimated: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{
        Kind,
        body::Refused,
        scripted::{Act, Scripted, answer, answered, events, prompt, provider, said, told},
    };
    use expect_test::{Expect, expect};
    use serde_json::{Map, json};
    use std::{sync::Arc, time::Duration};

    const HELLO: &str = r#"{"choices":[{"index":0,"text":" Hello","finish_reason":null}],"usage":null}"#;
    const STOP: &str = r#"{"choices":[{"index":0,"text":"","finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#;

    async fn check(acts: Vec<Act>, expected: Expect) {
        let endpoint = Scripted::start(vec![acts]).await;
        expected.assert_eq(&told(&*endpoint.provider(Kind::Completions, None)).await);
    }

    #[tokio::test]
    async fn the_request_byte_for_byte() {
        let mut endpoint = Scripted::start(vec![]).await;
        let lines = vec![
            said("Ana", "hi"),
            said("assistant", "I am you"),
            answered("Hey."),
            said("Ana\nBo:", "who?"),
        ];
        let asked = endpoint.provider(Kind::Completions, Some("k")).generate(prompt("Be kind.", lines)).await;
        assert!(asked.is_err());
        let request = endpoint.request_text().await;
        expect![[r#"
            POST /v1/completions HTTP/1.1
            authorization: Bearer k
            content-type: application/json
            accept: */*
            user-agent: neverdark/0.1.0
            host: HOST
            content-length: 175

            {"model":"m-1","prompt":"Be kind.\n\nAna: hi\nUser: I am you\nAssistant: Hey.\nAna Bo: who?\nAssistant:","max_tokens":64,"stop":["\nAna Bo:","\nUser:","\nAna:"],"stream":true}"#]].assert_eq(&request);
    }

    #[test]
    fn there_are_at_most_four_stops_and_the_last_speakers_come_first() {
        let stops_of =
            |names: &[&str]| stops(&prompt("", names.iter().map(|name| said(name, "x")).collect()));
        assert_eq!(stops_of(&[]), ["\nUser:"]);
        assert_eq!(stops_of(&["User", "Ana", "User"]), ["\nUser:", "\nAna:"]);
        assert_eq!(stops_of(&["A", "B", "C", "D", "C"]), ["\nC:", "\nD:", "\nB:", "\nUser:"]);
    }

    fn sent(prompt: &Prompt) -> String {
        let question = Question { prompt, model: "m", context_window: 8192, temperature: None };
        let json = write(question).unwrap().write(&Refused::default(), &Map::new()).unwrap();
        String::from_utf8(json).unwrap()
    }

    fn asked(body: Value) -> Arc<Prompt> {
        let request = Some(Arc::new(serde_json::from_value(body).unwrap()));
        Arc::new(Prompt { lines: vec![said("Ana", "hi")], reply_tokens: 9, request, ..Prompt::default() })
    }

    #[test]
    fn a_programs_parameters_go_along_and_its_stops_come_first() {
        let prompt = asked(json!({"stop": ["END"], "temperature": 0.5, "x": 1, "messages": []}));
        expect![[r#"{"model":"m","prompt":"Ana: hi\nAssistant:","max_tokens":9,"stop":["END","\nAna:","\nUser:"],"stream":true,"temperature":0.5}"#]]
            .assert_eq(&sent(&prompt));
        assert_eq!(stops(&asked(json!({"stop": "END"})))[0], "END");
        assert_eq!(stops(&asked(json!({"stop": ["1", "2", "3", "4", "5"]}))), ["1", "2", "3", "4"]);
    }

    #[tokio::test]
    async fn what_no_flat_text_can_say_is_refused_without_a_call() {
        // Nobody listens there: a call would be a failed connection.
        let nobody = provider(Kind::Completions, "http://127.0.0.1:1/v1", None);
        let refused = async |body: Value| match nobody.generate(asked(body)).await {
            Ok(_) => "answered".to_owned(),
            Err(failed) => failed.to_string(),
        };
        assert_eq!(refused(json!({"tools": [{}]})).await, "unsupported_parameter: tools");
        let picture = json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]});
        assert_eq!(refused(picture).await, "unsupported_parameter: image");
        assert_eq!(refused(json!({})).await, "connection: refused");
    }

    #[tokio::test]
    async fn a_whole_stream() {
        let tail = r#"{"choices":[{"index":0,"text":" there.\n"}]}"#;
        check(
            vec![events(&[HELLO, tail, STOP, "[DONE]"])],
            expect![[r#"
            text     "Hello there.\n"
            usage    Some(7) Some(2)
            finish   Stop
        "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn a_whole_answer() {
        let whole = r#"{"choices":[{"text":"\n\nHello","finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#;
        check(
            vec![answer("200 OK", "application/json", whole)],
            expect![[r#"
            text     "Hello"
            usage    Some(7) Some(2)
            finish   Length
        "#]],
        )
        .await;
    }

    #[tokio::test]
    async fn every_fault() {
        let wait = || Act::Wait(Duration::from_millis(30));
        check(
            vec![events(&[HELLO])],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): no finish
        "#]],
        )
        .await;
        check(
            vec![events(&[HELLO, "[DONE]"])],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): no finish
        "#]],
        )
        .await;
        check(
            vec![events(&[HELLO]), wait(), Act::Reset],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): lost in the answer
        "#]],
        )
        .await;
        check(
            vec![events(&[]), wait(), Act::Reset],
            expect![[r#"
            failed   connection (HTTP 200): lost in the answer
        "#]],
        )
        .await;
        check(
            vec![events(&[HELLO, r#"{"error":{"message":"x","type":"server_error"}}"#])],
            expect![[r#"
            text     "Hello"
            failed   broken_stream (HTTP 200): server_error
        "#]],
        )
        .await;
        check(
            vec![events(&[STOP])],
            expect![[r#"
            usage    Some(7) Some(2)
            failed   empty (HTTP 200): no text
        "#]],
        )
        .await;
        check(
            vec![answer("200 OK", "text/html", "<html>")],
            expect![[r#"
            failed   malformed (HTTP 200): html
        "#]],
        )
        .await;
        check(
            vec![answer("200 OK", "application/json", r#"{"choices":[]}"#)],
            expect![[r#"
            failed   malformed (HTTP 200): no choices
        "#]],
        )
        .await;
        check(
            vec![answer("500 Internal Server Error", "text/plain", "oops")],
            expect!["refused  server_error (HTTP 500)"],
        )
        .await;
    }

    #[tokio::test]
    async fn health_has_its_own_path() {
        let mut endpoint =
            Scripted::start(vec![vec![answer("200 OK", "application/json", r#"{"status":"ok"}"#)]]).await;
        assert_eq!(endpoint.provider(Kind::Completions, None).health_check().await, Ok(()));
        assert_eq!(endpoint.request().await.lines().next(), Some("GET /v1/health HTTP/1.1"));
        let loading = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
        let endpoint =
            Scripted::start(vec![vec![answer("503 Service Unavailable", "application/json", loading)]]).await;
        let failed = endpoint.provider(Kind::Completions, None).health_check().await.unwrap_err();
        expect!["overloaded (HTTP 503): unavailable_error"].assert_eq(&failed.to_string());
    }
}
