//! Runs every query on a real SQLite file.

mod again;
mod choices;
mod conversations;
mod durability;
mod ledger;
mod lessons;
mod marks;
mod opening;
mod privacy;
mod rests;
mod schema;
mod turns;

use super::{Claim, End, Store};
use crate::message::{
    ChannelId, GuildId, Inbound, MessageId, Place, Speaker, Trigger, TurnId, UnixMillis, UserId,
};
use tempfile::TempDir;

const SERVER: GuildId = GuildId(1);
/// Snowflakes use all 64 bits one day; the tables must not mind.
const CHANNEL: ChannelId = ChannelId(u64::MAX - 5);

async fn fresh() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&url(&dir)).await.unwrap();
    (dir, store)
}

fn url(dir: &TempDir) -> String {
    format!("sqlite://{}", dir.path().join("neverdark.db").display())
}

fn turn(name: &str) -> TurnId {
    TurnId(name.to_owned())
}

fn at(millis: i64) -> UnixMillis {
    UnixMillis(millis)
}

/// A message in [`CHANNEL`], received at the millisecond of its id.
fn message(id: u64, text: &str) -> Inbound {
    Inbound {
        message_id: MessageId(id),
        channel_id: CHANNEL,
        guild_id: Some(SERVER),
        place: Place::Channel,
        trigger: Trigger::Mention,
        author: Speaker { id: UserId(100), name: "Ana".to_owned() },
        text: text.to_owned(),
        replied_to: None,
        opening: None,
        beside: Default::default(),
        received_at: at(id.cast_signed()),
        wish: None,
    }
}

fn answered(text: &str) -> End {
    End::Answered { provider: "alpha".to_owned(), text: text.to_owned() }
}

/// Claims a message for a turn of the same name.
async fn asked(store: &Store, id: u64, text: &str) -> TurnId {
    let turn = turn(&format!("t{id}"));
    assert_eq!(store.claim(&message(id, text), &turn).await.unwrap(), Claim::New);
    turn
}

async fn number(store: &Store, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&store.reader).await.unwrap()
}
