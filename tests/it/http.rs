//! The HTTP below all providers, over real sockets: what is pooled and sent anew, and what operators are told when nothing comes.

use crate::{
    process::bot::until,
    vendor::{Act, Vendor, answer, hello},
};
use expect_test::{Expect, expect};
use futures::StreamExt;
use neverdark::{
    app,
    config::{self, Env},
    message::{Line, Prompt, Role},
    outcome::Failed,
    providers::{Piece, Provider},
};
use std::{
    fmt::Display,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener as Listener},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// A provider with this address, made as the service makes it.
fn provider(kind: &str, base_url: &str) -> Arc<dyn Provider> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("neverdark.toml");
    let limit = CONNECT_TIMEOUT.as_millis();
    let file = format!(
        "[discord]\nenabled = false\n[router]\nconnect_timeout = \"{limit}ms\"\n[[providers]]\nname = \"alpha\"\n\
         kind = \"{kind}\"\nbase_url = \"{base_url}\"\nmodel = \"m-1\"\napi_key_env = \"ALPHA_KEY\"\n"
    );
    std::fs::write(&path, file).unwrap();
    let env: Env = [("ALPHA_KEY", "sk-secret")].into_iter().collect();
    let loaded = config::load(Some(&path), &env).unwrap_or_else(|problems| panic!("{problems}"));
    let router = app::router(&loaded.config, &env, fastrand::Rng::with_seed(7)).unwrap();
    router.providers().next().unwrap()
}

fn at(address: SocketAddr) -> Arc<dyn Provider> {
    provider("openai", &format!("http://{address}/v1"))
}

/// Asks, and says what came: the text, or the failure.
async fn ask(provider: &dyn Provider) -> String {
    let line = Line { role: Role::User, speaker: None, text: "hi".to_owned() };
    let prompt = Arc::new(Prompt { lines: vec![line], reply_tokens: 64, ..Prompt::default() });
    let heard = async {
        let mut pieces = provider.generate(prompt).await?;
        let mut text = String::new();
        while let Some(piece) = pieces.next().await {
            if let Piece::Text(said) = piece? {
                text += &said;
            }
        }
        Ok::<_, Failed>(text)
    };
    timeout(PATIENCE, heard).await.expect("an answer").unwrap_or_else(shown)
}

async fn health(provider: &dyn Provider) -> String {
    let health = timeout(PATIENCE, provider.health_check()).await.expect("an answer");
    health.map_or_else(shown, |()| "well".to_owned())
}

fn shown(failed: impl Display) -> String {
    failed.to_string()
}

/// Every call is answered so: what a question and the health check come to.
async fn check(acts: fn() -> Vec<Act>, expected: Expect) {
    let vendor = Vendor::start(move |_| acts()).await;
    let provider = at(vendor.address);
    expected.assert_eq(&format!("{} · {}", ask(&*provider).await, health(&*provider).await));
}

/// As [`check`], for an address where nobody answers; within the time to connect.
async fn check_address(base_url: &str, expected: Expect) {
    let provider = provider("openai", base_url);
    let began = Instant::now();
    expected.assert_eq(&format!("{} · {}", ask(&*provider).await, health(&*provider).await));
    // Twice the limit, and something for a busy machine.
    let within = CONNECT_TIMEOUT * 2 + Duration::from_secs(2);
    assert!(began.elapsed() < within, "it took {:?}", began.elapsed());
}

#[tokio::test]
async fn many_calls_use_one_connection() {
    let vendor = Vendor::start(|_| vec![hello()]).await;
    let provider = at(vendor.address);
    for _ in 0..5 {
        assert_eq!(ask(&*provider).await, "Hello.");
    }
    assert_eq!(health(&*provider).await, "well");
    assert_eq!((vendor.asked().len(), vendor.connections()), (6, 1));
}

#[tokio::test]
async fn streams_leave_their_connection_to_the_next_call() {
    // Together with the last word, right behind it, and later.
    for wait in [None, Some(0), Some(10)] {
        let vendor = Vendor::start(move |_| {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let chunk = |data: &str| format!("{:x}\r\ndata: {data}\n\n\r\n", data.len() + 8);
            let text = chunk(r#"{"choices":[{"delta":{"content":"Hello."},"finish_reason":"stop"}]}"#);
            let said = format!("{head}{text}{}", chunk("[DONE]"));
            let end = "0\r\n\r\n";
            match wait {
                None => vec![Act::Send((said + end).into_bytes())],
                Some(ms) => vec![
                    Act::Send(said.into_bytes()),
                    Act::Wait(Duration::from_millis(ms)),
                    Act::Send(end.into()),
                ],
            }
        })
        .await;
        let provider = at(vendor.address);
        for _ in 0..6 {
            assert_eq!(ask(&*provider).await, "Hello.");
            sleep(Duration::from_millis(25)).await;
        }
        // One, but on a busy machine an end may come later than the next call.
        assert!(vendor.connections() <= 3, "{wait:?}: {}", vendor.connections());
    }
}

#[tokio::test]
async fn what_never_ends_is_let_go() {
    let vendor = Vendor::start(|_| {
        let said = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        vec![Act::Send(format!("{head}{said}").into_bytes()), Act::AwaitClose]
    })
    .await;
    assert_eq!(ask(&*at(vendor.address)).await, "Hello.");
    until("the connection is closed", async || (vendor.closed() == 1).then_some(())).await;
}

#[tokio::test]
async fn every_call_says_who_calls_and_asks_for_plain_bytes() {
    for kind in ["openai", "completions"] {
        let vendor = Vendor::start(|_| vec![hello()]).await;
        let provider = provider(kind, &format!("http://{}/v1", vendor.address));
        ask(&*provider).await;
        health(&*provider).await;
        let all = vendor.asked();
        assert_eq!(all.len(), 2, "{kind}");
        for asked in all {
            let header = |name| asked.headers.get(name).map(String::as_str);
            assert_eq!(
                header("user-agent"),
                Some(concat!("neverdark/", env!("CARGO_PKG_VERSION"))),
                "{kind}"
            );
            assert_eq!(header("authorization"), Some("Bearer sk-secret"), "{kind}");
            assert_eq!(header("accept-encoding"), None, "{kind}");
        }
    }
}

/// Asks; the server lets go of the connection that was kept, before the next request or when it has it; asks again. Says what came the
/// second time, and how many requests the server had.
async fn let_go(under_the_request: bool) -> (String, usize) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (noticed, is_noticed) = oneshot::channel();
    let server = thread::spawn(move || {
        let Act::Send(bytes) = hello() else { return 0 };
        let mut requests = 0;
        let (mut first, _) = listener.accept().unwrap();
        requests += read(&mut first);
        first.write_all(&bytes).unwrap();
        if under_the_request {
            return requests + read(&mut first);
        }
        first.shutdown(Shutdown::Write).unwrap();
        // The other side closes, too, as soon as it has noticed.
        let _ = first.read(&mut [0]);
        let _ = noticed.send(());
        let (mut second, _) = listener.accept().unwrap();
        requests += read(&mut second);
        let _ = second.write_all(&bytes);
        requests
    });
    let provider = at(address);
    assert_eq!(ask(&*provider).await, "Hello.");
    if !under_the_request {
        timeout(PATIENCE, is_noticed).await.unwrap().unwrap();
    }
    let second = ask(&*provider).await;
    // Should the second request not have come, nobody waits for it.
    let _ = TcpStream::connect(address).await;
    (second, server.join().unwrap())
}

/// 1 if there was a request; it comes in one packet.
fn read(socket: &mut std::net::TcpStream) -> usize {
    usize::from(socket.read(&mut [0; 8192]).is_ok_and(|it| it > 0))
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_fails_no_call() {
    assert_eq!(let_go(false).await, ("Hello.".to_owned(), 2));
}

#[tokio::test]
async fn a_request_that_may_have_been_taken_is_left_to_the_router() {
    assert_eq!(let_go(true).await, ("connection: lost before the answer".to_owned(), 2));
}

#[tokio::test]
async fn names_and_addresses_where_nobody_is() {
    // No part of a name may be that long: nobody has to be asked to know that there is none.
    let nobody = format!("http://{}.invalid/v1", "x".repeat(64));
    check_address(&nobody, expect!["connection: dns · connection: dns"]).await;
    let closed = Listener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check_address(&format!("http://{closed}/v1"), expect!["connection: refused · connection: refused"]).await;
    check_address("http://255.255.255.255/v1", expect!["connection: unreachable · connection: unreachable"])
        .await;
}

#[tokio::test]
async fn an_address_that_swallows_everything() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // Fills the queue of those who were not accepted; the kernel drops what comes then.
    while let Ok(Ok(it)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        waiting.push(it);
        assert!(waiting.len() < 100, "the queue has no end");
    }
    check_address(
        &format!("http://{address}/v1"),
        expect!["connection: connect timeout · connection: connect timeout"],
    )
    .await;
    // One that is accepted by the kernel and never says a word: TLS is a part of the time to connect.
    drop(waiting);
    let mute = Listener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    check_address(
        &format!("https://{address}/v1"),
        expect!["connection: connect timeout · connection: connect timeout"],
    )
    .await;
}

#[tokio::test]
async fn what_is_not_http() {
    check(
        || vec![Act::Send(b"220 mail.example ESMTP\r\n".to_vec())],
        expect!["malformed: not http · malformed: not http"],
    )
    .await;
    check(
        || vec![Act::Close],
        expect!["connection: lost before the answer · connection: lost before the answer"],
    )
    .await;
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    check_address(&format!("https://{address}/v1"), expect!["connection: tls · connection: tls"]).await;
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let elsewhere = Vendor::start(|_| vec![hello()]).await;
    let address = elsewhere.address;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let vendor = Vendor::start(move |_| {
            vec![answer(status, &format!("location: http://{address}/v1/chat/completions\r\n"), "")]
        })
        .await;
        let provider = at(vendor.address);
        let told = format!("malformed (HTTP {}): redirect", &status[..3]);
        assert_eq!((ask(&*provider).await, health(&*provider).await), (told.clone(), told));
    }
    assert_eq!(elsewhere.connections(), 0, "the key did not travel");
}

#[tokio::test]
async fn bodies_without_end_or_in_a_form_that_nobody_asked_for() {
    check(
        || vec![Act::Send(b"HTTP/1.1 500 Oops\r\n\r\n".to_vec()), Act::Endless(vec![b'x'; 4096])],
        expect!["server_error (HTTP 500) · server_error (HTTP 500)"],
    )
    .await;
    check(
        || vec![Act::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Act::Endless(vec![b' '; 65536])],
        expect!["malformed (HTTP 200): too long · well"],
    )
    .await;
    check(
        || vec![Act::Endless(b"x-header: and so on\r\n".to_vec())],
        expect!["malformed: not http · malformed: not http"],
    )
    .await;
    check(
        || {
            vec![
                Act::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
                Act::Endless(b"x-header: and so on\r\n".to_vec()),
            ]
        },
        expect!["malformed: not http · malformed: not http"],
    )
    .await;
    // As gzip begins. The check of its health has no body to read, and does not mind.
    let packed = || {
        vec![
            Act::Send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08\0".into()),
            Act::Endless(vec![7; 65536]),
        ]
    };
    check(packed, expect!["malformed (HTTP 200): compressed · well"]).await;
    let refused = || vec![answer("429 Too Many", "content-encoding: gzip\r\nretry-after: 7\r\n", "\u{1f}")];
    check(refused, expect!["rate_limited (HTTP 429) · rate_limited (HTTP 429)"]).await;
}
