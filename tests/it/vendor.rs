//! A vendor's host on loopback that speaks HTTP/1.1 byte by byte: keeps what it was asked, and does what a test says; a proxy, too.

#[cfg(target_os = "linux")]
pub(crate) mod tls;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// What it was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Its place among all, from 0.
    pub(crate) number: usize,
    /// `POST /v1/chat/completions HTTP/1.1`
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// What is done in answer to a request. After the last act the next request is awaited on the same connection.
pub(crate) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// Sends this again and again, until nobody takes it.
    Endless(Vec<u8>),
    Close,
    /// Waits until the other side closes.
    AwaitClose,
    /// Brings together the caller and this address, as a proxy does.
    Tunnel(SocketAddr),
}

type Play = Arc<dyn Fn(&Asked) -> Vec<Act> + Send + Sync>;

/// The host, as long as the test's runtime.
#[derive(Clone)]
pub(crate) struct Vendor {
    pub(crate) address: SocketAddr,
    book: Arc<Book>,
}

/// What is kept of the requests.
#[derive(Default)]
pub(crate) struct Book {
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    closed: AtomicUsize,
}

impl Book {
    /// Writes down a request, and says which number it has.
    pub(crate) fn enter(&self, mut asked: Asked) -> Asked {
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.number = all.len();
        all.push(asked.clone());
        asked
    }

    /// The number of a new connection.
    pub(crate) fn connection(&self) -> usize {
        self.connections.fetch_add(1, Ordering::SeqCst)
    }

    /// Everything so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Vendor {
    pub(crate) async fn start(play: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let vendor = Self { address: listener.local_addr().expect("it is bound"), book: Arc::default() };
        let (book, play): (_, Play) = (Arc::clone(&vendor.book), Arc::new(play));
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (book, play) = (Arc::clone(&book), Arc::clone(&play));
                book.connection();
                tokio::spawn(async move {
                    serve(socket, &book, &*play).await;
                    book.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        vendor
    }

    /// Everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.book.asked()
    }

    /// How many connections it took so far.
    pub(crate) fn connections(&self) -> usize {
        self.book.connections.load(Ordering::SeqCst)
    }

    /// How many of them are closed.
    pub(crate) fn closed(&self) -> usize {
        self.book.closed.load(Ordering::SeqCst)
    }
}

/// An answer whose length is told, so that the connection can go on.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Act {
    let length = body.len();
    Act::Send(format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes())
}

/// A whole answer to a chat completion.
pub(crate) fn hello() -> Act {
    let body = r#"{"choices":[{"message":{"content":"Hello."},"finish_reason":"stop"}]}"#;
    answer("200 OK", "content-type: application/json\r\n", body)
}

/// Answers the requests of one connection.
pub(crate) async fn serve<S>(mut socket: S, book: &Book, play: &(dyn Fn(&Asked) -> Vec<Act> + Send + Sync))
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    while let Some(asked) = read_request(&mut socket).await {
        for act in play(&book.enter(asked)) {
            if !perform(&mut socket, act).await {
                return;
            }
        }
    }
}

async fn perform<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S, act: Act) -> bool {
    match act {
        Act::Send(bytes) => socket.write_all(&bytes).await.is_ok() && socket.flush().await.is_ok(),
        Act::Wait(time) => {
            sleep(time).await;
            true
        }
        Act::Endless(bytes) => {
            while socket.write_all(&bytes).await.is_ok() {}
            false
        }
        Act::Close => {
            let _ = socket.shutdown().await;
            false
        }
        Act::AwaitClose => {
            while socket.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
            false
        }
        Act::Tunnel(address) => {
            let mut there = TcpStream::connect(address).await.expect("the vendor listens");
            let _ = copy_bidirectional(socket, &mut there).await;
            false
        }
    }
}

async fn read_request<S: AsyncRead + Unpin>(socket: &mut S) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (line, rest) = head.split_once("\r\n")?;
            let headers: BTreeMap<String, String> = rest
                .lines()
                .filter_map(|it| it.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            if body.len() >= headers.get("content-length").map_or(0, |it| it.parse().unwrap_or(0)) {
                return Some(Asked { number: 0, line: line.to_owned(), headers });
            }
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
