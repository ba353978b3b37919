//! Connections that a handler can cut or reset in mid-call, and that end with the server.

use axum::{extract::connect_info::Connected, serve::IncomingStream, serve::Listener};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
};

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const RESET: u8 = 2;

/// A handler's hold on its connection.
#[derive(Clone, Debug)]
pub(crate) struct Grip(Arc<AtomicU8>);

impl Grip {
    /// Nothing more is written: the connection ends before the answer.
    pub(crate) fn cut(&self) {
        self.0.store(CUT, Ordering::SeqCst);
    }

    /// Likewise, with RST instead of FIN.
    pub(crate) fn reset(&self) {
        self.0.store(RESET, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, Doorman>> for Grip {
    fn connect_info(stream: IncomingStream<'_, Doorman>) -> Self {
        stream.io().grip.clone()
    }
}

/// Accepts connections.
#[derive(Debug)]
pub(crate) struct Doorman {
    listener: TcpListener,
    stopped: watch::Receiver<bool>,
}

impl Doorman {
    pub(crate) fn new(listener: TcpListener, stopped: watch::Receiver<bool>) -> Self {
        Self { listener, stopped }
    }
}

impl Listener for Doorman {
    type Io = Held;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Held, SocketAddr) {
        let (socket, address) = Listener::accept(&mut self.listener).await;
        let _ = socket.set_nodelay(true);
        let grip = Grip(Arc::new(AtomicU8::new(WHOLE)));
        (Held { socket, grip, stopped: self.stopped.clone() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when its grip says so.
#[derive(Debug)]
pub(crate) struct Held {
    socket: TcpStream,
    grip: Grip,
    stopped: watch::Receiver<bool>,
}

impl Held {
    fn gone(&self) -> Option<io::Error> {
        match self.grip.0.load(Ordering::SeqCst) {
            WHOLE if *self.stopped.borrow() || self.stopped.has_changed().is_err() => {}
            WHOLE => return None,
            RESET => drop(self.socket.set_zero_linger()),
            _ => {}
        }
        Some(io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.gone() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.gone() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.socket).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.grip.0.load(Ordering::SeqCst) == RESET {
            // A shutdown would send FIN first; closing with no linger sends RST.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
