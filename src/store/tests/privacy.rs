//! What people may ask: to see what there is of them, to be forgotten down to the bytes of the file, and to be left out.

use super::*;
use crate::message::{ConversationId, Opening, Quoted};
use crate::store::{By, Forgotten, Quiet};
use expect_test::expect;

const ANA: UserId = UserId(100);
const BEN: UserId = UserId(200);
const MARK: &str = "zebra-in-the-harbour";

fn said(id: u64, who: UserId, name: &str, text: &str) -> Inbound {
    Inbound { author: Speaker { id: who, name: name.to_owned() }, ..message(id, text) }
}

async fn answer(store: &Store, inbound: &Inbound, text: &str) -> TurnId {
    let turn = turn(&format!("t{}", inbound.message_id));
    assert_eq!(store.claim(inbound, &turn).await.unwrap(), Claim::New);
    store.finish(&turn, &answered(text), at(inbound.received_at.0 + 1)).await.unwrap();
    turn
}

fn by(user: UserId, name: &str) -> By {
    let user = Speaker { id: user, name: name.to_owned() };
    By { guild_id: SERVER, channel_id: None, user, at: at(9) }
}

/// The files of the database in which the mark still is.
fn marked(dir: &TempDir) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if memchr::memmem::find(&bytes, MARK.as_bytes()).is_some() {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

#[tokio::test]
async fn a_forgotten_person_is_in_no_byte_of_the_files() {
    let (dir, store) = fresh().await;
    // Many turns of two people, so that rows move about between pages and reach beyond one.
    for id in 1..=300_u64 {
        let (who, name, mark) =
            if id % 3 == 0 { (ANA, format!("Ana {MARK}"), MARK) } else { (BEN, "Ben".to_owned(), "-") };
        let padding = "x".repeat(usize::try_from(id * 37 % 6000).unwrap());
        answer(&store, &said(id, who, &name, &format!("{mark} {padding}")), &format!("{padding} {mark}"))
            .await;
    }
    // One that has not ended, and one of Ben's that points at her words.
    let waiting = said(400, ANA, MARK, MARK);
    assert_eq!(store.claim(&waiting, &turn("waiting")).await.unwrap(), Claim::New);
    let quoted = Quoted {
        message_id: MessageId(3),
        author: Speaker { id: ANA, name: MARK.to_owned() },
        by_bot: false,
        text: MARK.to_owned(),
    };
    let opening = Opening { title: "Boats".to_owned(), tags: vec![], starter: Some(quoted.clone()) };
    let pointing =
        Inbound { replied_to: Some(quoted), opening: Some(opening), ..said(401, BEN, "Ben", "what?") };
    assert_eq!(store.claim(&pointing, &turn("pointing")).await.unwrap(), Claim::New);
    store.disable("alpha", None, &by(ANA, MARK)).await.unwrap();
    assert!(!marked(&dir).is_empty(), "the mark is looked for in the right places");

    let gone = store.forget_person(ANA).await.unwrap();
    assert_eq!(gone, Forgotten { lines: 201, turns: 101, votes: 0 });
    store.scrub().await.unwrap();
    assert_eq!(marked(&dir), Vec::<String>::new());

    let left = store.export(ANA).await.unwrap();
    assert_eq!((&left["messages"], &left["turns"]), (&serde_json::json!([]), &serde_json::json!([])));
    let unfinished = store.unfinished(at(0), at(0), at(1000)).await.unwrap();
    let [pointing] = unfinished.as_slice() else { panic!("{unfinished:?}") };
    assert_eq!(pointing.inbound.replied_to, None);
    assert_eq!(pointing.inbound.opening.as_ref().unwrap().title, "Boats");
    assert_eq!(pointing.inbound.opening.as_ref().unwrap().starter, None);
    let ben = store.recent(ConversationId(CHANNEL), None, 1000).await.unwrap();
    assert_eq!(ben.len(), 401, "two lines a turn of Ben's, and his open question");
    let integrity: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&store.reader).await.unwrap();
    assert_eq!(integrity, "ok");
    // A late end of the turn that ran brings nothing back, and a replay of the message is still known.
    store.finish(&turn("waiting"), &answered(MARK), at(500)).await.unwrap();
    assert_eq!(store.claim(&waiting, &turn("again")).await.unwrap(), Claim::Duplicate);
    store.empty_wal().await.unwrap();
}

#[tokio::test]
async fn an_export_has_everything_there_is_of_a_person() {
    let (_dir, store) = fresh().await;
    answer(&store, &said(1, ANA, "Ana", "what is rust?"), "A language.").await;
    answer(&store, &said(2, BEN, "Ben", "and go?"), "Another one.").await;
    store.disable("alpha", None, &by(ANA, "Ana")).await.unwrap();
    store.opt_out(ANA, at(7)).await.unwrap();
    expect![[r#"
        {
          "audit": [
            {
              "action": "disable",
              "at": 9,
              "channel": null,
              "detail": "alpha",
              "name": "Ana",
              "server": "1"
            }
          ],
          "messages": [
            {
              "answers": [
                "A language."
              ],
              "at": 1,
              "conversation": "-6",
              "message": "1",
              "name": "Ana",
              "text": "what is rust?",
              "turn": "t1"
            }
          ],
          "opted_out_since": 7,
          "pins": [],
          "switched_off": [
            {
              "at": 9,
              "provider": "alpha",
              "server": "1"
            }
          ],
          "turns": [
            {
              "at": 1,
              "conversation": "-6",
              "ended_at": 2,
              "message": "1",
              "name": "Ana",
              "place": "channel",
              "provider": "alpha",
              "question": null,
              "server": "1",
              "state": "answered",
              "trigger": "mention",
              "turn": "t1"
            }
          ],
          "user": "100",
          "votes": []
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&store.export(ANA).await.unwrap()).unwrap());
}

#[tokio::test]
async fn who_opted_out_is_left_out_of_what_others_ask() {
    let (_dir, store) = fresh().await;
    answer(&store, &said(1, ANA, "Ana", "my number is 5"), "Noted: 5.").await;
    answer(&store, &said(2, BEN, "Ben", "hello"), "Hello.").await;
    assert!(store.opt_out(ANA, at(7)).await.unwrap());
    assert!(!store.opt_out(ANA, at(8)).await.unwrap(), "it was known");
    assert_eq!(store.opted_out(&[BEN, ANA]).await.unwrap(), [ANA]);
    let texts = async || {
        let lines = store.recent(ConversationId(CHANNEL), None, 9).await.unwrap();
        lines.into_iter().map(|it| it.text).collect::<Vec<_>>()
    };
    assert_eq!(texts().await, ["hello", "Hello."]);
    assert!(store.opt_in(ANA).await.unwrap());
    assert_eq!(store.opted_out(&[ANA]).await.unwrap(), []);
    assert_eq!(texts().await.len(), 4);
}

/// Whoever adds a column that names a person has to say here, and in `privacy.rs`, what becomes of it.
#[tokio::test]
async fn every_column_that_names_a_person_is_thought_of() {
    let (_dir, store) = fresh().await;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT t.name || '.' || c.name FROM sqlite_master t, pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE '\\_%' ESCAPE '\\'
           AND (c.name LIKE '%user%' OR c.name LIKE '%author%' OR c.name LIKE 'by\\_%' ESCAPE '\\' OR c.name LIKE '%person%'
                OR c.name LIKE '%member%' OR c.name LIKE '%asker%')
         ORDER BY 1",
    )
    .fetch_all(&store.reader)
    .await
    .unwrap();
    expect![[r#"
        [
            "audit.by_name",
            "audit.by_user",
            "disabled_providers.by_user",
            "feedback.user_id",
            "messages.author_id",
            "messages.author_name",
            "opt_outs.user_id",
            "pins.by_user",
            "turns.author_id",
            "turns.author_name",
        ]
    "#]]
    .assert_debug_eq(&columns);
}

#[tokio::test]
async fn a_solved_post_stays_solved() {
    let (_dir, store) = fresh().await;
    assert_eq!(store.quiet_in(CHANNEL).await.unwrap(), None);
    assert!(store.be_quiet_in(CHANNEL, Quiet::Helped, at(1)).await.unwrap());
    assert!(!store.be_quiet_in(CHANNEL, Quiet::Helped, at(2)).await.unwrap());
    assert!(store.be_quiet_in(CHANNEL, Quiet::Solved, at(3)).await.unwrap());
    assert!(!store.be_quiet_in(CHANNEL, Quiet::Solved, at(4)).await.unwrap());
    assert!(!store.be_quiet_in(CHANNEL, Quiet::Helped, at(5)).await.unwrap());
    assert_eq!(store.quiet_in(CHANNEL).await.unwrap(), Some(Quiet::Solved));
}

#[tokio::test]
async fn what_discord_has_of_our_commands_is_remembered_by_place() {
    let (_dir, store) = fresh().await;
    store.note_registered(5, None, Some("a"), at(1)).await.unwrap();
    store.note_registered(5, Some(SERVER), Some("b"), at(1)).await.unwrap();
    store.note_registered(6, None, Some("c"), at(1)).await.unwrap();
    store.note_registered(5, None, Some("d"), at(2)).await.unwrap();
    let known = store.registered(5).await.unwrap();
    assert_eq!(known, [(None, "d".to_owned()), (Some(SERVER), "b".to_owned())]);
    store.note_registered(5, Some(SERVER), None, at(3)).await.unwrap();
    assert_eq!(store.registered(5).await.unwrap().len(), 1);
}
