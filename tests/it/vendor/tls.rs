//! A vendor's host with TLS, and a certificate of its own: it takes HTTP/2 or HTTP/1.1, and may send a request back untaken.

use super::{Asked, Book, hello, serve};
use h2::{Reason, server::SendResponse};
use hyper::{Request, Response, body::Bytes};
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    ssl::{AlpnError, Ssl, SslAcceptor, SslMethod, select_next_proto},
    x509::{
        X509, X509Name,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};
use std::{
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_openssl::SslStream;

/// What it does with requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    /// Takes HTTP/1.1 only.
    Http1,
    /// Takes HTTP/2, and answers.
    Http2,
    /// Sends the first request back: `REFUSED_STREAM`.
    Refuses,
    /// Ends the first connection without its request: `GOAWAY`, and the last one taken was none.
    GoesAway,
    /// Ends the first connection after its request was taken, without an answer.
    GoesAwayWithIt,
}

/// The host, as long as the test's runtime.
pub(crate) struct Secure {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    certificate: X509,
}

struct Shared {
    manner: Manner,
    book: Book,
    /// What clients offered to speak, as in the handshake: each with its length before it.
    offered: Mutex<Vec<u8>>,
    /// Whether an answer over HTTP/2 may go on behind its first word.
    go_on: watch::Sender<bool>,
}

type Tls = Pin<Box<SslStream<TcpStream>>>;

impl Secure {
    /// For `localhost` and `vendor.test`.
    pub(crate) async fn start(manner: Manner) -> Self {
        let (certificate, key) = self_signed();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            manner,
            book: Book::default(),
            offered: Mutex::default(),
            go_on: watch::Sender::new(true),
        });
        let acceptor = acceptor(&certificate, &key, &shared);
        let secure =
            Self { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared), certificate };
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let tls = SslStream::new(Ssl::new(acceptor.context()).unwrap(), socket).unwrap();
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { shared.welcome(Box::pin(tls)).await });
            }
        });
        secure
    }

    /// Writes its certificate to this file, for those who are to trust it.
    pub(crate) fn write_certificate(&self, path: &Path) {
        std::fs::write(path, self.certificate.to_pem().unwrap()).unwrap();
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.book.asked()
    }

    /// What the last client offered to speak.
    pub(crate) fn offered(&self) -> Vec<u8> {
        self.shared.offered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets answers pause behind their first word, or go on.
    pub(crate) fn go_on(&self, go_on: bool) {
        self.shared.go_on.send_replace(go_on);
    }
}

impl Shared {
    async fn welcome(self: Arc<Self>, mut tls: Tls) {
        // Who does not trust the certificate ends it here.
        if tls.as_mut().accept().await.is_err() {
            return;
        }
        let connection = self.book.connection();
        if tls.ssl().selected_alpn_protocol() != Some(b"h2") {
            return serve(tls, &self.book, &|_| vec![hello()]).await;
        }
        match self.manner {
            Manner::GoesAway if connection == 0 => self.go_away(tls, 0).await,
            Manner::GoesAwayWithIt if connection == 0 => self.go_away(tls, 1).await,
            _ => self.serve(tls).await,
        }
    }

    /// HTTP/2 as it should be.
    async fn serve(self: Arc<Self>, tls: Tls) {
        let Ok(mut http) = h2::server::handshake(tls).await else { return };
        while let Some(Ok((request, mut respond))) = http.accept().await {
            let asked = self.book.enter(read(&request));
            if self.manner == Manner::Refuses && asked.number == 0 {
                respond.send_reset(Reason::REFUSED_STREAM);
                continue;
            }
            let go_on = self.go_on.subscribe();
            #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
            tokio::spawn(answer(respond, go_on));
        }
    }

    /// Waits for a request, says which one was the last that it took, and ends the connection.
    async fn go_away(&self, mut tls: Tls, last_taken: u8) {
        const NO_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        const SETTINGS_SEEN: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
        let go_away = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last_taken, 0, 0, 0, 0];
        // "PRI * HTTP/2.0 …"
        let mut preface = [0; 24];
        tls.read_exact(&mut preface).await.unwrap();
        tls.write_all(&[NO_SETTINGS, SETTINGS_SEEN].concat()).await.unwrap();
        loop {
            let mut head = [0; 9];
            tls.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            tls.read_exact(&mut payload).await.unwrap();
            const HEADERS: u8 = 1;
            if head[3] == HEADERS {
                break;
            }
        }
        self.book.enter(Asked { line: "sent back".to_owned(), ..Asked::default() });
        let _ = tls.write_all(&go_away).await;
        let _ = tls.shutdown().await;
    }
}

fn read(request: &Request<h2::RecvStream>) -> Asked {
    let header =
        |name: &hyper::header::HeaderName| request.headers()[name].to_str().unwrap_or_default().to_owned();
    Asked {
        number: 0,
        line: format!("{} {} {:?}", request.method(), request.uri().path(), request.version()),
        headers: request.headers().keys().map(|name| (name.to_string(), header(name))).collect(),
    }
}

/// A stream with a pause behind its first word, if there is to be one.
async fn answer(mut respond: SendResponse<Bytes>, mut go_on: watch::Receiver<bool>) {
    const FIRST: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
    const REST: &str = "data: {\"choices\":[{\"delta\":{\"content\":\", Ana.\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let head = Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
    let Ok(mut body) = respond.send_response(head, false) else { return };
    let _ = body.send_data(Bytes::from_static(FIRST.as_bytes()), false);
    let _ = go_on.wait_for(|it| *it).await;
    let _ = body.send_data(Bytes::from_static(REST.as_bytes()), true);
}

fn acceptor(certificate: &X509, key: &PKey<Private>, shared: &Arc<Shared>) -> SslAcceptor {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(key).unwrap();
    acceptor.set_certificate(certificate).unwrap();
    let shared = Arc::clone(shared);
    acceptor.set_alpn_select_callback(move |_, offered| {
        *shared.offered.lock().unwrap_or_else(PoisonError::into_inner) = offered.to_vec();
        let mine: &[u8] =
            if shared.manner == Manner::Http1 { b"\x08http/1.1" } else { b"\x02h2\x08http/1.1" };
        select_next_proto(mine, offered).ok_or(AlpnError::NOACK)
    });
    acceptor.build()
}

fn self_signed() -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "vendor.test").unwrap();
    let name = name.build();
    let mut it = X509::builder().unwrap();
    it.set_version(2).unwrap();
    it.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    it.set_subject_name(&name).unwrap();
    it.set_issuer_name(&name).unwrap();
    it.set_pubkey(&key).unwrap();
    it.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    it.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    it.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    let mut names = SubjectAlternativeName::new();
    let names = names.dns("localhost").dns("vendor.test");
    let names = names.build(&it.x509v3_context(None, None)).unwrap();
    it.append_extension(names).unwrap();
    it.sign(&key, MessageDigest::sha256()).unwrap();
    (it.build(), key)
}
