//! Small clients: HTTP/1.1 over a socket, and the gateway over a websocket.

use crate::discord::Discord;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{collections::HashMap, io::Read, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

const PATIENCE: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) status: u16,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Value,
}

impl Back {
    /// Status and Discord's error code.
    pub(super) fn failed(&self) -> (u16, u64) {
        (self.status, self.body["code"].as_u64().unwrap_or(0))
    }

    pub(super) fn id(&self) -> u64 {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {self:?}")).parse().unwrap()
    }
}

/// Sends one call; none when the connection ends without an answer.
pub(super) async fn raw(discord: &Discord, head: &str, body: &[u8]) -> Option<Back> {
    let address = discord.base().replace("http://", "");
    let mut socket = TcpStream::connect(&address).await.unwrap();
    let request =
        format!("{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    socket.write_all(&[request.as_bytes(), body].concat()).await.unwrap();
    let mut bytes = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.unwrap().ok()?;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers =
        lines.filter_map(|it| it.split_once(": ")).map(|it| (it.0.to_lowercase(), it.1.to_owned())).collect();
    Some(Back { status, headers, body: serde_json::from_str(body).unwrap_or(Value::Null) })
}

/// A call with the bot's token and a JSON body.
pub(super) async fn call(discord: &Discord, method: &str, path: &str, body: Value) -> Back {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let head = format!(
        "{method} /api/v10{path} HTTP/1.1\r\nauthorization: Bot {}\r\ncontent-type: application/json",
        discord.token()
    );
    raw(discord, &head, &bytes).await.unwrap()
}

/// All intents that need no grant, and the content intent.
pub(super) const INTENTS: u64 = 1 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 15;

/// A client of the gateway.
pub(super) struct Bot {
    ws: WebSocketStream<TcpStream>,
    pub(super) seq: u64,
    pub(super) session: String,
    /// Frames that came compressed.
    pub(super) zipped: usize,
}

impl Bot {
    /// Connects and takes HELLO.
    pub(super) async fn connect(discord: &Discord) -> Self {
        let url =
            call(discord, "GET", "/gateway", Value::Null).await.body["url"].as_str().unwrap().to_owned();
        let socket = TcpStream::connect(url.strip_prefix("ws://").unwrap()).await.unwrap();
        let (ws, _) = client_async(format!("{url}/?v=10"), socket).await.unwrap();
        let mut bot = Self { ws, seq: 0, session: String::new(), zipped: 0 };
        assert_eq!(bot.next().await["op"], 10);
        bot
    }

    /// Connects, identifies and takes READY and the servers.
    pub(super) async fn ready(discord: &Discord, intents: u64) -> Self {
        let mut bot = Self::connect(discord).await;
        bot.identify(discord, intents).await;
        assert_eq!(bot.event("READY").await["v"], 10);
        bot
    }

    pub(super) async fn identify(&mut self, discord: &Discord, intents: u64) {
        let body =
            json!({ "token": discord.token(), "intents": intents, "compress": true, "properties": {} });
        self.send(2, body).await;
    }

    pub(super) async fn resume(&mut self, discord: &Discord, session: &str, seq: u64) {
        self.send(6, json!({ "token": discord.token(), "session_id": session, "seq": seq })).await;
    }

    pub(super) async fn send(&mut self, op: u8, body: Value) {
        self.ws.send(Message::Text(json!({ "op": op, "d": body }).to_string())).await.unwrap();
    }

    pub(super) async fn send_raw(&mut self, text: &str) {
        self.ws.send(Message::Text(text.into())).await.unwrap();
    }

    /// The next payload, or what ended the connection: `{"closed": CODE}`.
    pub(super) async fn next(&mut self) -> Value {
        let text = match timeout(PATIENCE, self.ws.next()).await.expect("a payload in time") {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(bytes))) => {
                let mut text = String::new();
                flate2::read::ZlibDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
                self.zipped += 1;
                text
            }
            Some(Ok(Message::Close(frame))) => return json!({ "closed": frame.map(|it| u16::from(it.code)) }),
            Some(Ok(other)) => panic!("unexpected {other:?}"),
            Some(Err(_)) | None => return json!({ "closed": null }),
        };
        let payload: Value = serde_json::from_str(&text).unwrap();
        if let Some(seq) = payload["s"].as_u64() {
            assert!(seq > self.seq, "sequence numbers grow");
            self.seq = seq;
        }
        if payload["t"] == "READY" {
            self.session = payload["d"]["session_id"].as_str().unwrap().into();
        }
        payload
    }

    /// The body of the next event of this name; others are passed over.
    pub(super) async fn event(&mut self, name: &str) -> Value {
        loop {
            let payload = self.next().await;
            assert!(payload.get("closed").is_none(), "closed while waiting for {name}: {payload}");
            if payload["t"] == name {
                return payload["d"].clone();
            }
            if payload["op"] == 1 {
                self.send(1, json!(self.seq)).await;
            }
        }
    }

    /// The names of the events that come until a message with this text.
    pub(super) async fn until(&mut self, text: &str) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let payload = self.next().await;
            names.extend(payload["t"].as_str().map(str::to_owned));
            if payload["d"]["content"] == text {
                return names;
            }
        }
    }

    /// Says nothing any more and leaves without a close frame.
    pub(super) fn vanish(self) -> (String, u64) {
        (self.session, self.seq)
    }
}
