//! Replies that a process before this one began to show, and that lose messages, on the embedded Discord.

use super::*;
use crate::discord::rest::tests::{TOKEN, rest as rest_at};
use sim::discord::{Discord, Options};
use std::sync::Mutex;

/// A channel with a question.
struct Scene {
    discord: Discord,
    rest: Rest,
    channel: u64,
    stage: Stage,
    noted: Mutex<Vec<(u32, u64)>>,
}

impl Scene {
    async fn new() -> Self {
        let discord =
            Discord::start(Options { token: TOKEN.to_owned(), ..Options::default() }).await.unwrap();
        for call in ["create", "edit", "delete", "typing"] {
            discord.set_limit(call, 1000, Duration::from_secs(1));
        }
        let channel = discord.channel("help");
        let question = MessageId(discord.say("ana", channel, "tell me", None));
        let rest = rest_at(&discord.base());
        let stage = Stage::Channel { channel: ChannelId(channel), question };
        Self { discord, rest, channel, stage, noted: Mutex::default() }
    }

    /// Shows one draft after the other, each when the one before it can be seen; the last one is the end if `ends`, or else the
    /// process is killed then. Before each draft `meanwhile` happens to the ids that are shown.
    async fn show(
        &self,
        before: Option<Vec<Part>>,
        drafts: &[String],
        ends: bool,
        meanwhile: impl Fn(&Discord, &[u64]),
    ) -> Result<(), RestError> {
        let turn = TurnId("7k2m9x4q8d".to_owned());
        let edit_interval = Duration::from_millis(1);
        let pace = Pace { edit_interval, max_parts: 8, trusted_links: &[], pacer: Arc::default() };
        let noted = async |place, id: MessageId| self.noted.lock().unwrap().push((place, id.0));
        let delivery = Delivery::new(&self.rest, &self.stage, &turn, pace, before, noted);
        let (draft, shown) = watch::channel(Draft::default());
        let play = async {
            for (number, text) in drafts.iter().enumerate() {
                meanwhile(&self.discord, &self.ids());
                let is_final = ends && number + 1 == drafts.len();
                draft.send_replace(Draft { text: text.clone(), is_final, ..Draft::default() });
                let mut seen = self.discord.watch();
                while !is_final && self.texts().concat() != *text {
                    seen.changed().await.unwrap();
                }
            }
            drop(draft);
            std::future::pending::<()>().await;
        };
        let shown = async {
            tokio::select! {
                shown = delivery.show(shown) => shown,
                () = play => unreachable!(),
            }
        };
        timeout(Duration::from_secs(10), shown).await.unwrap()
    }

    fn answers(&self) -> Vec<(u64, String)> {
        let all = self.discord.messages(self.channel);
        all.into_iter().filter(|it| it.bot && !it.deleted).map(|it| (it.id, it.content)).collect()
    }

    fn ids(&self) -> Vec<u64> {
        self.answers().into_iter().map(|it| it.0).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.answers().into_iter().map(|it| it.1).collect()
    }

    /// What the next process finds.
    fn left(&self) -> Option<Vec<Part>> {
        Some(self.ids().into_iter().map(|id| Part { id: MessageId(id), shown: None }).collect())
    }
}

/// A text that takes so many messages, one for each letter.
fn letters(text: &str) -> String {
    text.chars().map(|it| it.to_string().repeat(2000)).collect()
}

fn nothing(_: &Discord, _: &[u64]) {}

#[tokio::test]
async fn a_nonce_that_gives_back_a_part_makes_no_second_part_of_it() {
    let scene = Scene::new().await;
    // The second message is deleted, and the third one takes its place: two parts, and three posts.
    scene.show(None, &["ab", "c", "de"].map(letters), false, nothing).await.unwrap();
    scene.show(scene.left(), &[letters("fgh")], true, nothing).await.unwrap();
    assert_eq!(scene.texts(), ["f", "g", "h"].map(letters));
}

#[tokio::test]
async fn a_nonce_may_give_back_a_deleted_part_more_than_once() {
    let scene = Scene::new().await;
    scene.show(None, &["abc", "d"].map(letters), false, nothing).await.unwrap();
    // Two nonces belong to deleted messages now, also of those that this one jumps to.
    scene.show(scene.left(), &["efg", "h"].map(letters), false, nothing).await.unwrap();
    scene.show(scene.left(), &["ijk"].map(letters), true, nothing).await.unwrap();
    assert_eq!(scene.texts(), ["i", "j", "k"].map(letters));
}

#[tokio::test]
async fn a_message_that_somebody_deletes_is_posted_anew_but_not_for_ever() {
    let scene = Scene::new().await;
    let delete_first = |discord: &Discord, ids: &[u64]| ids.iter().take(1).for_each(|it| discord.delete(*it));
    scene.show(None, &["ab", "cde", "fgh"].map(letters), true, delete_first).await.unwrap();
    assert_eq!(scene.texts(), ["f", "g", "h"].map(letters));
    let mut noted = scene.noted.lock().unwrap().clone();
    let last: Vec<u64> = (0..3).map(|place| noted.iter().rfind(|it| it.0 == place).unwrap().1).collect();
    assert_eq!(last, scene.ids(), "the store knows where each one is now");
    noted.clear();

    let scene = Scene::new().await;
    let again = ["a", "b", "c", "d", "e", "f", "g", "h"].map(letters);
    let ended = scene.show(None, &again, true, delete_first).await;
    assert!(matches!(ended, Err(RestError::NotFound { code: UNKNOWN_MESSAGE })), "{ended:?}");
}
