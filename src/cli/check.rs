//! `neverdark check`: every problem at once, each with its fix, before anybody depends on the bot.

use super::{Exit, health::Health};
use crate::{
    app,
    chat::lacking::{Effect, Lacking},
    config::{self, Config, Env, Loaded, ProviderConfig, TrainsOnData},
    discord::{
        GatewayFailure, missing_in,
        rest::{Application, Rest, RestError},
    },
    message::{ChannelId, UserId},
    store::Store,
};
use futures::future::join_all;
use serde_json::json;
use std::{path::Path, time::Duration};

/// A provider that takes longer to say that it is there is reported as slow.
const HEALTH_LIMIT: Duration = Duration::from_secs(10);
/// View channels, send messages, embed links, attach files, read the history, send in threads: what the bot needs.
const INVITE_PERMISSIONS: u64 = 274_878_024_704;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Look at the configuration and the store only
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    good: Vec<String>,
    warnings: Vec<String>,
    problems: Vec<String>,
    /// What else there is to know, each a sentence without its full stop.
    notes: Vec<String>,
    /// One object a provider, for programs.
    providers: Vec<serde_json::Value>,
    invite: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, explicit: Option<&Path>, env: &Env) -> Exit {
    let mut found = Findings::default();
    match config::load(explicit, env) {
        Ok(loaded) => look(loaded, env, arguments.offline, &mut found).await,
        Err(problems) => found.problems.extend(problems.0.iter().map(ToString::to_string)),
    }
    if arguments.json {
        let Findings { good, warnings, problems, notes, providers, invite } = &found;
        say_line!(
            "{}",
            json!({
                "ok": problems.is_empty(), "good": good, "warnings": warnings, "problems": problems, "notes": notes,
                "providers": providers, "invite": invite,
            })
        );
    } else {
        for (mark, lines) in [
            ("ok     ", &found.good),
            ("note   ", &found.notes),
            ("warning", &found.warnings),
            ("PROBLEM", &found.problems),
        ] {
            for line in lines {
                say_line!("{mark}  {}", line.replace('\n', "\n         "));
            }
        }
        if let Some(invite) = &found.invite {
            say_line!("\nInvite the bot with: {invite}");
        }
        match found.problems.len() {
            0 => say_line!("\nNo problems."),
            1 => say_line!("\n1 problem."),
            count => say_line!("\n{count} problems."),
        }
    }
    if found.problems.is_empty() { Exit::Done } else { Exit::Config }
}

async fn look(mut loaded: Loaded, env: &Env, offline: bool, found: &mut Findings) {
    let looked = if offline { Ok(()) } else { app::find_local_servers(&mut loaded).await };
    let Loaded { config, file, warnings, notes } = &loaded;
    found.good.push(match file {
        Some(file) => format!("configuration: {}", file.display()),
        None => "configuration: defaults and environment".to_owned(),
    });
    found.warnings.extend(warnings.iter().map(ToString::to_string));
    found.notes.extend(notes.iter().cloned());
    training(config, found);
    match looked {
        Ok(()) => providers(config, env, offline, found).await,
        Err(problem) => found.problems.push(problem.to_string()),
    }
    store(config, found).await;
    if config.discord.enabled {
        discord(config, env, offline, found).await;
    }
}

/// Who trains models on what is sent, and what that means for a bot in Discord.
///
/// Discord's Developer Terms 5b and 12a, and its Developer Policy 21 (as of 2024-07-08).
fn training(config: &Config, found: &mut Findings) {
    const TERMS: &str = "Discord's terms let messages go only to providers that have agreed in writing to use them for you alone \
                         (Developer Terms 5b and 12a), and forbid training models on them (Developer Policy 21)";
    for ProviderConfig { name, vendor, kind, model, trains_on_data, .. } in &config.providers {
        found.providers.push(json!({
            "name": name, "vendor": vendor, "kind": kind, "model": model, "trains_on_data": trains_on_data,
        }));
    }
    let who = |wanted| {
        let of = config.providers.iter().filter(|it| it.trains_on_data == wanted);
        of.map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (no, yes, unknown) = (who(TrainsOnData::No), who(TrainsOnData::Yes), who(TrainsOnData::Unknown));
    if !no.is_empty() {
        found.good.push(format!("no training on what is sent to: {no}"));
    }
    if config.discord.enabled && !yes.is_empty() {
        found.warnings.push(format!(
            "models are trained on what is sent to: {yes}. {TERMS}.\nTake a plan without training and set trains_on_data = false, \
             or remove the provider."
        ));
    }
    if config.discord.enabled && !unknown.is_empty() {
        found.warnings.push(format!(
            "it is not known whether models are trained on what is sent to: {unknown}. {TERMS}.\nLook it up in the terms of your \
             plan, then set trains_on_data = false (or true) in the provider's table."
        ));
    }
}

async fn providers(config: &Config, env: &Env, offline: bool, found: &mut Findings) {
    let router = match app::router(config, env, fastrand::Rng::new()) {
        Ok(router) => router,
        Err(app::Failure::Config(problems)) => {
            found.problems.extend(problems.0.iter().map(ToString::to_string));
            return;
        }
        Err(failure) => return found.problems.push(failure.to_string()),
    };
    if offline {
        return found.good.push(format!("providers: {}", router.names().join(", ")));
    }
    let checks = router.providers().map(|provider| async move {
        let problem = Health::of(&*provider, HEALTH_LIMIT).await.problem();
        (provider, problem)
    });
    for (provider, problem) in join_all(checks).await {
        let (name, model) = (provider.name(), provider.model());
        match problem {
            None => found.good.push(format!("provider {name} ({model}) is there")),
            Some(problem) => found.problems.push(format!("provider {name} {problem}")),
        }
    }
}

async fn store(config: &Config, found: &mut Findings) {
    match Store::open(&config.store.url).await {
        Ok(store) => {
            found.good.push(format!("store: {} can be written", config.store.url));
            if let Err(failure) = store.close().await {
                found.problems.push(failure.to_string());
            }
        }
        Err(failure) if failure.is_in_use() => {
            found.good.push(format!("store: {} is in use by a running bot", config.store.url));
        }
        Err(failure) => found.problems.push(failure.to_string()),
    }
}

async fn discord(config: &Config, env: &Env, offline: bool, found: &mut Findings) {
    let token = match config.discord_token(env) {
        Ok(token) => token,
        Err(problem) => return found.problems.push(problem.to_string()),
    };
    if offline {
        return found.good.push("Discord: a token is set".to_owned());
    }
    let asked = async {
        let rest = app::rest(config, &token, fastrand::Rng::new()).map_err(|failure| failure.to_string())?;
        let me = rest.me().await.map_err(|failure| refused(config, &failure))?;
        let application = rest.application().await.map_err(|failure| refused(config, &failure))?;
        Ok::<_, String>((rest, me, application))
    };
    match asked.await {
        Ok((rest, me, application)) => {
            found.good.push(format!("Discord: the token is that of {}", me.username));
            intents(config, &application, found);
            channels(config, &rest, me.id, found).await;
            found.invite = Some(format!(
                "https://discord.com/oauth2/authorize?client_id={}&scope=bot+applications.commands&permissions={INVITE_PERMISSIONS}",
                application.id.0
            ));
        }
        Err(problem) => found.problems.push(problem),
    }
}

/// Whether the bot may answer in the channels and forums that are set.
async fn channels(config: &Config, rest: &Rest, me: UserId, found: &mut Findings) {
    let set = [("chat.channels", &config.chat.channels), ("chat.forums", &config.chat.forums)];
    for (setting, id) in set.into_iter().flat_map(|(setting, ids)| ids.iter().map(move |id| (setting, *id))) {
        match missing_in(rest, me, ChannelId(id)).await {
            Ok(missing) if missing.is_empty() => {
                found.good.push(format!("Discord: the bot may answer in channel {id} of {setting}"));
            }
            Ok(missing) => {
                for Lacking { names, effect, .. } in missing {
                    let line = format!(
                        "Discord: the bot lacks the permission {names} in channel {id} of {setting}, {}. Allow it in the \
                         channel's settings (Permissions)",
                        effect.words()
                    );
                    if effect == Effect::NoAnswers {
                        found.problems.push(line);
                    } else {
                        found.warnings.push(line);
                    }
                }
            }
            Err(RestError::NotFound { .. }) => found.problems.push(format!(
                "Discord: there is no channel {id} as {setting} says. Take it out, or put the right id in"
            )),
            Err(failure) => found
                .warnings
                .push(format!("Discord: could not look at channel {id} of {setting}: {failure}")),
        }
    }
}

fn intents(config: &Config, application: &Application, found: &mut Findings) {
    if !config.discord.message_content {
        found.good.push("Discord: works without the message content intent, as configured".to_owned());
    } else if application.may_read_messages() {
        found.good.push("Discord: the message content intent is granted".to_owned());
    } else {
        found.problems.push(
            "Discord: the message content intent is not granted. Switch on \"Message Content Intent\" in the Developer Portal \
             (Bot → Privileged Gateway Intents), or set discord.message_content = false"
                .to_owned(),
        );
    }
}

fn refused(config: &Config, failure: &RestError) -> String {
    match failure {
        RestError::Unauthorized => GatewayFailure::WrongToken.to_string(),
        other => format!(
            "Discord at {}: {other}. Check the network, and discord.api_base if you set it",
            config.discord.api_base
        ),
    }
}
