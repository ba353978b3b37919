//! The gateway: one task a connection speaks Discord's websocket protocol for its session.

use super::{
    Core,
    session::{Control, Link, Logged, intents},
};
use flate2::{Compression, write::ZlibEncoder};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{collections::VecDeque, io::Write, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{CloseFrame, Message},
};

/// What a client may send: this many payloads in [`SEND_WINDOW`], each of at most [`LARGEST`] bytes.
const SENDS: usize = 120;
const SEND_WINDOW: Duration = Duration::from_secs(60);
const LARGEST: usize = 4096;
/// How long a client may take for the websocket handshake, or to take a frame off our hands.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With a close frame of this code; true when the client is at fault.
    Close(u16, bool),
    /// Without one.
    Drop,
    Reset,
    /// The client closed; true when that ends its session.
    ByClient(bool),
}

/// Accepts connections until `stopped` says so.
pub(crate) fn serve(core: Arc<Core>, listener: TcpListener, stopped: watch::Receiver<bool>) {
    #[expect(clippy::disallowed_methods, reason = "ends by itself when the last handle is dropped")]
    tokio::spawn(async move {
        let mut stop = stopped.clone();
        loop {
            let accepted = tokio::select! {
                _ = stop.changed() => return,
                it = listener.accept() => it,
            };
            let Ok((socket, _)) = accepted else { continue };
            let _ = socket.set_nodelay(true);
            if core.world().sessions.refuse {
                let _ = socket.set_zero_linger();
                continue;
            }
            let (core, stop) = (Arc::clone(&core), stopped.clone());
            #[expect(clippy::disallowed_methods, reason = "ends by itself when the last handle is dropped")]
            tokio::spawn(connection(core, socket, stop));
        }
    });
}

async fn connection(core: Arc<Core>, socket: TcpStream, mut stop: watch::Receiver<bool>) {
    let Ok(Ok(ws)) = timeout(PATIENCE, tokio_tungstenite::accept_async(socket)).await else { return };
    let (control, commands) = mpsc::channel(64);
    let wake = Arc::new(Notify::new());
    let number = core.world().sessions.connect(Link::new(control, Arc::clone(&wake)));
    let mut wire = Wire {
        ws,
        number,
        commands,
        wake,
        session: None,
        sent: 0,
        compress: false,
        recent: VecDeque::new(),
        asked: 0,
        frozen: false,
        heard: Instant::now(),
        core: Arc::clone(&core),
    };
    let end = tokio::select! {
        _ = stop.changed() => End::Drop,
        end = wire.run() => end,
    };
    let kill = matches!(end, End::ByClient(true) | End::Close(4006 | 4007 | 4009, _));
    if let End::Close(code, true) = end {
        core.world().sessions.counts.last_fault = Some(code);
    }
    core.world().sessions.disconnect(number, kill);
    wire.finish(end).await;
}

/// One connection.
struct Wire {
    ws: WebSocketStream<TcpStream>,
    number: u64,
    commands: mpsc::Receiver<Control>,
    wake: Arc<Notify>,
    /// The session's id once it is identified or resumed.
    session: Option<String>,
    /// The last sequence number that was sent.
    sent: u64,
    compress: bool,
    /// When the client sent its latest payloads.
    recent: VecDeque<Instant>,
    /// Heartbeats that we asked for; they do not count against the client.
    asked: u32,
    frozen: bool,
    /// When the latest heartbeat came.
    heard: Instant,
    core: Arc<Core>,
}

impl Wire {
    async fn run(&mut self) -> End {
        let interval = self.core.options.heartbeat;
        let millis = u64::try_from(interval.as_millis()).unwrap_or(41_250);
        let hello =
            json!({ "op": 10, "d": { "heartbeat_interval": millis, "_trace": [] }, "s": null, "t": null });
        if let Err(end) = self.send(hello.to_string().into()).await {
            return end;
        }
        loop {
            let silent_until = self.heard + interval * 2 + Duration::from_secs(1);
            let step = tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => Err(End::Drop),
                },
                () = self.wake.notified(), if !self.frozen => self.flush().await,
                frame = self.ws.next(), if !self.frozen => self.hear(frame.and_then(Result::ok)).await,
                () = tokio::time::sleep_until(silent_until), if !self.frozen => Err(End::Close(4009, true)),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(PATIENCE, self.ws.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Drop),
        }
    }

    async fn op(&mut self, op: u8, body: Value) -> Result<(), End> {
        self.send(json!({ "op": op, "d": body, "s": null, "t": null }).to_string().into()).await
    }

    /// Sends the events of the session that were not sent yet.
    async fn flush(&mut self) -> Result<(), End> {
        let Some(id) = self.session.clone() else { return Ok(()) };
        let events = self.core.world().sessions.after(&id, self.sent);
        for Logged { seq, text, big } in events {
            self.sent = seq;
            let message =
                if big && self.compress { zlib(&text) } else { Message::Text(text.as_ref().into()) };
            self.send(message).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, command: Control) -> Result<(), End> {
        if !self.frozen {
            self.flush().await?;
        }
        match command {
            Control::Drop => Err(End::Drop),
            Control::Reset => Err(End::Reset),
            Control::Close(code) => Err(End::Close(code, false)),
            Control::Freeze(frozen) => {
                self.frozen = frozen;
                self.heard = Instant::now();
                self.wake.notify_one();
                Ok(())
            }
            Control::Reconnect | Control::Invalid(_) | Control::Heartbeat if self.frozen => Ok(()),
            Control::Reconnect => self.op(7, Value::Null).await,
            Control::Invalid(resumable) => {
                self.session = None;
                self.op(9, json!(resumable)).await
            }
            Control::Heartbeat => {
                self.asked += 1;
                self.op(1, Value::Null).await
            }
        }
    }

    async fn hear(&mut self, frame: Option<Message>) -> Result<(), End> {
        let text = match frame {
            Some(Message::Text(text)) => text,
            Some(Message::Binary(bytes)) => String::from_utf8(bytes).map_err(|_| End::Close(4002, true))?,
            Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => return Ok(()),
            Some(Message::Close(frame)) => {
                // 1000 and 1001 say that the client does not come back.
                return Err(End::ByClient(frame.is_some_and(|it| matches!(u16::from(it.code), 1000 | 1001))));
            }
            None => return Err(End::ByClient(false)),
        };
        if text.len() > LARGEST {
            return Err(End::Close(4002, true));
        }
        let payload: Value = serde_json::from_str(&text).map_err(|_| End::Close(4002, true))?;
        let op = payload["op"].as_u64().ok_or(End::Close(4002, true))?;
        self.count(op)?;
        let body = &payload["d"];
        match op {
            1 => self.heartbeat(body).await,
            2 => self.identify(body).await,
            6 => self.resume(body).await,
            3 | 4 | 8 if self.session.is_none() => Err(End::Close(4003, true)),
            3 => {
                self.core.world().presence_update(body);
                Ok(())
            }
            4 => Ok(()),
            8 => self.members(body),
            _ => Err(End::Close(4001, true)),
        }
    }

    /// Counts what the client sends; heartbeats that we asked for are free.
    fn count(&mut self, op: u64) -> Result<(), End> {
        if op == 1 && self.asked > 0 {
            self.asked -= 1;
            return Ok(());
        }
        let now = Instant::now();
        self.recent.retain(|it| now - *it < SEND_WINDOW);
        self.recent.push_back(now);
        if self.recent.len() > SENDS { Err(End::Close(4008, true)) } else { Ok(()) }
    }

    async fn heartbeat(&mut self, body: &Value) -> Result<(), End> {
        self.heard = Instant::now();
        self.core.world().sessions.heartbeat(self.session.as_deref(), body.as_u64().unwrap_or(0));
        self.send(json!({ "op": 11 }).to_string().into()).await
    }

    async fn identify(&mut self, body: &Value) -> Result<(), End> {
        if self.session.is_some() {
            return Err(End::Close(4005, true));
        }
        let asked = self.admit(body)?;
        let shard = match body["shard"].as_array().map(Vec::as_slice) {
            None => (0, 1),
            Some([this, of]) => match (this.as_u64(), of.as_u64()) {
                (Some(this), Some(of)) if this < of => (this, of),
                _ => return Err(End::Close(4010, true)),
            },
            Some(_) => return Err(End::Close(4010, true)),
        };
        self.compress = body["compress"].as_bool().unwrap_or(false);
        let url = self.core.gateway_url();
        {
            let mut world = self.core.world();
            let id = world.sessions.identify(self.number, asked, shard, self.compress);
            world.welcome(&id, &url);
            self.session = Some(id);
        }
        self.sent = 0;
        self.flush().await
    }

    /// Checks token and intents.
    fn admit(&self, body: &Value) -> Result<u64, End> {
        let token = body["token"].as_str().unwrap_or_default();
        if token.strip_prefix("Bot ").unwrap_or(token) != self.core.options.token {
            return Err(End::Close(4004, true));
        }
        let asked = body["intents"].as_u64().ok_or(End::Close(4013, true))?;
        if asked & !intents::KNOWN != 0 {
            return Err(End::Close(4013, true));
        }
        let mut refused = intents::GUILD_MEMBERS | intents::GUILD_PRESENCES;
        if !self.core.options.message_content {
            refused |= intents::MESSAGE_CONTENT;
        }
        if asked & refused == 0 { Ok(asked) } else { Err(End::Close(4014, true)) }
    }

    async fn resume(&mut self, body: &Value) -> Result<(), End> {
        let token = body["token"].as_str().unwrap_or_default();
        if token.strip_prefix("Bot ").unwrap_or(token) != self.core.options.token {
            return Err(End::Close(4004, true));
        }
        if self.session.is_some() {
            return Err(End::Close(4005, true));
        }
        let id = body["session_id"].as_str().unwrap_or_default();
        let seq = body["seq"].as_u64().unwrap_or(0);
        let resumed = {
            let mut world = self.core.world();
            let resumed = world.sessions.resume(self.number, id, seq);
            self.compress = world.sessions.get(id).is_some_and(|it| it.compress);
            if resumed {
                world.touch();
            }
            resumed
        };
        if !resumed {
            return self.op(9, json!(false)).await;
        }
        (self.session, self.sent) = (Some(id.into()), seq);
        self.flush().await
    }

    /// Op 8: the members of a server, in one chunk.
    fn members(&self, body: &Value) -> Result<(), End> {
        let guild = super::mentions::id_of(&body["guild_id"]).ok_or(End::Close(4002, true))?;
        let Some(id) = &self.session else { return Ok(()) };
        let mut world = self.core.world();
        let chunk = world.member_chunk(guild, body);
        world.sessions.send_to(id, "GUILD_MEMBERS_CHUNK", &chunk);
        Ok(())
    }

    async fn finish(mut self, end: End) {
        match end {
            End::Close(code, _) => {
                let frame = CloseFrame { code: code.into(), reason: reason(code).into() };
                let _ = timeout(PATIENCE, self.ws.close(Some(frame))).await;
                // The client's own close frame, so that the socket does not end in a reset.
                let _ = timeout(Duration::from_secs(1), async {
                    while let Some(Ok(_)) = self.ws.next().await {}
                })
                .await;
            }
            End::ByClient(_) => {
                let _ = timeout(Duration::from_secs(1), self.ws.close(None)).await;
            }
            End::Drop => {
                use tokio::io::AsyncWriteExt;
                let _ = self.ws.get_mut().shutdown().await;
            }
            End::Reset => {
                let _ = self.ws.get_ref().set_zero_linger();
            }
        }
    }
}

/// One payload as a zlib stream of its own, as IDENTIFY's `compress` asks for.
fn zlib(text: &str) -> Message {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    // Writing to a Vec cannot fail; if it did, the text itself is a valid payload, too.
    match encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(bytes) => Message::Binary(bytes),
        Err(_) => Message::Text(text.into()),
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        4001 => "Unknown opcode.",
        4002 => "Error while decoding payload.",
        4003 => "Not authenticated.",
        4004 => "Authentication failed.",
        4005 => "Already authenticated.",
        4008 => "You are being rate limited.",
        4009 => "Session timed out.",
        4010 => "Invalid shard.",
        4013 => "Invalid intent(s).",
        4014 => "Disallowed intent(s).",
        _ => "",
    }
}
