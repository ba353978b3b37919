//! Links that never unfurl, and always show where they lead.
//!
//! **The problem.** Discord fetches a preview of each link, which tells its owner who talks to whom without a click, and a masked
//! link says one thing and leads to another. A model that obeys an attacker writes both. **The rule.** A link is shown as
//! `<https://…>`, a masked one as `text (<https://…>)`; hosts that the operator trusts stay as they are. Code is not touched: fences, and inline
//! code that ends on its line. An invite gets the scheme that it lacks. A link that is not finished is wrapped as far as it goes,
//! so that it is never live while it grows; one that is too long for a message is wrapped as far as it fits. Whatever could
//! end a link for Discord ends it here, too: a mark that was opened before it (`**https://…**`), a backslash before the bracket.
//!
//! **The limits.** What is code for Markdown only and not for Discord (`~~~`, three backticks within a longer fence) is code here, so
//! that its bare links stay; masks in it are taken off all the same. No preview comes of them: each message suppresses those.
//! The same holds for inline code in which a mark closes that was opened before it (`__`, then a piece of code with `__` in it).
//! After a backtick that closes nowhere on its line, code of as many backticks counts as text, since Discord may see it so.

mod address;

use super::{fence, span};
use address::{Form, Marks, Start};

/// How far back the bracket may be that a masked link began with, in bytes. Beyond it only the mask is broken: what stands in a
/// message that is full must not change any more.
const LONGEST_MASK: usize = 1000;
/// The longest title of a link, in bytes.
const LONGEST_TITLE: usize = 300;
/// Taking a mask off may put together what becomes a link; so often it is looked again with masks taken off.
const ROUNDS: usize = 3;

/// The text with its links wrapped; `trusted` are hosts whose links stay. `limit` is that of a message, in UTF-16 units.
///
/// Doing it twice changes nothing.
#[must_use]
pub fn wrap(text: &str, trusted: &[String], limit: usize) -> String {
    let mut text = text.to_owned();
    for round in 0..=ROUNDS {
        let is_last = round == ROUNDS;
        let mut wrap = Wrap::new(trusted, limit, is_last, text.len());
        wrap.all(&text, limit);
        let is_settled = wrap.gone.is_empty();
        text = wrap.finished();
        if is_settled {
            break;
        }
    }
    text
}

/// The longest link, with its brackets, that is kept in one piece. A part can be cut before it, wherever it stands: a line that
/// looks like a fence is not cut in its first quarter.
fn longest(limit: usize) -> usize {
    (limit * 7 / 10).max(40)
}

struct Wrap<'a> {
    trusted: &'a [String],
    longest: usize,
    /// Masks are broken, but not taken off.
    keeps_brackets: bool,
    out: String,
    /// Where brackets are open in `out`.
    open: Vec<usize>,
    /// Bytes of `out` that go.
    gone: Vec<usize>,
    marks: Marks,
    /// Lengths of runs of backticks that closed nowhere.
    strays: Vec<usize>,
    /// It is code, but perhaps not for Discord.
    masks_only: bool,
}

/// A masked link, from `](` on.
struct Masked<'t> {
    start: Start,
    address: &'t str,
    title: &'t str,
    /// All of it, in bytes.
    length: usize,
}

impl<'a> Wrap<'a> {
    fn new(trusted: &'a [String], limit: usize, keeps_brackets: bool, length: usize) -> Self {
        Self {
            trusted,
            longest: longest(limit),
            keeps_brackets,
            out: String::with_capacity(length + length / 16),
            open: Vec::new(),
            gone: Vec::new(),
            marks: Marks::default(),
            strays: Vec::new(),
            masks_only: false,
        }
    }

    fn all(&mut self, text: &str, limit: usize) {
        let mut open = None;
        let mut is_exposed = false;
        for line in text.split_inclusive('\n') {
            let bare = line.strip_suffix('\n').unwrap_or(line);
            let after = fence::after(open, bare, limit);
            let is_inside = open.is_some_and(|it: fence::Fence<'_>| it.goes_on_in(bare));
            match open.filter(|_| is_inside).or(after) {
                None => self.text(line),
                Some(fence) => {
                    let is_ticks = fence.mark() == b'`';
                    is_exposed = (is_inside && is_exposed) || !is_ticks || self.strays.contains(&3);
                    if is_inside && after.is_some() && is_ticks && bare.contains("```") {
                        is_exposed = true;
                        self.stray(3);
                    }
                    if is_inside && after.is_none() && is_ticks && fence.length() > 3 {
                        self.stray(fence.length() - 3);
                    }
                    if is_exposed {
                        self.masks_only = true;
                        self.text(line);
                        self.masks_only = false;
                    } else {
                        self.out.push_str(line);
                    }
                }
            }
            open = after;
        }
    }

    /// A line that is not code.
    fn text(&mut self, line: &str) {
        let mut rest = line;
        while !rest.is_empty() {
            let taken = self.step(rest);
            rest = &rest[taken..];
        }
    }

    /// Writes what `rest` begins with, and answers how many bytes of it that was.
    fn step(&mut self, rest: &str) -> usize {
        let bytes = rest.as_bytes();
        match bytes[0] {
            b'\\' => {
                let is_escape = bytes.get(1).is_some_and(u8::is_ascii_punctuation);
                self.copy(rest, 1 + usize::from(is_escape))
            }
            b'`' => {
                let length = self.code(bytes);
                self.copy(rest, length)
            }
            b'[' => {
                self.open.push(self.out.len());
                self.copy(rest, 1)
            }
            b']' => self.bracket(rest),
            b'<' => self.angle(rest),
            b'*' | b'_' | b'~' => {
                self.marks.note(self.out.chars().next_back(), rest);
                self.copy(rest, 1)
            }
            b'h' | b'H' | b's' | b'S' | b'd' | b'D' => self.word(rest),
            _ => {
                let is_special = |it: &u8| b"\\`[]<*_~hHsSdD".contains(it);
                let plain = bytes.iter().position(is_special).unwrap_or(bytes.len());
                self.copy(rest, plain)
            }
        }
    }

    fn copy(&mut self, rest: &str, length: usize) -> usize {
        self.out.push_str(&rest[..length]);
        length
    }

    fn stray(&mut self, run: usize) {
        if !self.strays.contains(&run) {
            self.strays.push(run);
        }
    }

    /// Length of inline code, or of backticks that are none.
    fn code(&mut self, rest: &[u8]) -> usize {
        let run = rest.iter().take_while(|it| **it == b'`').count();
        if self.strays.contains(&run) {
            return run;
        }
        let length = span::code(rest, run).filter(|it| !self.has_stray(&rest[run..*it - run]));
        length.unwrap_or_else(|| {
            self.stray(run);
            run
        })
    }

    /// Whether backticks in a piece of code may close what was opened before it.
    fn has_stray(&self, code: &[u8]) -> bool {
        let runs = code.split(|it| *it != b'`').map(<[u8]>::len);
        !self.strays.is_empty() && runs.filter(|it| *it > 0).any(|it| self.strays.contains(&it))
    }

    /// `]`: perhaps the middle of a masked link.
    fn bracket(&mut self, rest: &str) -> usize {
        let opened = self.open.pop();
        let Some(masked) = rest.strip_prefix("](").and_then(|it| self.masked(it)) else {
            return self.copy(rest, 1);
        };
        let is_trusted = address::is_trusted(masked.address, masked.start, self.trusted);
        if is_trusted && !masked.title.contains("://") {
            return self.copy(rest, masked.length + 2);
        }
        let is_near = |at: &usize| self.out.len() - at <= LONGEST_MASK && !self.keeps_brackets;
        let Some(at) = opened.filter(is_near) else { return self.copy(rest, 1) };
        self.gone.push(at);
        if self.out[..at].ends_with('!') && !self.out[..at].ends_with("\\!") {
            self.gone.push(at - 1);
        }
        let is_blank = self.out[at + 1..].trim().is_empty();
        let address = &masked.address[..address::fitting(masked.address, self.longest.saturating_sub(10))];
        if !is_blank {
            self.out.push_str(" (");
        }
        self.wrapped(masked.start, address);
        // What did not fit is text like any other.
        let left = &masked.address[address.len()..];
        self.text(left);
        if !is_blank {
            self.out.push(')');
        }
        masked.length + 2
    }

    /// Reads what follows `](` when it is an address, perhaps a title, and `)`.
    fn masked<'t>(&self, rest: &'t str) -> Option<Masked<'t>> {
        let space = |it: &str| it.len() - it.trim_start_matches([' ', '\t']).len();
        let mut at = space(rest);
        let is_bracketed = rest[at..].starts_with('<');
        at += usize::from(is_bracketed);
        let start = address::begins(None, &rest[at..])?;
        let form = if is_bracketed { Form::Bracketed } else { Form::Bare };
        let length = address::length(&rest[at..], start, form, self.marks);
        let address = &rest[at..at + length];
        at += length;
        if is_bracketed {
            at += rest[at..].strip_prefix('>').map(|_| 1)?;
        }
        at += space(&rest[at..]);
        let mut title = "";
        if let Some(quote) = rest[at..].chars().next().filter(|it| matches!(it, '"' | '\'')) {
            let behind = &rest.as_bytes()[at + 1..];
            let end = behind.iter().take(LONGEST_TITLE).position(|it| *it == quote as u8)?;
            title = &rest[at + 1..at + 1 + end];
            at += end + 2;
            at += space(&rest[at..]);
        }
        let is_whole = rest[at..].starts_with(')') && length > start.scheme;
        is_whole.then_some(Masked { start, address, title, length: at + 1 })
    }

    /// `<`: perhaps a link that is wrapped, or was to be.
    fn angle(&mut self, rest: &str) -> usize {
        let inner = &rest[1..];
        let start = address::begins(Some('<'), inner).filter(|it| it.missing.is_empty() && !self.masks_only);
        let Some(start) = start else { return self.copy(rest, 1) };
        let length = address::length(inner, start, Form::Bracketed, self.marks);
        let is_closed = inner[length..].starts_with('>') && length > start.scheme;
        if is_closed && address::fitting(&inner[..length], self.longest - 2) == length {
            self.wrapped(start, &inner[..length]);
            return length + 2;
        }
        let bare = address::length(inner, start, Form::Bare, self.marks);
        let length = address::trimmed(&inner[..bare]);
        if length <= start.scheme {
            return self.copy(rest, 1);
        }
        let length = address::fitting(&inner[..length], self.longest - 2);
        self.wrapped(start, &inner[..length]);
        length + 1
    }

    /// A letter that a link may begin with.
    fn word(&mut self, rest: &str) -> usize {
        if self.masks_only {
            return self.copy(rest, 1);
        }
        let before = self.out.chars().next_back();
        let Some(start) = address::begins(before, rest) else { return self.copy(rest, 1) };
        let bare = address::length(rest, start, Form::Bare, self.marks);
        let length = address::trimmed(&rest[..bare]);
        if length <= start.scheme {
            let is_live = address::may_be_live(&rest[start.scheme..]);
            let taken = self.copy(rest, start.scheme);
            if is_live {
                // Something stands there that cannot be wrapped: it is taken apart.
                self.out.push(' ');
            }
            return taken;
        }
        if address::is_trusted(rest, start, self.trusted) {
            return self.copy(rest, length);
        }
        let length = address::fitting(&rest[..length], self.longest - 2 - start.missing.len());
        if !start.missing.is_empty() && before == Some('<') && rest[length..].starts_with('>') {
            self.out.push_str(start.missing);
            return self.copy(rest, length);
        }
        self.wrapped(start, &rest[..length]);
        length
    }

    /// Writes a wrapped link, so that nothing before it can unwrap it or make it the address of a mask.
    fn wrapped(&mut self, start: Start, address: &str) {
        let backslashes = self.out.bytes().rev().take_while(|it| *it == b'\\').count();
        if backslashes % 2 == 1 {
            self.out.push(' ');
        }
        let before = self.out.trim_end();
        if before.ends_with("](") {
            let at = before.len() - 1;
            self.out.insert(at, ' ');
        }
        self.out.push('<');
        self.out.push_str(start.missing);
        self.out.push_str(address);
        self.out.push('>');
    }

    /// The text without the brackets that went.
    fn finished(mut self) -> String {
        if self.gone.is_empty() {
            return self.out;
        }
        self.gone.sort_unstable();
        let (mut text, mut from) = (String::with_capacity(self.out.len()), 0);
        for at in self.gone {
            text.push_str(&self.out[from..at]);
            from = at + 1;
        }
        text + &self.out[from..]
    }
}

#[cfg(test)]
mod tests;
