//! The body of an answer over HTTP: a document, or a stream that a turn writes; and the headers that all answers have.

use crate::message::TurnId;
use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame, SizeHint},
    header::{CONTENT_TYPE, HeaderValue},
};
use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

/// The type of a stream.
pub(super) const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
/// A stream is for nobody else, and not for later.
pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where a turn writes what is to be sent. The lock is never waited for: writer and sender are one task.
pub(super) type Out = Arc<Mutex<Vec<u8>>>;

/// The body of an answer.
pub(super) enum Reply {
    /// All of it.
    Whole(Bytes),
    /// It comes.
    Stream(Stream),
}

/// An answer that is being told. Dropping it hangs up on whoever tells.
pub(super) struct Stream {
    out: Out,
    state: State,
}

enum State {
    /// Resolves with whether the answer is whole.
    Telling(Pin<Box<dyn Future<Output = bool> + Send>>),
    Whole,
    Broken {
        /// The last words are on their way.
        is_flushed: bool,
    },
}

/// The answer broke off; the connection is cut, so that nobody takes it for whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(super) struct BrokeOff;

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole",
            Self::Stream(_) => "Stream",
        })
    }
}

impl Reply {
    /// A stream that begins with these bytes; the teller writes more, and says at the end whether it is whole.
    pub(super) fn stream<T>(begun: Vec<u8>, teller: impl FnOnce(Out) -> T) -> Self
    where
        T: Future<Output = bool> + Send + 'static,
    {
        let out = Arc::new(Mutex::new(begun));
        let state = State::Telling(Box::pin(teller(Arc::clone(&out))));
        Self::Stream(Stream { out, state })
    }
}

impl Stream {
    /// All that is ready goes out in one piece.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokeOff>>> {
        if let State::Telling(telling) = &mut self.state
            && let Poll::Ready(is_whole) = telling.as_mut().poll(cx)
        {
            self.state = if is_whole { State::Whole } else { State::Broken { is_flushed: false } };
        }
        let bytes = mem::take(&mut *self.out.lock().unwrap_or_else(PoisonError::into_inner));
        if !bytes.is_empty() {
            return Poll::Ready(Some(Ok(bytes.into())));
        }
        match &mut self.state {
            State::Telling(_) => Poll::Pending,
            State::Whole => Poll::Ready(None),
            State::Broken { is_flushed: true } => Poll::Ready(Some(Err(BrokeOff))),
            State::Broken { is_flushed } => {
                // An error throws away what the server has not written yet; while nothing comes, it writes.
                *is_flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let bytes = match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(mem::take(bytes)))),
            Self::Stream(stream) => stream.poll_bytes(cx),
        };
        bytes.map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            // So that the last bytes and the end of the body are one write.
            Self::Stream(Stream { out, state: State::Whole }) => {
                out.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
            }
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// An answer that is one JSON document.
pub(super) fn json(status: StatusCode, document: Vec<u8>) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(document.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// Says which turn it was, and who answered.
pub(super) fn sign(response: &mut Response<Reply>, turn: &TurnId, provider: Option<&str>) {
    for (name, value) in [("x-neverdark-turn", Some(turn.0.as_str())), ("x-neverdark-provider", provider)] {
        if let Some(Ok(value)) = value.filter(|it| !it.is_empty()).map(HeaderValue::from_str) {
            response.headers_mut().insert(name, value);
        }
    }
}
