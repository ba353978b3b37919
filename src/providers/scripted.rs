//! A scripted HTTP endpoint on loopback for tests: keeps the bytes that it was sent, and answers with the bytes it was told.

use super::{Kind, Piece, Provider, ProviderSpec, build, wire};
use crate::{
    message::{Line, Prompt, Role},
    outcome::Failed,
};
use futures::StreamExt;
use reqwest::Client;
use std::{
    fmt::Write,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// One for all tests: it takes long to make, and no two of them have the same address.
pub(super) static CLIENT: LazyLock<Client> =
    LazyLock::new(|| wire::client(Duration::from_millis(500), "http://127.0.0.1").unwrap());

/// What is done in answer to a request. After the last one the connection is closed.
pub(super) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// Closes with a reset instead of an end.
    Reset,
    /// Takes the next request from the same connection.
    Keep,
    /// Waits until the other side closes, and records it as a request `closed`.
    AwaitClose,
}

pub(super) struct Scripted {
    pub(super) base_url: String,
    seen: mpsc::Receiver<String>,
}

impl Scripted {
    /// Starts; the first request gets the first answer.
    pub(super) async fn start(answers: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (tell, seen) = mpsc::channel(64);
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            while let Ok((mut socket, _)) = listener.accept().await {
                while let Some(request) = read_request(&mut socket).await {
                    let _ = tell.send(request).await;
                    if !play(&mut socket, answers.next().unwrap_or_default(), &tell).await {
                        break;
                    }
                }
            }
        });
        Self { base_url, seen }
    }

    /// The next request, byte for byte.
    pub(super) async fn request(&mut self) -> String {
        timeout(PATIENCE, self.seen.recv()).await.expect("a request").expect("a running endpoint")
    }

    /// The next request as text that is the same each time.
    pub(super) async fn request_text(&mut self) -> String {
        let host = self.base_url.split('/').nth(2).unwrap().to_owned();
        self.request().await.replace(&host, "HOST").replace("\r\n", "\n")
    }

    pub(super) fn provider(&self, kind: Kind, api_key: Option<&str>) -> Arc<dyn Provider> {
        provider(kind, &self.base_url, api_key)
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text.into_owned());
            }
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn play(socket: &mut TcpStream, acts: Vec<Act>, tell: &mpsc::Sender<String>) -> bool {
    for act in acts {
        match act {
            Act::Send(bytes) => {
                if socket.write_all(&bytes).await.is_err() {
                    return false;
                }
            }
            Act::Wait(time) => tokio::time::sleep(time).await,
            Act::Reset => {
                socket.set_zero_linger().unwrap();
                return false;
            }
            Act::Keep => return true,
            Act::AwaitClose => {
                while socket.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                let _ = tell.send("closed".to_owned()).await;
            }
        }
    }
    false
}

pub(super) fn provider(kind: Kind, base_url: &str, api_key: Option<&str>) -> Arc<dyn Provider> {
    build(spec(kind, base_url, api_key), CLIENT.clone()).unwrap()
}

pub(super) fn spec(kind: Kind, base_url: &str, api_key: Option<&str>) -> ProviderSpec {
    ProviderSpec {
        name: "alpha".to_owned(),
        kind,
        base_url: base_url.to_owned(),
        api_key: api_key.map(Into::into),
        key_header: None,
        headers: Default::default(),
        query: Default::default(),
        body: Default::default(),
        temperature: None,
        model: "m-1".to_owned(),
        context_window: 8192,
        price: Some((2.0, 10.0)),
    }
}

/// A head and a body that ends with the connection.
pub(super) fn answer(status: &str, content_type: &str, body: &str) -> Act {
    Act::Send(format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n\r\n{body}").into_bytes())
}

/// The head of a stream, and these data in it.
pub(super) fn events(data: &[&str]) -> Act {
    answer(
        "200 OK",
        "text/event-stream",
        &data.iter().map(|it| format!("data: {it}\n\n")).collect::<String>(),
    )
}

pub(super) fn said(name: &str, text: &str) -> Line {
    Line { role: Role::User, speaker: Some(name.to_owned()), text: text.to_owned() }
}

pub(super) fn answered(text: &str) -> Line {
    Line { role: Role::Assistant, speaker: None, text: text.to_owned() }
}

pub(super) fn prompt(system: &str, lines: Vec<Line>) -> Arc<Prompt> {
    Arc::new(Prompt { system: system.to_owned(), lines, reply_tokens: 64, ..Prompt::default() })
}

/// Asks, and writes down what was told, text that follows text as one.
pub(super) async fn told(provider: &dyn Provider) -> String {
    let mut lines = String::new();
    let mut text = String::new();
    let mut pieces = match timeout(PATIENCE, provider.generate(prompt("", vec![said("Ana", "hi")])))
        .await
        .expect("a head")
    {
        Ok(pieces) => pieces,
        Err(failed) => return format!("refused  {}", shown(&failed)),
    };
    while let Some(piece) = timeout(PATIENCE, pieces.next()).await.expect("a piece") {
        // How often depends on how the bytes fall.
        if let Ok(Piece::Alive) = &piece {
            continue;
        }
        if let Ok(Piece::Text(said)) = &piece {
            assert!(!said.is_empty());
            text += said;
            continue;
        }
        if !text.is_empty() {
            writeln!(lines, "text     {:?}", std::mem::take(&mut text)).unwrap();
        }
        match piece {
            Ok(Piece::Reasoning(thought)) => writeln!(lines, "thought  {thought:?}"),
            Ok(Piece::Usage(usage)) => {
                writeln!(lines, "usage    {:?} {:?}", usage.tokens_in, usage.tokens_out)
            }
            Ok(Piece::Finish(finish)) => writeln!(lines, "finish   {finish:?}"),
            Ok(Piece::ToolCall(call)) => writeln!(lines, "call     {call:?}"),
            Ok(Piece::Text(_) | Piece::Alive) => Ok(()),
            Err(failed) => writeln!(lines, "failed   {}", shown(&failed)),
        }
        .unwrap();
    }
    assert_eq!(text, "", "text at the end, and neither a finish nor a failure");
    lines
}

fn shown(failed: &Failed) -> String {
    failed.retry_after.map_or_else(|| failed.to_string(), |wait| format!("{failed} (again in {wait:?})"))
}
