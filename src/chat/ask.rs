//! Questions without Discord: the command line's.

use super::{Chat, wording};
use crate::{
    message::{Line, Prompt, Role, TurnId, UnixMillis},
    outcome::Failure,
    router::{Ask, End, Event, Exhausted, strategy::Wish},
};
use std::sync::Arc;

/// A turn without Discord: the `ask` command. Text comes as it is spoken; the ledger has every call.
impl Chat {
    /// Plays one question, telling each event after it was recorded.
    pub async fn ask(
        &self,
        text: &str,
        wish: &Wish,
        at: UnixMillis,
        mut hear: impl FnMut(&Event),
    ) -> (TurnId, Option<End>) {
        let id = self.new_id();
        let line = Line { role: Role::User, speaker: None, text: text.to_owned() };
        let system = self.settings.system_prompt.clone();
        let prompt = Prompt {
            system,
            lines: vec![line],
            reply_tokens: self.settings.reply_tokens,
            ..Prompt::default()
        };
        let ask = Ask { prompt: Arc::new(prompt), wish: wish.clone(), started_at: at, ..Ask::default() };
        let mut performance = self.router.play(&ask);
        while let Some(event) = performance.next().await {
            if let Event::Attempt(attempt) = &event {
                self.ledger.note(&id, attempt.clone());
            }
            hear(&event);
            if let Event::Ended(end) = event {
                self.ledger.flush().await;
                return (id, Some(end));
            }
        }
        (id, None)
    }

    /// What happened to a provider, in words: follows its name.
    #[must_use]
    pub fn because(failure: Failure) -> &'static str {
        wording::because(failure)
    }

    /// What a person at a terminal is told when nobody answered.
    #[must_use]
    pub fn apology(&self, exhausted: &Exhausted, turn: &TurnId) -> String {
        wording::apology(exhausted, turn)
    }
}
