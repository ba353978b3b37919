//! TLS and HTTP/2 with the real program: what it offers, whom it trusts, and what happens when a server renews its connections.

use super::{
    asking::{Asking, LOUD, QUESTION, trusting},
    bot::until,
};
use crate::vendor::tls::{Manner, Secure};

/// Of this vendor, by this name.
fn asking(vendor: &Secure, host: &str) -> Asking {
    trusting(vendor, &format!("https://{host}:{}/v1", vendor.address.port()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_spoken_where_it_is_offered_and_streams() {
    let vendor = Secure::start(Manner::Http2).await;
    vendor.go_on(false);
    let asking = asking(&vendor, "localhost");
    let bot = asking.start(&["ask", QUESTION]);
    until("the first word is shown", async || bot.said().contains("Hello").then_some(())).await;
    assert!(!bot.said().contains("Ana"), "nobody said that yet");
    vendor.go_on(true);
    let ended = asking.end(bot).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "Hello, Ana.\n"), "{}", ended.stderr);
    assert_eq!(String::from_utf8_lossy(&vendor.offered()), "\u{2}h2\u{8}http/1.1");
    let asked = vendor.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "POST /v1/chat/completions HTTP/2.0");
    assert_eq!(asked[0].headers["user-agent"], concat!("neverdark/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http1_is_spoken_where_nothing_else_is() {
    let vendor = Secure::start(Manner::Http1).await;
    assert_eq!(asking(&vendor, "localhost").outcome().await, "answered");
    assert_eq!(vendor.asked()[0].line, "POST /v1/chat/completions HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_nobody_signed_or_that_is_for_another_host() {
    let vendor = Secure::start(Manner::Http2).await;
    let stranger = Asking::new(&format!("https://localhost:{}/v1", vendor.address.port()));
    assert_eq!(stranger.outcome().await, "connection: tls certificate");
    assert_eq!(asking(&vendor, "127.0.0.1").outcome().await, "connection: tls certificate");
    assert_eq!(vendor.asked().len(), 0, "no request was sent, and so no key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_sent_back_is_sent_anew() {
    for manner in [Manner::Refuses, Manner::GoesAway] {
        let vendor = Secure::start(manner).await;
        assert_eq!(asking(&vendor, "localhost").outcome().await, "answered", "{manner:?}");
        assert_eq!(vendor.asked().len(), 2, "{manner:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_taken_is_not_sent_anew() {
    let vendor = Secure::start(Manner::GoesAwayWithIt).await;
    assert_eq!(asking(&vendor, "localhost").outcome().await, "connection: lost before the answer");
    assert_eq!(vendor.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_level_shows_keys_or_questions() {
    for (level, is_loud) in [("trace", false), (LOUD, true)] {
        let vendor = Secure::start(Manner::Http2).await;
        let log = asking(&vendor, "localhost").with("NEVERDARK__LOG__LEVEL", level).serve_once().await;
        assert_eq!(log.contains("h2::"), is_loud, "a plain level is about this program:\n{log}");
    }
}
