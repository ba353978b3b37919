//! Plays one answer on a connection, with its faults.

mod body;

use super::{
    Hooks,
    behaviour::{Answer, Behaviour, Fault, FaultKind, status_of},
    dialect::{Asked, Dialect, Reply, Trouble, tokens},
    http::{Wire, answer_head},
    lorem::lorem,
    tale::tale,
};
use std::{io, sync::atomic::AtomicU64, time::Duration};
use tokio::time::timeout;

/// How long `hang`, `silent` and `stall` last when the client does not go away.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// How long `hold` waits for people to see the text.
const HOLD: Duration = Duration::from_secs(3);
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>\n";

/// What becomes of the connection behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The next request may come.
    Keep,
    /// It is closed with a farewell.
    Close,
    /// It is reset.
    Reset,
}

/// One answer to be played.
pub(crate) struct Scene<'a> {
    pub(crate) dialect: &'static dyn Dialect,
    pub(crate) asked: &'a Asked,
    pub(crate) behaviour: &'a Behaviour,
    pub(crate) hooks: &'a Hooks,
    /// Unique among this provider's answers.
    pub(crate) id: String,
    /// The client closes the connection behind this answer.
    pub(crate) last: bool,
}

impl Scene<'_> {
    /// Plays it.
    ///
    /// # Errors
    /// The client has gone before the end.
    pub(crate) async fn play(&self, wire: &mut Wire) -> io::Result<End> {
        if !self.begins_at_once() {
            wire.pause(self.behaviour.delay).await?;
        }
        match &self.behaviour.answer {
            Answer::Text(text) => self.say(wire, text).await,
            Answer::Echo | Answer::Random { .. } => {
                self.say(wire, &format!("You said: {}", self.asked.question)).await
            }
            Answer::Lorem { size, seed } => self.say(wire, &lorem(*size, *seed)).await,
            Answer::Tale { size } | Answer::RandomTale { size, .. } => {
                self.say(wire, &tale(&self.asked.model, &self.asked.question, *size)).await
            }
            Answer::Empty => self.say(wire, "").await,
            Answer::Status { status, code } => self.error(wire, *status, code.as_deref()).await,
            Answer::Page { status } => self.document(wire, *status, HTML, PAGE).await,
            Answer::Malformed if self.streams() => {
                self.stream(wire, "", Some(&FaultKind::Malformed), 0).await
            }
            Answer::Malformed => {
                self.document(wire, 200, JSON, r#"{"id":"sim","choices":[{"message":{"cont"#).await
            }
            Answer::Raw { status, pieces } => self.raw(wire, *status, pieces).await,
            Answer::Endless(what) => self.endless(wire, *what).await,
            Answer::Hang | Answer::Silent => {
                if self.begins_at_once() {
                    self.head(wire, 200, self.streamed()).await?;
                }
                self.wait(wire, LONG).await?;
                Ok(End::Close)
            }
            Answer::Refused { status, body } => self.document(wire, *status, JSON, &body.to_string()).await,
            Answer::Close => Ok(End::Close),
            // A connection that was open already when the provider went away.
            Answer::Reset | Answer::Refuse | Answer::BlackHole => Ok(End::Reset),
        }
    }

    /// Whether the stream's head is sent before anything is waited for.
    fn begins_at_once(&self) -> bool {
        self.behaviour.keepalive.is_some() && self.streams()
    }

    fn streams(&self) -> bool {
        self.asked.stream && !self.behaviour.whole
    }

    /// The content type of a stream.
    fn streamed(&self) -> &'static str {
        self.dialect.framed().content_type
    }

    async fn say(&self, wire: &mut Wire, text: &str) -> io::Result<End> {
        let (kind, after) = match &self.behaviour.fault {
            Some(Fault { after, kind }) => (Some(kind), *after),
            None => (None, usize::MAX),
        };
        if self.streams() {
            self.stream(wire, text, kind, after).await
        } else {
            self.at_once(wire, text, kind).await
        }
    }

    fn reply<'t>(&'t self, text: &'t str) -> Reply<'t> {
        let reasoning = self.behaviour.reasoning.as_deref();
        let tokens_out = tokens(text) + reasoning.map_or(0, tokens);
        Reply {
            asked: self.asked,
            id: self.id.clone(),
            finish: self.behaviour.finish,
            reasoning,
            text,
            calls: &self.behaviour.calls,
            tokens_out,
            events: AtomicU64::new(0),
        }
    }

    /// An answer piece by piece, with the fault behind so many pieces.
    async fn stream(
        &self,
        wire: &mut Wire,
        text: &str,
        fault: Option<&FaultKind>,
        after: usize,
    ) -> io::Result<End> {
        let reply = self.reply(text);
        self.head(wire, 200, self.streamed()).await?;
        self.chunk(wire, self.dialect.opening(&reply)).await?;
        for piece in reply.reasoning.map(|thought| self.pieces(thought)).unwrap_or_default() {
            self.beat(wire).await?;
            self.chunk(wire, self.dialect.reasoning(&reply, piece)).await?;
        }
        if reply.reasoning.is_some() {
            self.chunk(wire, self.dialect.thought(&reply)).await?;
        }
        let mut sent = 0;
        let mut fault = fault;
        for (number, piece) in self.pieces(text).into_iter().enumerate() {
            if number >= after
                && let Some(kind) = fault.take()
                && let Some(end) = self.break_off(wire, &reply, kind, &text[..sent]).await?
            {
                return Ok(end);
            }
            self.beat(wire).await?;
            self.chunk(wire, self.dialect.piece(&reply, piece)).await?;
            sent += piece.len();
        }
        if let Some(kind) = fault
            && let Some(end) = self.break_off(wire, &reply, kind, text).await?
        {
            return Ok(end);
        }
        self.chunk(wire, self.dialect.ending(&reply)).await?;
        self.end_of_body(wire).await
    }

    /// The pause between two pieces.
    async fn beat(&self, wire: &mut Wire) -> io::Result<()> {
        match self.behaviour.drip.unwrap_or(self.behaviour.pace) {
            Duration::ZERO => Ok(()),
            time => self.wait(wire, time).await,
        }
    }

    fn pieces<'t>(&self, text: &'t str) -> Vec<&'t str> {
        pieces(text, if self.behaviour.drip.is_some() { 1 } else { 16 })
    }

    /// The fault in the middle of a stream; none when the answer goes on.
    async fn break_off(
        &self,
        wire: &mut Wire,
        reply: &Reply<'_>,
        kind: &FaultKind,
        sent: &str,
    ) -> io::Result<Option<End>> {
        self.hold(wire, sent).await?;
        match kind {
            FaultKind::Nothing => return Ok(None),
            FaultKind::Cut => {}
            FaultKind::Drop => {
                wire.flush().await?;
                return Ok(Some(End::Close));
            }
            FaultKind::Reset => {
                // A reset throws away what the client has not read yet, so give it a moment for what was sent before.
                wire.pause(Duration::from_millis(20)).await?;
                return Ok(Some(End::Reset));
            }
            FaultKind::Stall => {
                self.wait(wire, LONG).await?;
                return Ok(Some(End::Close));
            }
            FaultKind::Error(code) => {
                let trouble = self.trouble(status_of(code), Some(code), None);
                self.chunk(wire, self.dialect.error_event(reply, &trouble)).await?;
            }
            FaultKind::Malformed => self.chunk(wire, self.dialect.malformed_piece()).await?,
        }
        wire.put("0\r\n\r\n").await?;
        wire.flush().await?;
        Ok(Some(End::Close))
    }

    /// With `hold`: waits until people see what was sent, or too long, or until the client has gone.
    async fn hold(&self, wire: &mut Wire, sent: &str) -> io::Result<()> {
        let sent = sent.trim();
        if !self.behaviour.hold || sent.is_empty() {
            return Ok(());
        }
        wire.flush().await?;
        tokio::select! {
            // Nobody sees it in time: the fault comes all the same.
            _ = timeout(HOLD, (self.hooks.shown)(sent.to_owned())) => Ok(()),
            gone = wire.pause(LONG) => gone,
        }
    }

    async fn end_of_body(&self, wire: &mut Wire) -> io::Result<End> {
        wire.put("0\r\n\r\n").await?;
        wire.flush().await?;
        Ok(if self.last { End::Close } else { End::Keep })
    }

    /// An answer as one document. A fault comes in the middle of the document.
    async fn at_once(&self, wire: &mut Wire, text: &str, fault: Option<&FaultKind>) -> io::Result<End> {
        // A model needs its time, also when nobody watches.
        let pieces = u32::try_from(self.pieces(text).len()).unwrap_or(u32::MAX);
        wire.pause(self.behaviour.pace.saturating_mul(pieces)).await?;
        let body = self.dialect.whole(&self.reply(text), text).to_string();
        let middle = body.len() / 2;
        let middle = (0..=middle).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
        match fault {
            None | Some(FaultKind::Nothing) => return self.document(wire, 200, JSON, &body).await,
            Some(FaultKind::Malformed) => return self.document(wire, 200, JSON, &body[..middle]).await,
            Some(FaultKind::Error(code)) => return self.error(wire, status_of(code), Some(code)).await,
            Some(FaultKind::Cut | FaultKind::Drop | FaultKind::Reset | FaultKind::Stall) => {}
        }
        wire.put(answer_head(200, JSON, Some(body.len()), self.last, &self.headers())).await?;
        wire.put(&body[..middle]).await?;
        match fault {
            Some(FaultKind::Stall) => wire.pause(LONG).await?,
            _ => wire.pause(Duration::from_millis(20)).await?,
        }
        Ok(if fault == Some(&FaultKind::Reset) { End::Reset } else { End::Close })
    }

    fn trouble<'t>(
        &'t self,
        status: u16,
        code: Option<&'t str>,
        retry_after: Option<Duration>,
    ) -> Trouble<'t> {
        Trouble { status, code, model: &self.asked.model, retry_after }
    }

    async fn error(&self, wire: &mut Wire, status: u16, code: Option<&str>) -> io::Result<End> {
        let wait = self.behaviour.headers.iter().find(|(name, _)| name == "retry-after");
        let retry_after = wait.and_then(|(_, value)| Duration::try_from_secs_f64(value.parse().ok()?).ok());
        let body = self.dialect.error_body(&self.trouble(status, code, retry_after));
        let told = retry_after.is_some() && self.dialect.waits_in_body();
        // Gemini has statuses of its own, and says them in the body, too.
        let status =
            body["error"]["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(status);
        let body = body.to_string();
        let mut headers = self.headers();
        headers.retain(|(name, _)| name != "retry-after" || !told);
        self.send(wire, answer_head(status, JSON, Some(body.len()), self.last, &headers), &body).await
    }

    async fn document(
        &self,
        wire: &mut Wire,
        status: u16,
        content_type: &str,
        body: &str,
    ) -> io::Result<End> {
        let head = answer_head(status, content_type, Some(body.len()), self.last, &self.headers());
        self.send(wire, head, body).await
    }

    async fn send(&self, wire: &mut Wire, head: String, body: &str) -> io::Result<End> {
        wire.put(head).await?;
        match self.behaviour.drip {
            Some(time) => {
                for letter in pieces(body, 1) {
                    wire.pause(time).await?;
                    wire.put(letter).await?;
                }
            }
            None => wire.put(body).await?,
        }
        wire.flush().await?;
        Ok(if self.last { End::Close } else { End::Keep })
    }
}

/// Cuts a text before each word, as tokens have their space in front; longer words are cut too, so that CJK streams.
fn pieces(text: &str, longest: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut length, mut in_word) = (0, 0, false);
    for (at, c) in text.char_indices() {
        if length >= longest || (in_word && c.is_whitespace()) {
            pieces.push(&text[start..at]);
            (start, length, in_word) = (at, 0, false);
        }
        length += 1;
        in_word |= !c.is_whitespace();
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn a_piece_is_a_word_with_its_space_in_front() {
        assert_eq!(pieces("Hello, dear Ana.\n\n- one", 16), ["Hello,", " dear", " Ana.", "\n\n-", " one"]);
        assert_eq!(pieces("灯台は夜通し光", 3), ["灯台は", "夜通し", "光"]);
        assert_eq!(pieces("ab c", 1), ["a", "b", " ", "c"]);
        assert!(pieces("", 16).is_empty());
        for seed in 0..50 {
            let text = super::lorem(800, seed);
            assert_eq!(pieces(&text, 16).concat(), text);
        }
    }
}
