//! What is understood of a request, and what a caller is told when it is not.

use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAMES: [&str; 2] = ["alpha", "beta"];

fn asked(body: &Value) -> Result<Question, String> {
    read(body.to_string().as_bytes(), &NAMES, 64)
        .map_err(|fault| String::from_utf8(fault.document()).unwrap())
}

/// A request that is right, with these parameters over it.
fn with(over: Value) -> Value {
    let mut body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let Value::Object(over) = over else { panic!("an object") };
    body.as_object_mut().unwrap().extend(over);
    body
}

#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check(over: Value, expected: Expect) {
    expected.assert_eq(&match asked(&with(over)) {
        Ok(it) => {
            let Prompt { system, lines, reply_tokens, images: _, loose: _, request } = it.prompt;
            let lines: Vec<_> =
                lines.into_iter().map(|it| format!("{:?} {:?} {:?}", it.role, it.speaker, it.text)).collect();
            let kept: Vec<_> = request.unwrap().0.keys().cloned().collect();
            format!(
                "{:?} stream={} counts={} tokens={reply_tokens} system={system:?}\n{}\nkept {kept:?}",
                it.first,
                it.streams,
                it.counts,
                lines.join("\n")
            )
        }
        Err(error) => error,
    });
}

#[test]
fn whom_to_ask() {
    let first =
        |model: &str| asked(&with(json!({"model": model}))).map(|it| it.first.join(" ")).unwrap_or_default();
    assert_eq!(first("auto"), "");
    assert_eq!(first("beta"), "beta");
    assert_eq!(first(" beta , alpha,beta,auto"), "beta alpha");
    for unknown in ["gamma", "", "alpha,", "Alpha", "alpha beta"] {
        let error = asked(&with(json!({"model": unknown}))).unwrap_err();
        assert!(error.contains("model_not_found"), "{unknown:?}: {error}");
    }
    check(
        json!({"model": "x".repeat(1000)}),
        expect![[
            r#"{"error":{"message":"The model 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' does not exist: use 'auto', a provider's name, or names separated by commas. GET /v1/models lists them.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
        ]],
    );
    check(
        json!({"model": null}),
        expect![[
            r#"{"error":{"message":"Missing required parameter: 'model'.","type":"invalid_request_error","param":"model","code":"missing_required_parameter"}}"#
        ]],
    );
    check(
        json!({"model": 7}),
        expect![[
            r#"{"error":{"message":"Invalid type for 'model': expected a string, but got an integer instead.","type":"invalid_request_error","param":"model","code":"invalid_type"}}"#
        ]],
    );
}

#[test]
fn what_is_kept() {
    check(
        json!({
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "developer", "content": "Be short."},
                {"role": "user", "name": "ana", "content": [{"type": "text", "text": "what is"}, {"type": "image_url"}, {"type": "text", "text": "this?"}]},
                {"role": "assistant", "content": null, "tool_calls": []},
                {"role": "tool", "tool_call_id": "a", "content": "7"},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": 5,
            "n": 1,
            "logprobs": false,
            "x-new": {},
        }),
        expect![[r#"
            [] stream=true counts=true tokens=5 system="Be kind.\n\nBe short."
            User Some("ana") "what is\nthis?"
            Assistant None ""
            User None "7"
            kept ["logprobs", "max_tokens", "messages", "n", "x-new"]"#]],
    );
    check(
        json!({"max_completion_tokens": 9, "max_tokens": 5}),
        expect![[r#"
        [] stream=false counts=false tokens=9 system=""
        User None "hi"
        kept ["max_completion_tokens", "max_tokens", "messages"]"#]],
    );
}

#[test]
fn what_is_refused() {
    check(
        json!({"n": 2}),
        expect![[
            r#"{"error":{"message":"Unsupported parameter: 'n'. There is one choice an answer: leave it out.","type":"invalid_request_error","param":"n","code":"unsupported_parameter"}}"#
        ]],
    );
    check(
        json!({"n": "1"}),
        expect![[
            r#"{"error":{"message":"Invalid type for 'n': expected an integer above zero, but got a string instead.","type":"invalid_request_error","param":"n","code":"invalid_type"}}"#
        ]],
    );
    check(
        json!({"logprobs": true}),
        expect![[
            r#"{"error":{"message":"Unsupported parameter: 'logprobs'. Providers count them differently, and an answer may come from any of them: leave it out.","type":"invalid_request_error","param":"logprobs","code":"unsupported_parameter"}}"#
        ]],
    );
    check(
        json!({"top_logprobs": 3}),
        expect![[
            r#"{"error":{"message":"Unsupported parameter: 'top_logprobs'. Providers count them differently, and an answer may come from any of them: leave it out.","type":"invalid_request_error","param":"top_logprobs","code":"unsupported_parameter"}}"#
        ]],
    );
    check(
        json!({"functions": []}),
        expect![[
            r#"{"error":{"message":"Unsupported parameter: 'functions'. Use 'tools' instead.","type":"invalid_request_error","param":"functions","code":"unsupported_parameter"}}"#
        ]],
    );
    check(
        json!({"modalities": ["text", "audio"]}),
        expect![[
            r#"{"error":{"message":"Unsupported parameter: 'modalities'. Answers are text.","type":"invalid_request_error","param":"modalities","code":"unsupported_parameter"}}"#
        ]],
    );
    check(
        json!({"tools": {}}),
        expect![[
            r#"{"error":{"message":"Invalid type for 'tools': expected an array, but got an object instead.","type":"invalid_request_error","param":"tools","code":"invalid_type"}}"#
        ]],
    );
    check(
        json!({"stream": "yes"}),
        expect![[
            r#"{"error":{"message":"Invalid type for 'stream': expected a boolean, but got a string instead.","type":"invalid_request_error","param":"stream","code":"invalid_type"}}"#
        ]],
    );
    check(
        json!({"stream_options": {}}),
        expect![[
            r#"{"error":{"message":"The parameter 'stream_options' is only for streams.","type":"invalid_request_error","param":"stream_options","code":"invalid_value"}}"#
        ]],
    );
    check(
        json!({"stream": true, "stream_options": {"include_usage": 1}}),
        expect![[
            r#"{"error":{"message":"Invalid type for 'stream_options.include_usage': expected a boolean, but got an integer instead.","type":"invalid_request_error","param":"stream_options.include_usage","code":"invalid_type"}}"#
        ]],
    );
    check(
        json!({"max_tokens": 0}),
        expect![[
            r#"{"error":{"message":"Invalid value for 'max_tokens': expected an integer above zero.","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}"#
        ]],
    );
    check(
        json!({"max_tokens": 1.5}),
        expect![[
            r#"{"error":{"message":"Invalid value for 'max_tokens': expected an integer above zero.","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}"#
        ]],
    );
}

#[test]
fn messages_that_are_none() {
    check(
        json!({"messages": null}),
        expect![[
            r#"{"error":{"message":"Missing required parameter: 'messages'.","type":"invalid_request_error","param":"messages","code":"missing_required_parameter"}}"#
        ]],
    );
    check(
        json!({"messages": "hi"}),
        expect![[
            r#"{"error":{"message":"Invalid type for 'messages': expected an array of objects, but got a string instead.","type":"invalid_request_error","param":"messages","code":"invalid_type"}}"#
        ]],
    );
    check(
        json!({"messages": []}),
        expect![[
            r#"{"error":{"message":"Invalid 'messages': an empty array; at least one message is needed.","type":"invalid_request_error","param":"messages","code":"invalid_value"}}"#
        ]],
    );
    check(
        json!({"messages": ["hi"]}),
        expect![[
            r#"{"error":{"message":"Invalid type for 'messages[0]': expected an object, but got a string instead.","type":"invalid_request_error","param":"messages[0]","code":"invalid_type"}}"#
        ]],
    );
    check(
        json!({"messages": [{"content": "hi"}]}),
        expect![[
            r#"{"error":{"message":"Missing required parameter: 'messages[0].role'.","type":"invalid_request_error","param":"messages[0].role","code":"missing_required_parameter"}}"#
        ]],
    );
    check(
        json!({"messages": [{"role": "bot", "content": "hi"}]}),
        expect![[
            r#"{"error":{"message":"Invalid role: there are 'system', 'developer', 'user', 'assistant' and 'tool'.","type":"invalid_request_error","param":"messages[0].role","code":"invalid_value"}}"#
        ]],
    );
    check(
        json!({"messages": [{"role": "user"}]}),
        expect![[
            r#"{"error":{"message":"Missing required parameter: 'messages[0].content'.","type":"invalid_request_error","param":"messages[0].content","code":"missing_required_parameter"}}"#
        ]],
    );
    check(
        json!({"messages": [{"role": "user", "content": 7}]}),
        expect![[
            r#"{"error":{"message":"Invalid type for 'messages[0].content': expected a string or an array of objects, but got an integer instead.","type":"invalid_request_error","param":"messages[0].content","code":"invalid_type"}}"#
        ]],
    );
    check(
        json!({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}),
        expect![[
            r#"{"error":{"message":"Invalid type for 'messages[0].content[0].text': expected a string, but got an integer instead.","type":"invalid_request_error","param":"messages[0].content[0].text","code":"invalid_type"}}"#
        ]],
    );
    check(
        json!({"messages": [{"role": "user", "content": [{}]}]}),
        expect![[
            r#"{"error":{"message":"Missing required parameter: 'messages[0].content[0].type'.","type":"invalid_request_error","param":"messages[0].content[0].type","code":"missing_required_parameter"}}"#
        ]],
    );
}

#[test]
fn bodies_that_are_none() {
    let told = |body: &[u8]| String::from_utf8(read(body, &NAMES, 64).unwrap_err().document()).unwrap();
    expect![[r#"{"error":{"message":"The body of the request is not JSON: see line 1, column 0.","type":"invalid_request_error","param":null,"code":"invalid_json"}}"#]].assert_eq(&told(b""));
    expect![[r#"{"error":{"message":"The body of the request is not JSON: see line 2, column 1.","type":"invalid_request_error","param":null,"code":"invalid_json"}}"#]].assert_eq(&told(b"{\"model\": \"auto\",\n}"));
    expect![[r#"{"error":{"message":"Invalid type for 'body': expected an object, but got an array instead.","type":"invalid_request_error","param":"body","code":"invalid_type"}}"#]].assert_eq(&told(b"[]"));
    expect![[r#"{"error":{"message":"Invalid type for 'body': expected an object, but got an array instead.","type":"invalid_request_error","param":"body","code":"invalid_type"}}"#]].assert_eq(&told("[".repeat(100_000).as_bytes()));
    expect![[r#"{"error":{"message":"The body of the request is not JSON: see line 1, column 12.","type":"invalid_request_error","param":null,"code":"invalid_json"}}"#]].assert_eq(&told(b"{\"model\": \"\xff\"}"));
}

#[test]
fn what_is_passed_on_is_not_changed() {
    let tools = r#"[{"function":{"z":1,"a":[ 1.0,1e999,12345678901234567890123 ],"deep":DEEP}}]"#
        .replace("DEEP", &("[".repeat(500) + &"]".repeat(500)));
    let body = format!(
        r#"{{"tools":{tools}, "mod\u0065l":"auto", "seed":1,"seed":2, "messages":[{{"role":"tool","role":"user","content":"hi","x":"\ud800"}}]}}"#
    );
    let asked = read(body.as_bytes(), &NAMES, 64).unwrap();
    assert_eq!(asked.prompt.lines[0].text, "hi");
    let request = asked.prompt.request.unwrap();
    let kept: Vec<_> = request.parameters().filter(|(name, _)| *name != "messages").collect();
    assert_eq!(kept, [("seed", "2"), ("tools", tools.as_str())]);
}

#[test]
fn text_that_is_none() {
    let said = |content: &str| {
        let body = format!(r#"{{"model":"auto","messages":[{{"role":"user","content":{content}}}]}}"#);
        String::from_utf8(read(body.as_bytes(), &NAMES, 64).unwrap_err().document()).unwrap()
    };
    expect![[r#"{"error":{"message":"Invalid value for 'messages[0].content': an escape in it is no character.","type":"invalid_request_error","param":"messages[0].content","code":"invalid_value"}}"#]].assert_eq(&said(r#""\ud800""#));
    expect![[r#"{"error":{"message":"Invalid value for 'messages[0].content[0].text': an escape in it is no character.","type":"invalid_request_error","param":"messages[0].content[0].text","code":"invalid_value"}}"#]].assert_eq(&said(r#"[{"type":"text","text":"\udc00x"}]"#));
}

#[test]
fn a_conversation_is_known_again() {
    let session = |body: Value| asked(&with(body)).unwrap().session;
    let line = |text: &str| json!({"role": "user", "content": text});
    let (one, two) = (json!({"messages": [line("a")]}), json!({"messages": [line("a"), line("b")]}));
    assert_eq!(session(one.clone()), session(two));
    assert_ne!(session(one), session(json!({"messages": [line("b")]})));
    assert_eq!(session(json!({"user": "u"})), session(json!({"user": "u", "messages": [line("z")]})));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        prop_oneof!["auto", "alpha", "user", "assistant", "tool", "text"].prop_map(Value::from),
    ];
    let key = prop_oneof!["role", "content", "type", "text", "name", "include_usage", "\\PC{0,4}"];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_is_too_odd(
        entries in prop::collection::vec((
            prop_oneof!["model", "messages", "stream", "stream_options", "n", "tools", "max_tokens", "logprobs", "user"],
            any_json(),
        ), 0..8),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = read(&bytes, &NAMES, 64);
        let mut over = serde_json::Map::new();
        over.extend(entries);
        for body in [Value::Object(over.clone()), with(Value::Object(over))] {
            if let Err(error) = asked(&body) {
                let error: Value = serde_json::from_str(&error).unwrap();
                prop_assert!(error["error"]["message"].is_string() && error["error"]["code"].is_string());
            }
        }
    }
}
