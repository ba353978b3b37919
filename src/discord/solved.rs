//! *Solved*, by a button below an answer or by a command: marks a forum post, with the forum's own tag where there is one.

use super::{
    Door,
    commands::{self, in_time, may_any},
    places,
    rest::{ApplicationId, Channel, Hook, InteractionId, RestError, Tag},
};
use crate::{
    chat::wording::{self, Tagged},
    message::{ChannelId, UnixMillis, UserId},
};
use secrecy::SecretString;
use serde_json::json;
use serenity::{
    all::{CommandInteraction, ComponentInteraction, Member},
    model::Permissions,
};
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// How long the tag may take to be set, and the thanks to be said.
const WITHIN: Duration = Duration::from_secs(20);
/// Discord's limit of tags for a post.
const TAGS: usize = 5;

/// Somebody says that a post is solved.
struct Said {
    id: InteractionId,
    hook: Hook,
    post: ChannelId,
    user: UserId,
    is_moderator: bool,
    at: UnixMillis,
}

fn is_moderator(member: Option<&Member>) -> bool {
    may_any(member, Permissions::MANAGE_THREADS | Permissions::MANAGE_GUILD)
}

impl Door {
    /// The button below an answer in a post. False when it is another one.
    pub(super) async fn solved_pressed(&self, it: &ComponentInteraction) {
        let (application, token) =
            (ApplicationId(it.application_id.get()), SecretString::from(it.token.clone()));
        self.solve(&Said {
            id: InteractionId(it.id.get()),
            hook: Hook { application, token, is_ephemeral: false },
            post: ChannelId(it.channel_id.get()),
            user: UserId(it.user.id.get()),
            is_moderator: is_moderator(it.member.as_ref()),
            at: UnixMillis::now(),
        })
        .await;
    }

    /// The command on any message of a post.
    pub(super) async fn solved_command(&self, it: &CommandInteraction, at: UnixMillis) {
        let (application, token) =
            (ApplicationId(it.application_id.get()), SecretString::from(it.token.clone()));
        self.solve(&Said {
            id: InteractionId(it.id.get()),
            hook: Hook { application, token, is_ephemeral: false },
            post: ChannelId(it.channel_id.get()),
            user: UserId(it.user.id.get()),
            is_moderator: is_moderator(it.member.as_deref()),
            at,
        })
        .await;
    }

    async fn solve(&self, said: &Said) {
        let done = match self.may_solve(said).await {
            Err(sentence) => {
                let answer = commands::privately(&sentence);
                self.inner.rest.respond(said.id, &said.hook.token, &answer).await
            }
            Ok(forum) => self.mark(said, &forum).await,
        };
        if let Err(failure) = done {
            warn!(error = %failure, "what became of a solved post could not be said");
        }
    }

    /// The post's forum; or the sentence that says why not.
    async fn may_solve(&self, said: &Said) -> Result<Channel, String> {
        let Self { inner } = self;
        let looked_up = async {
            let post = inner.places.channel(&inner.rest, said.post).await?;
            let forum = match post.parent_id {
                Some(forum) => Some(inner.places.channel(&inner.rest, forum).await?),
                None => None,
            };
            Ok::<_, RestError>((post, forum))
        };
        let (post, forum) = in_time(&inner.chat, "solved", looked_up).await?;
        let forum = forum.filter(places::is_forum).ok_or_else(wording::only_posts_are_solved)?;
        if !said.is_moderator && post.owner_id != Some(said.user) {
            return Err(wording::only_the_asker_solves());
        }
        match in_time(&inner.chat, "solved", inner.chat.is_solved(said.post)).await? {
            true => Err(wording::solved_already()),
            false => Ok(forum),
        }
    }

    /// The tag first and the store second: who dies in between can be asked once more.
    async fn mark(&self, said: &Said, forum: &Channel) -> Result<(), RestError> {
        let Self { inner } = self;
        inner.rest.respond(said.id, &said.hook.token, &json!({"type": 5})).await?;
        let deadline = Instant::now() + WITHIN;
        let tagged = self.tag(said.post, forum, deadline).await;
        let sentence = match inner.chat.solve(said.post, said.at).await {
            Ok(true) => wording::solved(&tagged),
            // Somebody else was faster by a moment, and thanked.
            Ok(false) => {
                inner.rest.delete_response(&said.hook).await?;
                let hook = Hook { is_ephemeral: true, ..said.hook.clone() };
                let told = inner.rest.follow_up(&hook, wording::solved_already().as_str(), deadline).await;
                return told.map(drop);
            }
            Err(failure) => {
                warn!(error = %failure, "a solved post could not be noted");
                inner.chat.command_failed()
            }
        };
        inner.rest.edit_response(&said.hook, sentence.as_str(), deadline).await.map(drop)
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
