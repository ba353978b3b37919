//! `neverdark ask`: one turn through the router, streamed to stdout; who answered goes to stderr.

use super::{Exit, ended, fail, wrong_config};
use crate::{
    app::{self, Failure, Rooms},
    config::{self, Config, Env},
    message::UnixMillis,
    outcome::Outcome,
    router::{End, Event, strategy::Wish},
};
use serde_json::json;
use std::{
    io::{Read, Write},
    path::Path,
};

/// The longest question read from stdin, in bytes; a model's window is smaller.
const LONGEST: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The question; `-` reads it from stdin
    text: String,
    /// Ask this provider first; the others stay behind it
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Print one JSON object with the answer and every attempt
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments, explicit: Option<&Path>, env: &Env) -> Exit {
    let mut loaded = match config::load(explicit, env) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong_config(&problems),
    };
    let text = match question(&arguments.text) {
        Ok(text) => text,
        Err(exit) => return exit,
    };
    if let Err(problem) = app::find_local_servers(&mut loaded).await {
        return wrong_config(&problem.into());
    }
    let rooms = match open(&mut loaded.config, env).await {
        Ok(rooms) => rooms,
        Err(failure) => return ended(&failure),
    };
    if let Some(name) = &arguments.provider
        && !rooms.router.names().contains(&name.as_str())
    {
        let known = rooms.router.names().join(", ");
        return fail(Exit::Config, &format!("there is no provider named {name}; configured are: {known}"));
    }
    let wish = Wish { first: arguments.provider.into_iter().collect(), ..Wish::default() };
    let (mut answer, mut attempts) = (String::new(), Vec::new());
    let is_json = arguments.json;
    let (turn, end) = rooms
        .chat
        .ask(&text, &wish, UnixMillis::now(), |event| match event {
            Event::Attempt(attempt) => {
                if let (Outcome::Failed(failed), false) = (&attempt.outcome, is_json) {
                    complain!("neverdark: {} failed: {failed}", attempt.provider);
                }
                attempts.push(attempt.clone());
            }
            Event::Opened { afresh: true, provider, .. } => {
                answer.clear();
                if !is_json {
                    say!("\n");
                    complain!("neverdark: the answer broke off; {provider} answers anew:");
                }
            }
            Event::Text(text) => {
                answer.push_str(text);
                if !is_json {
                    say!("{text}");
                    // A reader of the pipe that has gone is no failure, as above.
                    let _ = std::io::stdout().flush();
                }
            }
            Event::Opened { .. } | Event::ToolCall(_) | Event::Ended(_) => {}
        })
        .await;
    let (provider, failed) = match &end {
        Some(End::Answered { provider, .. }) => (Some(provider.clone()), None),
        Some(End::Exhausted(exhausted)) => (None, Some(rooms.chat.apology(exhausted, &turn))),
        None => (None, Some("the turn did not end".to_owned())),
    };
    if is_json {
        let attempts: Vec<_> = attempts.iter().map(attempt_json).collect();
        let text = provider.is_some().then_some(&answer);
        say_line!("{}", json!({"turn": turn.0, "provider": provider, "answer": text, "attempts": attempts}));
    } else if let Some(provider) = &provider {
        say!("\n");
        complain!("neverdark: answered by {provider} (turn {turn})");
    }
    match failed {
        None => Exit::Done,
        Some(why) => fail(Exit::EveryProviderFailed, &why),
    }
}

/// With the bot's ledger; beside a running bot, which has the database for itself, with one that is forgotten.
async fn open(config: &mut Config, env: &Env) -> Result<Rooms, Failure> {
    match Rooms::open(config, env, &mut fastrand::Rng::new()).await {
        Err(Failure::Store(failure)) if failure.is_in_use() => {
            "sqlite::memory:".clone_into(&mut config.store.url);
            Rooms::open(config, env, &mut fastrand::Rng::new()).await
        }
        opened => opened,
    }
}

fn question(text: &str) -> Result<String, Exit> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut read = String::new();
    let end = std::io::stdin().lock().take(LONGEST).read_to_string(&mut read);
    end.map_err(|failure| {
        fail(Exit::Failed, &format!("the question could not be read from stdin: {failure}"))
    })?;
    Ok(read)
}

fn attempt_json(it: &crate::outcome::Attempt) -> serde_json::Value {
    let failed = it.outcome.failed();
    json!({
        "step": it.step,
        "provider": it.provider,
        "model": it.model,
        "outcome": it.outcome.as_str(),
        "failure": failed.map(|it| it.failure.as_str()),
        "http_status": failed.and_then(|it| it.http_status),
        "first_text_ms": it.first_text.map(|it| it.as_millis()),
        "total_ms": it.total.as_millis(),
        "tokens_in": it.usage.tokens_in,
        "tokens_out": it.usage.tokens_out,
        "cost": it.cost,
        "estimated": it.usage.is_estimated,
    })
}
