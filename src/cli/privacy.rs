//! `neverdark privacy`: what is stored of a person, and deleting it.

use super::{Exit, fail, wrong_config};
use crate::{
    config::{self, Env},
    message::UserId,
    store::{Store, StoreError},
};
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print everything that is stored of a person, as JSON; also while the service runs
    Export(Person),
    /// Delete everything that is stored of a person, down to the bytes of the file; while the service is stopped
    Forget(Person),
}

#[derive(Debug, clap::Args)]
struct Person {
    /// The person's Discord id
    #[arg(long, value_name = "ID")]
    user: u64,
}

pub(crate) async fn run(arguments: Arguments, explicit: Option<&Path>, env: &Env) -> Exit {
    let url = match config::load(explicit, env) {
        Ok(loaded) => loaded.config.store.url,
        Err(problems) => return wrong_config(&problems),
    };
    let opened = match &arguments.what {
        What::Export(_) => Store::open_read_only(&url).await,
        What::Forget(_) => Store::open(&url).await,
    };
    let store = match opened {
        Ok(store) => store,
        Err(failure) => return fail(Exit::Config, &failure),
    };
    let done = match &arguments.what {
        What::Export(person) => export(&store, UserId(person.user)).await,
        What::Forget(person) => forget(&store, UserId(person.user)).await,
    };
    match done {
        Ok(()) => Exit::Done,
        Err(failure) => fail(Exit::Failed, &failure),
    }
}

async fn export(store: &Store, user: UserId) -> Result<(), StoreError> {
    say_line!("{:#}", store.export(user).await?);
    Ok(())
}

async fn forget(store: &Store, user: UserId) -> Result<(), StoreError> {
    let gone = store.forget_person(user).await?;
    store.scrub().await?;
    store.close().await?;
    say_line!("Forgotten. Lines: {}. Turns: {}. Votes: {}.", gone.lines, gone.turns, gone.votes);
    Ok(())
}
