//! Where one part ends: the best place in what fits into it.
//!
//! The place is chosen from the characters that fit and the one behind them, never from what comes later. So a part that
//! was full once comes out the same when more text has arrived, and a message that stands in Discord is not edited again.

use super::{
    fence::{self, Fence},
    span, units,
};
use unicode_segmentation::UnicodeSegmentation as _;

/// Where a part ends and how the next one begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut<'a> {
    /// The end of this part's text.
    pub(super) end: usize,
    /// The fence that is open there, to be closed below this part.
    pub(super) unclosed: Option<Fence<'a>>,
    /// The beginning of the next part's text. What lies between is white space.
    pub(super) next: usize,
    /// The fence to be opened again above the next part.
    pub(super) open: Option<Fence<'a>>,
}

/// An end, and the fence that is open there.
type End<'a> = (usize, Option<Fence<'a>>);

/// How bad a place is: the tier counts first, then the cost, in thousandths of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(Tier, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// Between words, lines or paragraphs.
    Good,
    /// Between words, but within inline code, within a line of code, or before what would look like a fence.
    Poor,
    /// Within a word.
    Bad,
    /// Before what would look like a fence, or right behind a fence's first line.
    Worst,
    /// Within a link or a mention: only where it is longer than a part.
    Never,
}

// What a cut costs, as the share of a part (in thousandths) that one would rather leave empty than cut there.
const PARAGRAPH: usize = 0;
const LINE: usize = 150;
const SENTENCE: usize = 300;
const CODE_LINE: usize = 350;
const SPACE: usize = 450;
const BETWEEN_IDEOGRAPHS: usize = 600;
/// A heading belongs to what follows it.
const BEHIND_HEADING: usize = 400;
/// A word such as `-` or `#` would turn into a list or a heading at the beginning of a message.
const BEFORE_MARKER: usize = 200;

/// The end of the part that begins at `start`, with `open` standing above it. `text` has no white space at its end.
pub(super) fn cut<'a>(text: &'a str, start: usize, open: Option<Fence<'a>>, limit: usize) -> Cut<'a> {
    let used = open.map_or(0, |it| it.units().0 + 1);
    let edge = edge(&text[start..], limit.saturating_sub(used)) + start;
    let mut scan = Scan { text, start, edge, limit, used, open, best: None };
    let (end, unclosed) = scan.run().unwrap_or_else(|| anywhere(text, start, open, limit));
    let behind_break = end + usize::from(text[end..].starts_with('\n'));
    let open = unclosed.filter(|it| it.goes_on_in(&text[behind_break..]));
    let next = if open.is_some() { behind_break } else { behind_space(text, end, limit) };
    Cut { end, unclosed, next, open }
}

/// How far one may look: what fits, and one character more.
fn edge(rest: &str, room: usize) -> usize {
    let mut used = 0;
    for (at, it) in rest.char_indices() {
        if used > room {
            return at;
        }
        used += it.len_utf16();
    }
    rest.len()
}

struct Scan<'a> {
    text: &'a str,
    start: usize,
    edge: usize,
    limit: usize,
    /// UTF-16 code units of the part up to here.
    used: usize,
    /// The fence that is open here.
    open: Option<Fence<'a>>,
    best: Option<(Rank, End<'a>)>,
}

impl<'a> Scan<'a> {
    fn run(&mut self) -> Option<End<'a>> {
        let mut at = self.start;
        while self.used <= self.limit {
            let rest = &self.text[at..self.edge];
            let end = rest.find('\n');
            let line = &rest[..end.unwrap_or(rest.len())];
            let after = fence::after(self.open, line, self.limit);
            match self.open {
                Some(fence) if after == self.open => self.walk_code(at, line, fence),
                _ => self.walk_prose(at, line, end.is_some()),
            }
            if at + line.len() == self.text.len() && self.size(self.used, after) <= self.limit {
                return Some((self.text.len(), after));
            }
            let Some(end) = end else { break };
            self.offer_line_break(at, line, after);
            self.used += 1;
            self.open = after;
            at += end + 1;
        }
        self.best.map(|(_, end)| end)
    }

    /// Offers the places within a line outside fences.
    fn walk_prose(&mut self, at: usize, line: &'a str, is_whole: bool) {
        let guard = self.guard(line);
        let (mut here, mut span) = (0, None::<span::Span>);
        while here < line.len() && self.used <= self.limit {
            span = span.filter(|it| here < it.end);
            if here > 0 && self.used >= guard && !(self.has_good() && is_within_word(line, here)) {
                self.offer_in_prose(at, line, here, span, is_whole);
            }
            span = span.or_else(|| span::at(line, here, is_whole));
            self.step(line, &mut here);
        }
    }

    fn offer_in_prose(
        &mut self,
        at: usize,
        line: &'a str,
        here: usize,
        span: Option<span::Span>,
        is_whole: bool,
    ) {
        let (before, behind) = line.split_at(here);
        let (Some(last), Some(first)) = (before.chars().next_back(), behind.chars().next()) else { return };
        let word = behind.trim_start();
        if last.is_whitespace() || (is_whole && word.is_empty()) {
            return;
        }
        let looks_like_fence = word.starts_with(['`', '~']);
        let (tier, cost) = if first.is_whitespace() {
            let marker = if word.starts_with(['-', '+', '*', '#', '>']) { BEFORE_MARKER } else { 0 };
            let tier = if looks_like_fence { Tier::Poor } else { Tier::Good };
            (tier, marker + if ends_sentence(before) { SENTENCE } else { SPACE })
        } else if looks_like_fence {
            (Tier::Worst, SPACE)
        } else if may_part(last, first) {
            (Tier::Good, if "。！？".contains(last) { SENTENCE } else { BETWEEN_IDEOGRAPHS })
        } else {
            (Tier::Bad, SPACE)
        };
        let tier = match span {
            Some(span) if span.is_hard => Tier::Never,
            Some(_) => tier.max(Tier::Poor),
            None => tier,
        };
        let fence = self.open.and_then(|it| fence::after(Some(it), before, self.limit));
        self.offer(tier, cost, (at + here, fence), self.used);
    }

    /// Offers the places within a line of code. They are needed only when there is nothing better before.
    fn walk_code(&mut self, at: usize, line: &'a str, fence: Fence<'a>) {
        if self.has_good() {
            self.used += units(line);
            return;
        }
        let (guard, is_like_fence) = (self.guard(line), fence::is_like_fence(line));
        let mut here = 0;
        while here < line.len() && self.used <= self.limit {
            let bytes = line.as_bytes();
            if here > 0 && self.used >= guard {
                let tier = if bytes[here] == fence.mark() {
                    Tier::Worst
                } else if bytes[here - 1] == b' ' && bytes[here] != b' ' {
                    Tier::Poor
                } else {
                    Tier::Bad
                };
                // A piece of a line that begins like a fence might close this one.
                let before = &line[..here];
                let fence =
                    if is_like_fence { fence::after(Some(fence), before, self.limit) } else { Some(fence) };
                self.offer(tier, 0, (at + here, fence), self.used);
            }
            self.step(line, &mut here);
        }
    }

    /// A place between words is known, so that no place within one is needed.
    fn has_good(&self) -> bool {
        self.best.is_some_and(|(Rank(tier, _), _)| tier == Tier::Good)
    }

    /// A line that begins like a fence stays in one piece as far as it could be an opening line: a piece of it would mean
    /// something else. Answers from how many units on it may be cut.
    fn guard(&self, line: &str) -> usize {
        if fence::is_like_fence(line) { self.used + fence::longest_opening(self.limit) + 1 } else { 0 }
    }

    /// Goes on by one grapheme.
    fn step(&mut self, line: &str, here: &mut usize) {
        let length = grapheme(line, *here);
        self.used += if length == 1 { 1 } else { units(&line[*here..*here + length]) };
        *here += length;
    }

    /// Offers the end of a line.
    fn offer_line_break(&mut self, at: usize, line: &str, after: Option<Fence<'a>>) {
        let end = at + line.len();
        if after.is_some() {
            // Right behind a fence's first line there would be an empty block.
            let (tier, cost) = if after == self.open { (Tier::Good, CODE_LINE) } else { (Tier::Worst, 0) };
            return self.offer(tier, cost, (end, after), self.used);
        }
        let text = line.trim_end();
        if !text.is_empty() {
            let blank =
                self.text[end + 1..self.edge].split_once('\n').is_some_and(|it| it.0.trim().is_empty());
            let heading = if text.starts_with('#') { BEHIND_HEADING } else { 0 };
            let cost = heading + if blank { PARAGRAPH } else { LINE };
            self.offer(Tier::Good, cost, (at + text.len(), None), self.used - units(&line[text.len()..]));
        }
    }

    /// Keeps a place if it fits and is as good as the best so far; of equals the later one.
    fn offer(&mut self, tier: Tier, cost: usize, end: End<'a>, used: usize) {
        let size = self.size(used, end.1);
        if end.0 == self.start || size > self.limit {
            return;
        }
        let rank = Rank(tier, cost + (self.limit - size) * 1000 / self.limit);
        if self.best.is_none_or(|(best, _)| rank <= best) {
            self.best = Some((rank, end));
        }
    }

    /// What the part would take up, its closing line included.
    fn size(&self, used: usize, fence: Option<Fence<'a>>) -> usize {
        used + fence.map_or(0, |it| it.units().1 + 1)
    }
}

/// The last resort, for a grapheme that is longer than a part: between two of its characters.
fn anywhere<'a>(text: &'a str, start: usize, open: Option<Fence<'a>>, limit: usize) -> End<'a> {
    let around = open.map_or(0, |it| it.units().0 + it.units().1 + 2);
    let mut used = around;
    let mut length = 0;
    for it in text[start..].chars() {
        used += it.len_utf16();
        if used > limit && length > 0 {
            break;
        }
        length += it.len_utf8();
    }
    let end = start + length;
    (end, text[start..end].split('\n').fold(open, |open, line| fence::after(open, line, limit)))
}

/// Whether ASCII letters or signs stand on both sides.
fn is_within_word(line: &str, at: usize) -> bool {
    line.as_bytes()[at - 1..=at].iter().all(u8::is_ascii_graphic)
}

/// Bytes of the grapheme at `at`. ASCII needs no tables.
fn grapheme(line: &str, at: usize) -> usize {
    let bytes = line.as_bytes();
    if bytes[at].is_ascii() && bytes.get(at + 1).is_none_or(u8::is_ascii) {
        return 1;
    }
    line[at..].graphemes(true).next().map_or(1, str::len)
}

/// Where a part begins whose text comes after `at`: behind white space, but with its line's indent. (An indent without
/// end goes, too: it would be a part by itself.)
pub(super) fn behind_space(text: &str, at: usize, limit: usize) -> usize {
    let rest = &text[at..];
    let space = &rest[..rest.len() - rest.trim_start().len()];
    let is_first = at == 0 && !space.contains('\n');
    let indent = space.rfind('\n').map(|it| it + 1).or(is_first.then_some(0));
    at + indent.filter(|it| units(&space[*it..]) <= limit / 4).unwrap_or(space.len())
}

/// Whether a sentence ends here. A number's point is none: it may be a list's.
fn ends_sentence(before: &str) -> bool {
    let text = before.trim_end_matches(['"', '\'', ')', ']', '*', '_', '”', '’', '»']);
    let point = text.strip_suffix('.').is_some_and(|it| !it.ends_with(|it: char| it.is_ascii_digit()));
    point || text.ends_with(['!', '?', '…', '。', '！', '？'])
}

/// Whether a line of Chinese or Japanese may be broken between these two, which needs no space.
fn may_part(last: char, first: char) -> bool {
    const NEVER_FIRST: &str =
        "、。，．：；！？」』）】》〉〕…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.!?:;)]}%\"'";
    const NEVER_LAST: &str = "「『（【《〈〔([{<\"'";
    let is_wide = |it| matches!(it, '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}');
    (is_wide(last) || is_wide(first)) && !NEVER_FIRST.contains(first) && !NEVER_LAST.contains(last)
}
