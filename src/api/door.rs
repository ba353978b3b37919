//! Lets callers in: accepts connections up to a bound, and serves HTTP/1.1 on each until it ends or the house closes.

use super::{Api, patience::Patient};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

/// How long a caller may take for the head of a request, and keep a connection that says nothing. Longer than the pools of
/// the usual clients and proxies do (5 to 60 s): who closes last has no race.
const IDLE: Duration = Duration::from_secs(75);
/// The most of a connection's bytes in memory, in each direction: heads fit, and bodies and answers pass through.
const BUFFER: usize = 16 * 1024;
/// Connections beyond one for each request: those that wait in pools, and those that are told that there are too many.
const SPARE_CONNECTIONS: usize = 1024;
/// After the system refused to give a connection (no more open files, say), so long before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `closing`; then no connection is accepted, and those there are end with the request that they are at, or with
/// `hang_up`. Connections are `tasks`.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    tasks: TaskTracker,
    closing: CancellationToken,
    hang_up: CancellationToken,
) {
    let connections = api.0.settings.max_concurrent as usize + SPARE_CONNECTIONS;
    let connections = Arc::new(Semaphore::new(connections));
    let mut is_failing = false;
    loop {
        let accept = async {
            let place = Arc::clone(&connections).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(socket, _)| (socket, place))
        };
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => return,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((socket, place)) => {
                is_failing = false;
                let connection = connection(socket, api.clone(), closing.clone(), hang_up.clone());
                tasks.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(failure) => {
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(%failure, "the router API cannot accept connections; it goes on trying");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, api: Api, closing: CancellationToken, hang_up: CancellationToken) {
    // Each piece is on its way when it is written. A socket that refuses that is only slower.
    let _ = socket.set_nodelay(true);
    let service = service_fn(|request| {
        let api = &api;
        async move { Ok::<_, Infallible>(api.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Patient::new(socket)), service);
    let mut connection = pin!(connection);
    // How a connection ends is the caller's business; what it means for a turn is in the ledger.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        biased;
        _ = connection => {}
        () = hang_up.cancelled() => {}
    }
}
