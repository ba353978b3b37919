//! Whether a message is meant for the bot, and what it says (pure).

use super::places::Whereabouts;
use crate::{
    config::{ChatConfig, RespondTo},
    message::{
        Attachment, Beside, ChannelId, GuildId, Inbound, MessageId, Opening, Place, Quoted, Speaker, Trigger,
        UnixMillis, UserId,
    },
};
use serenity::model::{
    channel::{self, Message, MessageType},
    user::User,
};

/// So many files of a message are named; Discord takes ten.
const MOST_NAMED: usize = 10;
/// So many files go with a question.
const MOST_FILES: usize = 20;

/// What is to be done about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not for the bot.
    Ignore,
    /// It is.
    Answer(Trigger),
    /// It is, if the bot has been part of this thread or post.
    AnswerIfOurs(Trigger),
}

/// Decides whether a message is for the bot, `me`. Never its own, other bots' and webhooks' (two bots would talk to each
/// other for ever), and never Discord's own notices.
pub(crate) fn judge(message: &Message, me: UserId, here: &Whereabouts, settings: &ChatConfig) -> Verdict {
    let is_speech = matches!(message.kind, MessageType::Regular | MessageType::InlineReply);
    if !is_persons(message) || !is_speech || message.author.id.get() == me.0 {
        return Verdict::Ignore;
    }
    let wants = |it: RespondTo| settings.respond_to.contains(&it);
    let is_mentioned = message.mentions.iter().any(|it| it.id.get() == me.0);
    let replied_to = message.referenced_message.as_ref().filter(|_| message.kind == MessageType::InlineReply);
    let is_reply_to_me = replied_to.is_some_and(|it| it.author.id.get() == me.0);
    let is_calling = mentions(&message.content, me);
    match here.place {
        Place::Dm if wants(RespondTo::Dm) => Verdict::Answer(Trigger::Dm),
        Place::Dm => Verdict::Ignore,
        // A reply mentions the author it replies to; the text tells the two apart.
        _ if is_calling && wants(RespondTo::Mention) => Verdict::Answer(Trigger::Mention),
        _ if is_reply_to_me && wants(RespondTo::Reply) => Verdict::Answer(Trigger::Reply),
        _ if is_mentioned && replied_to.is_none() && wants(RespondTo::Mention) => {
            Verdict::Answer(Trigger::Mention)
        }
        Place::Channel if settings.channels.contains(&message.channel_id.get()) => {
            Verdict::Answer(Trigger::Channel)
        }
        Place::ForumPost if here.parent.is_some_and(|it| settings.forums.contains(&it.0)) => {
            // A post's first message has the post's own id.
            if message.id.get() == message.channel_id.get() {
                Verdict::Answer(Trigger::Forum)
            } else {
                Verdict::AnswerIfOurs(Trigger::Forum)
            }
        }
        Place::Thread | Place::ForumPost if wants(RespondTo::Thread) => {
            Verdict::AnswerIfOurs(Trigger::Thread)
        }
        Place::Thread | Place::ForumPost | Place::Channel => Verdict::Ignore,
    }
}

fn is_persons(message: &Message) -> bool {
    !message.author.bot && !message.author.system && message.webhook_id.is_none()
}

/// Whether a message may be a further piece of a question: a person's plain speech that is for the bot, or for nobody else.
pub(crate) fn may_join(message: &Message, me: UserId, verdict: Verdict) -> bool {
    let is_plain = message.kind == MessageType::Regular && message.id.get() != message.channel_id.get();
    let is_for_others = || message.mention_everyone || message.mentions.iter().any(|it| it.id.get() != me.0);
    is_persons(message) && is_plain && (verdict != Verdict::Ignore || !is_for_others())
}

/// The message as the bot takes it. None when there is nothing to answer: no text after the mention, and nothing it points at.
pub(crate) fn read(
    message: &Message,
    me: UserId,
    here: &Whereabouts,
    trigger: Trigger,
    received_at: UnixMillis,
) -> Option<Inbound> {
    let replied_to = message.referenced_message.as_deref().map(|it| quote(it, me));
    let opening = matches!(here.place, Place::Thread | Place::ForumPost).then(|| Opening {
        title: here.title.clone(),
        tags: here.tags.clone(),
        starter: None,
    });
    let mut text = said(&message.content, &message.mentions, &message.attachments, me);
    if text.is_empty() {
        // A bare mention asks about what it points at, or about what the place is about.
        let points_at_something =
            replied_to.as_ref().is_some_and(|it| !it.text.is_empty()) || opening.is_some();
        if !points_at_something {
            return None;
        }
        "(no text)".clone_into(&mut text);
    }
    Some(Inbound {
        message_id: MessageId(message.id.get()),
        channel_id: ChannelId(message.channel_id.get()),
        guild_id: message.guild_id.map(|it| GuildId(it.get())),
        place: here.place,
        trigger,
        author: author(message),
        text,
        replied_to,
        opening,
        beside: Beside { chain: Vec::new(), files: files(message) },
        received_at,
        wish: None,
    })
}

/// A message that another one points at.
pub(crate) fn quote(message: &Message, me: UserId) -> Quoted {
    let by_bot = message.author.id.get() == me.0;
    Quoted {
        message_id: MessageId(message.id.get()),
        author: author(message),
        by_bot,
        text: match by_bot {
            true => without_footer(&message.content),
            false => said(&message.content, &message.mentions, &message.attachments, me),
        },
    }
}

/// The footer under an answer is for people; a model that reads it back begins to write its own.
fn without_footer(text: &str) -> String {
    match text.rsplit_once('\n') {
        Some((answer, last)) if last.starts_with("-# ") => answer.trim_end().to_owned(),
        Some(_) | None => text.to_owned(),
    }
}

fn author(message: &Message) -> Speaker {
    speaker(&message.author, message.member.as_ref().and_then(|it| it.nick.as_deref()))
}

/// A person by the name that people see: that on the server, `nick`, or the one they chose, or their account's.
pub(crate) fn speaker(user: &User, nick: Option<&str>) -> Speaker {
    let name = nick.or(user.global_name.as_deref()).unwrap_or(&user.name);
    Speaker { id: UserId(user.id.get()), name: name.to_owned() }
}

/// Whether a text calls somebody.
pub(crate) fn mentions(content: &str, user: UserId) -> bool {
    content.contains(&format!("<@{user}>")) || content.contains(&format!("<@!{user}>"))
}

/// What a message says: the text without the call to the bot at its ends, other people's mentions as their names, and the names of
/// its files.
pub(crate) fn said(content: &str, mentioned: &[User], files: &[channel::Attachment], me: UserId) -> String {
    let text = readable(content, mentioned, me);
    if files.is_empty() {
        return text;
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    let names: Vec<String> = files.iter().take(MOST_NAMED).map(|it| file_name(&it.filename)).collect();
    let more = if files.len() > MOST_NAMED { ", …" } else { "" };
    format!("{text}{gap}[attached: {}{more}]", names.join(", "))
}

/// A name on one line, without what turns its direction or can't be seen.
fn file_name(name: &str) -> String {
    const LONGEST: usize = 80;
    let is_odd = |it: char| {
        it.is_control() || matches!(u32::from(it), 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f)
    };
    name.chars().filter(|it| !is_odd(*it) && *it != ']').take(LONGEST).collect()
}

/// The files of a message and of the one that it replies to.
pub(crate) fn files(message: &Message) -> Vec<Attachment> {
    let quoted = message.referenced_message.iter().flat_map(|it| &it.attachments);
    let file = |it: &channel::Attachment| Attachment {
        name: file_name(&it.filename),
        size: u64::from(it.size),
        url: Some(it.url.clone()),
    };
    message.attachments.iter().chain(quoted).take(MOST_FILES).map(file).collect()
}

fn readable(content: &str, mentioned: &[User], me: UserId) -> String {
    let calls = [format!("<@{me}>"), format!("<@!{me}>")];
    let mut text = content.trim();
    loop {
        let before = text;
        for call in &calls {
            text = text.strip_prefix(call.as_str()).unwrap_or(text).trim_start();
            text = text.strip_suffix(call.as_str()).unwrap_or(text).trim_end();
        }
        if text == before {
            break;
        }
    }
    let mut text = text.to_owned();
    for user in mentioned {
        let name = speaker(user, None).name;
        for form in [format!("<@{}>", user.id), format!("<@!{}>", user.id)] {
            text = text.replace(&form, &format!("@{name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ME: UserId = UserId(99);

    fn message(change: Value) -> Message {
        let mut message = json!({
            "id": "500", "channel_id": "10", "guild_id": "1", "content": "hello", "type": 0,
            "author": {"id": "7", "username": "ana", "global_name": "Ana", "discriminator": "0", "avatar": null},
            "timestamp": "2026-01-01T00:00:00.000000+00:00", "edited_timestamp": null, "tts": false,
            "mention_everyone": false, "mentions": [], "mention_roles": [], "attachments": [], "embeds": [],
            "pinned": false,
        });
        let (Value::Object(whole), Value::Object(change)) = (&mut message, change) else { unreachable!() };
        whole.extend(change);
        serde_json::from_value(message).unwrap()
    }

    fn me() -> Value {
        json!({"id": "99", "username": "neverdark", "discriminator": "0", "avatar": null, "bot": true})
    }

    fn here(place: Place) -> Whereabouts {
        Whereabouts {
            place,
            parent: Some(ChannelId(3)),
            title: "Plans".to_owned(),
            tags: vec!["rust".to_owned()],
        }
    }

    fn verdict(change: Value, place: Place) -> Verdict {
        let settings = ChatConfig { channels: vec![11], forums: vec![3], ..ChatConfig::default() };
        judge(&message(change), ME, &here(place), &settings)
    }

    #[test]
    fn whom_it_answers() {
        use Verdict::{Answer, AnswerIfOurs, Ignore};
        let call = json!({"content": "<@99> hi", "mentions": [me()]});
        assert_eq!(verdict(json!({}), Place::Channel), Ignore, "small talk");
        assert_eq!(verdict(call, Place::Channel), Answer(Trigger::Mention));
        assert_eq!(verdict(json!({}), Place::Dm), Answer(Trigger::Dm));
        assert_eq!(verdict(json!({}), Place::Thread), AnswerIfOurs(Trigger::Thread));
        assert_eq!(verdict(json!({"channel_id": "11"}), Place::Channel), Answer(Trigger::Channel));
        assert_eq!(verdict(json!({"id": "10"}), Place::ForumPost), Answer(Trigger::Forum), "a new post");
        assert_eq!(verdict(json!({}), Place::ForumPost), AnswerIfOurs(Trigger::Forum), "more in a post");
        let reply = message(json!({"id": "400", "author": me(), "content": "It is blue."}));
        let reply = json!({"type": 19, "referenced_message": reply, "mentions": [me()]});
        assert_eq!(verdict(reply, Place::Channel), Answer(Trigger::Reply));
    }

    #[test]
    fn whom_it_never_answers() {
        let call = |extra: Value| {
            let mut call = json!({"content": "<@99> hi", "mentions": [me()]});
            call.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            call
        };
        let bot = json!({"author": {"id": "8", "username": "rival", "discriminator": "0", "avatar": null, "bot": true}});
        for (what, it) in [
            ("itself", call(json!({"author": me()}))),
            ("another bot", call(bot)),
            ("a webhook", call(json!({"webhook_id": "5"}))),
            ("Discord's own notices", call(json!({"type": 7}))),
            ("@everyone", json!({"content": "@everyone hi", "mention_everyone": true})),
        ] {
            assert_eq!(verdict(it, Place::Channel), Verdict::Ignore, "{what}");
        }
    }

    #[test]
    fn the_call_is_taken_off_and_people_have_names() {
        let ben =
            json!({"id": "8", "username": "ben", "global_name": "Ben", "discriminator": "0", "avatar": null});
        let said = json!({"content": " <@!99>  tell <@8> a joke <@99>", "mentions": [me(), ben]});
        let inbound =
            read(&message(said), ME, &here(Place::Channel), Trigger::Mention, UnixMillis(1)).unwrap();
        assert_eq!(inbound.text, "tell @Ben a joke");
        assert_eq!(inbound.author.name, "Ana");
        let bare = json!({"content": "<@99>", "mentions": [me()]});
        assert_eq!(
            read(&message(bare.clone()), ME, &here(Place::Channel), Trigger::Mention, UnixMillis(1)),
            None
        );
        let post =
            read(&message(bare), ME, &here(Place::ForumPost), Trigger::Mention, UnixMillis(1)).unwrap();
        assert_eq!(post.opening.unwrap().tags, ["rust"]);
    }

    #[test]
    fn its_own_footer_is_not_read_back() {
        let answer = message(json!({"author": me(), "content": "Blue.\n-# answered by beta"}));
        assert_eq!(quote(&answer, ME).text, "Blue.");
    }
}
