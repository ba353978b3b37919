//! `neverdark run`: it serves, says how it is, and speaks with nobody but the addresses of its configuration.

use super::bot::{Browser, Home, until};
use serde_json::json;
use sim::discord::{GatewayFault, RestEffect, RestFault};
use std::time::Duration;
use tokio::time::Instant;

/// What monitors may rely on: readiness is withdrawn within this time after the gateway was lost.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_and_says_how_it_is() {
    let home = Home::new("alpha: 500 | beta: 'Good evening, and a secret for you.'").await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.run(&[("NEVERDARK__ROUTER__ATTEMPTS_PER_PROVIDER", "1")]);
    let (status, browser) = (bot.status().await, Browser::new());
    assert_eq!(browser.get(&format!("{status}/livez")).await, (200, "ok\n".to_owned()));
    let ready = until("/readyz is 200", async || {
        let (code, body) = browser.json(&format!("{status}/readyz")).await;
        (code == 200).then_some(body)
    });
    assert_eq!(ready.await, json!({"ready": true, "gateway": true, "store": true, "provider": true}));

    home.stage.discord.say("ana", harbour, "@neverdark what about my secret?", None);
    home.shown(harbour, "-# answered by beta").await;
    let metrics = until("the turn is counted", async || {
        let (_, text) = browser.get(&format!("{status}/metrics")).await;
        text.contains("neverdark_turns_total{end=\"answered\"} 1").then_some(text)
    });
    let metrics = metrics.await;
    for line in [
        "neverdark_attempts_total{provider=\"alpha\",outcome=\"failed\"} 1",
        "neverdark_attempts_total{provider=\"beta\",outcome=\"answered\"} 1",
        "neverdark_first_text_seconds_count{provider=\"beta\"} 1",
        "neverdark_provider_ready{provider=\"beta\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    let (code, providers) = browser.json(&format!("{status}/api/providers")).await;
    assert_eq!((code, providers[1]["name"].as_str()), (200, Some("beta")), "{providers}");
    let (code, stats) = browser.json(&format!("{status}/api/stats?since=1h")).await;
    assert_eq!(code, 200);
    assert_eq!(stats[0]["failures"], json!({"server_error": 1}), "{stats}");
    assert_eq!(browser.json(&format!("{status}/api/stats?since=soon")).await.0, 400);
    #[cfg(target_os = "linux")]
    for peer in bot.peers() {
        assert!(peer.starts_with("0100007F:") || peer == "00000000:0000", "it speaks with {peer}");
    }

    let ended = bot.stop().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    for private in ["secret", home.stage.discord.token()] {
        assert!(!ended.stderr.contains(private), "{private:?} is in the log:\n{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_gateway_is_told_and_found_again() {
    let home = Home::new("alpha: 'I am here.'").await;
    let harbour = home.stage.discord.channel("harbour");
    let bot = home.serve(&[]).await;
    let (ready, browser) = (format!("{}/readyz", bot.status().await), Browser::new());
    let state = async |is_ready: bool| {
        let what = format!("gateway is {is_ready} in /readyz");
        until(&what, async || (browser.json(&ready).await.1["gateway"] == json!(is_ready)).then_some(()))
            .await;
    };
    state(true).await;

    let lost = Instant::now();
    home.stage.discord.gateway(GatewayFault::Refuse(true));
    home.stage.discord.gateway(GatewayFault::Drop);
    state(false).await;
    assert!(lost.elapsed() < TOLD_WITHIN, "it took {:?}", lost.elapsed());
    assert_eq!(browser.get(&ready).await.0, 503);

    home.stage.discord.gateway(GatewayFault::Refuse(false));
    state(true).await;
    home.stage.discord.say("ana", harbour, "@neverdark are you there?", None);
    home.shown(harbour, "I am here.").await;
    assert_eq!(bot.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_cannot_be_asked_for_is_an_error_and_not_the_real_one() {
    let home = Home::new("alpha: 'Hello.'").await;
    let failing = RestEffect::Status(500);
    home.stage.discord.rest_fault(RestFault {
        method: None,
        route: "/gateway".to_owned(),
        times: u32::MAX,
        effect: failing,
    });
    let ended = home.run(&[]).ended().await;
    let said = ended.stderr.lines().last().unwrap_or_default().replace(&home.stage.discord.base(), "BASE");
    expect_test::expect!["neverdark: Discord could not be reached at BASE: Discord cannot be reached (HTTP 500). Check the network, and discord.api_base if you set it"].assert_eq(&said);
    assert_eq!(ended.code, Some(1));
    assert_eq!(home.stage.discord.sessions().connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_library_does_not_fall_back_to_the_real_gateway_either() {
    let home = Home::new("alpha: 'I am here.'").await;
    let harbour = home.stage.discord.channel("harbour");
    // Our own question comes first and is only slow; the client library's own question fails.
    for (times, effect) in
        [(1, RestEffect::Delay(Duration::from_millis(1))), (u32::MAX, RestEffect::Status(500))]
    {
        let route = "/gateway".to_owned();
        home.stage.discord.rest_fault(RestFault { method: None, route, times, effect });
    }
    let bot = home.serve(&[]).await;
    home.stage.discord.say("ana", harbour, "@neverdark are you there?", None);
    home.shown(harbour, "I am here.").await;
    assert!(home.stage.discord.counts("gateway").contains(&(500, 1)), "the library did not ask");
    assert_eq!(bot.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_discord_there_is_still_a_status_server() {
    let home = Home::new("alpha: 'Hello.'").await;
    let bot = home.run(&[("NEVERDARK__DISCORD__ENABLED", "false")]);
    let (status, browser) = (bot.status().await, Browser::new());
    let (code, body) = browser.json(&format!("{status}/readyz")).await;
    assert_eq!(code, 200, "{body}");
    assert_eq!(bot.stop().await.code, Some(0));
    assert_eq!(home.stage.discord.requests(), []);
}
