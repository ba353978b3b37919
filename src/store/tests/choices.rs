//! What moderators choose holds where and as long as they said, and is written down.

use super::*;
use crate::store::{By, Scope};
use expect_test::expect;

fn by(millis: i64) -> By {
    let user = Speaker { id: UserId(7), name: "Mo".to_owned() };
    By { guild_id: SERVER, channel_id: Some(CHANNEL), user, at: at(millis) }
}

const ELSEWHERE: ChannelId = ChannelId(9);

async fn pinned(store: &Store, channel: ChannelId, now: i64) -> Option<String> {
    let pin = store.pin_for(channel, Some(SERVER), at(now)).await.unwrap()?;
    Some(format!("{}{}", pin.provider, if pin.strict { ", strict" } else { "" }))
}

#[tokio::test]
async fn a_channels_pin_comes_before_the_servers_and_ends_by_itself() {
    let (_dir, store) = fresh().await;
    store.pin(Scope::Server(SERVER), "alpha", false, None, &by(1)).await.unwrap();
    store.pin(Scope::Channel(CHANNEL), "beta", true, Some(at(100)), &by(2)).await.unwrap();
    assert_eq!(pinned(&store, CHANNEL, 99).await.as_deref(), Some("beta, strict"));
    assert_eq!(pinned(&store, CHANNEL, 100).await.as_deref(), Some("alpha"));
    assert_eq!(pinned(&store, ELSEWHERE, 99).await.as_deref(), Some("alpha"));
    assert_eq!(store.pin_for(ELSEWHERE, None, at(99)).await.unwrap(), None, "a DM has no server's pin");

    assert_eq!(
        store.pin_for(ELSEWHERE, Some(GuildId(2)), at(99)).await.unwrap(),
        None,
        "nor another server's"
    );

    store.pin(Scope::Channel(CHANNEL), "gamma", false, None, &by(3)).await.unwrap();
    assert_eq!(
        pinned(&store, CHANNEL, 500).await.as_deref(),
        Some("gamma"),
        "the new one replaces the old one"
    );
    assert!(store.unpin(Scope::Channel(CHANNEL), &by(4)).await.unwrap());
    assert!(!store.unpin(Scope::Channel(CHANNEL), &by(5)).await.unwrap());
    assert_eq!(pinned(&store, CHANNEL, 500).await.as_deref(), Some("alpha"));
    let foreign = By { guild_id: GuildId(2), ..by(6) };
    assert!(
        !store.unpin(Scope::Server(SERVER), &foreign).await.unwrap(),
        "another server's pins are not ours"
    );
}

#[tokio::test]
async fn a_pin_survives_a_restart_whole() {
    let (dir, store) = fresh().await;
    store.pin(Scope::Channel(CHANNEL), "beta", true, Some(at(100)), &by(2)).await.unwrap();
    let before = store.pin_for(CHANNEL, Some(SERVER), at(3)).await.unwrap().unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = Store::open(&url(&dir)).await.unwrap();
    assert_eq!(store.pin_for(CHANNEL, Some(SERVER), at(3)).await.unwrap().as_ref(), Some(&before));
    assert_eq!(before.scope, Scope::Channel(CHANNEL));
    assert_eq!((before.by, before.until, before.created_at), (UserId(7), Some(at(100)), at(2)));
}

#[tokio::test]
async fn a_provider_is_off_until_its_time_or_until_it_is_switched_on() {
    let (_dir, store) = fresh().await;
    store.disable("alpha", Some(at(100)), &by(1)).await.unwrap();
    store.disable("beta", None, &by(2)).await.unwrap();
    let off = async |now| -> Vec<String> {
        store.disabled_in(SERVER, at(now)).await.unwrap().into_iter().map(|it| it.provider).collect()
    };
    assert_eq!(off(99).await, ["alpha", "beta"]);
    assert_eq!(off(100).await, ["beta"]);
    store.disable("alpha", Some(at(300)), &by(3)).await.unwrap();
    assert_eq!(off(200).await, ["alpha", "beta"]);
    assert!(store.enable("beta", &by(4)).await.unwrap());
    assert!(!store.enable("beta", &by(5)).await.unwrap());
    let left = store.disabled_in(SERVER, at(200)).await.unwrap();
    assert_eq!((left[0].until, left[0].by, left[0].created_at), (Some(at(300)), UserId(7), at(3)));
    assert_eq!(store.disabled_in(GuildId(2), at(0)).await.unwrap(), []);
}

#[tokio::test]
async fn every_change_is_written_down_once() {
    let (_dir, store) = fresh().await;
    store.pin(Scope::Channel(ELSEWHERE), "beta", true, Some(at(100)), &by(1)).await.unwrap();
    store.pin(Scope::Server(SERVER), "alpha", false, None, &by(2)).await.unwrap();
    store.unpin(Scope::Server(SERVER), &by(3)).await.unwrap();
    store.unpin(Scope::Server(SERVER), &by(4)).await.unwrap();
    store.disable("alpha", Some(at(50)), &by(5)).await.unwrap();
    store.enable("alpha", &by(6)).await.unwrap();
    store.enable("alpha", &by(7)).await.unwrap();
    let lines: Vec<String> = sqlx::query_scalar(
        "SELECT at || ' ' || by_name || ' (' || by_user || ') from ' || channel_id || ' of ' || guild_id || ': ' || action || ' '
                || detail || char(10) FROM audit ORDER BY id DESC",
    )
    .fetch_all(&store.reader)
    .await
    .unwrap();
    expect![[r#"
        6 Mo (7) from -6 of 1: enable alpha
        5 Mo (7) from -6 of 1: disable alpha, until 50
        3 Mo (7) from -6 of 1: unpin in the server
        2 Mo (7) from -6 of 1: pin alpha, in the server
        1 Mo (7) from -6 of 1: pin beta, in channel 9, until 100, strict
    "#]]
    .assert_eq(&lines.concat());
}

#[tokio::test]
async fn choices_that_ended_long_ago_go() {
    let (_dir, store) = fresh().await;
    store.pin(Scope::Server(SERVER), "alpha", false, Some(at(10)), &by(1)).await.unwrap();
    store.pin(Scope::Channel(CHANNEL), "alpha", false, None, &by(1)).await.unwrap();
    store.disable("alpha", Some(at(10)), &by(1)).await.unwrap();
    store.disable("beta", None, &by(1)).await.unwrap();
    store.prune(at(0), at(11)).await.unwrap();
    assert_eq!(pinned(&store, CHANNEL, 0).await.as_deref(), Some("alpha"));
    assert_eq!(pinned(&store, ELSEWHERE, 0).await, None);
    assert_eq!(store.disabled_in(SERVER, at(0)).await.unwrap().len(), 1);
}
