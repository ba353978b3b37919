//! What people saw, as text that a test can compare and a terminal can show.
//!
//! ```text
//! #help
//!   ana         @neverdark hi
//!   neverdark  ↳ Hello, Ana.
//!               -# answered by beta · alpha was rate limited
//!   mia         /provider use beta
//!   neverdark   (only mia sees) beta is pinned here.
//! #help › Plans
//!   …
//! DM with ana
//!   …
//! forum #ideas › Title [rust]
//!   …
//! ```
//!
//! There are no times and no ids in it, so that two runs give the same text. `↳` marks a reply. What cannot be seen from the
//! text stands in brackets on a line of its own: `(rewritten)` when what had been shown was replaced by something else,
//! `(edited)` for a person's message, `(deleted)`, `(pings @everyone)`, files, reactions and, where they are asked for, buttons.

use crate::discord::{Discord, PlaceInfo, PlaceKind, Shown};
use std::fmt::Write as _;

/// How much of it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Texts longer than so many characters are shown by their two ends and a count; none shows all.
    pub shorten: Option<usize>,
    /// Whether buttons are shown, such as `[Regenerate] [👍] [👎] [ℹ️]`: they stand below nearly every answer.
    pub buttons: bool,
}

impl Look {
    /// For tests: long texts are shortened to about 400 characters.
    pub const BRIEF: Self = Self { shorten: Some(400), buttons: false };
}

/// What people saw so far, in all places where anything was said, in the order in which these came to be.
#[must_use]
pub fn transcript(discord: &Discord, look: Look) -> String {
    let places = discord.places();
    places.iter().map(|place| render(&heading(place, &places), &scene(discord, place.id), look)).collect()
}

/// The messages and commands of one place, with mentions as people read them.
fn scene(discord: &Discord, channel: u64) -> Vec<Shown> {
    let mut scene = discord.messages(channel);
    for it in discord.invocations(channel) {
        scene.push(Shown { id: it.id, author: it.person, content: it.line, ..Shown::default() });
    }
    scene.sort_by_key(|shown| shown.id);
    for shown in &mut scene {
        shown.content = discord.readable(&shown.content);
        for former in &mut shown.history {
            *former = discord.readable(former);
        }
    }
    together(scene)
}

/// Puts the parts of one reply behind each other: the bot's messages that answer the same message.
fn together(scene: Vec<Shown>) -> Vec<Shown> {
    let mut ordered: Vec<Shown> = Vec::with_capacity(scene.len());
    for shown in scene {
        let part_of = |former: &Shown| shown.bot && former.bot && former.reply_to == shown.reply_to;
        match ordered.iter().rposition(part_of) {
            Some(at) if shown.reply_to.is_some() => ordered.insert(at + 1, shown),
            _ => ordered.push(shown),
        }
    }
    ordered
}

fn heading(place: &PlaceInfo, places: &[PlaceInfo]) -> String {
    let parent = || {
        let parent = places.iter().find(|it| Some(it.id) == place.parent);
        parent.map_or("?", |parent| parent.name.as_str())
    };
    match place.kind {
        PlaceKind::Text => format!("#{}", place.name),
        PlaceKind::Forum => format!("forum #{}", place.name),
        PlaceKind::Thread => format!("#{} › {}", parent(), place.name),
        PlaceKind::Dm => format!("DM with {}", place.name),
        PlaceKind::Post if place.tags.is_empty() => format!("forum #{} › {}", parent(), place.name),
        PlaceKind::Post => format!("forum #{} › {} [{}]", parent(), place.name, place.tags.join(", ")),
    }
}

/// One place; nothing for a place where nothing was said.
fn render(heading: &str, scene: &[Shown], look: Look) -> String {
    if scene.is_empty() {
        return String::new();
    }
    let width = scene.iter().map(|shown| shown.author.chars().count()).fold(9, usize::max);
    let mut text = format!("{heading}\n");
    for shown in scene {
        let mark = if shown.reply_to.is_some() { " ↳ " } else { "  " };
        for (number, line) in lines(shown, look).iter().enumerate() {
            let whole = match number {
                0 => format!("  {:width$} {mark}{line}", shown.author),
                _ => format!("  {:width$}   {line}", ""),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", whole.trim_end());
        }
    }
    text
}

fn lines(shown: &Shown, look: Look) -> Vec<String> {
    let content = look.shorten.map_or_else(|| shown.content.clone(), |limit| shorten(&shown.content, limit));
    let mut lines: Vec<String> = content.trim_end().lines().map(str::to_owned).collect();
    if shown.thinking {
        lines.push("(is thinking…)".into());
    }
    for file in &shown.attachments {
        lines.push(format!("(file {file})"));
    }
    if look.buttons && !shown.buttons.is_empty() {
        let labels: Vec<_> = shown.buttons.iter().map(|(_, label)| format!("[{label}]")).collect();
        lines.push(labels.join(" "));
    }
    if !shown.reactions.is_empty() {
        let counted: Vec<_> =
            shown.reactions.iter().map(|(emoji, count)| format!("{emoji} {count}")).collect();
        lines.push(format!("(reactions {})", counted.join(", ")));
    }
    // A person who mentions somebody can be seen to; only what reaches many, or comes from the bot, is news.
    let pings: Vec<_> = shown.pinged.iter().filter(|name| shown.bot || name.starts_with('@')).collect();
    if !pings.is_empty() {
        let names: Vec<_> = pings.iter().map(|name| format!("@{}", name.trim_start_matches('@'))).collect();
        lines.push(format!("(pings {})", names.join(", ")));
    }
    if shown.bot && rewritten(&shown.history, &shown.content) {
        lines.push("(rewritten)".into());
    }
    if !shown.bot && !shown.history.is_empty() {
        lines.push("(edited)".into());
    }
    if shown.deleted {
        lines.push("(deleted)".into());
    }
    if lines.is_empty() {
        lines.push("(nothing)".into());
    }
    if shown.ephemeral {
        lines[0]
            .insert_str(0, &format!("(only {} sees) ", shown.only_for.as_deref().unwrap_or("one person")));
    }
    lines
}

/// Whether what was shown was ever replaced: a later content neither continues an earlier one nor is its beginning.
fn rewritten(history: &[String], content: &str) -> bool {
    let mut longest = "";
    for content in history.iter().map(String::as_str).chain([content]) {
        let shown = beginning(content);
        if content.starts_with(longest) {
            longest = if shown.len() > longest.len() { shown } else { longest };
        } else if !longest.starts_with(shown) {
            return true;
        }
    }
    false
}

/// A content without what a live reply may have at its end for a while: closed fences and other Markdown, a cursor, a footer.
fn beginning(content: &str) -> &str {
    let mut rest = content;
    loop {
        let shorter = rest.trim_end_matches(|c: char| c.is_whitespace() || "`~*_|▌…".contains(c));
        let line = shorter.rfind('\n').map_or(0, |at| at + 1);
        let shorter = if shorter[line..].starts_with("-# ") { &shorter[..line] } else { shorter };
        if shorter.len() == rest.len() {
            return rest;
        }
        rest = shorter;
    }
}

/// A long text by its two ends, and how many characters were left out.
fn shorten(text: &str, limit: usize) -> String {
    let count = text.chars().count();
    if count <= limit {
        return text.to_owned();
    }
    let end = limit / 3;
    let (start, left_out) = (limit - end, count - limit);
    let head: String = text.chars().take(start).collect();
    let tail: String = text.chars().skip(count - end).collect();
    format!("{}\n…[{} characters]…\n{}", head.trim_end(), grouped(left_out), tail.trim_start())
}

/// A number with a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
    fn check(scene: &[Shown], expected: Expect) {
        expected.assert_eq(&render("#help", scene, Look { shorten: Some(60), buttons: true }));
    }

    fn ana(id: u64, content: &str) -> Shown {
        Shown { id, author: "ana".into(), content: content.into(), ..Shown::default() }
    }

    fn bot(id: u64, reply_to: u64, content: &str) -> Shown {
        let reply_to = (reply_to > 0).then_some(reply_to);
        Shown {
            id,
            author: "neverdark".into(),
            bot: true,
            reply_to,
            content: content.into(),
            ..Shown::default()
        }
    }

    #[test]
    fn a_reply_with_a_footer() {
        check(
            &[ana(1, "@neverdark hi"), bot(2, 1, "Hello, Ana.\n-# answered by beta"), ana(3, "one\n\ntwo")],
            expect![[r"
                #help
                  ana         @neverdark hi
                  neverdark  ↳ Hello, Ana.
                              -# answered by beta
                  ana         one

                              two
            "]],
        );
        check(&[], expect![""]);
    }

    #[test]
    fn what_the_text_does_not_tell() {
        let history = vec!["Hel".to_owned(), "Hello, wor".into()];
        check(
            &[
                Shown { history: vec!["helo".into()], ..ana(1, "hello") },
                Shown { history, ..bot(2, 1, "Good day.") },
                Shown { deleted: true, pinged: vec!["@everyone".into(), "ana".into()], ..bot(3, 0, "Hey!") },
                Shown { pinged: vec!["neverdark".into()], ..ana(4, "@neverdark hi") },
                Shown { ephemeral: true, only_for: Some("mia".into()), ..bot(5, 0, "Pinned.\nFor an hour.") },
                Shown {
                    attachments: vec!["answer.md".into()],
                    buttons: vec![("stop".into(), "Stop".into()), ("again".into(), "Try again".into())],
                    reactions: vec![("👍".into(), 2)],
                    ..bot(6, 0, "")
                },
                Shown { thinking: true, ..bot(7, 0, "") },
                bot(8, 0, ""),
            ],
            expect![[r"
                #help
                  ana         hello
                              (edited)
                  neverdark  ↳ Good day.
                              (rewritten)
                  neverdark   Hey!
                              (pings @everyone, @ana)
                              (deleted)
                  ana         @neverdark hi
                  neverdark   (only mia sees) Pinned.
                              For an hour.
                  neverdark   (file answer.md)
                              [Stop] [Try again]
                              (reactions 👍 2)
                  neverdark   (is thinking…)
                  neverdark   (nothing)
            "]],
        );
    }

    #[test]
    fn long_texts_and_long_names() {
        let long = Shown { author: "a very long name".into(), ..ana(1, &"x".repeat(5_060)) };
        check(
            &[long, bot(2, 1, "ok")],
            expect![[r#"
                #help
                  a very long name   xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                                     …[5,000 characters]…
                                     xxxxxxxxxxxxxxxxxxxx
                  neverdark         ↳ ok
            "#]],
        );
    }

    #[test]
    fn parts_of_one_reply_follow_each_other() {
        let scene =
            vec![ana(1, "a"), ana(2, "b"), bot(3, 1, "A1"), bot(4, 2, "B1"), bot(5, 1, "A2"), bot(6, 0, "x")];
        let order: Vec<_> = together(scene).into_iter().map(|shown| shown.content).collect();
        assert_eq!(order, ["a", "b", "A1", "A2", "B1", "x"]);
    }

    #[test]
    fn growing_is_no_rewriting() {
        let rewritten = |contents: &[&str]| {
            let (last, history) = contents.split_last().unwrap();
            rewritten(&history.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>(), last)
        };
        assert!(!rewritten(&["Hello.\n```rust\nfn a()\n```", "Hello.\n```rust\nfn a() {\n}\n```\nDone."]));
        assert!(!rewritten(&[
            "Hello, **wor**",
            "Hello, **world**, and",
            "Hello, **world**, and you\n-# by beta"
        ]));
        assert!(!rewritten(&["-# alpha broke off", "Hello."]));
        assert!(!rewritten(&["Hello, world", "Hello,"]), "a word can move to the next message");
        assert!(!rewritten(&[""]));
        assert!(rewritten(&["Hello, wor", "Good day."]));
        assert!(rewritten(&["Hello, world", "Hello", "Hello there"]), "what was seen before counts");
        assert!(rewritten(&["One two\n-# footer", "One thr\n-# footer"]));
    }
}
