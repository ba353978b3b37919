//! How many tokens a prompt may take at most, and what of it fits a window (pure).
//!
//! **The problem.** Every model cuts text into tokens in its own way, and few vendors say how; a prompt that is too long costs
//! the turn, and some servers drop its beginning without a word. Bytes divided by three, the usual guess, is half of the truth
//! for emoji, Armenian or base 64. **The rule.** Each sort of character has a price that was measured not to be below that of
//! the tokenizers `cl100k_base` and `o200k_base` (the table is in the tests). A call gets as many of the loose lines as its own
//! provider's window takes, the oldest left out first; what is not loose is always in. **The limits.** It is too high by a third
//! for English and by more for numbers, so that the last lines before a window's end are not used. Ideographs that nobody
//! uses, and texts made up to be expensive, may cost more than they are reckoned at.

use crate::message::{Line, Prompt, Role};
use std::{borrow::Cow, iter::Peekable, str::Chars};

/// What a line costs beside its text: the role and the marks around it.
const PER_LINE: u32 = 8;
/// What a picture costs at least: Anthropic's and OpenAI's usual bound for one that fills 1,568 pixels.
const PICTURE: u32 = 1600;
/// Those who count more for a picture have wide windows, and none counts more than this part of its own.
const PICTURES_A_WINDOW: u32 = 24;

/// The most tokens that a text is likely to have.
#[must_use]
pub fn tokens(text: &str) -> u32 {
    let mut halves = 0_u64;
    let mut rest = text.chars().peekable();
    while let Some(&next) = rest.peek() {
        halves += if next.is_ascii_alphanumeric() {
            2 * word(&mut rest)
        } else if next.is_ascii_whitespace() {
            2 * gap(&mut rest)
        } else {
            rest.next();
            sign(next)
        };
    }
    u32::try_from(halves.div_ceil(2)).unwrap_or(u32::MAX)
}

/// A run of ASCII letters and digits. Words have three letters a token or more; what looks like a key or a hash has one.
fn word(rest: &mut Peekable<Chars<'_>>) -> u64 {
    let (mut count, mut all, mut digits, mut switches, mut consonants, mut longest) = (0, 0, 0, 0, 0, 0);
    let (mut letters, mut before) = (0_u64, ' ');
    let (mut is_shouted, mut is_lower) = (true, false);
    while let Some(it) = rest.next_if(char::is_ascii_alphanumeric) {
        all += 1;
        is_shouted &= it.is_ascii_uppercase();
        if it.is_ascii_digit() {
            digits += 1;
            count += letters.div_ceil(3);
            letters = 0;
        } else {
            if before.is_ascii_digit() || (is_lower && it.is_ascii_uppercase()) {
                switches += 1;
                count += letters.div_ceil(3);
                letters = 0;
            }
            letters += 1;
        }
        let is_consonant = it.is_ascii_alphabetic() && !"aeiouyAEIOUY".contains(it);
        consonants = if is_consonant { consonants + 1 } else { 0 };
        longest = longest.max(consonants);
        is_lower = it.is_ascii_lowercase();
        before = it;
    }
    count += letters.div_ceil(3) + digits;
    let is_key = all >= 12 && (digits > 1 || switches >= 3);
    match () {
        () if is_key => all,
        () if is_shouted || longest >= 4 => count.max((2 * all).div_ceil(3)),
        () => count,
    }
}

/// White space: one blank before a word belongs to the word.
fn gap(rest: &mut Peekable<Chars<'_>>) -> u64 {
    let (mut breaks, mut blanks) = (0_u64, 0_u64);
    while let Some(it) = rest.next_if(char::is_ascii_whitespace) {
        if it == '\n' { breaks += 1 } else { blanks += 1 }
    }
    let is_of_word = blanks == 1 && breaks == 0 && rest.peek().is_some_and(char::is_ascii);
    breaks + if is_of_word { 0 } else { blanks.div_ceil(3) }
}

/// Any other character, in halves of a token. No byte-wise tokenizer needs more than one for a byte.
fn sign(it: char) -> u64 {
    match u32::from(it) {
        0..=0x7f => 2,
        // Latin with accents, Cyrillic, Arabic letters.
        0x80..=0x24f | 0x400..=0x52f | 0x60c..=0x64a | 0x660..=0x6ff => 2,
        // Greek, Hebrew.
        0x370..=0x3ff | 0x5d0..=0x5ea => 3,
        0x250..=0x7ff => 4,
        // Kana, Hangul, full-width forms.
        0x3000..=0x33ff | 0xac00..=0xd7af | 0xff00..=0xffef => 3,
        // Han; the scripts of India, Thai, Lao.
        0x4e00..=0x9fff | 0x900..=0xeff => 4,
        0x800..=0xffff => 6,
        _ => 8,
    }
}

/// The most tokens that a line is likely to cost.
#[must_use]
pub fn cost(line: &Line) -> u32 {
    let name = line.speaker.as_deref().map_or(0, |it| tokens(it) + 2);
    tokens(&line.text).saturating_add(name).saturating_add(PER_LINE)
}

/// The tokens of each part of a prompt, counted once a turn.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// What is always in, without pictures.
    fixed: u32,
    pictures: u32,
    /// Those of the loose lines, oldest first, and whether the bot said it.
    loose: Vec<(u32, bool)>,
}

impl Measured {
    pub(super) fn new(prompt: &Prompt) -> Self {
        let (mut fixed, mut loose) = (tokens(&prompt.system), Vec::with_capacity(prompt.loose.len()));
        for (at, line) in prompt.lines.iter().enumerate() {
            match prompt.loose.contains(&at) {
                true => loose.push((cost(line), line.role == Role::Assistant)),
                false => fixed = fixed.saturating_add(cost(line)),
            }
        }
        let pictures = u32::try_from(prompt.images.len()).unwrap_or(u32::MAX);
        Self { fixed, pictures, loose }
    }

    /// How many of the oldest loose lines stay out of a window; none when not even the fixed ones fit.
    pub(super) fn left_out(&self, window: u32, reply_tokens: u32) -> Option<usize> {
        // A window that is hardly wider than an answer still takes a short question.
        let room = window - reply_tokens.min(window / 2);
        let pictures = self.pictures.saturating_mul(PICTURE.max(window / PICTURES_A_WINDOW));
        let mut room = room.checked_sub(self.fixed.saturating_add(pictures))?;
        let newest_first = self.loose.iter().rev();
        let taken = newest_first.take_while(|(cost, _)| match room.checked_sub(*cost) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        });
        let mut left_out = self.loose.len() - taken.count();
        // An answer without its question says nothing; but the last line is what the question replies to.
        while left_out > 0 && left_out + 1 < self.loose.len() && self.loose[left_out].1 {
            left_out += 1;
        }
        Some(left_out)
    }
}

/// The prompt without the oldest of its loose lines.
pub(super) fn without(prompt: &Prompt, left_out: usize) -> Cow<'_, Prompt> {
    let end = prompt.loose.end.min(prompt.lines.len());
    let gone = prompt.loose.start..(prompt.loose.start + left_out).min(end);
    if gone.is_empty() {
        return Cow::Borrowed(prompt);
    }
    let mut shorter = prompt.clone();
    shorter.loose = gone.start..end - gone.len();
    shorter.lines.drain(gone);
    Cow::Owned(shorter)
}

#[cfg(test)]
mod tests;
