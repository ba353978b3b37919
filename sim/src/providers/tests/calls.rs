//! Calls of tools in each vendor's bytes, streamed and whole.

use super::*;

/// What of a stream or a whole answer tells of calls, or ends it; with a number for each event.
async fn check(kind: Kind, behaviour: &str, expected: Expect) {
    let mut shown = String::new();
    for stream in [true, false] {
        let providers = start(&format!("alpha: kind={kind} {behaviour}")).await;
        let seen = ask(&providers, "alpha", kind, stream).await;
        assert_eq!((seen.status(), seen.end), ("200", "whole"), "{}", seen.body);
        let lines = seen.body.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line).trim());
        for line in lines.filter(|line| line.starts_with('{')) {
            let json: Value = serde_json::from_str(line).unwrap();
            shown += &format!("{}\n", told(kind, &json));
        }
        shown += if stream { "whole: " } else { "" };
    }
    expected.assert_eq(&shown);
}

/// The part of a document that differs with what is said.
fn told(kind: Kind, json: &Value) -> String {
    match kind {
        Kind::OpenAi => steady(&json["choices"][0]),
        Kind::OpenAiResponses if json["type"].is_string() => {
            let shown = json["type"].as_str().unwrap().to_owned();
            match json["response"]["output"].as_array() {
                None => format!("{shown} {}", steady(json)),
                Some(_) => format!("{shown} {}", steady(&json["response"]["output"])),
            }
        }
        Kind::OpenAiResponses => format!("{} {}", json["status"], steady(&json["output"])),
        Kind::Anthropic if json["type"] == "message_start" => String::from("message_start"),
        Kind::Gemini => steady(&json["candidates"]),
        Kind::Ollama => format!("{} {}", steady(&json["message"]), json["done_reason"]),
        Kind::Anthropic | Kind::Completions => steady(json),
    }
}

const CALLS: &str = "call='now {\"in\":\"Oslo\"}' call=where";

#[tokio::test]
async fn in_chat_completions() {
    check(Kind::OpenAi, CALLS, expect![[r#"
        {"delta":{"content":"","refusal":null,"role":"assistant"},"finish_reason":null,"index":0,"logprobs":null}
        {"delta":{"tool_calls":[{"function":{"arguments":"","name":"now"},"id":"call_alpha-1_0","index":0,"type":"function"}]},"finish_reason":null,"index":0,"logprobs":null}
        {"delta":{"tool_calls":[{"function":{"arguments":"{\"in\":\""},"index":0}]},"finish_reason":null,"index":0,"logprobs":null}
        {"delta":{"tool_calls":[{"function":{"arguments":"Oslo\"}"},"index":0}]},"finish_reason":null,"index":0,"logprobs":null}
        {"delta":{"tool_calls":[{"function":{"arguments":"","name":"where"},"id":"call_alpha-1_1","index":1,"type":"function"}]},"finish_reason":null,"index":0,"logprobs":null}
        {"delta":{"tool_calls":[{"function":{"arguments":"{"},"index":1}]},"finish_reason":null,"index":0,"logprobs":null}
        {"delta":{"tool_calls":[{"function":{"arguments":"}"},"index":1}]},"finish_reason":null,"index":0,"logprobs":null}
        {"delta":{},"finish_reason":"tool_calls","index":0,"logprobs":null}
        null
        whole: {"finish_reason":"tool_calls","index":0,"logprobs":null,"message":{"content":null,"refusal":null,"role":"assistant","tool_calls":[{"function":{"arguments":"{\"in\":\"Oslo\"}","name":"now"},"id":"call_alpha-1_0","type":"function"},{"function":{"arguments":"{}","name":"where"},"id":"call_alpha-1_1","type":"function"}]}}
    "#]]).await;
}

#[tokio::test]
async fn in_responses() {
    check(Kind::OpenAiResponses, CALLS, expect![[r#"
        response.created []
        response.in_progress []
        response.output_item.added {"item":{"arguments":"","call_id":"call_alpha-1_0","id":"fc_alpha-1_0","name":"now","status":"in_progress","type":"function_call"},"output_index":0,"sequence_number":2,"type":"response.output_item.added"}
        response.function_call_arguments.delta {"delta":"{\"in\":\"","item_id":"fc_alpha-1_0","output_index":0,"sequence_number":3,"type":"response.function_call_arguments.delta"}
        response.function_call_arguments.delta {"delta":"Oslo\"}","item_id":"fc_alpha-1_0","output_index":0,"sequence_number":4,"type":"response.function_call_arguments.delta"}
        response.function_call_arguments.done {"arguments":"{\"in\":\"Oslo\"}","item_id":"fc_alpha-1_0","output_index":0,"sequence_number":5,"type":"response.function_call_arguments.done"}
        response.output_item.done {"item":{"arguments":"{\"in\":\"Oslo\"}","call_id":"call_alpha-1_0","id":"fc_alpha-1_0","name":"now","status":"completed","type":"function_call"},"output_index":0,"sequence_number":6,"type":"response.output_item.done"}
        response.output_item.added {"item":{"arguments":"","call_id":"call_alpha-1_1","id":"fc_alpha-1_1","name":"where","status":"in_progress","type":"function_call"},"output_index":1,"sequence_number":7,"type":"response.output_item.added"}
        response.function_call_arguments.delta {"delta":"{","item_id":"fc_alpha-1_1","output_index":1,"sequence_number":8,"type":"response.function_call_arguments.delta"}
        response.function_call_arguments.delta {"delta":"}","item_id":"fc_alpha-1_1","output_index":1,"sequence_number":9,"type":"response.function_call_arguments.delta"}
        response.function_call_arguments.done {"arguments":"{}","item_id":"fc_alpha-1_1","output_index":1,"sequence_number":10,"type":"response.function_call_arguments.done"}
        response.output_item.done {"item":{"arguments":"{}","call_id":"call_alpha-1_1","id":"fc_alpha-1_1","name":"where","status":"completed","type":"function_call"},"output_index":1,"sequence_number":11,"type":"response.output_item.done"}
        response.completed [{"arguments":"{\"in\":\"Oslo\"}","call_id":"call_alpha-1_0","id":"fc_alpha-1_0","name":"now","status":"completed","type":"function_call"},{"arguments":"{}","call_id":"call_alpha-1_1","id":"fc_alpha-1_1","name":"where","status":"completed","type":"function_call"}]
        whole: "completed" [{"arguments":"{\"in\":\"Oslo\"}","call_id":"call_alpha-1_0","id":"fc_alpha-1_0","name":"now","status":"completed","type":"function_call"},{"arguments":"{}","call_id":"call_alpha-1_1","id":"fc_alpha-1_1","name":"where","status":"completed","type":"function_call"}]
    "#]]).await;
}

#[tokio::test]
async fn in_messages() {
    check(Kind::Anthropic, &format!("'Wait.' {CALLS}"), expect![[r#"
        message_start
        {"content_block":{"text":"","type":"text"},"index":0,"type":"content_block_start"}
        {"type":"ping"}
        {"delta":{"text":"Wait.","type":"text_delta"},"index":0,"type":"content_block_delta"}
        {"index":0,"type":"content_block_stop"}
        {"content_block":{"id":"toolu_alpha-1_0","input":{},"name":"now","type":"tool_use"},"index":1,"type":"content_block_start"}
        {"delta":{"partial_json":"{\"in\":\"","type":"input_json_delta"},"index":1,"type":"content_block_delta"}
        {"delta":{"partial_json":"Oslo\"}","type":"input_json_delta"},"index":1,"type":"content_block_delta"}
        {"index":1,"type":"content_block_stop"}
        {"content_block":{"id":"toolu_alpha-1_1","input":{},"name":"where","type":"tool_use"},"index":2,"type":"content_block_start"}
        {"delta":{"partial_json":"{","type":"input_json_delta"},"index":2,"type":"content_block_delta"}
        {"delta":{"partial_json":"}","type":"input_json_delta"},"index":2,"type":"content_block_delta"}
        {"index":2,"type":"content_block_stop"}
        {"delta":{"stop_reason":"tool_use","stop_sequence":null},"type":"message_delta","usage":{"output_tokens":2}}
        {"type":"message_stop"}
        whole: {"content":[{"text":"Wait.","type":"text"},{"id":"toolu_alpha-1_0","input":{"in":"Oslo"},"name":"now","type":"tool_use"},{"id":"toolu_alpha-1_1","input":{},"name":"where","type":"tool_use"}],"id":"msg_alpha-1","model":"m","role":"assistant","stop_reason":"tool_use","stop_sequence":null,"type":"message","usage":{"input_tokens":14,"output_tokens":2}}
    "#]]).await;
    check(Kind::Anthropic, "call=now", expect![[r#"
        message_start
        {"type":"ping"}
        {"content_block":{"id":"toolu_alpha-1_0","input":{},"name":"now","type":"tool_use"},"index":0,"type":"content_block_start"}
        {"delta":{"partial_json":"{","type":"input_json_delta"},"index":0,"type":"content_block_delta"}
        {"delta":{"partial_json":"}","type":"input_json_delta"},"index":0,"type":"content_block_delta"}
        {"index":0,"type":"content_block_stop"}
        {"delta":{"stop_reason":"tool_use","stop_sequence":null},"type":"message_delta","usage":{"output_tokens":0}}
        {"type":"message_stop"}
        whole: {"content":[{"id":"toolu_alpha-1_0","input":{},"name":"now","type":"tool_use"}],"id":"msg_alpha-1","model":"m","role":"assistant","stop_reason":"tool_use","stop_sequence":null,"type":"message","usage":{"input_tokens":14,"output_tokens":0}}
    "#]]).await;
}

#[tokio::test]
async fn in_generated_content() {
    check(Kind::Gemini, CALLS, expect![[r#"
        [{"content":{"parts":[{"functionCall":{"args":{"in":"Oslo"},"name":"now"},"thoughtSignature":"c2ln"},{"functionCall":{"args":{},"name":"where"},"thoughtSignature":"c2ln"}],"role":"model"},"index":0}]
        [{"content":{},"finishReason":"STOP","index":0}]
        whole: [{"content":{"parts":[{"functionCall":{"args":{"in":"Oslo"},"name":"now"},"thoughtSignature":"c2ln"},{"functionCall":{"args":{},"name":"where"},"thoughtSignature":"c2ln"}],"role":"model"},"finishReason":"STOP","index":0}]
    "#]]).await;
}

#[tokio::test]
async fn in_lines() {
    check(Kind::Ollama, CALLS, expect![[r#"
        {"content":"","role":"assistant","tool_calls":[{"function":{"arguments":{"in":"Oslo"},"name":"now"}},{"function":{"arguments":{},"name":"where"}}]} null
        {"content":"","role":"assistant"} "stop"
        whole: {"content":"","role":"assistant","tool_calls":[{"function":{"arguments":{"in":"Oslo"},"name":"now"}},{"function":{"arguments":{},"name":"where"}}]} "stop"
    "#]]).await;
}
