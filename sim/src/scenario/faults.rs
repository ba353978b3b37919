//! Reads what happens to the gateway and to calls of Discord.

use super::parse::first_word;
use crate::{
    discord::{GatewayFault, RestEffect, RestFault},
    providers::words::{duration, words},
};
use std::time::Duration;

/// Reads what stands behind `gateway`.
pub(super) fn gateway(rest: &str) -> Result<GatewayFault, String> {
    let (word, number) = first_word(rest);
    match (word, number) {
        ("drop", "") => Ok(GatewayFault::Drop),
        ("reset", "") => Ok(GatewayFault::Reset),
        ("reconnect", "") => Ok(GatewayFault::Reconnect),
        ("invalid", "") => Ok(GatewayFault::InvalidSession { resumable: false }),
        ("resumable", "") => Ok(GatewayFault::InvalidSession { resumable: true }),
        ("freeze", "") => Ok(GatewayFault::Zombie(true)),
        ("thaw", "") => Ok(GatewayFault::Zombie(false)),
        ("refuse", "") => Ok(GatewayFault::Refuse(true)),
        ("accept", "") => Ok(GatewayFault::Refuse(false)),
        ("close", code) if code.parse::<u16>().is_ok_and(|code| (1000..5000).contains(&code)) => {
            Ok(GatewayFault::Close(code.parse().unwrap_or_default()))
        }
        _ => Err(format!(
            "`gateway {rest}`: expected drop, reset, reconnect, invalid, resumable, close CODE, freeze, thaw, refuse or accept"
        )),
    }
}

/// What happens to a call, before its numbers are known.
#[derive(Default)]
struct FaultDraft {
    effect: Option<RestEffect>,
    retry_after: Option<Duration>,
    global: bool,
    times: Option<u32>,
    route: String,
}

/// Reads what stands behind `discord`.
pub(super) fn rest_fault(rest: &str) -> Result<RestFault, String> {
    let expected = "expected a status, `lost`, `reset`, `garbled` or `delay=300ms`, then `retry-after=0.5`, `global` or \
                    `times=3`, then `on` and a call such as create or edit";
    let mut draft = FaultDraft::default();
    let mut list = words(rest)?.into_iter();
    while let Some(word) = list.next() {
        let wrong = || format!("`discord {rest}`: `{}`: {expected}", word.written());
        match (word.key.as_deref(), word.text.as_str()) {
            (None, "on") => match list.next() {
                Some(call) => draft.route = call.text,
                None => return Err(wrong()),
            },
            (None, "global") => draft.global = true,
            (Some("times"), number) => draft.times = Some(number.parse().map_err(|_| wrong())?),
            (Some("retry-after"), number) => {
                let seconds = number.parse().map_err(|_| wrong())?;
                draft.retry_after = Some(Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?);
            }
            (key, text) => {
                let effect = match (key, text) {
                    (None, "lost") => RestEffect::Lost,
                    (None, "reset") => RestEffect::Reset,
                    (None, "garbled") => RestEffect::Garbled,
                    (Some("delay"), time) => RestEffect::Delay(duration(time)?),
                    (None, status) => RestEffect::Status(status.parse().map_err(|_| wrong())?),
                    _ => return Err(wrong()),
                };
                if draft.effect.replace(effect).is_some() {
                    return Err(format!("`discord {rest}`: only one thing can happen to a call"));
                }
            }
        }
    }
    let effect = match (draft.effect, draft.retry_after) {
        (Some(RestEffect::Status(429)), retry_after) => RestEffect::RateLimited {
            retry_after: retry_after.unwrap_or(Duration::from_secs(1)),
            global: draft.global,
        },
        (Some(effect), None) if !draft.global => effect,
        _ => return Err(format!("`{}`: {expected}", format!("discord {rest}").trim_end())),
    };
    Ok(RestFault { method: None, route: draft.route, times: draft.times.unwrap_or(1), effect })
}
