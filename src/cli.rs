//! The commands that people type, what they print, and the exit codes.

/// Writes to stdout. Unlike `print!` it does not panic when the reader of a pipe has gone: nobody is left to tell.
macro_rules! say {
    ($($what:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!($($what)*));
    }};
}

/// The same, and the end of the line.
macro_rules! say_line {
    ($($what:tt)*) => { say!("{}\n", format_args!($($what)*)) };
}

/// Writes a line to stderr, where people look for what is no result.
macro_rules! complain {
    ($($what:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($what)*)));
    }};
}

mod ask;
mod check;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "demo")]
mod faults;
mod health;
mod privacy;
mod providers;
mod stats;

use crate::{
    app::{self, App, Failure},
    config::{self, Env, Loaded, LogFormat, Problems},
};
use clap::{Parser, Subcommand};
use std::{fmt::Display, future::Future, io, path::PathBuf, process::ExitCode, time::Duration};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::Level;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// After a command has ended: how long what it left behind may take, such as a read of the terminal that can't be stopped.
const LEFT_BEHIND: Duration = Duration::from_millis(100);

/// How a command ends, by the contract: 0 is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Config,
    EveryProviderFailed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Config => 2,
            Exit::EveryProviderFailed => 3,
        })
    }
}

#[derive(Debug, Parser)]
#[command(
    name = "neverdark",
    version,
    about = "A Discord chatbot that keeps answering when an AI provider does not."
)]
struct Arguments {
    /// The configuration file; else `NEVERDARK_CONFIG`, else config/neverdark.toml, else defaults and environment
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve Discord
    Run,
    /// Try the whole product on this machine, with an embedded Discord and scripted providers: no token, key or network
    #[cfg(feature = "demo")]
    Demo(demo::Arguments),
    /// Ask one question through the router; the answer goes to stdout, who gave it to stderr
    Ask(ask::Arguments),
    /// Look for every problem of the configuration, the token, the intents, the providers and the store
    Check(check::Arguments),
    /// Show the providers that are configured or found: from where, their models, and how they are
    Providers(providers::Arguments),
    /// Show what the ledger says of each provider
    Stats(stats::Arguments),
    /// Show what is stored of a person, or delete it
    Privacy(privacy::Arguments),
    /// Show the effective configuration
    Config(ConfigArguments),
}

#[derive(Debug, clap::Args)]
struct ConfigArguments {
    #[command(subcommand)]
    what: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting as it is in force; secrets are never in it
    Show,
}

/// Runs the command that was typed.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(usage) => {
            // Help and version are no mistakes, and go to stdout.
            let exit = if usage.use_stderr() { Exit::Config } else { Exit::Done };
            let _ = usage.print();
            return exit.into();
        }
    };
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(failure) => {
            return fail(Exit::Failed, &format!("the runtime could not be started: {failure}")).into();
        }
    };
    let exit = runtime.block_on(run(arguments));
    runtime.shutdown_timeout(LEFT_BEHIND);
    exit.into()
}

async fn run(arguments: Arguments) -> Exit {
    let env = Env::from_process();
    let explicit = arguments.config.as_deref();
    match arguments.command {
        Command::Run => Box::pin(serve(explicit.map(Into::into), &env)).await,
        #[cfg(feature = "demo")]
        Command::Demo(it) => until_stopped(Box::pin(demo::run(it, explicit, &env))).await,
        Command::Ask(it) => until_stopped(ask::run(it, explicit, &env)).await,
        Command::Check(it) => until_stopped(check::run(it, explicit, &env)).await,
        Command::Providers(it) => until_stopped(providers::run(it, explicit, &env)).await,
        Command::Stats(it) => until_stopped(stats::run(it, explicit, &env)).await,
        Command::Privacy(it) => until_stopped(privacy::run(it, explicit, &env)).await,
        Command::Config(ConfigArguments { what: ConfigCommand::Show }) => {
            match config::load(explicit, &env) {
                Ok(loaded) => {
                    say!("{}", config::effective_toml(&loaded.config));
                    Exit::Done
                }
                Err(problems) => wrong_config(&problems),
            }
        }
    }
}

/// `neverdark run`
async fn serve(explicit: Option<PathBuf>, env: &Env) -> Exit {
    let Ok(stops) = Stops::listen() else {
        return fail(Exit::Failed, &"the signals that stop a service can't be waited for on this system");
    };
    let mut loaded = match config::load(explicit.as_deref(), env) {
        Ok(loaded) => loaded,
        Err(problems) => return wrong_config(&problems),
    };
    start_log(&loaded);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let found = tokio::select! {
        biased;
        () = stops.clone().wait_for(1) => return Exit::Done,
        found = app::find_local_servers(&mut loaded) => found,
    };
    if let Err(problem) = found {
        return wrong_config(&problem.into());
    }
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    let app = tokio::select! {
        biased;
        () = stops.clone().wait_for(1) => return Exit::Done,
        app = Box::pin(App::build(loaded.config, env, fastrand::Rng::new())) => app,
    };
    let app = match app {
        Ok(app) => app,
        Err(failure) => return ended(&failure),
    };
    if let Some(address) = app.status_address() {
        tracing::info!(%address, "status server: http://{address}/readyz");
    }
    if let Some(address) = app.api_address() {
        tracing::info!(%address, "router API: http://{address}/v1");
    }
    tokio::select! {
        biased;
        served = app.run(stops.clone().wait_for(1)) => match served {
            Ok(()) => Exit::Done,
            Err(failure) => ended(&failure),
        },
        // A second signal does not wait for anything. What was under way is finished after the next start.
        () = stops.wait_for(2) => Exit::Done,
    }
}

fn ended(failure: &Failure) -> Exit {
    fail(if failure.is_config() { Exit::Config } else { Exit::Failed }, failure)
}

/// Says on stderr what happened; what it means and what to do is part of the sentence.
pub(crate) fn fail(exit: Exit, what: &dyn Display) -> Exit {
    complain!("neverdark: {what}");
    exit
}

pub(crate) fn wrong_config(problems: &Problems) -> Exit {
    fail(Exit::Config, problems)
}

/// Runs a command until it ends or is stopped; being stopped is no failure.
async fn until_stopped(command: impl Future<Output = Exit>) -> Exit {
    let Ok(stops) = Stops::listen() else { return command.await };
    tokio::select! {
        biased;
        () = stops.wait_for(1) => Exit::Done,
        exit = command => exit,
    }
}

/// Counts the signals that ask the program to stop: SIGTERM and Ctrl-C.
#[derive(Clone)]
struct Stops(watch::Receiver<u32>);

impl Stops {
    fn listen() -> io::Result<Self> {
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (count, counted) = watch::channel(0);
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the process; there is nothing to wait for"
        )]
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = interrupt.recv() => {}
                }
                count.send_modify(|it| *it += 1);
            }
        });
        Ok(Self(counted))
    }

    /// Resolves at the `nth` signal.
    async fn wait_for(mut self, nth: u32) {
        if self.0.wait_for(|count| *count >= nth).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The log goes to stderr: text for people, or a JSON object a line for machines.
fn start_log(loaded: &Loaded) {
    let log = &loaded.config.log;
    let filter = match log.level.parse::<Level>() {
        // A plain level is meant for us; the libraries' own business is of interest only when it goes wrong.
        Ok(level) => Targets::new().with_default(Level::WARN).with_target("neverdark", level),
        Err(_) => log.level.parse().unwrap_or_else(|_| Targets::new().with_default(Level::INFO)),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let to_stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A second initialisation can only happen in a test, and changes nothing.
    let _ = match log.format {
        LogFormat::Text => registry.with(to_stderr.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(to_stderr.json().flatten_event(true)).try_init(),
    };
}
