//! Code fences, line by line: which line opens one, which line closes it, and how to show that it goes on.

use super::units;

/// An open code fence: the line that opened it, and what a line needs to close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fence<'a> {
    /// The whole opening line, without its line break.
    line: &'a str,
    run: Run,
}

/// Three or more backticks or tildes at the beginning of a line, after indents, quote marks and list markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    mark: u8,
    /// Where the run begins, in bytes. What comes before it is ASCII, so these are columns, too.
    column: usize,
    /// How many marks there are.
    length: usize,
    /// It stands in a quote (`> `).
    quoted: bool,
    /// A list marker comes before it, so that it cannot close anything.
    listed: bool,
}

/// The state after `line`, which is shown as a whole line: the fence that is open then.
pub(super) fn after<'a>(open: Option<Fence<'a>>, line: &'a str, limit: usize) -> Option<Fence<'a>> {
    match open {
        Some(fence) if fence.is_closed_by(line) => None,
        Some(fence) if !fence.goes_on_in(line) => opening(line, limit),
        Some(fence) => Some(fence),
        None => opening(line, limit),
    }
}

/// Whether the line begins with a run of marks, so that a piece of it could be taken for a fence.
pub(super) fn is_like_fence(line: &str) -> bool {
    run(line).is_some()
}

/// The longest opening line, in UTF-16 code units, that is taken for one. It is shown again in each part, so that it
/// may not use up the room; a longer "info string" is prose that happens to stand behind three backticks.
pub(super) fn longest_opening(limit: usize) -> usize {
    limit / 4
}

/// Reads an opening line.
fn opening(line: &str, limit: usize) -> Option<Fence<'_>> {
    let line = line.trim_end();
    let run = run(line)?;
    let info = &line[run.column + run.length..];
    let is_inline = run.mark == b'`' && info.contains('`');
    (!is_inline && units(line) <= longest_opening(limit)).then_some(Fence { line, run })
}

impl Fence<'_> {
    /// The line that opens the fence again in the next part: the same line. A list marker becomes the indent that it
    /// stands for, since the list has no further item there.
    pub(super) fn head(&self) -> String {
        self.prefix() + &self.line[self.run.column..]
    }

    /// The line that closes the fence at the end of a part.
    pub(super) fn tail(&self) -> String {
        self.prefix() + &char::from(self.run.mark).to_string().repeat(self.run.length)
    }

    /// UTF-16 code units of `head` and of `tail`.
    pub(super) fn units(&self) -> (usize, usize) {
        (units(self.line), self.run.column + self.run.length)
    }

    /// Whether the text behind a line break still belongs to the fence: one in a quote ends where the quote ends.
    pub(super) fn goes_on_in(&self, text: &str) -> bool {
        !self.run.quoted || text.trim_start().starts_with('>')
    }

    /// How many marks it has.
    pub(super) fn length(&self) -> usize {
        self.run.length
    }

    /// The character of the fence.
    pub(super) fn mark(&self) -> u8 {
        self.run.mark
    }

    fn prefix(&self) -> String {
        let keep = |it: char| if it.is_ascii_whitespace() || it == '>' { it } else { ' ' };
        self.line[..self.run.column].chars().map(keep).collect()
    }

    /// A closing line has at least as many of the same marks and nothing else, and is not indented like code. The indent
    /// is compared with the opening line's, because models do not always indent a list's code to the letter.
    fn is_closed_by(&self, line: &str) -> bool {
        let line = line.trim_end();
        run(line).is_some_and(|it| {
            it.mark == self.run.mark
                && it.length >= self.run.length
                && it.column + it.length == line.len()
                && it.quoted == self.run.quoted
                && !it.listed
                && it.column <= self.run.column + 3
        })
    }
}

fn run(line: &str) -> Option<Run> {
    let bytes = line.as_bytes();
    let (mut at, mut quoted, mut listed) = (0, false, false);
    loop {
        match bytes.get(at)? {
            b' ' | b'\t' => at += 1,
            b'>' => {
                quoted = true;
                at += 1;
            }
            mark @ (b'`' | b'~') => {
                let length = bytes[at..].iter().take_while(|it| *it == mark).count();
                return (length >= 3).then_some(Run { mark: *mark, column: at, length, quoted, listed });
            }
            _ => {
                at += list_marker(&bytes[at..])?;
                listed = true;
            }
        }
    }
}

/// Length of `- `, `* `, `+ `, `1. ` or `1) ` at the beginning.
fn list_marker(bytes: &[u8]) -> Option<usize> {
    let digits = bytes.iter().take(9).take_while(|it| it.is_ascii_digit()).count();
    let ends = if digits == 0 { b"-*+".as_slice() } else { b".)".as_slice() };
    let is_marker = ends.contains(bytes.get(digits)?) && *bytes.get(digits + 1)? == b' ';
    is_marker.then_some(digits + 2)
}
