//! Every dialect through the whole service: whoever comes first in whatever dialect, people see the same, and the ledger says the same.

use crate::{
    api::{Desk, asking, shown},
    harness::House,
};
use expect_test::{Expect, expect, expect_file};
use futures::future::join_all;
use serde_json::{Value, json};
use sim::providers::{Cast, Kind};
use std::fmt::Write;

/// Something that the first provider does.
struct Case {
    name: &'static str,
    /// In the words of the scenes.
    alpha: &'static str,
    /// Its own settings, over the usual ones.
    settings: &'static [(&'static str, &'static str)],
    /// How often it is asked.
    turns: usize,
}

/// It is asked once, with the usual settings.
const fn case(name: &'static str, alpha: &'static str) -> Case {
    Case { name, alpha, settings: &[], turns: 1 }
}

/// As [`case`], with a setting.
const fn set(
    name: &'static str,
    alpha: &'static str,
    setting: &'static [(&'static str, &'static str)],
) -> Case {
    Case { name, alpha, settings: setting, turns: 1 }
}

/// As [`case`], asked twice, with a setting.
const fn twice(
    name: &'static str,
    alpha: &'static str,
    setting: &'static [(&'static str, &'static str)],
) -> Case {
    Case { name, alpha, settings: setting, turns: 2 }
}

/// Nobody waits longer for somebody who says nothing. Well above what a busy machine needs for an honest first text.
const IMPATIENT: &[(&str, &str)] = &[("first_token_timeout", "400ms"), ("stall_timeout", "400ms")];
/// Of all, in tokens: otherwise a question that is too long for one goes to another one's wider window.
const WINDOW: u32 = 32_000;
const WARM: &[(&str, &str)] = &[("temperature", "0.5")];

const CASES: &[Case] = &[
    case("a whole answer", "'The tide turns.'"),
    case("a whole answer, with thoughts before it", "reasoning='Let me see.' 'The tide turns.'"),
    case("in one document", "whole reasoning='Let me see.' 'The tide turns.'"),
    case("a long answer", "lorem=5000 seed=3"),
    case("each byte by itself", "reasoning='Hm.' 'The tide turns.' bytewise"),
    case("a byte order mark", "'The tide turns.' bom"),
    case("keep-alives before it", "'The tide turns.' delay=60ms keepalive=15ms"),
    case("up to its limit", "'The tide turns' finish=length"),
    // Instead of an answer.
    case("429, and until when", "429 retry-after=30"),
    case("500", "500"),
    case("503", "503"),
    case("overloaded", "error=overloaded_error"),
    case("a wrong key (401)", "401"),
    set("a wrong key", "'The tide turns.'", &[("api_key_env", "ANOTHER_KEY")]),
    set("no key", "'The tide turns.'", &[("api_key_env", "")]),
    case("not allowed (403)", "403"),
    case("no such model (404)", "404"),
    case("no money (402)", "402"),
    case("the quota is used up", "error=insufficient_quota"),
    case("too long", "error=context_length_exceeded"),
    case("a bad request", "400"),
    case("filtered before any text", "empty finish=content_filter"),
    case("a page", "html"),
    case("502 with a page", "502 html"),
    case("no JSON", "malformed"),
    case("half a document", "'The tide turns.' whole malformed after=1"),
    case("empty", "empty"),
    case("only thoughts", "empty reasoning='Let me see.'"),
    case("refused", "refuse"),
    case("reset", "reset"),
    case("closed", "close"),
    set("silent", "hang", IMPATIENT),
    set("only a head", "'The tide turns.' stall after=0", IMPATIENT),
    // In the stream, before any text.
    case("an error before text", "'The tide turns.' error=server_error after=0"),
    case("overloaded before text", "'The tide turns.' error=overloaded_error after=0"),
    case("too fast before text", "'The tide turns.' error=rate_limit_exceeded after=0"),
    case("the quota before text", "'The tide turns.' error=insufficient_quota after=0"),
    case("too long before text", "'The tide turns.' error=context_length_exceeded after=0"),
    case("cut before text", "'The tide turns.' cut after=0"),
    // In the stream, after text that people saw.
    case("an error after text", "'The tide turns twice a day' error=server_error after=4 hold"),
    case("no JSON after text", "'The tide turns twice a day' malformed after=4 hold"),
    case("cut after text", "'The tide turns twice a day' cut after=4 hold"),
    case("dropped after text", "'The tide turns twice a day' drop after=4 hold"),
    case("reset after text", "'The tide turns twice a day' reset after=4 hold"),
    set(
        "stalled after text",
        "'The tide turns twice a day' stall after=4 hold",
        &[("stall_timeout", "400ms")],
    ),
    case("no finish", "'The tide turns twice a day' notfinished hold"),
    case("filtered after text", "'The tide turns' finish=content_filter"),
    // Refused, and asked otherwise: one call more, and only the first time.
    twice("temperature is refused", "'The tide turns.' refuses=temperature", WARM),
    twice(
        "the limit of length is refused",
        "'The tide turns.' refuses=max_tokens,max_output_tokens,maxOutputTokens,num_predict",
        &[],
    ),
];

/// What came of a case: what people saw, who was asked and how it went, and the calls that the first one got.
type Came = (String, String, usize);

/// Plays all cases with a provider of this kind first and one of another kind behind it; none for what this kind cannot do.
async fn play(kind: Kind) -> Vec<Option<Came>> {
    let place = Kind::ALL.iter().position(|it| *it == kind).unwrap();
    let other = Kind::ALL[(place + 1) % Kind::ALL.len()];
    let mut cast = format!("cast beta: kind={other} key=sk-b 'Beta says: the moon pulls.'\n");
    let window = |place: usize| format!("config providers.{place}.context_window={WINDOW}");
    let mut scene = format!("config limits.per_user=off router.health_check=off\n{}\n", window(0));
    let mut played: Vec<(usize, &Case)> = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        let role = format!("f{number}: kind={kind} key=sk-a {}", case.alpha);
        if Cast::parse(&role).is_err() {
            continue;
        }
        played.push((number, case));
        writeln!(cast, "cast {role}").unwrap();
        writeln!(scene, "{}", window(played.len())).unwrap();
        for (setting, value) in case.settings {
            writeln!(scene, "config providers.{}.{setting}='{value}'", played.len()).unwrap();
        }
        for _ in 0..case.turns {
            writeln!(scene, "ana runs /ask prompt:hi provider:f{number} in #c{number}").unwrap();
        }
    }
    let house = House::open(&(cast + &scene)).await;
    house.play().await;
    let (seen, ledger) = (house.transcript(), house.ledger().await);
    let mut turns = ledger.lines();
    let mut came: Vec<Option<Came>> = CASES.iter().map(|_| None).collect();
    for (number, case) in played {
        let alpha = format!("f{number}");
        let turns: Vec<&str> = turns.by_ref().take(case.turns).map(str::trim).collect();
        let calls = house.stage.providers.calls(&alpha).len();
        came[number] = Some((
            what_was_seen(&seen, number),
            turns.join(" / ").replace(&format!("{alpha} "), "alpha "),
            calls,
        ));
    }
    house.close();
    came
}

/// What the bot said in a case's channel, in one line.
fn what_was_seen(transcript: &str, number: usize) -> String {
    let lines = transcript.lines().skip_while(|line| *line != format!("#c{number}")).skip(1);
    let lines =
        lines.take_while(|line| line.is_empty() || line.starts_with(' ')).map(|line| line.trim_start());
    let lines = lines.filter(|line| !line.starts_with("ana ")).map(|it| {
        it.strip_prefix("neverdark").map_or(it, str::trim_start).replace(&format!("f{number} "), "alpha ")
    });
    let lines: Vec<String> = lines.collect();
    if lines.len() > 6 {
        let sum = lines.concat().bytes().fold(7_u32, |sum, it| sum.wrapping_mul(31).wrapping_add(it.into()));
        return format!("{} lines that begin with {:?} and add up to {sum:x}", lines.len(), lines[0]);
    }
    lines.join(" ⏎ ")
}

/// A table of what came of each case in each dialect; in one row where all came to the same.
fn table(played: &[Vec<Option<Came>>]) -> String {
    let mut told = String::new();
    for (number, case) in CASES.iter().enumerate() {
        let mut ways: Vec<(Option<&Came>, Vec<&str>)> = Vec::new();
        for (kind, came) in Kind::ALL.iter().zip(played) {
            let came = came[number].as_ref();
            match ways.iter_mut().find(|(it, _)| *it == came) {
                Some((_, kinds)) => kinds.push(kind.as_str()),
                None => ways.push((came, vec![kind.as_str()])),
            }
        }
        writeln!(told, "{}", case.name).unwrap();
        for (came, kinds) in &ways {
            let who = if ways.len() == 1 { String::new() } else { format!("{}: ", kinds.join(", ")) };
            let Some((seen, ledger, calls)) = came else {
                writeln!(told, "  {who}(is nothing in this dialect)").unwrap();
                continue;
            };
            let calls = if *calls == case.turns { String::new() } else { format!(" ({calls} calls)") };
            writeln!(told, "  {who}{seen}\n    {ledger}{calls}").unwrap();
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_the_same_in_every_dialect() {
    let played = join_all(Kind::ALL.map(play)).await;
    expect_file!["dialects.txt"].assert_eq(&table(&played));
}

/// What a program asks with everything that can be asked, and a conversation behind it in which a tool was called.
fn with_tools() -> Value {
    let call = json!({"id": "call_7", "type": "function", "function": {"name": "look_up", "arguments": "{\"word\":\"tide\"}"}});
    json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_7", "content": "the sea, twice a day"},
            {"role": "user", "content": "And the other way?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look_up", "description": "Looks up a word.", "parameters": {
                "type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"],
            }}},
            {"type": "function", "function": {"name": "now"}},
        ],
        "parallel_tool_calls": true,
        "temperature": 0.25,
        "max_tokens": 64,
    })
}

/// Those that know tools.
fn with_hands() -> impl Iterator<Item = Kind> {
    Kind::ALL.into_iter().filter(|it| *it != Kind::Completions)
}

/// Asks a provider of each kind, with a plain one behind it, and compares what the vendor was asked and how the answers differ.
async fn ask_each(alpha: &str, body: Value, asked: Expect, answered: Expect) {
    let cast = with_hands().map(|kind| format!("{kind}: kind={kind} model=m key=sk-{kind} {alpha}"));
    let cast: Vec<String> = [String::from("beta: 'I can.'")].into_iter().chain(cast).collect();
    let desk = Desk::with(&cast.join(" | ")).await;
    let (mut questions, mut before) = (String::new(), String::new());
    let mut answers: Vec<(String, Vec<&str>)> = Vec::new();
    for kind in with_hands().map(Kind::as_str) {
        let mut body = body.clone();
        body["model"] = kind.into();
        let answer = the_same(&shown(desk.post(&body).await).await);
        let ledger = desk.ledger().await;
        let here = ledger.strip_prefix(&before).unwrap().trim_start_matches(" · ");
        let answer = answer.replace(&format!("provider: {kind}\n"), "provider: alpha\n");
        let answer = format!("{answer}\n{}", here.replace(&format!("{kind} "), "alpha "));
        before = ledger;
        for call in desk.providers.calls(kind) {
            writeln!(questions, "{kind} {}\n{}", call.path, call.body).unwrap();
        }
        match answers.iter_mut().find(|(it, _)| *it == answer) {
            Some((_, kinds)) => kinds.push(kind),
            None => answers.push((answer, vec![kind])),
        }
    }
    desk.close().await;
    asked.assert_eq(&questions);
    let answers: Vec<_> =
        answers.into_iter().map(|(it, kinds)| format!("{}\n{it}\n", kinds.join(", "))).collect();
    answered.assert_eq(&answers.concat());
}

/// What must not differ: without the ids of calls, which are the vendor's, or ours where it has none; and without the length of the
/// question, as each vendor counts it.
fn the_same(answer: &str) -> String {
    let without = |text: &str, mark: &str, is_it: fn(&str) -> bool| {
        let mut pieces = text.split(mark);
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |done, piece| {
            let end = piece.find(['"', ',', '}']).unwrap_or(piece.len());
            let (word, rest) = piece.split_at(end);
            done + mark + if is_it(word) { "…" } else { word } + rest
        })
    };
    let text = without(answer, "\"id\":\"", |it| it.starts_with("call_") || it.starts_with("toolu_"));
    let text = without(&text, "\"prompt_tokens\":", |_| true);
    without(&text, "\"total_tokens\":", |_| true)
}

const CALLS: &str = "call='look_up {\"word\":\"ebb — Ebbe\"}' call=now";

#[tokio::test]
async fn tools_are_told_in_each_vendors_words_and_called_in_openais() {
    ask_each(CALLS, asking(with_tools()), expect![[r#"
        openai /v1/chat/completions
        {"max_tokens":64,"messages":[{"content":"Be brief.","role":"system"},{"content":[{"text":"What is this?","type":"text"},{"image_url":{"url":"data:image/png;base64,iVBORw0KGgo="},"type":"image_url"}],"role":"user"},{"content":null,"role":"assistant","tool_calls":[{"function":{"arguments":"{\"word\":\"tide\"}","name":"look_up"},"id":"call_7","type":"function"}]},{"content":"the sea, twice a day","role":"tool","tool_call_id":"call_7"},{"content":"And the other way?","role":"user"}],"model":"m","parallel_tool_calls":true,"stream":true,"stream_options":{"include_usage":true},"temperature":0.25,"tools":[{"function":{"description":"Looks up a word.","name":"look_up","parameters":{"properties":{"word":{"type":"string"}},"required":["word"],"type":"object"}},"type":"function"},{"function":{"name":"now"},"type":"function"}]}
        openai-responses /v1/responses
        {"input":[{"content":[{"text":"What is this?","type":"input_text"},{"image_url":"data:image/png;base64,iVBORw0KGgo=","type":"input_image"}],"role":"user","type":"message"},{"arguments":"{\"word\":\"tide\"}","call_id":"call_7","name":"look_up","type":"function_call"},{"call_id":"call_7","output":"the sea, twice a day","type":"function_call_output"},{"content":"And the other way?","role":"user","type":"message"}],"instructions":"Be brief.","max_output_tokens":64,"model":"m","parallel_tool_calls":true,"store":false,"stream":true,"temperature":0.25,"tools":[{"description":"Looks up a word.","name":"look_up","parameters":{"properties":{"word":{"type":"string"}},"required":["word"],"type":"object"},"strict":false,"type":"function"},{"name":"now","parameters":{"properties":{},"type":"object"},"strict":false,"type":"function"}]}
        anthropic /v1/messages
        {"max_tokens":64,"messages":[{"content":[{"text":"What is this?","type":"text"},{"source":{"data":"iVBORw0KGgo=","media_type":"image/png","type":"base64"},"type":"image"}],"role":"user"},{"content":[{"id":"call_7","input":{"word":"tide"},"name":"look_up","type":"tool_use"}],"role":"assistant"},{"content":[{"content":"the sea, twice a day","tool_use_id":"call_7","type":"tool_result"},{"text":"And the other way?","type":"text"}],"role":"user"}],"model":"m","stream":true,"system":"Be brief.","temperature":0.25,"tools":[{"description":"Looks up a word.","input_schema":{"properties":{"word":{"type":"string"}},"required":["word"],"type":"object"},"name":"look_up"},{"input_schema":{"type":"object"},"name":"now"}]}
        gemini /v1beta/models/m:streamGenerateContent?alt=sse
        {"contents":[{"parts":[{"text":"What is this?"},{"inlineData":{"data":"iVBORw0KGgo=","mimeType":"image/png"}}],"role":"user"},{"parts":[{"functionCall":{"args":{"word":"tide"},"id":"call_7","name":"look_up"},"thoughtSignature":"skip_thought_signature_validator"}],"role":"model"},{"parts":[{"functionResponse":{"id":"call_7","name":"look_up","response":{"output":"the sea, twice a day"}}},{"text":"And the other way?"}],"role":"user"}],"generationConfig":{"maxOutputTokens":64,"temperature":0.25},"systemInstruction":{"parts":[{"text":"Be brief."}]},"tools":[{"functionDeclarations":[{"description":"Looks up a word.","name":"look_up","parametersJsonSchema":{"properties":{"word":{"type":"string"}},"required":["word"],"type":"object"}},{"name":"now"}]}]}
        ollama /api/chat
        {"messages":[{"content":"Be brief.","role":"system"},{"content":"What is this?","images":["iVBORw0KGgo="],"role":"user"},{"content":"","role":"assistant","tool_calls":[{"function":{"arguments":{"word":"tide"},"name":"look_up"},"id":"call_7"}]},{"content":"the sea, twice a day","role":"tool","tool_call_id":"call_7","tool_name":"look_up"},{"content":"And the other way?","role":"user"}],"model":"m","options":{"num_ctx":8192,"num_predict":64,"temperature":0.25},"shift":false,"stream":true,"tools":[{"function":{"description":"Looks up a word.","name":"look_up","parameters":{"properties":{"word":{"type":"string"}},"required":["word"],"type":"object"}},"type":"function"},{"function":{"name":"now","parameters":{"properties":{},"type":"object"}},"type":"function"}],"truncate":false}
    "#]], expect![[r#"
        openai, openai-responses, anthropic, gemini, ollama
        200
        content-type: application/json
        x-neverdark-provider: alpha
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"…","type":"function","function":{"name":"look_up","arguments":"{\"word\":\"ebb — Ebbe\"}"}},{"id":"…","type":"function","function":{"name":"now","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":…,"completion_tokens":0,"total_tokens":…}}
        alpha answered
    "#]]).await;
}

#[tokio::test]
async fn calls_of_tools_are_streamed() {
    let over = json!({"stream": true, "tools": with_tools()["tools"], "tool_choice": "required"});
    ask_each(&format!("'Wait.' reasoning='Hm.' {CALLS}"), asking(over), expect![[r#"
        openai /v1/chat/completions
        {"messages":[{"content":"hi","role":"user"}],"model":"m","stream":true,"stream_options":{"include_usage":true},"tool_choice":"required","tools":[{"function":{"description":"Looks up a word.","name":"look_up","parameters":{"properties":{"word":{"type":"string"}},"required":["word"],"type":"object"}},"type":"function"},{"function":{"name":"now"},"type":"function"}]}
        openai-responses /v1/responses
        {"input":[{"content":"hi","role":"user","type":"message"}],"max_output_tokens":1024,"model":"m","store":false,"stream":true,"tool_choice":"required","tools":[{"description":"Looks up a word.","name":"look_up","parameters":{"properties":{"word":{"type":"string"}},"required":["word"],"type":"object"},"strict":false,"type":"function"},{"name":"now","parameters":{"properties":{},"type":"object"},"strict":false,"type":"function"}]}
        anthropic /v1/messages
        {"max_tokens":1024,"messages":[{"content":"hi","role":"user"}],"model":"m","stream":true,"tool_choice":{"type":"any"},"tools":[{"description":"Looks up a word.","input_schema":{"properties":{"word":{"type":"string"}},"required":["word"],"type":"object"},"name":"look_up"},{"input_schema":{"type":"object"},"name":"now"}]}
        gemini /v1beta/models/m:streamGenerateContent?alt=sse
        {"contents":[{"parts":[{"text":"hi"}],"role":"user"}],"generationConfig":{"maxOutputTokens":1024},"toolConfig":{"functionCallingConfig":{"mode":"ANY"}},"tools":[{"functionDeclarations":[{"description":"Looks up a word.","name":"look_up","parametersJsonSchema":{"properties":{"word":{"type":"string"}},"required":["word"],"type":"object"}},{"name":"now"}]}]}
    "#]], expect![[r#"
        openai, openai-responses, anthropic
        200
        content-type: text/event-stream; charset=utf-8
        x-neverdark-provider: alpha
        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Wait."},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"…","type":"function","function":{"name":"look_up","arguments":""}}]},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"word\":\"ebb"}}]},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":" — Ebbe\"}"}}]},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"…","type":"function","function":{"name":"now","arguments":""}}]},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{"}}]},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"}"}}]},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

        data: [DONE]


        alpha answered
        gemini
        200
        content-type: text/event-stream; charset=utf-8
        x-neverdark-provider: alpha
        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Wait."},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"…","type":"function","function":{"name":"look_up","arguments":"{\"word\":\"ebb — Ebbe\"}"}}]},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"…","type":"function","function":{"name":"now","arguments":"{}"}}]},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

        data: [DONE]


        alpha answered
        ollama
        200
        content-type: text/event-stream; charset=utf-8
        x-neverdark-provider: beta
        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{"role":"assistant","content":"I"},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{"content":" can."},"finish_reason":null}]}

        data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":…,"model":"beta-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

        data: [DONE]


        alpha failed: unsupported_parameter · beta answered
    "#]]).await;
}

#[tokio::test]
async fn a_schema_is_told_in_each_vendors_words() {
    let schema = json!({"type": "object", "properties": {"when": {"type": "string"}}, "required": ["when"]});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "tide", "strict": true, "schema": schema}});
    let over = json!({"response_format": format});
    ask_each("'{\"when\":\"noon\"}'", asking(over), expect![[r#"
        openai /v1/chat/completions
        {"messages":[{"content":"hi","role":"user"}],"model":"m","response_format":{"json_schema":{"name":"tide","schema":{"properties":{"when":{"type":"string"}},"required":["when"],"type":"object"},"strict":true},"type":"json_schema"},"stream":true,"stream_options":{"include_usage":true}}
        openai-responses /v1/responses
        {"input":[{"content":"hi","role":"user","type":"message"}],"max_output_tokens":1024,"model":"m","store":false,"stream":true,"text":{"format":{"name":"tide","schema":{"properties":{"when":{"type":"string"}},"required":["when"],"type":"object"},"strict":true,"type":"json_schema"}}}
        anthropic /v1/messages
        {"max_tokens":1024,"messages":[{"content":"hi","role":"user"}],"model":"m","output_config":{"format":{"schema":{"additionalProperties":false,"properties":{"when":{"type":"string"}},"required":["when"],"type":"object"},"type":"json_schema"}},"stream":true}
        gemini /v1beta/models/m:streamGenerateContent?alt=sse
        {"contents":[{"parts":[{"text":"hi"}],"role":"user"}],"generationConfig":{"maxOutputTokens":1024,"responseJsonSchema":{"properties":{"when":{"type":"string"}},"required":["when"],"type":"object"},"responseMimeType":"application/json"}}
        ollama /api/chat
        {"format":{"properties":{"when":{"type":"string"}},"required":["when"],"type":"object"},"messages":[{"content":"hi","role":"user"}],"model":"m","options":{"num_ctx":8192,"num_predict":1024},"shift":false,"stream":true,"truncate":false}
    "#]], expect![[r#"
        openai, openai-responses, anthropic, gemini, ollama
        200
        content-type: application/json
        x-neverdark-provider: alpha
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"{\"when\":\"noon\"}","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":…,"completion_tokens":4,"total_tokens":…}}
        alpha answered
    "#]]).await;
}

#[tokio::test]
async fn who_cannot_be_told_where_to_stop_is_not_asked() {
    let over = json!({"stop": ["END"], "seed": 7, "top_p": 0.5});
    ask_each("'Noon.'", asking(over), expect![[r#"
        openai /v1/chat/completions
        {"messages":[{"content":"hi","role":"user"}],"model":"m","seed":7,"stop":["END"],"stream":true,"stream_options":{"include_usage":true},"top_p":0.5}
        anthropic /v1/messages
        {"max_tokens":1024,"messages":[{"content":"hi","role":"user"}],"model":"m","stop_sequences":["END"],"stream":true,"top_p":0.5}
        gemini /v1beta/models/m:streamGenerateContent?alt=sse
        {"contents":[{"parts":[{"text":"hi"}],"role":"user"}],"generationConfig":{"maxOutputTokens":1024,"seed":7,"stopSequences":["END"],"topP":0.5}}
        ollama /api/chat
        {"messages":[{"content":"hi","role":"user"}],"model":"m","options":{"num_ctx":8192,"num_predict":1024,"seed":7,"stop":["END"],"top_p":0.5},"shift":false,"stream":true,"truncate":false}
    "#]], expect![[r#"
        openai, anthropic, gemini, ollama
        200
        content-type: application/json
        x-neverdark-provider: alpha
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Noon.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":…,"completion_tokens":2,"total_tokens":…}}
        alpha answered
        openai-responses
        200
        content-type: application/json
        x-neverdark-provider: beta
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"beta-1","choices":[{"index":0,"message":{"role":"assistant","content":"I can.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":…,"completion_tokens":2,"total_tokens":…}}
        alpha failed: unsupported_parameter · beta answered
    "#]]).await;
}

#[tokio::test]
async fn a_picture_elsewhere_is_fetched_by_the_vendor() {
    let picture = json!([
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://sea.example/tide.png"}},
    ]);
    let over = json!({"messages": [{"role": "user", "content": picture}]});
    ask_each("'The tide.'", asking(over), expect![[r#"
        openai /v1/chat/completions
        {"messages":[{"content":[{"text":"What is this?","type":"text"},{"image_url":{"url":"https://sea.example/tide.png"},"type":"image_url"}],"role":"user"}],"model":"m","stream":true,"stream_options":{"include_usage":true}}
        openai-responses /v1/responses
        {"input":[{"content":[{"text":"What is this?","type":"input_text"},{"image_url":"https://sea.example/tide.png","type":"input_image"}],"role":"user","type":"message"}],"max_output_tokens":1024,"model":"m","store":false,"stream":true}
        anthropic /v1/messages
        {"max_tokens":1024,"messages":[{"content":[{"text":"What is this?","type":"text"},{"source":{"type":"url","url":"https://sea.example/tide.png"},"type":"image"}],"role":"user"}],"model":"m","stream":true}
        gemini /v1beta/models/m:streamGenerateContent?alt=sse
        {"contents":[{"parts":[{"text":"What is this?"},{"fileData":{"fileUri":"https://sea.example/tide.png","mimeType":"image/png"}}],"role":"user"}],"generationConfig":{"maxOutputTokens":1024}}
    "#]], expect![[r#"
        openai, openai-responses, anthropic, gemini
        200
        content-type: application/json
        x-neverdark-provider: alpha
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"The tide.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":…,"completion_tokens":3,"total_tokens":…}}
        alpha answered
        ollama
        200
        content-type: application/json
        x-neverdark-provider: beta
        {"id":"chatcmpl-…","object":"chat.completion","created":…,"model":"beta-1","choices":[{"index":0,"message":{"role":"assistant","content":"I can.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":…,"completion_tokens":2,"total_tokens":…}}
        alpha failed: unsupported_parameter · beta answered
    "#]]).await;
}
