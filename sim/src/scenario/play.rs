//! Makes a script happen on a stage, line after line.

use super::{Act, Deed, Place, Script};
use crate::{
    Stage,
    discord::{Discord, PlaceKind, Shown},
};
use futures::future::BoxFuture;
use std::{collections::HashMap, time::Duration};
use tokio::time::{sleep, timeout};

/// How long the bot may take to come to rest: a real model on a small machine takes its time.
const REST: Duration = Duration::from_secs(120);
/// How long `until` waits.
const UNTIL: Duration = Duration::from_secs(5);

/// Plays the whole script. `settle` tells when the bot has nothing left to do (false: it gave up waiting); it is asked when
/// the bot has taken in everything that was said.
///
/// # Errors
/// The line, and what could not be done: a thread that is not there, a command that the bot does not have, a bot that does
/// not come to rest within 30 s.
pub async fn play<'a, F>(script: &Script, stage: &Stage, settle: F) -> Result<(), String>
where
    F: Fn() -> BoxFuture<'a, bool>,
{
    let mut player = Player::new(stage);
    // What is said before the bot is there would be missed by it.
    let connected = timeout(REST, stage.discord.connected()).await;
    connected.map_err(|_| format!("the bot did not connect within {} s", REST.as_secs()))?;
    // Its commands may not be registered yet. Whether it comes to rest at all is said for the first line.
    let _ = rest(stage, &settle).await;
    for step in &script.steps {
        let played = async {
            player.perform(&step.act).await?;
            if step.waits { rest(stage, &settle).await } else { Ok(()) }
        };
        played.await.map_err(|error| format!("line {}: {error}", step.line))?;
    }
    // What the last lines began is part of the play.
    rest(stage, &settle).await
}

/// Waits until the bot has taken in every event, and has then nothing left to do.
async fn rest<'a>(stage: &Stage, settle: &impl Fn() -> BoxFuture<'a, bool>) -> Result<(), String> {
    let at_rest = async {
        loop {
            stage.discord.connected().await;
            // False when the connection was lost meanwhile: the events will come again.
            if stage.discord.barrier().await {
                return settle().await;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    match timeout(REST, at_rest).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("the bot did not come to rest".into()),
        Err(_) => Err(format!("the bot did not come to rest within {} s", REST.as_secs())),
    }
}

/// Performs acts, one at a time; it remembers who said what last.
#[derive(Debug)]
pub struct Player<'s> {
    stage: &'s Stage,
    /// The last message of each person.
    last: HashMap<String, u64>,
}

impl<'s> Player<'s> {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(stage: &'s Stage) -> Self {
        Self { stage, last: HashMap::new() }
    }

    /// Does one thing, and does not wait for what comes of it.
    ///
    /// # Errors
    /// What could not be done, and why.
    pub async fn perform(&mut self, act: &Act) -> Result<(), String> {
        let Stage { discord, providers } = self.stage;
        match act {
            Act::Person { name, moderator, deed } => {
                if *moderator {
                    discord.moderator(name);
                }
                self.person(name, deed)?;
            }
            Act::Break { provider, behaviour } => providers.set(provider, behaviour)?,
            Act::Heal(provider) => providers.heal(provider)?,
            Act::Health { provider, ok } => providers.health(provider, *ok)?,
            Act::Gateway(fault) => discord.gateway(*fault),
            Act::Rest(fault) => discord.rest_fault(fault.clone()),
            Act::HealRest => discord.heal_rest(),
            Act::Wait(time) => sleep(*time).await,
            Act::Until(text) => timeout(UNTIL, discord.shown(None, text))
                .await
                .map_err(|_| format!("'{text}' was not shown within {} s", UNTIL.as_secs()))?,
        }
        Ok(())
    }

    fn person(&mut self, name: &str, deed: &Deed) -> Result<(), String> {
        let discord = &self.stage.discord;
        let said = match deed {
            Deed::Say { place, text } => discord.say(name, find(discord, name, place)?, text, None),
            Deed::Reply { place, text } => {
                let channel = find(discord, name, place)?;
                let last = discord.messages(channel).into_iter().rfind(|shown| from_bot(discord, shown));
                let last = last.ok_or("there is no message of the bot to reply to")?;
                discord.say(name, channel, text, Some(last.id))
            }
            Deed::Open { title, channel, text } => {
                let thread = discord.start_thread(name, discord.channel(channel), None, title);
                discord.say(name, thread, text, None)
            }
            Deed::Post { title, tags, forum, text } => {
                let tags: Vec<_> = tags.iter().map(String::as_str).collect();
                discord.post(name, discord.forum(forum, &tags), title, text, &tags)
            }
            Deed::Run { place, command } => {
                discord
                    .slash(name, find(discord, name, place)?, command)
                    .map_err(|refused| refused.to_string())?;
                return Ok(());
            }
            Deed::Edit(text) => {
                discord.edit(self.last(name)?, text);
                return Ok(());
            }
            Deed::Delete => {
                discord.delete(self.last(name)?);
                return Ok(());
            }
            Deed::Click(button) => return click(discord, name, button),
            Deed::Use { command, on } => {
                let message = if *on == discord.bot().name { latest(discord)? } else { self.last(on)? };
                discord.context(name, message, command).map_err(|refused| refused.to_string())?;
                return Ok(());
            }
        };
        self.last.insert(name.to_owned(), said);
        Ok(())
    }

    fn last(&self, name: &str) -> Result<u64, String> {
        self.last.get(name).copied().ok_or_else(|| format!("{name} has not said anything yet"))
    }
}

/// The bot's last message that everybody can see, wherever it is.
fn latest(discord: &Discord) -> Result<u64, String> {
    let places = discord.places();
    let all = places.iter().flat_map(|place| discord.messages(place.id));
    let ids = all.filter(|shown| from_bot(discord, shown)).map(|shown| shown.id);
    ids.max().ok_or_else(|| "the bot has not said anything yet".to_owned())
}

/// Whether the bot said it, and everybody can still see it.
fn from_bot(discord: &Discord, shown: &Shown) -> bool {
    shown.bot && shown.author == discord.bot().name && !shown.deleted && !shown.ephemeral
}

fn find(discord: &Discord, person: &str, place: &Place) -> Result<u64, String> {
    match place {
        Place::Dm => Ok(discord.dm(person)),
        Place::Channel(name) => Ok(discord.channel(name)),
        Place::Below { parent, title } => {
            let places = discord.places();
            let named = |id: Option<u64>| places.iter().any(|it| Some(it.id) == id && it.name == *parent);
            let below = |kind| matches!(kind, PlaceKind::Thread | PlaceKind::Post);
            places
                .iter()
                .rfind(|it| below(it.kind) && it.name == *title && named(it.parent))
                .map(|it| it.id)
                .ok_or_else(|| format!("there is no thread or post `{title}` in #{parent}"))
        }
    }
}

/// Whether only this person sees it.
fn asked_back(shown: &Shown, person: &str) -> bool {
    shown.bot && !shown.deleted && shown.only_for.as_deref() == Some(person)
}

/// Clicks the button of the bot's latest message that has it, of those that the person can see.
fn click(discord: &Discord, person: &str, button: &str) -> Result<(), String> {
    let is_it = |it: &&(String, String)| it.0 == button || it.1.eq_ignore_ascii_case(button);
    let places = discord.places();
    let latest = places
        .iter()
        .flat_map(|place| discord.messages(place.id))
        .filter(|shown| from_bot(discord, shown) || asked_back(shown, person))
        .filter_map(|shown| Some((shown.id, shown.buttons.iter().find(is_it)?.0.clone())))
        .max_by_key(|(id, _)| *id);
    let (message, id) = latest.ok_or_else(|| format!("no message of the bot has a button `{button}`"))?;
    discord.click(person, message, &id).map_err(|refused| refused.to_string())?;
    Ok(())
}
