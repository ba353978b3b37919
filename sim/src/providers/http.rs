//! HTTP/1.1 over a raw socket, with every byte and the connection's end in our hand.

use std::{fmt::Write as _, io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 16 * 1024 * 1024;
/// What may wait to be sent before it is sent.
const MAX_WAITING: usize = 16 * 1024;
/// How long a connection may be idle, and a client may take for a request or for reading an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request with its whole body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A header's value, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the client wants the connection closed behind the answer.
    pub(crate) fn last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // A piece must be on its way when it is written; without it, the next one waits for an ACK.
        let _ = stream.set_nodelay(true);
        Self { stream, inbox: Vec::new(), outbox: Vec::new() }
    }

    /// The next request; none when the client has closed the connection.
    ///
    /// # Errors
    /// A broken connection, a client that takes too long, or something that is not HTTP with a known length.
    pub(crate) async fn request(&mut self) -> io::Result<Option<Request>> {
        timeout(PATIENCE, self.read_request()).await?
    }

    async fn read_request(&mut self) -> io::Result<Option<Request>> {
        let (mut request, start, length) = loop {
            if let Some(head) = head(&self.inbox)? {
                break head;
            }
            if self.inbox.len() > MAX_HEAD {
                return Err(bad("the head of the request is too long"));
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Ok(None);
            }
        };
        while self.inbox.len() < start + length {
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        request.body = self.inbox[start..start + length].to_vec();
        self.inbox.drain(..start + length);
        Ok(Some(request))
    }

    /// Hands bytes over; they are sent with the next [`Wire::flush`], or when there are many.
    pub(crate) async fn put(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.outbox.extend_from_slice(bytes.as_ref());
        if self.outbox.len() < MAX_WAITING { Ok(()) } else { self.flush().await }
    }

    /// One chunk of a body of unknown length. An empty one would end the body, so it is left out.
    pub(crate) async fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.put([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()).await
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(&self.outbox)).await??;
        self.outbox.clear();
        Ok(())
    }

    /// Waits, and watches the client while waiting.
    ///
    /// # Errors
    /// The client has gone.
    pub(crate) async fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.flush().await?;
        if time.is_zero() {
            return Ok(());
        }
        let until = Instant::now() + time;
        while self.inbox.len() <= MAX_HEAD {
            tokio::select! {
                () = sleep_until(until) => return Ok(()),
                read = self.stream.read_buf(&mut self.inbox) => if read? == 0 {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                },
            }
        }
        sleep(until.saturating_duration_since(Instant::now())).await;
        Ok(())
    }

    /// Ends the connection with a reset instead of a farewell; what was put but not flushed is lost.
    pub(crate) fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// Ends the connection with a farewell.
    pub(crate) async fn close(mut self) {
        if self.flush().await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The head, where the body starts, and how long it is; none while the head is not whole.
fn head(inbox: &[u8]) -> io::Result<Option<(Request, usize, usize)>> {
    let mut space = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut space);
    let start = match parsed.parse(inbox) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(bad("not HTTP")),
    };
    let headers = parsed
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
    };
    if request.header("transfer-encoding").is_some() {
        return Err(bad("a body without a length is not supported"));
    }
    let length = match request.header("content-length").map(str::parse) {
        None => 0,
        Some(Ok(length)) if length <= MAX_BODY => length,
        Some(_) => return Err(bad("the length of the body is wrong")),
    };
    Ok(Some((request, start, length)))
}

/// The head of an answer. `length` is none for a body in chunks; a `content-type` among the headers is the one that counts.
pub(crate) fn answer_head(
    status: u16,
    content_type: &str,
    length: Option<usize>,
    last: bool,
    headers: &[(String, String)],
) -> String {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    if headers.iter().all(|(name, _)| name != "content-type") {
        let _ = write!(head, "content-type: {content_type}\r\n");
    }
    // Writing to a String cannot fail.
    let _ = match length {
        Some(length) => write!(head, "content-length: {length}\r\n"),
        None => write!(head, "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n"),
    };
    if last {
        head += "connection: close\r\n";
    }
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head + "\r\n"
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
