//! What a process that died had posted of an answer: Discord may know more of it than the store, or less.
//!
//! **The problem.** A message is posted first and noted in the store second; who dies in between leaves a message that
//! nobody would finish, or delete when the new answer is shorter. And a message that is noted may be gone since. **The
//! rule.** After a restart the channel itself is read: the reply to the question is the first part, and our messages behind
//! it that reply to nobody are the others, since a conversation has one turn at a time. What is noted but is not there
//! any more is no part. A turn that is too old to be answered is not left in silence either: what was shown of it says that
//! it broke off, and a question of which nothing was shown gets a sentence. **The limits.** Only the first five hundred
//! messages after the question are read, and none where the bot may not read the history; then what the store has must do.

use super::{
    Door, WORD_LIMIT,
    outbound::{Part, Stage},
    pressed,
    rest::{PAGE, Page, Rest, RestError},
    text,
};
use crate::{
    chat::{Chat, away::Unfinished},
    message::{ChannelId, MessageId, Trigger, TurnId, UnixMillis, UserId},
};
use serenity::all::Message;
use tokio::time::Instant;
use tracing::{info, warn};

/// Pages that are read: in a busy channel people say more than a hundred things while an answer grows.
const PAGES: usize = 5;

impl Door {
    /// Finishes what processes before could not: once, before anything that they missed is looked for.
    pub(super) async fn take_up(&self) {
        self.inner.taken_up.get_or_init(|| self.take_up_once()).await;
    }

    async fn take_up_once(&self) {
        let chat = &self.inner.chat;
        let now = UnixMillis::now();
        for turn in chat.unfinished(now).await {
            let inbound = &turn.inbound;
            if turn.is_hooked() || (inbound.trigger == Trigger::Command && !turn.is_again()) {
                // What entitled to answer is gone with the process, and the answer may have been a private one.
                self.leave_half(inbound.channel_id, &turn.id, &turn.parts).await;
                chat.close_unseen(&turn, "interaction_lost", UnixMillis::now()).await;
                continue;
            }
            let stage = pressed::stage(&turn, None);
            self.answer(Box::new(turn), stage, true);
        }
        let door = self.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = door.inner.closing.cancelled() => {} // The next process tells the others.
                () = async {
                    door.retract_the_rest().await;
                    door.tell_overdue(now).await;
                } => {}
            }
        });
    }

    /// Tells people of the turns that are too old to be answered, and closes these.
    async fn tell_overdue(&self, now: UnixMillis) {
        let chat = &self.inner.chat;
        let overdue = chat.overdue(now).await;
        if !overdue.is_empty() {
            info!(turns = overdue.len(), "turns had not ended in time; their people are told so");
        }
        for Unfinished { turn, inbound, parts, again } in overdue {
            let (channel, question) = (inbound.channel_id, inbound.message_id);
            if inbound.trigger == Trigger::Command || again.is_some() {
                self.leave_half(channel, &turn, &parts).await;
            } else {
                let stage = Stage::Channel { channel, question };
                let shown = parts_of(&self.inner.rest, &stage, self.inner.me.get().copied(), &parts).await;
                let known: Vec<_> = (0..).zip(shown.iter().map(|it| it.id)).collect();
                if !self.leave_half(channel, &turn, &known).await {
                    self.say(&stage, &chat.too_late(&turn)).await;
                }
            }
            chat.expire(&turn, UnixMillis::now()).await;
        }
        chat.expire_others(now).await;
    }

    /// Adds a last line to what is shown of an answer: that it broke off. False when nothing is shown.
    async fn leave_half(&self, channel: ChannelId, turn: &TurnId, parts: &[(u32, MessageId)]) -> bool {
        let Some((_, last)) = parts.last() else { return false };
        let rest = &self.inner.rest;
        let line = self.inner.chat.left_half(turn);
        let added = async {
            let shown: Message = rest.message(channel, *last).await?;
            if shown.content.ends_with(&line) || shown.content == self.inner.chat.too_late(turn) {
                return Ok(()); // A process before this one came as far.
            }
            let deadline = Instant::now() + WORD_LIMIT;
            let whole = format!("{}\n{line}", shown.content);
            if text::units(&whole) <= text::LIMIT {
                return rest.edit_message(channel, *last, whole.as_str(), deadline).await;
            }
            let nonce = format!("h.{:x}", last.0);
            rest.create_message(channel, line.as_str(), None, &nonce, deadline).await.map(drop)
        };
        let added: Result<(), RestError> = added.await;
        if let Err(failure) = &added {
            warn!(error = %failure, %turn, "an answer that broke off could not be marked as such");
        }
        // Gone is as good as never shown.
        !matches!(added, Err(RestError::NotFound { .. }))
    }
}

/// The messages that show a part of the answer, in its order; `known` are those that were noted in the store.
pub(super) async fn parts_of(
    rest: &Rest,
    stage: &Stage,
    me: Option<UserId>,
    known: &[(u32, MessageId)],
) -> Vec<Part> {
    let seen = match (stage, me) {
        (Stage::Channel { channel, question }, Some(me)) => match read(rest, *channel, *question).await {
            Ok(seen) => Some((seen, *question, me)),
            Err(failure) => {
                warn!(error = %failure, "could not look what was shown before the restart");
                None
            }
        },
        (Stage::Channel { .. }, None) | (Stage::Interaction(_), _) => None,
    };
    match seen {
        Some(((seen, is_all), question, me)) => {
            let there = there(known, &seen, is_all);
            together(&there, reply(seen, question, me))
        }
        None => together(known, Vec::new()),
    }
}

/// What was said after the question, and whether that is all.
async fn read(rest: &Rest, channel: ChannelId, question: MessageId) -> Result<(Vec<Seen>, bool), RestError> {
    let (mut seen, mut after) = (Vec::new(), question);
    for _ in 0..PAGES {
        let page: Vec<Message> = rest.messages(channel, Page::After(after), PAGE).await?;
        let Some(newest) = page.iter().map(|it| MessageId(it.id.get())).max() else {
            return Ok((seen, true));
        };
        seen.extend(page.iter().map(Seen::of));
        if page.len() < usize::from(PAGE) {
            return Ok((seen, true));
        }
        after = newest;
    }
    Ok((seen, false))
}

/// Those of the noted parts that are there still (pure). Who may not read the history sees nothing at all, which says nothing.
fn there(known: &[(u32, MessageId)], seen: &[Seen], is_all: bool) -> Vec<(u32, MessageId)> {
    let Some(newest) = seen.iter().map(|it| it.id).max() else { return known.to_vec() };
    let is_there = |id: MessageId| seen.iter().any(|it| it.id == id) || (id > newest && !is_all);
    known.iter().copied().filter(|it| is_there(it.1)).collect()
}

/// Notes in the store what only Discord knew: else nobody would find these messages again.
pub(super) async fn note(chat: &Chat, turn: &TurnId, known: &[(u32, MessageId)], parts: &[Part]) {
    for (place, part) in (0..).zip(parts) {
        if !known.contains(&(place, part.id)) {
            chat.note_part(turn, place, part.id).await;
        }
    }
}

/// As much of a message as matters here.
#[derive(Clone, Debug)]
struct Seen {
    id: MessageId,
    author: UserId,
    replies_to: Option<MessageId>,
    is_of_command: bool,
}

impl Seen {
    fn of(message: &Message) -> Self {
        let replies_to = message.message_reference.as_ref().and_then(|it| it.message_id);
        Self {
            id: MessageId(message.id.get()),
            author: UserId(message.author.id.get()),
            replies_to: replies_to.map(|it| MessageId(it.get())),
            is_of_command: message.interaction_metadata.is_some(),
        }
    }
}

/// Our reply to `question` among what was said after it (pure).
fn reply(mut seen: Vec<Seen>, question: MessageId, me: UserId) -> Vec<Part> {
    seen.sort_by_key(|it| it.id);
    let mut ours = seen.into_iter().filter(|it| it.author == me && !it.is_of_command).peekable();
    while ours.next_if(|it| it.replies_to != Some(question)).is_some() {}
    let first = ours.next();
    let further = ours.take_while(|it| it.replies_to.is_none());
    first.into_iter().chain(further).map(|it| Part { id: it.id, shown: None }).collect()
}

/// What was noted, and what was found besides, each once and in the order in which people see it (pure).
fn together(known: &[(u32, MessageId)], found: Vec<Part>) -> Vec<Part> {
    // What they show is not taken from there: their buttons may be those of a turn that runs.
    let mut parts: Vec<Part> = known.iter().map(|(_, id)| Part { id: *id, shown: None }).collect();
    parts.extend(found);
    // Parts that moved up when one was gone may be noted at two places, and one that was noted over is found again.
    parts.sort_by_key(|it| it.id);
    parts.dedup_by_key(|it| it.id);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: UserId = UserId(1);
    const ANA: UserId = UserId(2);

    fn seen(id: u64, author: UserId, replies_to: Option<u64>) -> Seen {
        Seen { id: MessageId(id), author, replies_to: replies_to.map(MessageId), is_of_command: false }
    }

    fn ids(parts: &[Part]) -> Vec<u64> {
        parts.iter().map(|it| it.id.0).collect()
    }

    #[test]
    fn a_reply_is_found_among_what_others_said() {
        let of_command = Seen { is_of_command: true, ..seen(16, ME, None) };
        let said = vec![
            seen(18, ME, None),
            of_command,
            seen(17, ANA, None),
            seen(15, ME, None),
            seen(14, ME, Some(10)),
            seen(13, ANA, Some(10)),
            seen(12, ME, None),
            seen(11, ME, Some(9)),
        ];
        assert_eq!(ids(&reply(said.clone(), MessageId(10), ME)), [14, 15, 18]);
        assert_eq!(ids(&reply(said.clone(), MessageId(9), ME)), [11, 12], "the next reply ends it");
        assert_eq!(ids(&reply(said, MessageId(8), ME)), Vec::<u64>::new());
    }

    #[test]
    fn what_is_gone_is_no_part_as_far_as_one_can_see() {
        let known = [(0, MessageId(5)), (1, MessageId(6)), (2, MessageId(9))];
        let kept =
            |seen: &[Seen], is_all| there(&known, seen, is_all).iter().map(|it| it.1.0).collect::<Vec<_>>();
        let both = [seen(5, ME, Some(4)), seen(7, ANA, None)];
        assert_eq!(kept(&both, true), [5]);
        assert_eq!(kept(&both, false), [5, 9], "it is further down than was read");
        assert_eq!(kept(&[], true), [5, 6, 9], "the history may not be read");
    }

    #[test]
    fn what_was_noted_and_what_was_found_stand_in_the_order_that_people_see() {
        let part = |id| Part { id: MessageId(id), shown: None };
        let known = |ids: &[u64]| (0..).zip(ids.iter().copied().map(MessageId)).collect::<Vec<_>>();
        let in_order = |noted: &[u64], found| ids(&together(&known(noted), found));
        assert_eq!(in_order(&[5, 6], vec![part(6), part(7)]), [5, 6, 7]);
        assert_eq!(in_order(&[5, 8], vec![part(5), part(7), part(8)]), [5, 7, 8], "one was noted over");
        assert_eq!(in_order(&[6, 7, 7], vec![]), [6, 7], "they moved up");
    }
}
