//! The body of an answer becomes pieces, whatever the dialect; an answer counts as whole only if it says that it ends.
//!
//! A closed socket proves nothing: load balancers close cut streams cleanly, and `[DONE]` is missing at several vendors.
//! So an answer is whole when a finish was said, and [`Piece::Finish`] is the last piece of such an answer and of no other.
//! Once it was said, only usage can follow; an error behind it takes nothing back. So the error 400 "Token limit reached"
//! that OpenRouter sends behind the finish `length` is no fault: it says once more that the answer was cut at the limit.
//! But some hosts write a finish into every chunk. Where text follows a finish, none is believed any more that an error
//! or a lost socket follows.
//!
//! How it fails says how far it got: before the first piece the vendor's own class is told (`Connection` for a lost
//! socket, `Malformed` for nonsense); after it, `BrokenStream`, unless the class says something that outlasts this call.
//! How long the provider asks to be left alone is told in any case.

mod stray;
#[cfg(test)]
mod tests;

use super::{
    Finish, Piece, Pieces, sse,
    tool_calls::{Calls, Part},
    verdict, wire,
};
use crate::outcome::{Failed, Failure, Usage};
use futures::Stream;
use reqwest::Response;
use serde_json::Value;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// The most bytes of an answer that is one JSON document.
const MAX_WHOLE_BYTES: usize = 8 * 1024 * 1024;
/// The most bytes of a stream: 200,000 tokens at the 300 bytes that a chunk of one token has.
const MAX_STREAM_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes of text: no answer for people is that long.
const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;
/// How long usage is waited for once the finish was said, when neither `[DONE]` nor the end of the body comes.
const USAGE_WITHIN: Duration = Duration::from_secs(1);

/// What a dialect made of one chunk, or of a whole answer.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// It has the parts that an answer of this dialect has, be they empty.
    pub(super) known: bool,
    /// Text for people.
    pub(super) text: String,
    /// Parts of calls of tools.
    pub(super) calls: Vec<Part>,
    /// The model's thoughts.
    pub(super) reasoning: String,
    /// The text is the model's refusal.
    pub(super) refused: bool,
    /// Tokens so far, not since the last chunk.
    pub(super) usage: Option<Usage>,
    /// Why it ends.
    pub(super) finish: Option<Finish>,
    /// An error instead.
    pub(super) error: Option<Failed>,
}

/// How a dialect is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// Reads a chunk of the usual sort from its JSON; none if it is of another.
    pub(super) plain: fn(&str) -> Option<Said>,
    /// Reads any chunk, or a whole answer.
    pub(super) read: fn(&Value) -> Said,
    /// White space before the first word belongs to the cue that the prompt ended with, not to the answer.
    pub(super) trims_start: bool,
}

/// The pieces of an answer whose head said 200.
pub(super) fn pieces(response: Response, dialect: Dialect) -> Pieces {
    let answer = Answer {
        status: response.status().as_u16(),
        request_id: verdict::request_id(response.headers()),
        ..Answer::new(dialect)
    };
    // Only the body is kept: headers are parts of the connection's first buffer, and would hold it as long as the answer takes.
    let bytes = Some(Box::pin(response.bytes_stream()));
    Box::pin(Body { bytes, usage_wait: None, reading: Reading::new(answer) })
}

/// A body that is being read.
struct Body<S> {
    /// Given away as soon as nothing more is wanted of it, which closes the socket, or leaves it to the next call.
    bytes: Option<Pin<Box<S>>>,
    /// Runs while usage is waited for.
    usage_wait: Option<Pin<Box<Sleep>>>,
    reading: Reading,
}

impl<S, B> Stream for Body<S>
where
    S: Stream<Item = reqwest::Result<B>> + Send + 'static,
    B: AsRef<[u8]>,
{
    type Item = Result<Piece, Failed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let piece = self.reading.next();
            if self.reading.answer.over
                && let Some(rest) = self.bytes.take()
                && self.reading.answer.is_whole
            {
                wire::read_out(rest);
            }
            if piece.is_some() || self.reading.answer.over {
                return Poll::Ready(piece);
            }
            match ready!(self.poll_bytes(cx)) {
                Some(Ok(bytes)) => self.reading.take(bytes.as_ref()),
                None => {
                    self.bytes = None;
                    self.reading.close();
                }
                Some(Err(_)) => {
                    self.reading.answer.fail(Failed::new(Failure::Connection, "lost in the answer"));
                }
            }
        }
    }
}

impl<S: Stream> Body<S> {
    /// The next bytes; none at the end, which is also when usage does not come. Once the finish was said, they are waited for so
    /// long only; anew whenever text followed it.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let answer = &mut self.reading.answer;
        if std::mem::take(&mut answer.spoke_on) || answer.finish.is_none() {
            self.usage_wait = None;
        }
        let Some(bytes) = &mut self.bytes else { return Poll::Ready(None) };
        if let Poll::Ready(bytes) = bytes.as_mut().poll_next(cx) {
            return Poll::Ready(bytes);
        }
        if answer.finish.is_some() {
            let wait = self.usage_wait.get_or_insert_with(|| Box::pin(sleep(USAGE_WITHIN)));
            ready!(wait.as_mut().poll(cx));
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

/// How the body is written. Its first byte tells, where content types lie.
enum Form {
    Unknown,
    Events(sse::Reader),
    Whole(Vec<u8>),
}

/// What the bytes so far say. Pure.
struct Reading {
    form: Form,
    bytes: usize,
    answer: Answer,
}

impl Reading {
    fn new(answer: Answer) -> Self {
        Self { form: Form::Unknown, bytes: 0, answer }
    }

    /// The next piece that the bytes so far have; none while more are needed, and after the end.
    fn next(&mut self) -> Option<Result<Piece, Failed>> {
        loop {
            if let Some(piece) = self.answer.ready.pop_front() {
                return Some(piece);
            }
            match &mut self.form {
                Form::Events(reader) if !self.answer.over => match reader.next_event() {
                    Some(event) => self.answer.hear(event),
                    None => return self.answer.sign_of_life().map(Ok),
                },
                Form::Unknown | Form::Whole(_) | Form::Events(_) => return None,
            }
        }
    }

    /// More bytes.
    fn take(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len();
        let text = chunk.trim_ascii_start();
        if let (Form::Unknown, Some(first)) = (&self.form, text.first()) {
            match first {
                b'{' | b'[' => self.form = Form::Whole(Vec::new()),
                // How gzip begins. What the headers say of it is not believed: some say so of plain text.
                0x1f => return self.answer.fail(Failed::new(Failure::Malformed, "compressed")),
                b'<' => return self.answer.fail(Failed::new(Failure::Malformed, "html")),
                _ => self.form = Form::Events(sse::Reader::default()),
            }
        }
        let limit = match &mut self.form {
            Form::Unknown => MAX_WHOLE_BYTES,
            Form::Whole(body) => {
                body.extend_from_slice(chunk);
                MAX_WHOLE_BYTES
            }
            Form::Events(reader) => {
                reader.push(chunk);
                MAX_STREAM_BYTES
            }
        };
        if self.bytes > limit {
            self.answer.fail(Failed::new(Failure::Malformed, "too long"));
        }
    }

    /// The body is at its end.
    fn close(&mut self) {
        match std::mem::replace(&mut self.form, Form::Unknown) {
            Form::Unknown => self.answer.fail(Failed::new(Failure::Malformed, "empty body")),
            Form::Whole(body) => self.answer.hear_whole(&body),
            Form::Events(mut reader) => {
                reader.end();
                while let Some(event) = reader.next_event() {
                    self.answer.hear(event);
                }
                self.answer.close();
            }
        }
    }
}

/// What came since the last bytes were asked for.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    None,
    /// Something that says nothing.
    Alive,
    /// A text or a thought.
    Piece,
}

/// What was heard so far, and what follows from it. Pure.
struct Answer {
    dialect: Dialect,
    status: u16,
    request_id: Option<String>,
    /// What the caller has not taken yet.
    ready: VecDeque<Result<Piece, Failed>>,
    /// An event was heard, whatever it said.
    heard: bool,
    /// A piece was told.
    begun: bool,
    /// A piece with a word in it was told.
    spoken: bool,
    sign: Sign,
    refused: bool,
    /// Calls of tools are an answer, too, without any text.
    calls: Calls,
    called: bool,
    /// White space that is told only when a word follows: an answer of white space is none.
    held: String,
    text_bytes: usize,
    /// JSON without `data:`, as far as it was heard.
    stray: stray::Json,
    usage: Option<Usage>,
    finish: Option<Finish>,
    /// A finish that was none, since text followed it.
    early_finish: Option<Finish>,
    /// Text followed a finish just now.
    spoke_on: bool,
    over: bool,
    is_whole: bool,
}

impl Answer {
    fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            status: 200,
            request_id: None,
            ready: VecDeque::new(),
            heard: false,
            begun: false,
            spoken: false,
            sign: Sign::None,
            refused: false,
            calls: Calls::default(),
            called: false,
            held: String::new(),
            text_bytes: 0,
            stray: stray::Json::default(),
            usage: None,
            finish: None,
            early_finish: None,
            spoke_on: false,
            over: false,
            is_whole: false,
        }
    }

    fn hear(&mut self, event: Result<sse::Event, sse::TooLong>) {
        if self.over {
            return;
        }
        let (is_error, data) = match event {
            Ok(sse::Event::Comment) => return self.is_alive(),
            Ok(sse::Event::Message { event, data }) => (event == "error", data),
            Ok(sse::Event::Stray(line)) => match line.strip_prefix("error:") {
                // Old llama.cpp servers.
                Some(error) => (true, error.to_owned()),
                None => return self.hear_stray(&line),
            },
            Err(sse::TooLong) => return self.fail(Failed::new(Failure::Malformed, "too long")),
        };
        let data = data.trim();
        if data.is_empty() {
            return self.is_alive();
        }
        self.heard = true;
        if data == "[DONE]" {
            // That the host means it to end here; which finish it had meant is told again.
            self.finish = self.finish.take().or(self.early_finish.take());
            return self.close();
        }
        if !is_error && let Some(said) = (self.dialect.plain)(data) {
            return self.take(said);
        }
        match serde_json::from_str(data) {
            Ok(error) if is_error => self.fail(verdict::of_error(&error)),
            Ok(chunk) => self.take((self.dialect.read)(&chunk)),
            Err(_) if is_error => self.fail(verdict::of_error(&Value::from(data))),
            Err(_) => self.fail(Failed::new(Failure::Malformed, "bad json")),
        }
    }

    /// Gemini splices its errors into a stream without any `data:`.
    fn hear_stray(&mut self, line: &str) {
        if let Some(failed) = self.stray.add(line).and_then(|json| verdict::of_chunk(&json)) {
            self.heard = true;
            self.fail(failed);
        }
    }

    /// A whole answer to a request that had asked for a stream. It needs no finish: it would not parse if it were cut.
    fn hear_whole(&mut self, body: &[u8]) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return self.fail(Failed::new(Failure::Malformed, "bad json"));
        };
        // Gemini's errors come in a list.
        let body = body.get(0).unwrap_or(&body);
        let said = (self.dialect.read)(body);
        if !said.known && said.error.is_none() {
            return self.fail(Failed::new(Failure::Malformed, "no choices"));
        }
        self.take(Said { finish: said.finish.or(Some(Finish::Stop)), ..said });
        self.close();
    }

    fn take(&mut self, said: Said) {
        self.is_alive();
        self.usage = said.usage.or(self.usage);
        self.refused |= said.refused;
        self.text_bytes += said.text.len() + said.reasoning.len();
        let speaks = !(said.text.is_empty() && said.reasoning.is_empty() && said.calls.is_empty());
        if self.finish.is_some() && speaks {
            self.early_finish = self.finish.take();
            self.spoke_on = true;
        }
        if !said.reasoning.is_empty() {
            self.begun = true;
            self.tell(Piece::Reasoning(said.reasoning));
        }
        self.say(said.text);
        for part in said.calls {
            self.text_bytes += part.len();
            if let Some(call) = self.calls.place(part) {
                (self.begun, self.called) = (true, true);
                self.tell(Piece::ToolCall(call));
            }
        }
        if let Some(failed) = said.error {
            return self.fail(failed);
        }
        if self.text_bytes > MAX_TEXT_BYTES {
            return self.fail(Failed::new(Failure::Malformed, "too long"));
        }
        self.finish = self.finish.take().or(said.finish);
    }

    fn say(&mut self, mut text: String) {
        if !self.spoken {
            let begins = if self.dialect.trims_start { text.trim_start() } else { &text };
            self.held.push_str(begins);
            if begins.trim().is_empty() {
                return;
            }
            text = std::mem::take(&mut self.held);
        }
        if !text.is_empty() {
            (self.begun, self.spoken) = (true, true);
            self.tell(Piece::Text(text));
        }
    }

    fn tell(&mut self, piece: Piece) {
        self.sign = Sign::Piece;
        self.ready.push_back(Ok(piece));
    }

    fn is_alive(&mut self) {
        if self.sign == Sign::None {
            self.sign = Sign::Alive;
        }
    }

    /// What to tell of bytes that had nothing else. Behind a finish nobody waits for a sign.
    fn sign_of_life(&mut self) -> Option<Piece> {
        let sign = std::mem::replace(&mut self.sign, Sign::None);
        (sign == Sign::Alive && self.finish.is_none()).then_some(Piece::Alive)
    }

    /// Nothing more comes.
    fn close(&mut self) {
        let finish = match self.finish.take() {
            None if self.heard => return self.fail(Failed::new(Failure::BrokenStream, "no finish")),
            None => return self.fail(Failed::new(Failure::Malformed, "no events")),
            Some(Finish::Stop) if self.refused => Finish::ContentFilter,
            Some(finish) => finish,
        };
        if !self.spoken && !self.called {
            return self.fail(match finish {
                Finish::ContentFilter => Failed::new(Failure::ContentFiltered, "content_filter"),
                _ if self.begun => Failed::new(Failure::Empty, "reasoning only"),
                Finish::Stop | Finish::Length | Finish::ToolCalls | Finish::Other(_) => {
                    Failed::new(Failure::Empty, "no text")
                }
            });
        }
        self.end(Ok(Piece::Finish(finish)));
    }

    fn fail(&mut self, failed: Failed) {
        if self.finish.is_some() && self.early_finish.is_none() {
            return self.close();
        }
        let failure = if self.begun { once_begun(failed.failure) } else { failed.failure };
        let request_id = failed.request_id.or(self.request_id.take());
        self.end(Err(Failed { failure, http_status: Some(self.status), request_id, ..failed }));
    }

    fn end(&mut self, last: Result<Piece, Failed>) {
        if !std::mem::replace(&mut self.over, true) {
            self.ready.extend(self.usage.map(|usage| Ok(Piece::Usage(usage))));
            self.is_whole = last.is_ok();
            self.ready.push_back(last);
        }
    }
}

/// The class of a failure that comes after the first piece. What outlasts the call stays what it is: who was told to wait
/// must not be asked again, though nothing is wrong with it. That a prompt is too long cannot be said any more: it had
/// fitted, and the answer did not; another provider with the same window may say it in fewer words.
fn once_begun(failure: Failure) -> Failure {
    match failure {
        Failure::Overloaded
        | Failure::ServerError
        | Failure::Timeout
        | Failure::Connection
        | Failure::BrokenStream
        | Failure::Malformed
        | Failure::ContextTooLong
        | Failure::UnsupportedParameter
        | Failure::BadRequest => Failure::BrokenStream,
        lasting @ (Failure::RateLimited
        | Failure::QuotaExhausted
        | Failure::Empty
        | Failure::Auth
        | Failure::RegionBlocked
        | Failure::ModelUnavailable
        | Failure::ContentFiltered) => lasting,
    }
}
