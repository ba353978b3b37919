//! Faults by chance, over REST and in the order of events.

use super::{
    client::{Bot, INTENTS, call, raw},
    free,
};
use crate::discord::Weather;
use serde_json::json;

#[tokio::test]
async fn calls_meet_every_fault_and_calm_ends_them() {
    let discord = free().await;
    let help = discord.channel("help");
    let (errors, garbled, limited, limited_globally) = (250, 250, 250, 100);
    discord.weather(Weather { seed: 7, errors, garbled, limited, limited_globally, ..Weather::default() });
    let path = format!("/channels/{help}/messages");
    for number in 0..100 {
        call(&discord, "POST", &path, json!({ "content": number.to_string() })).await;
    }
    let struck = discord.mishaps();
    assert_eq!(struck.keys().copied().collect::<Vec<_>>(), ["429", "429 global", "5xx", "garbled"]);
    let statuses = discord.statuses();
    assert_eq!(statuses[&429], struck["429"] + struck["429 global"]);
    assert_eq!(discord.messages(help).len() as u64, statuses[&200], "what was garbled was done");
    discord.weather(Weather { seed: 7, lost: 1000, ..Weather::default() });
    let head = format!(
        "POST /api/v10{path} HTTP/1.1\r\nauthorization: Bot {}\r\ncontent-type: application/json",
        discord.token()
    );
    assert!(raw(&discord, &head, br#"{"content":"and gone"}"#).await.is_none());
    discord.weather(Weather::default());
    assert_eq!(call(&discord, "POST", &path, json!({ "content": "calm" })).await.status, 200);
    let said: Vec<String> = discord.messages(help).into_iter().map(|it| it.content).collect();
    assert_eq!(said[said.len() - 2..], ["and gone", "calm"], "a lost answer was of a call that was done");
}

#[tokio::test]
async fn events_come_twice_or_after_their_successor_and_none_is_lost() {
    let discord = free().await;
    let help = discord.channel("help");
    let mut bot = Bot::ready(&discord, INTENTS).await;
    let mut hear = async |events: usize| {
        let mut heard = String::new();
        for _ in 0..events {
            heard += bot.event("MESSAGE_CREATE").await["content"].as_str().unwrap();
        }
        heard
    };
    discord.weather(Weather { seed: 1, twice: 1000, ..Weather::default() });
    discord.say("ana", help, "a", None);
    assert_eq!(hear(2).await, "aa");
    discord.weather(Weather { seed: 1, swapped: 1000, ..Weather::default() });
    for text in ["b", "c", "d"] {
        discord.say("ana", help, text, None);
    }
    discord.weather(Weather::default());
    assert_eq!(hear(3).await, "cbd");
    assert_eq!(discord.mishaps()["events swapped"], 2);
}
