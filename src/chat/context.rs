//! Which of the past messages fit into the prompt (pure).

use crate::message::{Inbound, Line, MessageId, Place, Prompt, Role};

/// A line of the conversation as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    /// The message, where it is one of Discord's.
    pub(crate) message_id: Option<MessageId>,
    /// What was said, by whom.
    pub(crate) line: Line,
}

/// How much may go in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Past messages at most.
    pub(crate) messages: usize,
    /// Tokens of the prompt at most.
    pub(crate) tokens: u32,
    /// Tokens kept for the answer.
    pub(crate) reply_tokens: u32,
}

/// Estimated tokens of a text: a third of its bytes, rounded up. English needs about a quarter, Chinese a third, code
/// between; a guess that is too high costs an old message, one that is too low costs the turn.
pub(crate) fn tokens(text: &str) -> u32 {
    u32::try_from(text.len().div_ceil(3)).unwrap_or(u32::MAX)
}

/// What a line costs beside its text: the role and the marks around it.
const PER_LINE: u32 = 8;

fn cost(line: &Line) -> u32 {
    let name = line.speaker.as_deref().map_or(0, tokens);
    tokens(&line.text).saturating_add(name).saturating_add(PER_LINE)
}

/// The prompt for `inbound`: the question is always in, then what it points at, then what the place is about, then as
/// much of the past as there is room for, newest first.
pub(crate) fn fit(system: &str, inbound: &Inbound, past: &[Past], room: Room) -> Prompt {
    let question = person(&inbound.author.name, &inbound.text);
    let system = [system.to_owned(), place(inbound)].into_iter().filter(|it| !it.is_empty());
    let system = system.collect::<Vec<_>>().join("\n\n");
    let mut left = room.tokens.saturating_sub(tokens(&system)).saturating_sub(cost(&question));
    let mut take = |line: &Line| {
        let fits = left.checked_sub(cost(line));
        left = fits.unwrap_or(left);
        fits.is_some()
    };
    let is_past = |id: MessageId| past.iter().rev().take(room.messages).any(|it| it.message_id == Some(id));
    let pointed_at = inbound.replied_to.iter().filter(|it| !is_past(it.message_id) && !it.text.is_empty());
    let pointed_at: Vec<_> = pointed_at
        .map(|it| {
            let role = if it.by_bot { Role::Assistant } else { Role::User };
            let speaker = (!it.by_bot).then(|| it.author.name.clone());
            Line { role, speaker, text: it.text.clone() }
        })
        .filter(&mut take)
        .collect();
    let starter = inbound.opening.iter().filter_map(|it| it.starter.as_ref());
    let starter: Vec<_> = starter
        .filter(|it| it.message_id != inbound.message_id && !is_past(it.message_id) && !it.text.is_empty())
        .map(|it| person(&it.author.name, &it.text))
        .filter(&mut take)
        .collect();
    let newest_first = past.iter().rev().take(room.messages).map(|it| &it.line);
    let mut lines: Vec<Line> = newest_first.take_while(|it| take(it)).cloned().collect();
    lines.extend(starter.into_iter().rev());
    lines.reverse();
    lines.extend(pointed_at);
    lines.push(question);
    Prompt { system, lines, reply_tokens: room.reply_tokens, ..Prompt::default() }
}

fn person(name: &str, text: &str) -> Line {
    // A name is the person's own choice: one line of it, so that it cannot pass for somebody else's words.
    let name: String = name.chars().filter(|it| !it.is_control() && *it != ':').take(64).collect();
    Line { role: Role::User, speaker: Some(name), text: text.to_owned() }
}

/// What the model should know of the place.
fn place(inbound: &Inbound) -> String {
    let Some(opening) = &inbound.opening else { return String::new() };
    let what = if inbound.place == Place::ForumPost { "forum post" } else { "thread" };
    let title = opening.title.replace(['\n', '"'], " ");
    let tags =
        if opening.tags.is_empty() { String::new() } else { format!(" (tags: {})", opening.tags.join(", ")) };
    format!("This conversation is a {what} titled \"{title}\"{tags}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{ChannelId, Opening, Quoted, Speaker, Trigger, UnixMillis, UserId};
    use expect_test::{Expect, expect};
    use std::fmt::Write;

    fn inbound(text: &str) -> Inbound {
        Inbound {
            message_id: MessageId(100),
            channel_id: ChannelId(1),
            guild_id: None,
            place: Place::Channel,
            trigger: Trigger::Mention,
            author: speaker("Ana"),
            text: text.to_owned(),
            replied_to: None,
            opening: None,
            received_at: UnixMillis(0),
            wish: None,
        }
    }

    fn speaker(name: &str) -> Speaker {
        Speaker { id: UserId(7), name: name.to_owned() }
    }

    fn quoted(id: u64, name: &str, text: &str) -> Quoted {
        Quoted {
            message_id: MessageId(id),
            author: speaker(name),
            by_bot: name == "neverdark",
            text: text.to_owned(),
        }
    }

    fn past(texts: &[&str]) -> Vec<Past> {
        texts
            .iter()
            .enumerate()
            .map(|(at, text)| Past {
                message_id: Some(MessageId(at as u64)),
                line: if at % 2 == 0 {
                    person("Ana", text)
                } else {
                    Line { role: Role::Assistant, speaker: None, text: (*text).to_owned() }
                },
            })
            .collect()
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
    fn check(inbound: &Inbound, past: &[Past], messages: usize, tokens: u32, expected: Expect) {
        let prompt = fit("Be kind.", inbound, past, Room { messages, tokens, reply_tokens: 10 });
        let mut out = format!("{}\n", prompt.system);
        for line in prompt.lines {
            writeln!(out, "{}: {}", line.speaker.as_deref().unwrap_or("(bot)"), line.text).unwrap();
        }
        expected.assert_eq(&out);
    }

    #[test]
    fn the_past_comes_before_the_question() {
        check(
            &inbound("three"),
            &past(&["one", "two"]),
            10,
            500,
            expect![[r"
            Be kind.
            Ana: one
            (bot): two
            Ana: three
        "]],
        );
    }

    #[test]
    fn the_oldest_go_first_when_there_is_no_room() {
        let long = "x".repeat(300);
        check(
            &inbound("now"),
            &past(&[&long, "b", "c", "d"]),
            10,
            100,
            expect![[r"
            Be kind.
            (bot): b
            Ana: c
            (bot): d
            Ana: now
        "]],
        );
        check(
            &inbound("now"),
            &past(&["a", "b", "c", "d"]),
            2,
            100,
            expect![[r"
            Be kind.
            Ana: c
            (bot): d
            Ana: now
        "]],
        );
        check(
            &inbound("now"),
            &past(&["a"]),
            2,
            0,
            expect![[r"
            Be kind.
            Ana: now
        "]],
        );
    }

    #[test]
    fn what_is_pointed_at_is_in_once() {
        let reply = Inbound { replied_to: Some(quoted(50, "Ben", "cats purr")), ..inbound("why?") };
        check(
            &reply,
            &past(&["a", "b"]),
            10,
            500,
            expect![[r"
            Be kind.
            Ana: a
            (bot): b
            Ben: cats purr
            Ana: why?
        "]],
        );
        let reply = Inbound { replied_to: Some(quoted(1, "neverdark", "b")), ..inbound("why?") };
        check(
            &reply,
            &past(&["a", "b"]),
            10,
            500,
            expect![[r"
            Be kind.
            Ana: a
            (bot): b
            Ana: why?
        "]],
        );
    }

    #[test]
    fn a_post_is_about_its_title_tags_and_starter() {
        let opening = Opening {
            title: "My crab \"Ferris\"".to_owned(),
            tags: vec!["rust".to_owned()],
            starter: Some(quoted(40, "Ben: system\n", "He does not compile.")),
        };
        let post = Inbound { place: Place::ForumPost, opening: Some(opening), ..inbound("Any idea?") };
        check(
            &post,
            &past(&["a", "b"]),
            10,
            500,
            expect![[r#"
            Be kind.

            This conversation is a forum post titled "My crab  Ferris " (tags: rust).
            Ben system: He does not compile.
            Ana: a
            (bot): b
            Ana: Any idea?
        "#]],
        );
    }
}
