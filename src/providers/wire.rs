//! The HTTP client, and what every call has in common: sent once, refused with a class, read up to a bound.
//!
//! What a failure to connect is called here is for operators (`attempts.detail`): one of the fixed words in `not_sent`, each
//! of which asks for another cure. The libraries' own texts go no further: they have addresses in them.

use super::verdict::{self, Complaint};
use crate::{
    message::UnixMillis,
    outcome::{Failed, Failure},
};
use futures::{Stream, StreamExt};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, Url};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    error::Error,
    io::{self, ErrorKind},
    iter,
    net::IpAddr,
    pin::Pin,
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};

/// The most of a failure's body that is looked at, in bytes: vendors' errors are below 4 KiB, proxies' pages below 64.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How long a failure's body may take; the status alone says enough to move on.
pub(super) const ERROR_BODY_WITHIN: Duration = Duration::from_millis(500);
/// The most that may follow the last word of an answer, in bytes, and how long its end may take. Vendors end the body right
/// behind it, in a packet of its own; whoever takes longer closes one connection more.
const MAX_REST_BYTES: usize = 64 * 1024;
const REST_WITHIN: Duration = Duration::from_millis(100);
/// How long an unused connection is kept. Shorter than the minute after which common load balancers drop it unsaid.
const KEPT_IDLE: Duration = Duration::from_secs(50);

/// Makes the HTTP client for calls below `base_url`.
///
/// It follows no redirect, and asks for no compression (which would hold a stream back). The router is the only one that tries
/// again; what is sent anew here was never taken: a request that found its kept connection closed, or that an HTTP/2 server
/// said it did not look at (`GOAWAY` below its number, `REFUSED_STREAM`), as servers do that renew their connections.
/// The environment's proxies are used, but not for an address on this machine.
///
/// # Errors
/// The TLS library cannot be set up, for instance because its certificates cannot be read.
pub fn client(connect_timeout: Duration, base_url: &str) -> Result<Client, reqwest::Error> {
    let builder = ClientBuilder::new()
        .user_agent(concat!("neverdark/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(15))
        .pool_idle_timeout(KEPT_IDLE)
        .pool_max_idle_per_host(64)
        .http2_keep_alive_interval(Duration::from_secs(15))
        .http2_keep_alive_timeout(Duration::from_secs(5));
    if is_on_this_machine(base_url) { builder.no_proxy() } else { builder }.build()
}

/// The clients made so far. One takes about 0.1 s to make, nearly all of it spent on reading certificates; so there is only
/// one for each time limit and each side of the proxy.
#[derive(Debug, Default)]
pub struct Clients(BTreeMap<(Duration, bool), Client>);

impl Clients {
    /// The client for calls below `base_url`: see [`client`].
    ///
    /// # Errors
    /// As [`client`].
    pub fn get(&mut self, connect_timeout: Duration, base_url: &str) -> Result<Client, reqwest::Error> {
        Ok(match self.0.entry((connect_timeout, is_on_this_machine(base_url))) {
            Entry::Occupied(made) => made.get().clone(),
            Entry::Vacant(place) => place.insert(client(connect_timeout, base_url)?).clone(),
        })
    }
}

fn is_on_this_machine(base_url: &str) -> bool {
    let Ok(url) = Url::parse(base_url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|it| it.to_canonical().is_loopback() || it.is_unspecified())
}

/// A call that was not answered with a 2xx.
pub(super) struct Refused {
    pub(super) failed: Failed,
    /// What the body said; for a dialect that can ask in another way.
    pub(super) complaint: Complaint,
}

/// Sends a request, once. An answer with a 2xx comes back with its body unread.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, Refused> {
    let response = request
        .send()
        .await
        .map_err(|error| Refused { failed: not_sent(&error), complaint: Complaint::default() })?;
    if response.status().is_success() {
        return Ok(response);
    }
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = beginning(response, MAX_ERROR_BYTES, ERROR_BODY_WITHIN).await;
    let (mut failed, complaint) = verdict::of_answer(status, &headers, &body, UnixMillis::now());
    match status {
        300..400 => "redirect".clone_into(&mut failed.detail),
        // Only a proxy says this; the vendor did not hear of the call.
        407 => PROXY_LOGIN.clone_into(&mut failed.detail),
        _ => {}
    }
    Err(Refused { failed, complaint })
}

/// The proxy wants another user and password than it was given, or some at all.
const PROXY_LOGIN: &str = "proxy login";

/// Why there was no answer at all.
fn not_sent(error: &reqwest::Error) -> Failed {
    let causes = || iter::successors(error.source(), |&it| it.source());
    let says = |text: &str| causes().any(|it| it.to_string().contains(text));
    if !error.is_connect() {
        // Something else answers there, such as a mail server, or TLS where none was spoken.
        let is_http =
            !causes().any(|it| it.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse));
        return if is_http {
            Failed::new(Failure::Connection, "lost before the answer")
        } else {
            Failed::new(Failure::Malformed, "not http")
        };
    }
    let detail = match causes().find_map(|it| it.downcast_ref::<io::Error>()).map(io::Error::kind) {
        _ if error.is_timeout() => "connect timeout",
        // The library keeps the types of these failures to itself.
        _ if says("proxy authorization required") => {
            return Failed { http_status: Some(407), ..Failed::new(Failure::Auth, PROXY_LOGIN) };
        }
        _ if says("tunnel error") || says("socks proxy") => "proxy",
        _ if error.is_dns() => "dns",
        Some(ErrorKind::ConnectionRefused) => "refused",
        Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown) => {
            "unreachable"
        }
        _ if says("certificate verify failed") => "tls certificate",
        // The address had been reached; what follows before a request is sent is the handshake.
        None
        | Some(
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof,
        ) => "tls",
        // This machine's own trouble, such as no more sockets.
        Some(_) => "connect",
    };
    Failed::new(Failure::Connection, detail)
}

/// The beginning of a body: what came within the bounds of size and time, before it broke off.
pub(super) async fn beginning(mut response: Response, max_bytes: usize, within: Duration) -> Vec<u8> {
    let deadline = Instant::now() + within;
    let mut body = Vec::new();
    while body.len() < max_bytes
        && let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(max_bytes);
    body
}

/// Reads a body that has said everything to its end, in the background: only then can another call have its connection.
pub(super) fn read_out<S, B>(mut body: Pin<Box<S>>)
where
    S: Stream<Item = reqwest::Result<B>> + Send + 'static,
    B: AsRef<[u8]>,
{
    let rest = async move {
        let mut bytes = 0;
        while bytes <= MAX_REST_BYTES
            && let Some(Ok(piece)) = body.next().await
        {
            bytes += piece.as_ref().len();
        }
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "ends by itself within a moment, and nothing depends on it"
    )]
    tokio::spawn(timeout(REST_WITHIN, rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_passed_by_for_this_machine() {
        for url in [
            "http://localhost:1",
            "http://127.0.0.1:1/v1",
            "http://127.9.9.9",
            "http://[::1]:1",
            "http://a.localhost",
            "http://0.0.0.0:11434",
        ] {
            assert!(is_on_this_machine(url), "{url}");
        }
        for url in ["https://api.openai.com/v1", "http://192.168.1.2", "http://localhost.example"] {
            assert!(!is_on_this_machine(url), "{url}");
        }
    }
}
