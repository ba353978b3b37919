//! What a model wrote, as the messages that people see: parts that Discord takes, each whole in itself.
//!
//! The problem: an answer is longer than one message, it grows while people watch, and a code block that is cut in two
//! shows the rest of the answer as garbage. Cutting at a number of characters breaks words, links and emoji; cutting anew
//! at every edit moves text between messages that people are reading.
//!
//! The rule: the text of the parts, put together, is the text. Only this differs:
//! - A fence that goes on is closed alone on the part's last line and opened again by the same line at the top of the
//!   next part. A fence that is still open at the end of the text is closed, too.
//! - Blank lines before the text and white space after it go.
//! - Where a part ends outside fences, the white space there goes: at a line break all of it but the next line's indent.
//! - Where a part ends between two lines of code, that one line break goes. Within a line nothing goes.
//!
//! A part is full once, and then stays: see `cut`.

mod cut;
mod fence;
mod links;
mod span;
mod tame;

pub use links::wrap;
pub use tame::{MOST_MARKS, tame};

/// Discord's limit for a message, in UTF-16 units.
pub const LIMIT: usize = 2000;

/// UTF-16 code units: what Discord counts as the length of a message.
#[must_use]
pub fn units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() }
}

/// The messages that show `text`, each of at most `limit` UTF-16 code units (at least 2) and never blank.
///
/// While a text grows, all parts but the last two stay as they are, and nearly always all but the last.
#[must_use]
pub fn parts(text: &str, limit: usize) -> Vec<String> {
    let limit = limit.max(2);
    let text = text.trim_end();
    let mut start = cut::behind_space(text, 0, limit);
    let (mut open, mut parts) = (None, Vec::new());
    while start < text.len() {
        let cut = cut::cut(text, start, open, limit);
        parts.push(assemble(open, &text[start..cut.end], cut.unclosed));
        (start, open) = (cut.next, cut.open);
    }
    parts
}

/// A part's text between the line that opens its fence again and the line that closes the fence.
fn assemble(open: Option<fence::Fence<'_>>, text: &str, unclosed: Option<fence::Fence<'_>>) -> String {
    let mut part = open.map_or_else(String::new, |it| it.head() + "\n");
    part.push_str(text);
    if let Some(fence) = unclosed {
        part.push('\n');
        part.push_str(&fence.tail());
    }
    part
}

/// The messages that show what a model wrote: harmless, with its links wrapped but for those to `trusted` hosts, and split.
///
/// Of a text that grows each beginning can be shown.
#[must_use]
pub fn messages(text: &str, trusted: &[String], limit: usize) -> Vec<String> {
    let safe = wrap(&tame(text), trusted, limit);
    let mut messages = Vec::new();
    for part in parts(&safe, limit) {
        // A cut may take code apart, and then half of it is text.
        let again = wrap(&part, trusted, limit);
        if again == part {
            messages.push(part);
        } else {
            messages.extend(parts(&again, limit));
        }
    }
    messages
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
