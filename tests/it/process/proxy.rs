//! The environment's proxies with the real program: who is asked through them, and that their passwords stay where they are.

use super::asking::{Asking, LOUD, trusting};
use crate::vendor::{
    Act, Vendor, answer, hello,
    tls::{Manner, Secure},
};
use expect_test::{Expect, expect};
use std::{fmt::Write, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// A proxy that brings everybody to this address, and answers plain requests itself.
async fn proxy(to: SocketAddr) -> Vendor {
    Vendor::start(move |asked| {
        if asked.line.starts_with("CONNECT ") {
            vec![Act::Send(b"HTTP/1.1 200 Connected\r\n\r\n".to_vec()), Act::Tunnel(to)]
        } else {
            vec![hello()]
        }
    })
    .await
}

/// What a proxy was asked: a line, and what it was told about who asks.
fn heard(proxy: &Vendor) -> String {
    let mut out = String::new();
    for asked in proxy.asked() {
        let header = |name: &str| asked.headers.get(name).map_or("–", |it| it.as_str());
        // The port of a tunnel's end is another one each time.
        let line = match asked.line.rsplit_once(':') {
            Some((line, _)) if line.starts_with("CONNECT ") => line,
            _ => &asked.line,
        };
        let (login, key) = (header("proxy-authorization"), header("authorization"));
        writeln!(out, "{line} · {} · {login} · {key}", header("user-agent").split('/').next().unwrap())
            .unwrap();
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_goes_through_the_proxy() {
    let expected = expect![[r#"
        POST http://vendor.test/v1/chat/completions HTTP/1.1 · neverdark · Basic dXNlcjpwYUBzcw== · Bearer sk-hush-hush
    "#]];
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let proxy = proxy("127.0.0.1:1".parse().unwrap()).await;
        let url = format!("http://user:pa%40ss@{}", proxy.address);
        let asking = Asking::new("http://vendor.test/v1").with(name, &url);
        assert_eq!(asking.outcome().await, "answered", "{name}");
        expected.assert_eq(&heard(&proxy));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_goes_through_a_tunnel_and_the_proxy_learns_nothing() {
    let vendor = Secure::start(Manner::Http2).await;
    let expected = expect![[r#"
        CONNECT vendor.test · neverdark · Basic dXNlcjpwYUBzcw== · –
    "#]];
    for name in ["HTTPS_PROXY", "all_proxy"] {
        let proxy = proxy(vendor.address).await;
        let asking = trusting(&vendor, &format!("https://vendor.test:{}/v1", vendor.address.port()))
            .with(name, &format!("http://user:pa%40ss@{}", proxy.address));
        assert_eq!(asking.outcome().await, "answered", "{name}");
        expected.assert_eq(&heard(&proxy));
        assert_eq!(vendor.asked().last().unwrap().line, "POST /v1/chat/completions HTTP/2.0");
    }
}

/// A SOCKS 5 proxy for one caller, who is brought to this address; what it was asked for.
async fn socks(to: SocketAddr) -> (SocketAddr, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = oneshot::channel();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        let (mut caller, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 2];
        caller.read_exact(&mut greeting).await.unwrap();
        caller.read_exact(&mut vec![0; greeting[1].into()]).await.unwrap();
        // Nobody has to log in.
        caller.write_all(&[5, 0]).await.unwrap();
        // Version, command, nothing, 3 for a name, its length.
        let mut request = [0; 5];
        caller.read_exact(&mut request).await.unwrap();
        let mut name = vec![0; request[4].into()];
        caller.read_exact(&mut name).await.unwrap();
        caller.read_exact(&mut [0; 2]).await.unwrap();
        let _ = tell.send(format!("{:?} {}", &request[..4], String::from_utf8_lossy(&name)));
        caller.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut vendor = TcpStream::connect(to).await.unwrap();
        let _ = copy_bidirectional(&mut caller, &mut vendor).await;
    });
    (address, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socks_proxy_is_spoken_to_in_its_own_words() {
    let vendor = Vendor::start(|_| vec![hello()]).await;
    let (proxy, asked) = socks(vendor.address).await;
    let asking = Asking::new("http://vendor.test/v1").with("ALL_PROXY", &format!("socks5h://{proxy}"));
    assert_eq!(asking.outcome().await, "answered");
    assert_eq!(asked.await.unwrap(), "[5, 1, 0, 3] vendor.test");
    assert_eq!(vendor.asked()[0].line, "POST /v1/chat/completions HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_level_shows_a_proxys_password() {
    let vendor = Secure::start(Manner::Http2).await;
    let proxy = proxy(vendor.address).await;
    let asking = trusting(&vendor, &format!("https://vendor.test:{}/v1", vendor.address.port()))
        .with("ALL_PROXY", &format!("http://user:pa%40ss@{}", proxy.address))
        .with("NEVERDARK__LOG__LEVEL", LOUD);
    let log = asking.serve_once().await;
    assert!(log.contains("h2::"), "{log}");
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_excepted_is_called_directly() {
    let proxy = proxy("127.0.0.1:1".parse().unwrap()).await;
    let url = format!("http://{}", proxy.address);
    let excepted = Asking::new("http://api.vendor.invalid/v1")
        .with("HTTP_PROXY", &url)
        .with("NO_PROXY", "vendor.invalid");
    assert_eq!(excepted.outcome().await, "connection: dns");
    let here = Vendor::start(|_| vec![hello()]).await;
    for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
        let base_url = format!("http://{host}:{}/v1", here.address.port());
        assert_eq!(Asking::new(&base_url).with("ALL_PROXY", &url).outcome().await, "answered", "{host}");
    }
    assert_eq!((here.asked().len(), proxy.connections()), (3, 0));
}

/// What a call comes to through a proxy that answers everything so: without TLS, and with.
async fn check(status: &'static str, expected: Expect) {
    let proxy = Vendor::start(move |_| vec![answer(status, "", "No.")]).await;
    check_at(proxy.address, expected).await;
}

async fn check_at(proxy: SocketAddr, expected: Expect) {
    let url = format!("http://user:pa%40ss@{proxy}");
    let mut told = Vec::new();
    for scheme in ["http", "https"] {
        let asking = Asking::new(&format!("{scheme}://vendor.test/v1")).with("ALL_PROXY", &url);
        told.push(asking.outcome().await);
    }
    expected.assert_eq(&told.join(" · "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_does_not_do_it() {
    check(
        "407 Proxy Authentication Required",
        expect!["auth (HTTP 407): proxy login · auth (HTTP 407): proxy login"],
    )
    .await;
    check("403 Forbidden", expect!["auth (HTTP 403) · connection: proxy"]).await;
    check("502 Bad Gateway", expect!["server_error (HTTP 502) · connection: proxy"]).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check_at(closed, expect!["connection: refused · connection: proxy"]).await;
    let asking = Asking::new("http://vendor.test/v1").with("ALL_PROXY", &format!("socks5h://{closed}"));
    assert_eq!(asking.outcome().await, "connection: proxy");
}
