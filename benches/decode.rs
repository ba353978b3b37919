//! How fast answers are read, in each dialect: bytes as a socket gives them become pieces.
//!
//! `cargo bench --profile dist --bench decode` prints megabytes a second on one core, the median of several rounds with the
//! slowest and the fastest. The streams are made of the dialects' usual chunks, of one token or so each, with all their noise;
//! reads are as large as a TLS record. What is measured is framing, JSON, and the bookkeeping of an answer; no socket.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark has no users and stops at the first trouble"
)]

use neverdark::providers::{Finish, Kind, Piece, decode};
use serde::de::IgnoredAny;
use std::{hint::black_box, time::Instant};

/// The most that one read gives.
const READ_BYTES: usize = 16 * 1024;
/// Of one answer; below the bounds of text and of streams.
const STREAM_BYTES: usize = 4 * 1024 * 1024;
const ROUNDS: usize = 9;

/// Before, a usual chunk, and the end.
fn parts(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::OpenAi => (
            "",
            "data: {\"id\":\"chatcmpl-CfZ0sQ1aTqO9y7nUe3b5\",\"object\":\"chat.completion.chunk\",\"created\":1763800000,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_560af6e559\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" lamp\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"k2Jx\"}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        ),
        Kind::OpenAiResponses => (
            "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}}\n\n",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":42,\"item_id\":\"msg_0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f\",\"output_index\":0,\"content_index\":0,\"delta\":\" lamp\",\"logprobs\":[],\"obfuscation\":\"k2Jx0aB\"}\n\n",
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":99,\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":7}}}\n\n",
        ),
        Kind::Anthropic => (
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" lamp in the hall\"} }\n\n",
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":7}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
        Kind::Gemini => (
            "",
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \" lamp in the hall goes out whenever somebody opens the door\"}],\"role\": \"model\"},\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 9,\"candidatesTokenCount\": 70,\"totalTokenCount\": 79,\"promptTokensDetails\": [{\"modality\": \"TEXT\",\"tokenCount\": 9}]},\"modelVersion\": \"gemini-2.5-flash\",\"responseId\": \"a1b2c3d4e5f6g7h8\"}\r\n\r\n",
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \".\"}],\"role\": \"model\"},\"finishReason\": \"STOP\",\"index\": 0}]}\r\n\r\n",
        ),
        Kind::Completions => (
            "",
            "data: {\"id\":\"cmpl-0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d\",\"object\":\"text_completion\",\"created\":1763800000,\"model\":\"interwest-1\",\"choices\":[{\"index\":0,\"text\":\" lamp\",\"logprobs\":null,\"finish_reason\":null,\"stop_reason\":null}],\"usage\":null}\n\n",
            "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        ),
        Kind::Ollama => (
            "",
            "{\"model\":\"llama3.2:1b\",\"created_at\":\"2026-11-22T17:15:24.097767Z\",\"message\":{\"role\":\"assistant\",\"content\":\" lamp\"},\"done\":false}\n",
            "{\"model\":\"llama3.2:1b\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":9,\"eval_count\":7}\n",
        ),
    }
}

/// Megabytes a second, if nothing is done but to skip each chunk's JSON: what the JSON library needs at the least.
fn skip(chunk: &str) -> f64 {
    let json = chunk.trim();
    let json = json.rsplit_once("data: ").map_or(json, |(_, json)| json);
    let times = STREAM_BYTES / chunk.len();
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
    let began = Instant::now();
    for _ in 0..times {
        black_box(serde_json::from_str::<IgnoredAny>(black_box(json)).unwrap());
    }
    (times * chunk.len()) as f64 / began.elapsed().as_secs_f64() / 1e6
}

/// Megabytes a second.
fn round(kind: Kind, stream: &[u8]) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
    let began = Instant::now();
    let last = decode(kind, black_box(stream).chunks(READ_BYTES), false).map(black_box).last();
    let took = began.elapsed();
    assert_eq!(last, Some(Ok(Piece::Finish(Finish::Stop))), "{kind:?}");
    stream.len() as f64 / took.as_secs_f64() / 1e6
}

fn main() {
    println!("{:<18}{:>8}{:>10}{:>9}{:>9}{:>11}", "dialect", "bytes", "MB/s", "least", "most", "JSON alone");
    for kind in Kind::ALL {
        let (before, chunk, end) = parts(kind);
        let stream = [before, &chunk.repeat(STREAM_BYTES / chunk.len()), end].concat();
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(kind, stream.as_bytes())).collect();
        rounds.sort_by(f64::total_cmp);
        let (least, most) = (rounds[0], rounds[ROUNDS - 1]);
        let (name, bytes, median) = (kind.as_str(), chunk.len(), rounds[ROUNDS / 2]);
        println!("{name:<18}{bytes:>8}{median:>10.0}{least:>9.0}{most:>9.0}{:>11.0}", skip(chunk));
    }
}
