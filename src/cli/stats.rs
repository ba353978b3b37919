//! `neverdark stats`: reliability, latency, tokens and cost by provider, from the ledger.

use super::{Exit, fail, wrong_config};
use crate::{
    config::{self, Env},
    message::UnixMillis,
    status::row,
    store::{ProviderReliability, Store},
};
use std::{fmt::Write, path::Path, time::Duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How far back, such as 30m, 24h or 7d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    since: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a duration such as 30m, 24h or 7d".to_owned())
}

pub(crate) async fn run(arguments: Arguments, explicit: Option<&Path>, env: &Env) -> Exit {
    let loaded = match config::load(explicit, env) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong_config(&problems),
    };
    let store = match Store::open_read_only(&loaded.config.store.url).await {
        Ok(store) => store,
        Err(failure) => return fail(Exit::Config, &failure),
    };
    let now = UnixMillis::now();
    let rows = match store.reliability(now.minus(arguments.since), now.plus(Duration::from_millis(1))).await {
        Ok(rows) => rows,
        Err(failure) => return fail(Exit::Failed, &failure),
    };
    if arguments.json {
        say_line!("{}", serde_json::Value::Array(rows.iter().map(row).collect()));
    } else if rows.is_empty() {
        say_line!("No calls in the last {}.", humantime::format_duration(arguments.since));
    } else {
        say!("{}", table(&rows));
    }
    Exit::Done
}

fn table(rows: &[ProviderReliability]) -> String {
    let width = rows.iter().map(|it| it.provider.len()).max().unwrap_or(0).max("provider".len());
    // Two columns that stay away until somebody has voted.
    let is_rated = rows.iter().any(|it| it.liked + it.disliked > 0);
    let rated = |up: &str, down: &str| if is_rated { format!("  {up:>5}  {down:>5}") } else { String::new() };
    let mut out = format!(
        "{:width$}  {:>7}  {:>8}  {:>9}  {:>9}  {:>10}  {:>10}  {:>8}{}  failures\n",
        "provider",
        "calls",
        "answered",
        "first p50",
        "first p95",
        "tokens in",
        "tokens out",
        "cost",
        rated("up", "down")
    );
    for it in rows {
        // Losing a race and being cancelled say nothing about a provider.
        let judged = it.answered + it.failed;
        let share =
            (100 * it.answered).checked_div(judged).map_or("–".to_owned(), |share| format!("{share} %"));
        let ms = |it: Option<u64>| it.map_or("–".to_owned(), |ms| format!("{ms} ms"));
        let failures: Vec<_> = it.failures.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let (p50, p95) = (ms(it.p50_first_text_ms), ms(it.p95_first_text_ms));
        let about = if it.is_estimated { "~" } else { "" };
        let (tokens_in, tokens_out) =
            (format!("{about}{}", it.tokens_in), format!("{about}{}", it.tokens_out));
        let cost = format!("{about}{:.4}", it.cost);
        // Writing to a String cannot fail.
        let line = format!(
            "{:width$}  {:>7}  {share:>8}  {p50:>9}  {p95:>9}  {tokens_in:>10}  {tokens_out:>10}  {cost:>8}{}  {}",
            it.provider,
            it.calls,
            rated(&it.liked.to_string(), &it.disliked.to_string()),
            failures.join(", ")
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_table_for_people() {
        let alpha = ProviderReliability {
            provider: "alpha".to_owned(),
            calls: 10,
            answered: 6,
            failed: 2,
            overtaken: 2,
            failures: vec![("rate_limited".to_owned(), 2)],
            p50_first_text_ms: Some(310),
            p95_first_text_ms: Some(2200),
            tokens_in: 12_000,
            tokens_out: 900,
            cost: 0.039,
            ..ProviderReliability::default()
        };
        let beta =
            ProviderReliability { provider: "a-long-name".to_owned(), ..ProviderReliability::default() };
        let gamma = ProviderReliability {
            provider: "gamma".to_owned(),
            calls: 3,
            answered: 3,
            tokens_in: 400,
            tokens_out: 90,
            cost: 0.01,
            is_estimated: true,
            ..ProviderReliability::default()
        };
        expect![[r#"
            provider       calls  answered  first p50  first p95   tokens in  tokens out      cost  failures
            alpha             10      75 %     310 ms    2200 ms       12000         900    0.0390  2 rate_limited
            a-long-name        0         –          –          –           0           0    0.0000
            gamma              3     100 %          –          –        ~400         ~90   ~0.0100
        "#]].assert_eq(&table(&[alpha.clone(), beta.clone(), gamma.clone()]));
        let alpha = ProviderReliability { liked: 12, disliked: 3, ..alpha };
        expect![[r#"
            provider       calls  answered  first p50  first p95   tokens in  tokens out      cost     up   down  failures
            alpha             10      75 %     310 ms    2200 ms       12000         900    0.0390     12      3  2 rate_limited
            a-long-name        0         –          –          –           0           0    0.0000      0      0
            gamma              3     100 %          –          –        ~400         ~90   ~0.0100      0      0
        "#]].assert_eq(&table(&[alpha, beta, gamma]));
    }
}
