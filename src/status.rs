//! The status server: whether the process lives, whether it can work, and what it counted.

use crate::{chat::Chat, message::UnixMillis};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{future::Future, io, time::Duration};
use tokio::{net::TcpListener, sync::watch, time::timeout};

/// A store that takes longer than this to write a row is not ready.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// What the status server looks at.
#[derive(Clone, Debug)]
pub struct Status {
    /// The conversations, with the store and the providers behind them.
    pub chat: Chat,
    /// Whether gateway events arrive; none when the bot runs without Discord.
    pub gateway: Option<watch::Receiver<bool>>,
    /// Why the gateway is not connected to on purpose, if that is so.
    pub gateway_waits: Option<watch::Receiver<Option<String>>>,
}

/// Serves until `end`.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    status: Status,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/providers", get(providers))
        .route("/api/stats", get(stats))
        .with_state(status);
    axum::serve(listener, routes).with_graceful_shutdown(end).await
}

async fn ready(State(status): State<Status>) -> impl IntoResponse {
    let gateway = status.gateway.as_ref().is_none_or(|it| *it.borrow());
    let store = matches!(timeout(STORE_LIMIT, status.chat.store_is_writable()).await, Ok(Ok(())));
    let provider = status.chat.standings().iter().any(|it| it.standing.can_be_asked());
    let is_ready = gateway && store && provider;
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = json!({"ready": is_ready, "gateway": gateway, "store": store, "provider": provider});
    if let Some(why) = status.gateway_waits.as_ref().and_then(|it| it.borrow().clone()) {
        body["gateway_waits"] = why.into();
    }
    (code, Json(body))
}

async fn metrics(State(status): State<Status>) -> impl IntoResponse {
    let standings = status.chat.standings();
    let ready = standings.into_iter().map(|it| (it.name, it.standing.can_be_asked()));
    let text = status.chat.metrics().render(ready);
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

async fn providers(State(status): State<Status>) -> Json<Value> {
    let standings = status.chat.standings();
    let list: Vec<Value> = standings
        .iter()
        .map(|it| {
            json!({
                "name": it.name,
                "model": it.model,
                "breaker": it.standing.as_str(),
                "failure": it.standing.why(),
                "resting_ms": it.resting_for.map(|it| it.as_millis()),
                "first_text_p95_ms": it.first_text_p95.map(|it| it.as_millis()),
            })
        })
        .collect();
    Json(Value::Array(list))
}

/// `?since=24h`
#[derive(Deserialize)]
struct Window {
    since: Option<String>,
}

async fn stats(State(status): State<Status>, Query(window): Query<Window>) -> impl IntoResponse {
    let since = window.since.as_deref().unwrap_or("24h");
    let Ok(since) = humantime::parse_duration(since) else {
        let error = "since: expected a duration such as 30m, 24h or 7d";
        return (StatusCode::BAD_REQUEST, Json(json!({"error": error})));
    };
    let now = UnixMillis::now();
    match status.chat.reliability(now.minus(since), now).await {
        Ok(rows) => (StatusCode::OK, Json(Value::Array(rows.iter().map(row).collect()))),
        Err(failure) => {
            tracing::error!(error = %failure, "the ledger could not be read");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                Json(json!({"error": "the ledger can't be read; the log has the cause"})),
            )
        }
    }
}

/// A provider's row of the ledger as JSON, here and in `neverdark stats --json`.
#[must_use]
pub fn row(it: &crate::store::ProviderReliability) -> Value {
    json!({
        "provider": it.provider,
        "calls": it.calls,
        "answered": it.answered,
        "failed": it.failed,
        "overtaken": it.overtaken,
        "cancelled": it.cancelled,
        "failures": it.failures.iter().map(|(word, count)| (word.clone(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "p50_first_text_ms": it.p50_first_text_ms,
        "p95_first_text_ms": it.p95_first_text_ms,
        "p50_total_ms": it.p50_total_ms,
        "liked": it.liked,
        "disliked": it.disliked,
        "tokens_in": it.tokens_in,
        "tokens_out": it.tokens_out,
        "cost": it.cost,
        "estimated": it.is_estimated,
    })
}
