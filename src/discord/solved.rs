//! *Solved*, by a button below an answer or by a command: marks a forum post, with the forum's own tag where there is one.

use super::{
    Door,
    commands::{self, in_time},
    given::Given,
    places,
    rest::{Channel, Hook, RestError, Tag},
};
use crate::{
    chat::wording::{self, Tagged},
    message::{ChannelId, UnixMillis},
};
use serde_json::json;
use serenity::model::Permissions;
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// How long the tag may take to be set, and the thanks to be said.
const WITHIN: Duration = Duration::from_secs(20);
/// Discord's limit of tags for a post.
const TAGS: usize = 5;

impl Door {
    /// The button below an answer in a post, or the command on any message of it.
    pub(super) async fn solve(&self, by: &Given<'_>, at: UnixMillis) {
        let hook = by.hook(false);
        let done = match self.may_solve(by).await {
            Err(sentence) => {
                let answer = commands::privately(&sentence);
                self.inner.rest.respond(by.id, &hook.token, &answer).await
            }
            Ok(forum) => self.mark(by, &hook, &forum, at).await,
        };
        if let Err(failure) = done {
            warn!(error = %failure, "what became of a solved post could not be said");
        }
    }

    /// The post's forum; or the sentence that says why not.
    async fn may_solve(&self, by: &Given<'_>) -> Result<Channel, String> {
        let Self { inner } = self;
        let looked_up = async {
            let post = inner.places.channel(&inner.rest, by.channel).await?;
            let forum = match post.parent_id {
                Some(forum) => Some(inner.places.channel(&inner.rest, forum).await?),
                None => None,
            };
            Ok::<_, RestError>((post, forum))
        };
        let (post, forum) = in_time(&inner.chat, "solved", looked_up).await?;
        let forum = forum.filter(places::is_forum).ok_or_else(wording::only_posts_are_solved)?;
        let is_moderator = by.may_any(Permissions::MANAGE_THREADS | Permissions::MANAGE_GUILD);
        if !is_moderator && post.owner_id != Some(by.user()) {
            return Err(wording::only_the_asker_solves());
        }
        match in_time(&inner.chat, "solved", inner.chat.is_solved(by.channel)).await? {
            true => Err(wording::solved_already()),
            false => Ok(forum),
        }
    }

    /// The tag first and the store second: who dies in between can be asked once more.
    async fn mark(
        &self,
        by: &Given<'_>,
        hook: &Hook,
        forum: &Channel,
        at: UnixMillis,
    ) -> Result<(), RestError> {
        let Self { inner } = self;
        inner.rest.respond(by.id, &hook.token, &json!({"type": 5})).await?;
        let deadline = Instant::now() + WITHIN;
        let tagged = self.tag(by.channel, forum, deadline).await;
        let sentence = match inner.chat.solve(by.channel, at).await {
            Ok(true) => wording::solved(&tagged),
            // Somebody else was faster by a moment, and thanked.
            Ok(false) => {
                inner.rest.delete_response(hook).await?;
                let (hook, sentence) = (by.hook(true), wording::solved_already());
                return inner.rest.follow_up(&hook, sentence.as_str(), deadline).await.map(drop);
            }
            Err(failure) => {
                warn!(error = %failure, "a solved post could not be noted");
                inner.chat.command_failed()
            }
        };
        inner.rest.edit_response(hook, sentence.as_str(), deadline).await.map(drop)
    }

    async fn tag(&self, post: ChannelId, forum: &Channel, deadline: Instant) -> Tagged {
        let Some(tag) = solved_tag(&forum.available_tags) else { return Tagged::Well };
        // The list is replaced as a whole, so that it must be the present one.
        let applied = match self.inner.rest.channel(post).await {
            Ok(post) => post.applied_tags,
            Err(_) => return Tagged::Failed(tag.name.clone()),
        };
        if applied.contains(&tag.id) {
            return Tagged::Well;
        }
        if applied.len() >= TAGS {
            return Tagged::Full(tag.name.clone());
        }
        let tags: Vec<&str> = applied.iter().chain([&tag.id]).map(String::as_str).collect();
        match self.inner.rest.set_tags(post, &tags, deadline).await {
            Ok(()) => Tagged::Well,
            Err(RestError::Forbidden { .. }) => Tagged::Forbidden(tag.name.clone()),
            Err(failure) => {
                warn!(error = %failure, "the tag of a solved post could not be set");
                Tagged::Failed(tag.name.clone())
            }
        }
    }
}

/// What forums call the tag, in lower case and without what is no letter.
const WORDS: [&str; 28] = [
    "solved",
    "resolved",
    "answered",
    "fixed",
    "done",
    "closed",
    "completed",
    "gelöst",
    "erledigt",
    "beantwortet",
    "résolu",
    "resolu",
    "répondu",
    "resuelto",
    "resuelta",
    "solucionado",
    "respondido",
    "resolvido",
    "respondida",
    "risolto",
    "opgelost",
    "rozwiązane",
    "решено",
    "löst",
    "解決済み",
    "解決",
    "已解决",
    "해결됨",
];

/// The tag of a forum that says that a post is solved (pure). A tick alone will do when no name says it.
fn solved_tag(tags: &[Tag]) -> Option<&Tag> {
    let letters = |name: &str| {
        let letters: String = name.chars().filter(|it| it.is_alphanumeric() || *it == ' ').collect();
        letters.trim().to_lowercase()
    };
    let is_tick = |it: &&Tag| letters(&it.name).is_empty() && it.name.contains(['✅', '☑', '✔']);
    // In the order of the words: a forum may have both `answered` and `solved`.
    let by_name = WORDS.iter().find_map(|word| tags.iter().find(|it| letters(&it.name) == *word));
    by_name.or_else(|| tags.iter().find(is_tick))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Option<String> {
        let tags: Vec<Tag> =
            names.iter().map(|it| Tag { id: (*it).to_owned(), name: (*it).to_owned() }).collect();
        solved_tag(&tags).map(|it| it.name.clone())
    }

    #[test]
    fn a_forums_own_tag_is_found() {
        for name in [
            "solved",
            "Solved",
            "✅ SOLVED",
            "[Resolved]",
            "Answered ✔️",
            "Gelöst",
            "résolu",
            "解決済み",
            "✅",
        ] {
            assert_eq!(chosen(&["rust", name, "help"]).as_deref(), Some(name));
        }
        for name in ["unsolved", "not solved", "solved by bot", "✅ rules", "resolver", "rust"] {
            assert_eq!(chosen(&["rust", name]), None, "{name}");
        }
        assert_eq!(chosen(&["✅", "answered", "Solved"]).as_deref(), Some("Solved"));
        assert_eq!(chosen(&[]), None);
    }
}
