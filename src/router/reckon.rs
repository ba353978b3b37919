//! Tokens that nobody counted, reckoned from lengths (pure).

use crate::{message::Prompt, outcome::Usage};

/// English text and code have about four bytes a token; what vendors count differs by a third in both directions.
const BYTES_A_TOKEN: u64 = 4;

/// A picture of a usual size; vendors count from some hundred to some thousand.
const TOKENS_A_PICTURE: u64 = 1000;

/// What the provider did not count is reckoned from the length of what it was sent and what was heard of it.
pub(crate) fn reckon(usage: Usage, tokens_in: u64, heard: usize) -> Usage {
    let is_estimated = usage.tokens_in.is_none() || usage.tokens_out.is_none();
    let tokens_out = usage.tokens_out.unwrap_or((heard as u64).div_ceil(BYTES_A_TOKEN));
    Usage {
        tokens_in: Some(usage.tokens_in.unwrap_or(tokens_in)),
        tokens_out: Some(tokens_out),
        is_estimated,
    }
}

/// The prompt's tokens, reckoned.
pub(crate) fn tokens_of(prompt: &Prompt) -> u64 {
    let said = prompt.lines.iter().map(|it| it.text.len() + it.speaker.as_ref().map_or(0, String::len) + 8);
    let pictures = prompt.images.len() as u64 * TOKENS_A_PICTURE;
    ((prompt.system.len() + said.sum::<usize>()) as u64).div_ceil(BYTES_A_TOKEN) + pictures
}
