//! The small text language for scenes: who plays, who says what where, and what breaks when.
//!
//! One line is one thing that happens; the transcript is what came of it. After what a person does, the play waits until the
//! bot has come to rest; with ` &` at the end of the line it does not wait.
//!
//! ```text
//! // a comment
//! cast   alpha: 429 retry-after=30 | beta: kind=anthropic 'Hello, Ana.'
//! config router.strategy=priority chat.channels=[#help]
//!
//! ana    in #help: @neverdark hi
//! ana    in dm: hi
//! ana    replies in #help: and then?               (to the bot's last message there)
//! ana    opens "Plans" in #help: @neverdark help   (a thread; the text is said in it)
//! ana    in #help/Plans: go on                     (in a thread, or a forum's post)
//! ana    posts "Title" [rust, help] in #ideas: text
//! ana    in #help: a text of several lines
//!        | goes on in lines that are indented deeper and begin with a bar
//! mia*   runs /provider use beta in #help          (the star: a moderator)
//! ana    edits: a new text                         (her last message)
//! ana    deletes                                   (her last message)
//! ana    clicks stop                               (a button of the bot's last message that she can see, by id or label)
//!
//! break  alpha 500                                 (a behaviour, as behind the name in a cast)
//! heal   alpha
//! health alpha bad                                 (or good)
//! gateway drop                                     (or reset, reconnect, invalid, resumable, close 4000, freeze,
//!                                                   thaw, refuse, accept)
//! discord 429 retry-after=0.5 on edit              (or a status, lost, reset, garbled, delay=300ms; times=3; on a
//!                                                   call by its name or a part of its path)
//! discord heal
//! wait   300ms
//! until  'text'                                    (until the bot's message with this text can be seen, at most 5 s)
//! ```
//!
//! A comment begins with `//` at the beginning of a line, or with two spaces and `//` behind something that is not said by a
//! person. The words for providers are in `providers/behaviour.rs`, those for calls of Discord in `discord/rest/routes.rs`.
//! A `#name` in a `config` line stands for that channel's id, and `@Moderators` for the moderators' role.

mod faults;
mod parse;
mod people;
mod play;

#[cfg(test)]
mod play_tests;
#[cfg(test)]
mod tests;

pub use play::{Player, play};

use crate::{
    discord::{GatewayFault, RestFault},
    providers::Cast,
};
use std::time::Duration;

/// A scene.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The providers.
    pub cast: Cast,
    /// Settings for the app, as they stand there; see [`crate::Stage::config`].
    pub config: Vec<(String, String)>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number in the text, from 1.
    pub line: usize,
    /// What happens.
    pub act: Act,
    /// Whether the play waits until the bot has come to rest.
    pub waits: bool,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Somebody does something.
    Person {
        /// Who.
        name: String,
        /// Whether this person may manage the server.
        moderator: bool,
        /// What.
        deed: Deed,
    },
    /// A provider gets another behaviour.
    Break {
        /// Its name.
        provider: String,
        /// The behaviour's words.
        behaviour: String,
    },
    /// A provider gets its first behaviour back.
    Heal(String),
    /// A provider's health check changes.
    Health {
        /// Its name.
        provider: String,
        /// Whether it says that it is well.
        ok: bool,
    },
    /// Something happens to the gateway.
    Gateway(GatewayFault),
    /// Something happens to calls of Discord.
    Rest(RestFault),
    /// No more faults of Discord's calls.
    HealRest,
    /// Time passes.
    Wait(Duration),
    /// Until the bot's message with this text can be seen.
    Until(String),
}

/// What a person does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Says something.
    Say {
        /// Where.
        place: Place,
        /// What.
        text: String,
    },
    /// Replies to the bot's last message.
    Reply {
        /// Where.
        place: Place,
        /// What.
        text: String,
    },
    /// Opens a thread, and says something in it.
    Open {
        /// Its title.
        title: String,
        /// The channel's name.
        channel: String,
        /// What.
        text: String,
    },
    /// Writes a post in a forum.
    Post {
        /// Its title.
        title: String,
        /// Its tags; the forum gets those that it does not have.
        tags: Vec<String>,
        /// The forum's name.
        forum: String,
        /// The first message.
        text: String,
    },
    /// Runs a slash command.
    Run {
        /// Where.
        place: Place,
        /// The command with its slash.
        command: String,
    },
    /// Changes their last message.
    Edit(String),
    /// Deletes their last message.
    Delete,
    /// Clicks a button, by its id or label.
    Click(String),
}

/// Where something is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A text channel, by its name without `#`.
    Channel(String),
    /// A thread of a channel or a post of a forum.
    Below {
        /// The channel's or forum's name.
        parent: String,
        /// The title.
        title: String,
    },
    /// The person's DM with the bot.
    Dm,
}
