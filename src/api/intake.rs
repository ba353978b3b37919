//! Reads the body of a request, within bounds of size and time, be it wanted or not.

use super::fault::Fault;
use hyper::{
    body::{Body, Bytes, Incoming},
    header::EXPECT,
    http::request::Parts,
};
use std::{future::poll_fn, pin::Pin, time::Duration};
use tokio::time::timeout;

/// The most bytes of a request: some pictures, and far more text than any model's window.
const MOST_BYTES: usize = 10 * 1024 * 1024;
/// So much of a body that is too large is read all the same: a caller that is still sending does not read why it was refused.
const MOST_DRAINED: usize = 64 * 1024 * 1024;
/// How long a caller may take for all of it: 10 MiB at 1.4 Mbit a second.
const WITHIN: Duration = Duration::from_secs(60);

/// How long and how far the body of a request is read that was refused for its head.
const SKIPPED_WITHIN: Duration = Duration::from_secs(5);
const MOST_SKIPPED: usize = MOST_BYTES;

/// The whole body. `asks_first`: see [`asks_first`].
pub(super) async fn whole(asks_first: bool, body: Incoming) -> Result<Bytes, Fault> {
    let drained = if asks_first { MOST_BYTES } else { MOST_DRAINED };
    if body.size_hint().lower() > drained as u64 {
        return Err(Fault::too_large(MOST_BYTES));
    }
    timeout(WITHIN, read(body)).await.unwrap_or_else(|_| Err(Fault::too_slow()))
}

/// Reads what nobody wants: a caller that is still sending when the connection is closed may never read why it was refused.
pub(super) async fn skip(asks_first: bool, mut body: Incoming) {
    let skipped = async {
        let mut size = 0;
        while size <= MOST_SKIPPED
            && let Some(Ok(data)) = next(&mut body).await
        {
            size += data.len();
        }
    };
    if !asks_first {
        let _ = timeout(SKIPPED_WITHIN, skipped).await;
    }
}

/// Whether the caller waits to hear whether its body is welcome: then it is told at once.
pub(super) fn asks_first(head: &Parts) -> bool {
    head.headers.contains_key(EXPECT)
}

/// The next bytes; trailers are none.
async fn next(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
    Some(frame.map(|it| it.into_data().unwrap_or_default()))
}

async fn read(mut body: Incoming) -> Result<Bytes, Fault> {
    let mut first = Bytes::new();
    let mut more = Vec::new();
    let mut size = 0;
    while let Some(data) = next(&mut body).await {
        let data = data.map_err(|_| Fault::broken_body())?;
        size += data.len();
        if size > MOST_DRAINED {
            break;
        }
        if size > MOST_BYTES {
            // Only read on, to be heard afterwards.
            (first, more) = (Bytes::new(), Vec::new());
        } else if size == data.len() {
            // Nearly always it is all there at once, and is not copied.
            first = data;
        } else {
            if more.is_empty() {
                let left = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                more.reserve((size + left).min(MOST_BYTES));
                more.extend_from_slice(&first);
            }
            more.extend_from_slice(&data);
        }
    }
    match size {
        size if size > MOST_BYTES => Err(Fault::too_large(MOST_BYTES)),
        _ if more.is_empty() => Ok(first),
        _ => Ok(more.into()),
    }
}
