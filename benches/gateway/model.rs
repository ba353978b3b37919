//! The scripted model behind all three: an OpenAI-compatible server on a thread of its own, as cheap as it can be.

use crate::{Trouble, line};
use std::{
    net::{SocketAddr, TcpListener as Bound},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// What it says.
pub(crate) const WORDS: [&str; 3] = ["Every light", " in this house", " stays on."];
/// Between two texts of a paced stream: long enough that whoever collects text before passing it on is seen.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two texts of a stream that is held open.
const TICK: Duration = Duration::from_millis(500);
/// A stream is not held longer than this, whatever happens.
const LONGEST: u32 = 100;
/// No request is longer.
const LONGEST_REQUEST: usize = 64 * 1024;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The whole answer in one write.
    AtOnce,
    /// A stream's texts one by one.
    Paced,
    /// Streams stay open and go on saying something, until the manner is another one.
    Held,
    /// 503, always.
    Refusing,
}

/// A running model; it ends with this value.
pub(crate) struct Model {
    pub(crate) address: SocketAddr,
    manner: watch::Sender<Manner>,
    asked: Arc<AtomicU64>,
}

impl Model {
    pub(crate) fn start(manner: Manner) -> Result<Self, Trouble> {
        let bound = Bound::bind("127.0.0.1:0")?;
        bound.set_nonblocking(true)?;
        let address = bound.local_addr()?;
        let (manner, seen) = watch::channel(manner);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = Arc::new(AtomicU64::new(0));
        let model = Self { address, manner, asked: Arc::clone(&asked) };
        thread::spawn(move || runtime.block_on(serve(bound, seen, asked)));
        Ok(model)
    }

    /// How often it was asked so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn answer(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

/// All bytes that it ever says, made once.
struct Script {
    whole: Vec<u8>,
    at_once: Vec<u8>,
    opening: Vec<u8>,
    words: Vec<Vec<u8>>,
    ending: Vec<u8>,
    refusal: Vec<u8>,
    nothing: Vec<u8>,
}

impl Script {
    fn new() -> Self {
        let words: Vec<_> =
            WORDS.iter().map(|it| chunk(&delta(&format!("{{\"content\":\"{it}\"}}")))).collect();
        let mut opening =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                .to_vec();
        opening.extend(chunk(&delta("{\"role\":\"assistant\",\"content\":\"\"}")));
        let finish = "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"scripted\",\
             \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}";
        let usage = "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"scripted\",\
             \"choices\":[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":9,\"total_tokens\":129}}";
        let mut ending: Vec<u8> = [finish, usage, "[DONE]"].iter().flat_map(|it| chunk(it)).collect();
        ending.extend(b"0\r\n\r\n");
        let at_once = [opening.clone(), words.concat(), ending.clone()].concat();
        let whole = format!(
            "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"scripted\",\"choices\":[{{\"index\":0,\
             \"message\":{{\"role\":\"assistant\",\"content\":\"{}\"}},\"finish_reason\":\"stop\"}}],\
             \"usage\":{{\"prompt_tokens\":120,\"completion_tokens\":9,\"total_tokens\":129}}}}",
            WORDS.concat()
        );
        let refusal = "{\"error\":{\"message\":\"no capacity\",\"type\":\"server_error\",\"param\":null,\"code\":null}}";
        Self {
            whole: json("200 OK", &whole),
            at_once,
            opening,
            words,
            ending,
            refusal: json("503 Service Unavailable", refusal),
            nothing: json("200 OK", "{\"object\":\"list\",\"data\":[]}"),
        }
    }
}

fn json(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn delta(delta: &str) -> String {
    format!(
        "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"scripted\",\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}"
    )
}

/// One event of the stream as one chunk of the body.
fn chunk(data: &str) -> Vec<u8> {
    let length = "data: ".len() + data.len() + "\n\n".len();
    format!("{length:x}\r\ndata: {data}\n\n\r\n").into_bytes()
}

async fn serve(bound: Bound, manner: watch::Receiver<Manner>, asked: Arc<AtomicU64>) {
    let Ok(listener) = TcpListener::from_std(bound) else { return };
    let script = Arc::new(Script::new());
    let mut connections = JoinSet::new();
    let mut gone = manner.clone();
    let gone = async move { while gone.changed().await.is_ok() {} };
    tokio::pin!(gone);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                connections.spawn(connection(socket, Arc::clone(&script), manner.clone(), Arc::clone(&asked)));
            }
            Some(_) = connections.join_next() => {}
            () = &mut gone => return,
        }
    }
}

/// Answers one request after the other, until the other side closes.
async fn connection(
    mut socket: TcpStream,
    script: Arc<Script>,
    mut manner: watch::Receiver<Manner>,
    asked: Arc<AtomicU64>,
) -> Result<(), Trouble> {
    socket.set_nodelay(true)?;
    let mut heard = Vec::with_capacity(4096);
    loop {
        let Some(length) = line::request_length(&heard) else {
            if heard.len() > LONGEST_REQUEST || socket.read_buf(&mut heard).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let request = &heard[..length];
        let (is_question, is_stream) = (request.starts_with(b"POST"), line::has(request, b"\"stream\":true"));
        heard.drain(..length);
        asked.fetch_add(u64::from(is_question), Ordering::Relaxed);
        let how = *manner.borrow_and_update();
        match how {
            _ if !is_question => socket.write_all(&script.nothing).await?,
            Manner::Refusing => socket.write_all(&script.refusal).await?,
            _ if !is_stream => socket.write_all(&script.whole).await?,
            Manner::AtOnce => socket.write_all(&script.at_once).await?,
            Manner::Paced => paced(&mut socket, &script).await?,
            Manner::Held => held(&mut socket, &script, &mut manner).await?,
        }
    }
}

async fn paced(socket: &mut TcpStream, script: &Script) -> Result<(), Trouble> {
    socket.write_all(&[&script.opening[..], &script.words[0]].concat()).await?;
    for word in &script.words[1..] {
        sleep(PAUSE).await;
        socket.write_all(word).await?;
    }
    Ok(socket.write_all(&script.ending).await?)
}

/// Says `0 1 2 3 …`, a number each tick, and `end.` when it is let go.
async fn held(
    socket: &mut TcpStream,
    script: &Script,
    manner: &mut watch::Receiver<Manner>,
) -> Result<(), Trouble> {
    socket.write_all(&script.opening).await?;
    for number in 0..LONGEST {
        socket.write_all(&chunk(&delta(&format!("{{\"content\":\"{number} \"}}")))).await?;
        if timeout(TICK, manner.changed()).await.is_ok() {
            break;
        }
    }
    socket.write_all(&chunk(&delta("{\"content\":\"end.\"}"))).await?;
    Ok(socket.write_all(&script.ending).await?)
}

/// Whether this is all that a held stream can have said.
pub(crate) fn is_whole_count(text: &str) -> bool {
    let Some(numbers) = text.strip_suffix(" end.") else { return false };
    numbers.split(' ').enumerate().all(|(place, number)| number.parse() == Ok(place))
}
