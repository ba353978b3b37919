//! Turns the events of a turn into the bytes of a stream; decides whether an answer that broke off can go on (pure).

use super::{
    chunks::{self, Chunks},
    fault::{self, Fault},
};
use crate::{
    outcome::Usage,
    providers::Finish,
    router::{End, Event, Exhausted},
};

/// An answer as it is sent.
#[derive(Debug)]
pub(super) struct Voice {
    chunks: Chunks,
    /// Who speaks.
    provider: String,
    usage: Usage,
    /// All the text that was sent.
    sent: String,
    /// The next provider answers anew, and so much of what it said is what was sent already.
    seam: Option<usize>,
    /// A call of a tool was sent.
    called: bool,
    begun: bool,
}

/// What an event means for the stream.
#[derive(Debug)]
pub(super) enum Heard {
    /// It goes on.
    More,
    /// It is at its end, and whole.
    Whole,
    /// It can't go on; the caller is told so.
    Broken,
    /// Nobody said anything, and nothing was sent.
    Nobody(Exhausted),
}

impl Voice {
    pub(super) fn new(chunks: Chunks) -> Self {
        Self {
            chunks,
            provider: String::new(),
            usage: Usage::default(),
            sent: String::new(),
            seam: None,
            called: false,
            begun: false,
        }
    }

    /// Who speaks; empty before anybody does.
    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    /// Takes in an event; what is to be sent goes into `out`.
    pub(super) fn hear(&mut self, event: Event, out: &mut Vec<u8>) -> Heard {
        match event {
            Event::Attempt(attempt) => {
                if attempt.provider == self.provider {
                    self.usage = attempt.usage;
                }
                Heard::More
            }
            Event::Opened { provider, model, afresh: _ } => {
                (self.provider, self.usage) = (provider, Usage::default());
                self.chunks.speaks(&model);
                // Text can be compared with what was sent; calls may have been followed already.
                if self.called {
                    return broken(out);
                }
                self.seam = self.begun.then_some(0);
                Heard::More
            }
            Event::Text(text) => match self.beyond(&text) {
                Some("") => Heard::More,
                Some(new) => {
                    self.sent.push_str(new);
                    self.chunks.text(out, new, !self.begun);
                    self.begun = true;
                    Heard::More
                }
                None => broken(out),
            },
            Event::ToolCall(call) if self.is_seamless() => {
                self.chunks.call(out, &call, !self.begun);
                (self.seam, self.begun, self.called) = (None, true, true);
                Heard::More
            }
            Event::ToolCall(_) => broken(out),
            Event::Ended(end) => self.ended(end, out),
        }
    }

    /// What of this text was not sent yet; none if it is not what was sent.
    fn beyond<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let Some(told) = self.seam else { return Some(text) };
        let due = &self.sent[told..];
        if let Some(beyond) = text.strip_prefix(due) {
            self.seam = None;
            return Some(beyond);
        }
        due.starts_with(text).then(|| {
            self.seam = Some(told + text.len());
            ""
        })
    }

    /// Whether all that was sent belongs to the answer of who speaks now.
    fn is_seamless(&self) -> bool {
        self.seam.is_none_or(|told| told == self.sent.len())
    }

    fn ended(&mut self, end: End, out: &mut Vec<u8>) -> Heard {
        let finish = match end {
            End::Answered { finish, .. } if self.is_seamless() => finish,
            End::Exhausted(exhausted) => match fault::filter(&exhausted) {
                Some(name) if self.seam.is_none() => {
                    if self.provider.is_empty() {
                        // It refused before it said a word.
                        name.clone_into(&mut self.provider);
                        self.chunks.speaks(name);
                    }
                    Finish::ContentFilter
                }
                _ if !self.begun => return Heard::Nobody(exhausted),
                _ => return broken(out),
            },
            End::Answered { .. } => return broken(out),
        };
        if !self.begun {
            self.chunks.text(out, "", true);
        }
        self.chunks.finish(out, chunks::word(&finish, self.called), self.usage);
        Heard::Whole
    }
}

fn broken(out: &mut Vec<u8>) -> Heard {
    chunks::event(out, &Fault::stream_broken().document());
    Heard::Broken
}

#[cfg(test)]
mod tests;
