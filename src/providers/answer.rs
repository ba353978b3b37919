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

mod inline;
mod stray;
pub(super) mod surrogates;
#[cfg(test)]
mod tests;

use super::{
    Finish, Piece, Pieces,
    dialect::{Dialect, Framing},
    lines::{Lines, TooLong},
    sse,
    tool_calls::{Calls, Part},
    verdict, wire,
};
use crate::outcome::{Failed, Failure, Usage};
use futures::Stream;
use reqwest::Response;
use serde_json::{Value, value::RawValue};
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
    /// A message begins that may not be the first one: there is a gap before its text.
    pub(super) begins_message: bool,
    /// It says once more what may have been said in pieces: text counts if there was none; of a call, what was not told.
    pub(super) repeats: bool,
    /// Tokens so far, not since the last chunk.
    pub(super) usage: Option<Usage>,
    /// Why it ends.
    pub(super) finish: Option<Finish>,
    /// An error instead.
    pub(super) error: Option<Box<Failed>>,
    /// There is an error in it, or the like: its class is read from the whole document.
    pub(super) complains: bool,
    /// The vendor says that nothing follows.
    pub(super) is_last: bool,
}

/// The pieces of an answer whose head said 200.
pub(super) fn pieces(response: Response, dialect: &'static Dialect) -> Pieces {
    let answer = Answer {
        status: response.status().as_u16(),
        request_id: verdict::request_id(response.headers()),
        ..Answer::new(dialect)
    };
    // Only the body is kept: headers are parts of the connection's first buffer, and would hold it as long as the answer takes.
    let bytes = Some(Box::pin(response.bytes_stream()));
    Box::pin(Body { bytes, usage_wait: None, reading: Reading::new(answer) })
}

/// What a body says that comes in these reads, and then ends or, if `is_lost`, breaks off. Pure: for recordings.
pub(super) fn decode<'a>(
    dialect: &'static Dialect,
    reads: impl IntoIterator<Item = &'a [u8]>,
    is_lost: bool,
) -> impl Iterator<Item = Result<Piece, Failed>> {
    let mut reading = Reading::new(Answer::new(dialect));
    let mut reads = Some(reads.into_iter());
    std::iter::from_fn(move || {
        loop {
            let piece = reading.next();
            if piece.is_some() || reading.answer.over {
                return piece;
            }
            match reads.as_mut()?.next() {
                Some(bytes) => reading.take(bytes),
                None => {
                    reads = None;
                    if is_lost {
                        reading.answer.fail(Failed::new(Failure::Connection, "lost in the answer"));
                    } else {
                        reading.close();
                    }
                }
            }
        }
    })
}

/// What is told of a body that is cut, before each of its bytes, cleanly and not.
#[cfg(test)]
pub(super) fn cut_everywhere(
    dialect: &'static Dialect,
    body: &[u8],
    mut check: impl FnMut(usize, bool, Vec<Result<Piece, Failed>>),
) {
    let mut reading = Reading::new(Answer::new(dialect));
    let mut told = Vec::new();
    for (length, byte) in body.iter().enumerate() {
        for is_lost in [false, true] {
            let mut rest = reading.clone();
            match is_lost {
                _ if rest.answer.over => {}
                true => rest.answer.fail(Failed::new(Failure::Connection, "lost in the answer")),
                false => rest.close(),
            }
            let told = told.iter().cloned().chain(std::iter::from_fn(|| rest.next())).collect();
            check(length, is_lost, told);
        }
        if !reading.answer.over {
            reading.take(&[*byte]);
        }
        told.extend(std::iter::from_fn(|| reading.next()));
    }
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
        if answer.finish.is_some() && !answer.dialect.finish_may_be_early {
            let wait = self.usage_wait.get_or_insert_with(|| Box::pin(sleep(USAGE_WITHIN)));
            ready!(wait.as_mut().poll(cx));
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

/// How the body is written. Its first byte tells, where content types lie.
#[cfg_attr(test, derive(Clone))]
enum Form {
    Unknown,
    Events(sse::Reader),
    Lines(Lines),
    Whole(Vec<u8>),
}

/// What the bytes so far say. Pure.
#[cfg_attr(test, derive(Clone))]
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
            if self.answer.over {
                return None;
            }
            match &mut self.form {
                Form::Events(reader) => match reader.next_event() {
                    Some(event) => self.answer.hear(event),
                    None => return self.answer.sign_of_life().map(Ok),
                },
                Form::Lines(lines) => match lines.next_line() {
                    Ok(Some(line)) => self.answer.hear_line(&line),
                    Ok(None) => return self.answer.sign_of_life().map(Ok),
                    Err(TooLong) => self.answer.fail(Failed::new(Failure::Malformed, "too long")),
                },
                Form::Unknown | Form::Whole(_) => return None,
            }
        }
    }

    /// More bytes.
    fn take(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len();
        let text = chunk.trim_ascii_start();
        if let (Form::Unknown, Some(first)) = (&self.form, text.first()) {
            self.form = match (first, self.answer.dialect.framing) {
                (b'<', _) => return self.answer.fail(Failed::new(Failure::Malformed, "html")),
                // How gzip begins. What the headers say of it is not believed: some say so of plain text.
                (0x1f, _) => return self.answer.fail(Failed::new(Failure::Malformed, "compressed")),
                (_, Framing::Lines) => Form::Lines(Lines::default()),
                (b'{' | b'[', Framing::Events) => Form::Whole(Vec::new()),
                (_, Framing::Events) => Form::Events(sse::Reader::default()),
            };
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
            Form::Lines(lines) => {
                lines.push(chunk);
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
            Form::Lines(mut lines) => {
                lines.end();
                while let Ok(Some(line)) = lines.next_line() {
                    self.answer.hear_line(&line);
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
#[cfg_attr(test, derive(Clone))]
struct Answer {
    dialect: &'static Dialect,
    status: u16,
    request_id: Option<String>,
    /// What the caller has not taken yet.
    ready: VecDeque<Result<Piece, Failed>>,
    /// An event was heard, whatever it said.
    heard: bool,
    /// Something was heard that has the parts of an answer.
    known: bool,
    /// A piece was told.
    begun: bool,
    /// A piece with a word in it was told.
    spoken: bool,
    /// A text with a word in it came, be it thoughts or held back.
    worded: bool,
    sign: Sign,
    refused: bool,
    /// Calls of tools are an answer, too, without any text.
    calls: Calls,
    called: bool,
    /// White space that is told only when a word follows: an answer of white space is none.
    held: String,
    /// Another message begins with the next text.
    gap: bool,
    text_bytes: usize,
    /// Thoughts that a host leaves in the text.
    inline: inline::Inline,
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
    fn new(dialect: &'static Dialect) -> Self {
        Self {
            dialect,
            status: 200,
            request_id: None,
            ready: VecDeque::new(),
            heard: false,
            known: false,
            begun: false,
            spoken: false,
            worded: false,
            sign: Sign::None,
            refused: false,
            calls: Calls::default(),
            called: false,
            held: String::new(),
            gap: false,
            text_bytes: 0,
            inline: inline::Inline::default(),
            stray: stray::Json::default(),
            usage: None,
            finish: None,
            early_finish: None,
            spoke_on: false,
            over: false,
            is_whole: false,
        }
    }

    fn hear(&mut self, event: Result<sse::Event<'_>, TooLong>) {
        if self.over {
            return;
        }
        let (is_error, data) = match event {
            Ok(sse::Event::Comment) => return self.is_alive(),
            Ok(sse::Event::Message { event, data }) => (event == "error", data),
            Ok(sse::Event::Stray(line)) => match line.strip_prefix("error:") {
                // Old llama.cpp servers.
                Some(error) => (true, error),
                None => return self.hear_stray(line),
            },
            Err(TooLong) => return self.fail(Failed::new(Failure::Malformed, "too long")),
        };
        let data = data.trim();
        if data.is_empty() {
            return self.is_alive();
        }
        self.heard = true;
        if data == "[DONE]" {
            return self.close_as_said();
        }
        if is_error {
            let error = serde_json::from_str(data).unwrap_or_else(|_| Value::from(data));
            return self.fail(verdict::of_error(&error));
        }
        if self.read(data).is_err() {
            self.fail(Failed::new(Failure::Malformed, "bad json"));
        }
    }

    /// Gemini splices its errors into a stream without any `data:`.
    fn hear_stray(&mut self, line: &str) {
        let json = self.stray.add(line).and_then(|json| serde_json::from_str(&json).ok());
        if let Some(failed) = json.and_then(|json: Value| verdict::of_chunk(&json)) {
            self.heard = true;
            self.fail(failed);
        }
    }

    /// A line of JSON. A proxy's error may have several.
    fn hear_line(&mut self, line: &str) {
        let line = line.trim();
        if self.over {
            return;
        }
        if line.is_empty() {
            return self.is_alive();
        }
        self.heard = true;
        if self.stray.is_empty() && self.read(line).is_ok() {
            return;
        }
        match self.stray.add(line) {
            Some(json) if self.read(&json).is_ok() => {}
            None if !self.stray.is_empty() => {}
            Some(_) | None => self.fail(Failed::new(Failure::Malformed, "bad json")),
        }
    }

    /// Takes one document in; an error if it is no JSON.
    fn read(&mut self, json: &str) -> serde_json::Result<()> {
        let as_it_is = self.read_strictly(json);
        if as_it_is.is_ok() {
            return as_it_is;
        }
        // Of a key that is said twice, the last one counts.
        let told_once = || serde_json::from_str::<Value>(json).ok().map(|json| json.to_string());
        match surrogates::mended(json).or_else(told_once) {
            Some(mended) => self.read_strictly(&mended),
            None => as_it_is,
        }
    }

    fn read_strictly(&mut self, json: &str) -> serde_json::Result<()> {
        let mut said = (self.dialect.read)(json)?;
        if said.complains && said.error.is_none() {
            said.error = verdict::of_chunk(&serde_json::from_str(json)?).map(Box::new);
        }
        self.take(said);
        Ok(())
    }

    /// A whole answer to a request that had asked for a stream. It needs no finish: it would not parse if it were cut.
    fn hear_whole(&mut self, body: &[u8]) {
        let Ok(body) = str::from_utf8(body) else {
            return self.fail(Failed::new(Failure::Malformed, "bad json"));
        };
        // Gemini's errors come in a list, and its chunks where no stream was asked for.
        let documents = match body.trim_start().starts_with('[') {
            true => serde_json::from_str::<Vec<&RawValue>>(body),
            false => serde_json::from_str::<&RawValue>(body).map(|body| vec![body]),
        };
        let Ok(documents) = documents else {
            return self.fail(Failed::new(Failure::Malformed, "bad json"));
        };
        let mut is_known = false;
        for document in documents {
            self.known = false;
            if self.read(document.get()).is_err() {
                return self.fail(Failed::new(Failure::Malformed, "bad json"));
            }
            if self.over {
                return;
            }
            is_known |= self.known;
        }
        if !is_known {
            return self.fail(Failed::new(Failure::Malformed, "no choices"));
        }
        self.finish = self.finish.take().or(self.early_finish.take()).or(Some(Finish::Stop));
        self.heard = true;
        self.close();
    }

    fn take(&mut self, mut said: Said) {
        self.is_alive();
        if said.repeats {
            self.leave_out_what_was_said(&mut said);
        }
        self.gap |= said.begins_message && self.spoken;
        self.known |= said.known;
        if let Some(usage) = said.usage {
            self.usage.get_or_insert_default().update(usage);
        }
        self.worded |= !said.repeats && !said.text.trim().is_empty();
        self.refused |= said.refused;
        self.text_bytes += said.text.len() + said.reasoning.len();
        let speaks = !(said.text.is_empty() && said.reasoning.is_empty() && said.calls.is_empty());
        if self.finish.is_some() && speaks {
            self.early_finish = self.finish.take();
            self.spoke_on = true;
        }
        let (thought, text) = self.inline.read(said.text);
        if self.inline.has_thoughts() {
            self.held.clear();
        }
        for thought in [said.reasoning, thought].into_iter().filter(|it| !it.is_empty()) {
            self.begun = true;
            self.tell(Piece::Reasoning(thought));
        }
        self.say(text);
        for part in said.calls {
            self.text_bytes += part.len();
            let call = if said.repeats { self.calls.complete(part) } else { self.calls.place(part) };
            if let Some(call) = call {
                (self.begun, self.called) = (true, true);
                self.tell(Piece::ToolCall(call));
            }
        }
        if let Some(failed) = said.error {
            return self.fail(*failed);
        }
        if self.text_bytes > MAX_TEXT_BYTES {
            return self.fail(Failed::new(Failure::Malformed, "too long"));
        }
        self.finish = match self.dialect.finish_may_be_early {
            // A `STOP` in every chunk, and then `SAFETY`.
            true => said.finish.or(self.finish.take()),
            false => self.finish.take().or(said.finish),
        };
        if said.is_last {
            self.close_as_said();
        }
    }

    /// The last repetition has all calls of the answer, and some hosts draw new ids for them.
    fn leave_out_what_was_said(&self, said: &mut Said) {
        if self.worded {
            said.text.clear();
        }
        if self.called && said.is_last {
            said.calls.clear();
        }
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
            if std::mem::take(&mut self.gap) {
                text.insert_str(0, "\n\n");
            }
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

    /// The host says that it means the answer to end here: a finish that text had followed counts again.
    fn close_as_said(&mut self) {
        self.finish = self.finish.take().or(self.early_finish.take());
        self.close();
    }

    /// Nothing more comes.
    fn close(&mut self) {
        let finish = match self.finish.take() {
            None if self.heard => return self.fail(Failed::new(Failure::BrokenStream, "no finish")),
            None => return self.fail(Failed::new(Failure::Malformed, "no events")),
            Some(Finish::Stop) if self.refused => Finish::Refusal,
            // Gemini and Ollama have one word for both.
            Some(Finish::Stop) if self.called => Finish::ToolCalls,
            Some(finish) => finish,
        };
        let rest = self.inline.end();
        self.say(rest);
        if !self.spoken && !self.called {
            return self.fail(match finish {
                Finish::ContentFilter | Finish::Refusal => {
                    Failed::new(Failure::ContentFiltered, "content_filter")
                }
                _ if self.begun => Failed::new(Failure::Empty, "reasoning only"),
                Finish::Stop | Finish::Length | Finish::ToolCalls | Finish::Other(_) => {
                    Failed::new(Failure::Empty, "no text")
                }
            });
        }
        // A call that was cut is not whole, with or without `{}`.
        let is_cut = matches!(finish, Finish::Length | Finish::ContentFilter | Finish::Refusal);
        if !is_cut {
            self.ready.extend(self.calls.without_arguments().map(|call| Ok(Piece::ToolCall(call))));
        }
        self.end(Ok(Piece::Finish(finish)));
    }

    fn fail(&mut self, failed: Failed) {
        let may_be_early = self.early_finish.is_some() || self.dialect.finish_may_be_early;
        if self.finish.is_some() && !may_be_early {
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
