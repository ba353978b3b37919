//! What the gateway keeps from one process to the next.

use super::*;
use crate::store::{Mark, Recent};

fn mark(shard: u32, id: u64) -> Mark {
    Mark { shard, shards: 2, message: MessageId(id) }
}

#[tokio::test]
async fn marks_outlive_the_process_and_replace_those_before() {
    let (dir, store) = fresh().await;
    assert_eq!(store.marks().await.unwrap(), [], "a new database has none");
    let _ = store.claim(&message(7, "hi"), &turn("t1")).await.unwrap();
    let claimed = Mark { shard: 0, shards: 1, message: MessageId(7) };
    assert_eq!(store.marks().await.unwrap(), [claimed], "one from before there were marks has its turns");
    store.keep_marks(&[mark(0, 10), mark(1, u64::MAX - 1)], at(1)).await.unwrap();
    store.keep_marks(&[mark(0, 11), mark(1, u64::MAX - 1)], at(2)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = Store::open(&url(&dir)).await.unwrap();
    assert_eq!(store.marks().await.unwrap(), [mark(0, 11), mark(1, u64::MAX - 1)]);
}

#[tokio::test]
async fn starts_in_vain_are_counted_until_one_is_of_use() {
    let (_dir, store) = fresh().await;
    for in_vain in 0..3 {
        assert_eq!(store.begin_start(at(1000 + i64::from(in_vain))).await.unwrap(), in_vain);
    }
    store.start_went_well().await.unwrap();
    assert_eq!(store.begin_start(at(1010)).await.unwrap(), 0, "it was steady, or ended well");
    assert_eq!(store.begin_start(at(1011)).await.unwrap(), 1);
    let _ = store.claim(&message(1012, "hi"), &turn("t1")).await.unwrap();
    assert!(store.finish(&turn("t1"), &answered("Hello."), at(1013)).await.unwrap());
    assert_eq!(store.begin_start(at(1014)).await.unwrap(), 0, "it answered somebody");
    assert_eq!(store.begin_start(at(1015)).await.unwrap(), 1, "that was before the last start");
    assert_eq!(store.begin_start(at(1015 + 31 * 60 * 1000)).await.unwrap(), 0, "long after it");
}

#[tokio::test]
async fn what_is_known_of_places_and_messages() {
    let (_dir, store) = fresh().await;
    let direct = |id: u64, channel: u64| Inbound {
        place: Place::Dm,
        guild_id: None,
        channel_id: ChannelId(channel),
        ..message(id, "hi")
    };
    for (name, it) in
        [("t1", direct(5, 50)), ("t2", message(6, "hi")), ("t3", direct(7, 51)), ("t4", direct(8, 50))]
    {
        let _ = store.claim(&it, &turn(name)).await.unwrap();
    }
    let places = [CHANNEL, ChannelId(50), ChannelId(51)].into();
    let recent = Recent { places, direct: vec![ChannelId(50), ChannelId(51)] };
    assert_eq!(store.recent_places().await.unwrap(), recent);
    let claimed = store.claimed(&[MessageId(4), MessageId(5), MessageId(8)]).await.unwrap();
    assert_eq!(claimed, [MessageId(5), MessageId(8)].into());
    assert_eq!(store.first_claim(ChannelId(50)).await.unwrap(), Some(MessageId(5)));
    assert_eq!(store.first_claim(ChannelId(9)).await.unwrap(), None);
}

#[tokio::test]
async fn turns_that_are_too_old_come_with_what_was_shown_of_them() {
    let (_dir, store) = fresh().await;
    for (id, name) in [(1, "t1"), (2, "t2"), (3, "t3"), (9, "t9")] {
        let _ = store.claim(&message(id, "hi"), &turn(name)).await.unwrap();
    }
    store.note_part(&turn("t3"), 0, MessageId(30)).await.unwrap();
    assert!(store.finish(&turn("t2"), &answered("Hello."), at(4)).await.unwrap());
    let overdue = store.overdue(at(5), at(5)).await.unwrap();
    let brief: Vec<_> = overdue.iter().map(|it| (it.turn.0.as_str(), it.parts.as_slice())).collect();
    assert_eq!(brief, [("t1", &[][..]), ("t3", &[(0, MessageId(30))][..])]);
}
