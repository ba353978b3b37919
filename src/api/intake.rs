//! Reads the body of a request, within bounds of size and time.

use super::fault::Fault;
use hyper::{
    Request,
    body::{Body, Bytes, Incoming},
    header::EXPECT,
};
use std::{future::poll_fn, pin::Pin, time::Duration};
use tokio::time::timeout;

/// The most bytes of a request: some pictures, and far more text than any model's window.
const MOST_BYTES: usize = 10 * 1024 * 1024;
/// So much of a body that is too large is read all the same: a caller that is still sending does not read why it was refused.
const MOST_DRAINED: usize = 64 * 1024 * 1024;
/// How long a caller may take for all of it: 10 MiB at 1.4 Mbit a second.
const WITHIN: Duration = Duration::from_secs(60);

/// The whole body.
pub(super) async fn whole(request: Request<Incoming>) -> Result<Bytes, Fault> {
    let announced = request.body().size_hint().lower();
    // Who asks first whether the body is welcome is told at once.
    let is_asking = request.headers().contains_key(EXPECT);
    let drained = if is_asking { MOST_BYTES } else { MOST_DRAINED };
    if announced > drained as u64 {
        return Err(Fault::too_large(MOST_BYTES));
    }
    timeout(WITHIN, read(request.into_body())).await.unwrap_or_else(|_| Err(Fault::too_slow()))
}

async fn read(mut body: Incoming) -> Result<Bytes, Fault> {
    let mut first = Bytes::new();
    let mut more = Vec::new();
    let mut size = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(|_| Fault::too_slow())?.into_data() else { continue };
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
