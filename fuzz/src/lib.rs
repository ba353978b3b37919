//! What fuzzing asks of the readers: no input panics, spins or says more than it has, and how the bytes fall changes nothing.
//!
//! The room `providers` and the rules for text are built here from their own files (links to them lie beside this one), without the rest of the
//! program: they know only `message` and `outcome`, and so a build takes a minute.

pub mod message;
pub mod outcome;
pub mod providers;
pub mod text;

use message::UnixMillis;
use outcome::Failed;
use providers::{Kind, Piece};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// Some readings are longer than what they read: an escape, a mark for what is no UTF-8, an id that the host did not give.
const MOST_GROWTH: usize = 8;

/// Reads `data` as a body of this dialect: whole, and split as its last two bytes say; so a recording is a good seed.
pub fn decode(kind: Kind, data: &[u8]) {
    let Some((body, seed)) = data.len().checked_sub(2).map(|at| data.split_at(at)) else { return };
    let is_lost = seed[0] % 2 == 1;
    let told = read(kind, [body], is_lost);
    let is_end = |it: &Result<Piece, Failed>| matches!(it, Ok(Piece::Finish(_)) | Err(_));
    assert!(told.last().is_some_and(is_end), "it ends");
    assert_eq!(told.iter().filter(|it| is_end(it)).count(), 1, "it ends once");
    assert!(told.iter().map(length).sum::<usize>() <= MOST_GROWTH * body.len() + 1024, "it has a bound");

    let mut rng = fastrand::Rng::with_seed(u64::from(u16::from_le_bytes([seed[0], seed[1]])));
    let (mut reads, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let (read, later) = rest.split_at(rng.usize(1..=rest.len().min(64)));
        reads.push(read);
        rest = later;
    }
    assert_eq!(read(kind, reads, is_lost), told, "how the bytes fall changes nothing");
}

fn read<'a>(kind: Kind, reads: impl IntoIterator<Item = &'a [u8]>, is_lost: bool) -> Vec<Result<Piece, Failed>> {
    let mut told: Vec<_> = providers::decode(kind, reads, is_lost).collect();
    // How many signs of life there are depends on how the bytes fall.
    told.retain(|it| !matches!(it, Ok(Piece::Alive)));
    told
}

fn length(piece: &Result<Piece, Failed>) -> usize {
    match piece {
        Ok(Piece::Text(text) | Piece::Reasoning(text)) => text.len(),
        Ok(Piece::ToolCall(call)) => {
            let words = [&call.id, &call.name].map(|it| it.as_ref().map_or(0, String::len));
            words.iter().sum::<usize>() + call.arguments.len()
        }
        Ok(Piece::Alive | Piece::Usage(_) | Piece::Finish(_)) => 0,
        Err(failed) => failed.detail.len(),
    }
}

/// Reads `data` as a failed answer: two bytes of status, lines of headers, a blank line and the body.
pub fn classify(data: &[u8]) {
    const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
    let Some((status, rest)) = data.split_at_checked(2) else { return };
    let status = u16::from_le_bytes([status[0], status[1]]) % 700;
    let at = rest.windows(2).position(|it| it == b"\n\n").unwrap_or(rest.len());
    let (head, body) = rest.split_at(at);
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().and_then(|it| HeaderName::from_bytes(it).ok());
        let value = parts.next().and_then(|it| HeaderValue::from_bytes(it).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    let now = UnixMillis(1_763_800_000_000);
    let failed = providers::classify(status, &headers, body, now);
    assert_eq!(failed, providers::classify(status, &headers, body, now));
    assert!(failed.retry_after.is_none_or(|wait| !wait.is_zero() && wait <= LONGEST_WAIT));
    assert!(failed.detail.len() <= 64, "a word, not a text");
}

/// Shows `data` as what a model wrote, whole and cut: each message fits, is tame, and has its links wrapped.
pub fn text(data: &[u8]) {
    const LIMIT: usize = 2000;
    let text = String::from_utf8_lossy(data);
    let cut = text.floor_char_boundary(data.first().map_or(0, |it| usize::from(*it) * text.len() / 256));
    for state in [&text[..], &text[..cut]] {
        let safe = text::wrap(&text::tame(state), &[], LIMIT);
        assert_eq!(text::wrap(&safe, &[], LIMIT), safe, "wrapping twice changes nothing");
        for message in text::messages(state, &[], LIMIT) {
            assert!(text::units(&message) <= LIMIT && !message.trim().is_empty(), "it can be posted");
            assert!(message.chars().all(|it| !it.is_control() || it == '\n' || it == '\t'), "it is tame");
            assert_eq!(text::wrap(&message, &[], LIMIT), message, "its links are wrapped");
        }
    }
}
