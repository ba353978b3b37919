//! One keep-alive connection that asks prepared bytes and takes answers apart itself: a client library would be the bottleneck.

use crate::Trouble;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// No answer takes longer; streams that are held open have their own patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Before text in a chunk and in a whole answer. None of the texts here has a character that JSON escapes.
const BEFORE_TEXT: &[u8] = b"\"content\":\"";

/// Where `what` is in `bytes`.
fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut at = 0;
    while let Some(ahead) = bytes[at..].iter().position(|&it| it == first) {
        at += ahead;
        if bytes[at..].starts_with(what) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Whether `what` is in `bytes`.
pub(crate) fn has(bytes: &[u8], what: &[u8]) -> bool {
    find(bytes, what).is_some()
}

/// What a head says of this name, whatever case its writer likes.
fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let lines = head.split(|&it| it == b'\n');
    let named = lines.filter_map(|line| {
        let colon = line.iter().position(|&it| it == b':')?;
        line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| &line[colon + 1..])
    });
    named.filter_map(|value| std::str::from_utf8(value).ok()).map(str::trim).next()
}

/// The length of the request that these bytes begin with, once it is whole.
pub(crate) fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let body = header(&bytes[..head], "content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    (bytes.len() >= head + body).then_some(head + body)
}

/// How the end of a body is known.
enum Framing {
    Length(usize),
    Chunked,
}

/// An answer while its bytes come.
#[derive(Default)]
struct Incoming {
    raw: Vec<u8>,
    at: usize,
    status: u16,
    framing: Option<Framing>,
    body: Vec<u8>,
    is_whole: bool,
}

impl Incoming {
    fn clear(&mut self) {
        self.raw.clear();
        self.body.clear();
        self.at = 0;
        self.framing = None;
        self.is_whole = false;
    }

    /// Takes apart what is here.
    fn advance(&mut self) -> Result<(), Trouble> {
        if self.framing.is_none() {
            let Some(end) = find(&self.raw, b"\r\n\r\n") else { return Ok(()) };
            let head = &self.raw[..end + 2];
            self.status = head
                .get(9..12)
                .and_then(|it| std::str::from_utf8(it).ok()?.parse().ok())
                .ok_or("no status")?;
            let length = header(head, "content-length").and_then(|it| it.parse().ok());
            self.framing = Some(length.map_or(Framing::Chunked, Framing::Length));
            self.at = end + 4;
        }
        match self.framing {
            Some(Framing::Length(length)) => {
                self.body.extend_from_slice(&self.raw[self.at..]);
                self.at = self.raw.len();
                self.is_whole = self.body.len() >= length;
                Ok(())
            }
            Some(Framing::Chunked) | None => self.chunks(),
        }
    }

    fn chunks(&mut self) -> Result<(), Trouble> {
        while !self.is_whole {
            let rest = &self.raw[self.at..];
            let Some(line) = find(rest, b"\r\n") else { break };
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line])?, 16)?;
            let (begin, end) = (line + 2, line + 2 + size);
            if rest.len() < end + 2 {
                break;
            }
            self.body.extend_from_slice(&rest[begin..end]);
            self.at += end + 2;
            self.is_whole = size == 0;
        }
        Ok(())
    }
}

/// All that an answer says to people.
fn spoken(mut body: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some(at) = find(body, BEFORE_TEXT) {
        body = &body[at + BEFORE_TEXT.len()..];
        let end = body.iter().position(|&it| it == b'"').unwrap_or(body.len());
        text.extend_from_slice(&body[..end]);
        body = &body[end..];
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Stream,
}

/// The bytes of a question of ordinary size.
pub(crate) fn question(form: Form) -> Vec<u8> {
    let past = "We moved in last spring, and since then the lamp in the hall goes out whenever somebody opens the door. ";
    let stream = if form == Form::Stream { "\"stream\":true," } else { "" };
    let body = format!(
        "{{\"model\":\"auto\",{stream}\"max_tokens\":256,\"messages\":[\
         {{\"role\":\"system\",\"content\":\"You are a helpful electrician. Answer briefly.\"}},\
         {{\"role\":\"user\",\"content\":\"{past}\"}},{{\"role\":\"assistant\",\"content\":\"{past}\"}},\
         {{\"role\":\"user\",\"content\":\"What keeps the lights on?\"}}]}}"
    );
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         authorization: Bearer none\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// How long an answer took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) first_text: Duration,
    pub(crate) whole: Duration,
}

/// A connection.
pub(crate) struct Line {
    socket: TcpStream,
    incoming: Incoming,
}

impl Line {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, Trouble> {
        let socket = timeout(PATIENCE, TcpStream::connect(address)).await??;
        socket.set_nodelay(true)?;
        Ok(Self { socket, incoming: Incoming::default() })
    }

    /// Asks, and takes the whole answer. An answer that is not whole, or not what `is_right` says, is an error.
    pub(crate) async fn ask(
        &mut self,
        question: &[u8],
        form: Form,
        is_right: impl Fn(&str) -> bool,
    ) -> Result<Took, Trouble> {
        let began = Instant::now();
        let first_text = timeout(PATIENCE, self.open(question)).await??.duration_since(began);
        timeout(PATIENCE, self.rest(form, is_right)).await??;
        Ok(Took { first_text, whole: began.elapsed() })
    }

    /// Asks, and resolves when the first text is here.
    pub(crate) async fn open(&mut self, question: &[u8]) -> Result<Instant, Trouble> {
        self.incoming.clear();
        self.socket.write_all(question).await?;
        loop {
            self.hear().await?;
            let body = &self.incoming.body;
            let mut texts = body.windows(BEFORE_TEXT.len() + 1).filter(|it| it.starts_with(BEFORE_TEXT));
            if texts.any(|it| it.last() != Some(&b'"')) {
                return Ok(Instant::now());
            }
            if self.incoming.is_whole {
                return Err(format!("status {}, no text: {}", self.incoming.status, self.shown()).into());
            }
        }
    }

    /// Takes what is left of an answer that was opened.
    pub(crate) async fn rest(&mut self, form: Form, is_right: impl Fn(&str) -> bool) -> Result<(), Trouble> {
        while !self.incoming.is_whole {
            self.hear().await?;
        }
        let Incoming { status, body, .. } = &self.incoming;
        let is_finished = has(body, b"\"finish_reason\":\"stop\"");
        let is_done = form == Form::Whole || has(body, b"data: [DONE]\n\n");
        if *status != 200 || !is_finished || !is_done || !is_right(&spoken(body)) {
            return Err(format!("status {status}, not the whole answer: {}", self.shown()).into());
        }
        Ok(())
    }

    /// Takes more bytes.
    async fn hear(&mut self) -> Result<(), Trouble> {
        if self.socket.read_buf(&mut self.incoming.raw).await? == 0 {
            return Err(format!("closed in the middle of an answer: {}", self.shown()).into());
        }
        self.incoming.advance()
    }

    /// The end of what came, for an error.
    fn shown(&self) -> String {
        let body = &self.incoming.body;
        String::from_utf8_lossy(&body[body.len().saturating_sub(400)..]).into_owned()
    }
}
