//! The bytes of a body in chunks: its head, its framing, what keeps it alive, and bodies that no dialect would send.

use super::{End, HTML, JSON, LONG, Scene};
use crate::{
    discord::time::now_ms,
    providers::{
        behaviour::{Behaviour, Endless, Fault},
        clock,
        http::{Wire, answer_head},
    },
};
use std::{io, time::Duration};

const EVENTS: &str = "text/event-stream";
/// Where `endless` ends after all, in chunks: more than any client should read.
const ENDLESS: usize = 4_000_000;

impl Scene<'_> {
    /// The head of a body in chunks; and with `keepalive`, the wait behind it.
    pub(super) async fn head(&self, wire: &mut Wire, status: u16, content_type: &str) -> io::Result<()> {
        wire.put(answer_head(status, content_type, None, self.last, &self.headers())).await?;
        if self.behaviour.framing.bom {
            wire.chunk("\u{feff}".as_bytes()).await?;
        }
        if self.begins_at_once() { self.wait(wire, self.behaviour.delay).await } else { Ok(()) }
    }

    /// What the behaviour says of headers, with moments written out.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let Behaviour { headers, framing, .. } = self.behaviour;
        let now = now_ms();
        let said = headers.iter().map(|(name, value)| (name.clone(), clock::written(value, now)));
        let encoding = framing.gzip.then(|| ("content-encoding".to_owned(), "gzip".to_owned()));
        said.chain(encoding).collect()
    }

    /// A piece of a stream, in the behaviour's framing.
    pub(super) async fn chunk(&self, wire: &mut Wire, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let framing = self.behaviour.framing;
        for chunk in framing.chunks(bytes.as_ref()) {
            wire.chunk(&chunk).await?;
            if framing.bytewise {
                wire.flush().await?;
            }
        }
        Ok(())
    }

    /// Waits within a stream, with the comments that keep it alive, or what the dialect has instead of them.
    pub(super) async fn wait(&self, wire: &mut Wire, time: Duration) -> io::Result<()> {
        let Some(every) = self.behaviour.keepalive.filter(|_| self.streams()) else {
            return wire.pause(time).await;
        };
        let mut left = time;
        while left > every {
            wire.pause(every).await?;
            self.chunk(wire, self.dialect.framed().comment).await?;
            left -= every;
        }
        wire.pause(left).await
    }

    /// A body as the scene has it, piece by piece.
    pub(super) async fn raw(&self, wire: &mut Wire, status: u16, pieces: &[Vec<u8>]) -> io::Result<End> {
        let first = pieces.iter().flatten().find(|byte| !byte.is_ascii_whitespace());
        let content_type = match first {
            // Where streams are JSON as well, only what failed is a document.
            Some(b'{') if self.streams() && status == 200 && self.streamed() != EVENTS => self.streamed(),
            Some(b'{' | b'[') => JSON,
            Some(b'<') => HTML,
            _ => self.streamed(),
        };
        let reply = self.reply("");
        self.head(wire, status, content_type).await?;
        let mut fault = self.behaviour.fault.as_ref();
        for number in 0..=pieces.len() {
            let piece = pieces.get(number);
            if let Some(Fault { kind, .. }) = fault.take_if(|it| number >= it.after || piece.is_none())
                && let Some(end) = self.break_off(wire, &reply, kind, "").await?
            {
                return Ok(end);
            }
            if let Some(piece) = piece {
                self.beat(wire).await?;
                self.chunk(wire, piece).await?;
            }
        }
        self.end_of_body(wire).await
    }

    /// A stream that goes on until the client has gone.
    pub(super) async fn endless(&self, wire: &mut Wire, what: Endless) -> io::Result<End> {
        let mut reply = self.reply("");
        if what == Endless::Thoughts {
            reply.reasoning = Some("");
        }
        let framed = self.dialect.framed();
        let opening = self.dialect.opening(&reply);
        let piece = match what {
            Endless::Text => self.dialect.piece(&reply, "again and "),
            Endless::Thoughts => self.dialect.reasoning(&reply, "hm, "),
            Endless::Comments => framed.comment.into(),
            Endless::Events => framed.empty.into(),
            Endless::Line => "x".repeat(1024),
        };
        self.head(wire, 200, framed.content_type).await?;
        match what {
            Endless::Line => self.chunk(wire, framed.line).await?,
            _ => self.chunk(wire, opening).await?,
        }
        if piece.is_empty() {
            // A dialect that has no place for thoughts keeps them to itself.
            wire.pause(LONG).await?;
        }
        for _ in 0..ENDLESS {
            self.beat(wire).await?;
            self.chunk(wire, &piece).await?;
        }
        Ok(End::Reset)
    }
}
