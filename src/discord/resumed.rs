//! What a process that died had posted of an answer: Discord may know more of it than the store.
//!
//! **The problem.** A message is posted first and noted in the store second; who dies in between leaves a message that
//! nobody would finish, or delete when the new answer is shorter. **The rule.** After a restart the channel itself is read:
//! the reply to the question is the first part, and our messages behind it that reply to nobody are the others, since a
//! conversation has one turn at a time. **The limits.** Only the first hundred messages after the question are read, and
//! none where the bot may not read the history; then what the store has must do.

use super::{
    outbound::{Part, Stage},
    rest::{Page, Rest},
};
use crate::{
    chat::Chat,
    message::{MessageId, TurnId, UserId},
};
use serenity::all::Message;
use tracing::warn;

/// As many messages as Discord gives at once.
const READ: u8 = 100;

/// The messages that show a part of the answer, in its order; `known` are those that were noted in the store.
pub(super) async fn parts(
    rest: &Rest,
    stage: &Stage,
    me: Option<UserId>,
    known: &[(u32, MessageId)],
) -> Vec<Part> {
    let found = match (stage, me) {
        (Stage::Channel { channel, question }, Some(me)) => {
            match rest.messages::<Message>(*channel, Page::After(*question), READ).await {
                Ok(messages) => reply(messages.iter().map(Seen::of).collect(), *question, me),
                Err(failure) => {
                    warn!(error = %failure, "could not look what was shown before the restart");
                    Vec::new()
                }
            }
        }
        (Stage::Channel { .. }, None) | (Stage::Interaction(_), _) => Vec::new(),
    };
    together(known, found)
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

/// What was noted, and what was found besides (pure).
fn together(known: &[(u32, MessageId)], found: Vec<Part>) -> Vec<Part> {
    // What they show is not taken from there: their buttons may be those of a turn that runs.
    let mut parts: Vec<Part> = known.iter().map(|(_, id)| Part { id: *id, shown: None }).collect();
    for part in found {
        if parts.iter().all(|it| it.id != part.id) {
            parts.push(part);
        }
    }
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
    fn what_was_noted_stays_first_and_what_was_not_comes_behind() {
        let part = |id| Part { id: MessageId(id), shown: None };
        let parts = together(&[(0, MessageId(5)), (1, MessageId(6))], vec![part(6), part(7)]);
        assert_eq!(ids(&parts), [5, 6, 7]);
    }
}
