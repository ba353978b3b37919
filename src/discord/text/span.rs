//! Things within a line that a cut would break: inline code, masked links, bare links, mentions.

/// How many bytes of a line an unfinished piece of inline code or a link's text may have. Beyond it, a lone backtick or
/// bracket is taken for what it is, or else it would keep a whole paragraph in one piece.
const LONGEST: usize = 300;
/// How many bytes inline code may have. What is longer is cut like text, and its links are wrapped.
const LONGEST_CODE: usize = 1000;

/// Something that is better not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Where it ends, in bytes of the line.
    pub(super) end: usize,
    /// It breaks even at a space.
    pub(super) is_hard: bool,
}

/// What begins at byte `at` of the line. `is_whole`: the line's end is known; otherwise something that is not finished
/// at the end of what is seen counts as going on, so that more text cannot change the answer for the worse.
pub(super) fn at(line: &str, at: usize, is_whole: bool) -> Option<Span> {
    let rest = &line.as_bytes()[at..];
    let unfinished = || (!is_whole).then_some(rest.len().min(LONGEST));
    let (length, is_hard) = match rest[0] {
        b'`' => {
            let run = rest.iter().take_while(|it| **it == b'`').count();
            let length = code(rest, run);
            // A link in half a piece of code would be live.
            let is_hard = length.is_some_and(|it| rest[..it].windows(3).any(|it| it == b"://"));
            (length.or_else(unfinished)?, is_hard)
        }
        b'[' => (link(rest, is_whole)?, true),
        b'<' => (token(rest)?, true),
        b'h' | b'H' if scheme(rest).is_some_and(|it| it <= 5) => (bare_link(rest), true),
        _ => return None,
    };
    let end = line.floor_char_boundary(at + length);
    (end > at).then_some(Span { end, is_hard })
}

/// Length of inline code that opens with `run` backticks: it closes with as many.
pub(super) fn code(rest: &[u8], run: usize) -> Option<usize> {
    let mut at = run;
    while at < rest.len().min(LONGEST_CODE) {
        let next = rest[at..].iter().take_while(|it| **it == b'`').count();
        if next == run {
            return Some(at + next);
        }
        at += next.max(1);
    }
    None
}

/// Length of `[text](address)`.
fn link(rest: &[u8], is_whole: bool) -> Option<usize> {
    let unfinished = (!is_whole).then_some(rest.len().min(LONGEST));
    let Some(text) = balanced(&rest[..rest.len().min(LONGEST)], b'[', b']') else { return unfinished };
    match rest.get(text) {
        Some(b'(') => {
            let address = &rest[text..];
            let spaceless = address.iter().take_while(|it| !it.is_ascii_whitespace()).count();
            let end = balanced(&address[..spaceless], b'(', b')');
            // An address with a title has a space before it: `(https://… "title")`.
            let titled = || {
                let quote = address.get(spaceless + 1) == Some(&b'"');
                quote
                    .then(|| balanced(&address[..address.len().min(spaceless + LONGEST)], b'(', b')'))
                    .flatten()
            };
            end.or_else(titled)
                .or((!is_whole && spaceless == address.len()).then_some(spaceless))
                .map(|it| text + it)
        }
        Some(_) => None,
        None => unfinished,
    }
}

/// Length of what the brackets enclose, with them.
fn balanced(rest: &[u8], open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in rest.iter().enumerate() {
        if *byte == open {
            depth += 1;
        } else if *byte == close {
            depth -= 1;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

/// Length of `<@1>`, `<#1>`, `<:name:1>`, `<a:name:1>`, `<t:1:R>`, `<id:home>`, `</name sub:1>` or `<https://…>`.
fn token(rest: &[u8]) -> Option<usize> {
    let begins = |it: &[u8]| rest[1..].starts_with(it);
    let is_command = begins(b"/");
    let is_link = scheme(&rest[1..]).is_some();
    if !is_command && !is_link && ![b"@".as_slice(), b"#", b":", b"a:", b"t:", b"id:"].into_iter().any(begins)
    {
        return None;
    }
    // Discord's names have at most 32 characters, a command line three of them; an address may be long.
    let longest = if is_link { usize::MAX } else { 130 };
    let is_inside = |it: &&u8| !b"<>".contains(it) && (is_command || !it.is_ascii_whitespace());
    let length = 1 + rest[1..].iter().take(longest).take_while(is_inside).count();
    let is_closed = rest.get(length) == Some(&b'>');
    if is_closed || length == rest.len() { Some(length + usize::from(is_closed)) } else { None }
}

/// Length of the word before `://`, if there is one.
fn scheme(rest: &[u8]) -> Option<usize> {
    let length = rest.iter().take(10).take_while(|it| it.is_ascii_alphabetic()).count();
    (length > 0 && rest[length..].starts_with(b"://")).then_some(length)
}

/// Length of `https://…` as Discord makes it a link: up to a space or `<`.
fn bare_link(rest: &[u8]) -> usize {
    rest.iter().take_while(|it| !it.is_ascii_whitespace() && **it != b'<').count()
}
