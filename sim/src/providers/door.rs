//! A provider's port: open, closed, or a black hole; always the same one.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The state of a port.
#[derive(Debug)]
pub(crate) enum Door {
    /// Connections are accepted.
    Open(TcpListener),
    /// Connections are refused, as on a port where nobody listens. It is kept, so that nobody who asks for any free port gets this
    /// one and is taken for the provider; none: it could not be kept.
    Closed(Option<TcpSocket>),
    /// Somebody listens, but the queue is full and nobody accepts: the kernel drops whoever wants to connect.
    Full {
        /// Never read: it is here to keep the port.
        _listener: TcpListener,
        /// Those who fill the queue.
        _queue: Vec<std::net::TcpStream>,
    },
}

impl Door {
    /// Opens a free port.
    pub(crate) fn new() -> io::Result<(Self, SocketAddr)> {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into())?.listen(1_024)?;
        let address = listener.local_addr()?;
        Ok((Self::Open(listener), address))
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Opens it, if it is not open. Needs the context of a runtime.
    pub(crate) fn open(&mut self, address: SocketAddr) -> io::Result<()> {
        if !self.is_open() {
            let kept = self.release();
            *self = Self::Open(kept.map_or_else(|| bind(address), Ok)?.listen(1_024)?);
        }
        Ok(())
    }

    /// Closes it. Needs the context of a runtime.
    pub(crate) fn close(&mut self, address: SocketAddr) {
        if !matches!(self, Self::Closed(Some(_))) {
            self.release();
            *self = Self::Closed(bind(address).ok());
        }
    }

    /// Lets go of the port, or hands it over if nobody listens there.
    fn release(&mut self) -> Option<TcpSocket> {
        match std::mem::replace(self, Self::Closed(None)) {
            Self::Closed(kept) => kept,
            Self::Open(_) | Self::Full { .. } => None,
        }
    }

    /// Makes it a black hole. Needs the context of a runtime.
    pub(crate) fn fill_up(&mut self, address: SocketAddr) -> io::Result<()> {
        if matches!(self, Self::Full { .. }) {
            return Ok(());
        }
        let kept = self.release();
        let listener = kept.map_or_else(|| bind(address), Ok)?.listen(0)?;
        let mut queue = Vec::new();
        // A queue of length 0 takes one on Linux; the first who is not let in shows that it is full. On loopback, 20 ms are
        // plenty for a connection, and a simulator may block that long.
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(20)) {
            queue.push(stream);
            if queue.len() > 16 {
                return Err(io::Error::other("this system's queue does not fill up"));
            }
        }
        *self = Self::Full { _listener: listener, _queue: queue };
        Ok(())
    }

    /// The next connection. Pending while it is not open: whoever changes the door wakes the waiting task.
    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match self {
            Self::Open(listener) => listener.poll_accept(context).map_ok(|(stream, _)| stream),
            Self::Closed(_) | Self::Full { .. } => Poll::Pending,
        }
    }
}

/// Binds with `SO_REUSEADDR`, so that the same port can be had again while old connections linger.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
