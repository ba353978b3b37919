//! What the bot says to people about itself and about them: help, privacy, a fresh start, solved posts.

/// `/help`.
pub(crate) fn help() -> String {
    "**Talk to me** by mentioning me, by replying to one of my messages, or in a direct message. \
     In a thread or post that you asked me into I read along.\n\
     `/ask` asks without a mention, if you like so that only you see the answer. *Apps → Ask about this* on a message asks me \
     about it.\n\
     **Below an answer**: stop it, try again, let somebody else answer, say whether it was good, and see who gave it.\n\
     **In a forum post** its author and moderators press *Solved* or use *Apps → Solved*. I am quiet there then, and also \
     when a person helps; a mention brings me back.\n\
     `/reset` makes me forget this conversation: anybody in a thread, a post or a direct message; in a channel moderators, \
     and whoever talked to me there alone.\n\
     **Moderators** (*Manage Server*): `/status` shows how the AI providers are doing; `/provider list`, `use`, `auto`, \
     `disable`, `enable` choose who answers.\n\
     When a provider fails, another one answers and a small line under the answer says so.\n\
     **Your messages**: what you write to me is sent to an AI provider, and stored for a limited time so that I remember \
     the conversation. `/privacy export` shows you all that I have of you, `/privacy forget` deletes it, and \
     `/privacy opt-out` keeps you out of it altogether."
        .to_owned()
}

/// `/reset`, before it is done.
pub(crate) fn reset_asks(is_shared: bool) -> String {
    if is_shared {
        "Shall I forget this conversation? That holds for everybody here.".to_owned()
    } else {
        "Shall I forget this conversation?".to_owned()
    }
}

/// `/reset`, done.
pub(crate) fn reset(forgotten: u64) -> String {
    match forgotten {
        0 => "There was nothing to forget here.".to_owned(),
        1 => "Done. I start afresh here; the 1 message before this is no longer used.".to_owned(),
        count => format!("Done. I start afresh here; the {count} messages before this are no longer used."),
    }
}

/// `/reset` in a channel that belongs to others, too.
pub(crate) fn reset_needs_moderator() -> String {
    "Others talked to me here, too, so only moderators (*Manage Messages* or *Manage Server*) can make me forget it. \
     In a thread or a direct message you can do it yourself."
        .to_owned()
}

/// A button that somebody else's command was answered with.
pub(crate) fn not_yours() -> String {
    "That question was for somebody else.".to_owned()
}

/// `/privacy forget`, before it is done.
pub(crate) fn forget_asks() -> String {
    "Shall I delete everything that I have stored about you, on all servers: your messages to me, my answers to them, your \
     votes and your name? That can't be undone. What you see here on Discord stays until you delete it."
        .to_owned()
}

/// `/privacy forget`, done; with how many lines went.
pub(crate) fn forgotten(lines: u64) -> String {
    let what = match lines {
        0 => "I had no messages of yours.".to_owned(),
        1 => "1 message is gone.".to_owned(),
        count => format!("{count} messages and answers are gone."),
    };
    format!("Done. {what} If you also want to keep me from storing new ones: `/privacy opt-out`.")
}

/// `/privacy opt-out`.
pub(crate) fn opting_out(is_new: bool) -> String {
    if is_new {
        "Done. From now on I neither store nor pass on what you write, and I can't answer you. What I have from before is \
         left out of my context and goes in time; `/privacy forget` deletes it now. `/privacy opt-in` brings you back."
            .to_owned()
    } else {
        "You are out already. `/privacy opt-in` brings you back.".to_owned()
    }
}

/// `/privacy opt-in`.
pub(crate) fn opting_in(is_new: bool) -> String {
    if is_new {
        "Welcome back. What you write to me is stored for a limited time and sent to an AI provider again."
            .to_owned()
    } else {
        "You are not out: there is nothing to change.".to_owned()
    }
}

/// To somebody who opted out and calls the bot.
pub(crate) fn opted_out() -> String {
    "You opted out, so I don't read your messages; `/privacy opt-in` changes that.".to_owned()
}

/// *Ask about this* on a message of somebody who opted out.
pub(crate) fn author_opted_out() -> String {
    "Whoever wrote that opted out, so I don't read it.".to_owned()
}

/// *Ask about this* on a message without text.
pub(crate) fn nothing_to_read() -> String {
    "There is no text in that message that I could read.".to_owned()
}

/// `/privacy export`.
pub(crate) fn exported() -> String {
    "Here is everything that I have stored about you.".to_owned()
}

/// `/privacy export` of more than Discord takes.
pub(crate) fn export_too_large() -> String {
    "That is more than fits into a file on Discord. Whoever runs me can give it to you: `neverdark privacy export`.".to_owned()
}

/// What became of the tag of a solved post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tagged {
    /// The forum has none for it, or the post has it.
    Well,
    /// The post has as many tags as Discord allows.
    Full(String),
    /// The bot may not set it.
    Forbidden(String),
    /// Discord did not do it.
    Failed(String),
}

/// A post is solved.
pub(crate) fn solved(tagged: &Tagged) -> String {
    let tag = |name: &str| name.replace('`', "");
    let about_the_tag = match tagged {
        Tagged::Well => String::new(),
        Tagged::Full(name) => {
            format!("\n-# The post has five tags already, so that I could not add `{}`.", tag(name))
        }
        Tagged::Forbidden(name) => {
            format!(
                "\n-# I could not set the tag `{}`: I lack the permission *Manage Threads* here.",
                tag(name)
            )
        }
        Tagged::Failed(name) => {
            format!("\n-# I could not set the tag `{}`: Discord did not let me.", tag(name))
        }
    };
    format!(
        "✅ Glad that this is solved, and thank you for saying so. I am quiet here from now on; mention me if you need \
         me.{about_the_tag}"
    )
}

/// A post was solved before.
pub(crate) fn solved_already() -> String {
    "This post is marked as solved already.".to_owned()
}

/// *Solved* outside of a forum.
pub(crate) fn only_posts_are_solved() -> String {
    "Only posts in a forum can be marked as solved.".to_owned()
}

/// *Solved*, pressed by a passer-by.
pub(crate) fn only_the_asker_solves() -> String {
    "Only whoever opened this post and moderators can mark it as solved.".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_fits_into_a_message_and_shouts_at_nobody() {
        let full = Tagged::Full("x".repeat(20));
        for said in [
            help(),
            reset_asks(true),
            reset(7),
            reset_needs_moderator(),
            not_yours(),
            forget_asks(),
            forgotten(2),
            opting_out(true),
            opting_out(false),
            opting_in(true),
            opting_in(false),
            opted_out(),
            author_opted_out(),
            nothing_to_read(),
            exported(),
            export_too_large(),
            solved(&full),
            solved_already(),
            only_posts_are_solved(),
            only_the_asker_solves(),
        ] {
            assert!(said.encode_utf16().count() <= 2000, "{said}");
            assert!(!said.contains('!') && !said.contains("  "), "{said}");
        }
    }
}
