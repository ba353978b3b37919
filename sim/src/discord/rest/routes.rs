//! The calls that are simulated, by name: the table that paths, rate limits, faults and the log go by.

use super::{Answer, Call, channels, commands, identity, interactions, messages, threads};
use crate::discord::errors::Fail;

/// One call.
pub(crate) struct Route {
    /// Its name in limits, faults and the log.
    pub(crate) name: &'static str,
    method: &'static str,
    /// Its path below `/api/v10`; `{}` is a parameter.
    path: &'static str,
    pub(crate) run: fn(&mut Call<'_>) -> Result<Answer, Fail>,
    /// Whether it takes the bot's token.
    pub(crate) secret: bool,
    /// Whether the global limit leaves it alone.
    pub(crate) free: bool,
}

const fn call(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    run: fn(&mut Call<'_>) -> Result<Answer, Fail>,
) -> Route {
    Route { name, method, path, run, secret: true, free: false }
}

/// A call of interactions: its path has a token, and the global limit leaves it alone.
const fn by_token(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    run: fn(&mut Call<'_>) -> Result<Answer, Fail>,
) -> Route {
    Route { name, method, path, run, secret: false, free: true }
}

#[rustfmt::skip]
static ROUTES: [Route; 64] = [
    Route { secret: false, ..call("gateway", "GET", "gateway", identity::gateway) },
    call("gateway bot", "GET", "gateway/bot", identity::gateway_bot),
    call("me", "GET", "users/@me", identity::me),
    call("user", "GET", "users/{}", identity::user),
    call("my guilds", "GET", "users/@me/guilds", identity::my_guilds),
    call("open dm", "POST", "users/@me/channels", identity::open_dm),
    call("application", "GET", "applications/@me", identity::application),
    call("oauth application", "GET", "oauth2/applications/@me", identity::application),
    call("guild", "GET", "guilds/{}", identity::guild),
    call("guild channels", "GET", "guilds/{}/channels", identity::guild_channels),
    call("active threads", "GET", "guilds/{}/threads/active", threads::active),
    call("roles", "GET", "guilds/{}/roles", identity::roles),
    call("member", "GET", "guilds/{}/members/{}", identity::member),
    call("channel", "GET", "channels/{}", channels::get),
    call("edit channel", "PATCH", "channels/{}", channels::patch),
    call("delete channel", "DELETE", "channels/{}", channels::delete),
    call("typing", "POST", "channels/{}/typing", channels::typing),
    call("history", "GET", "channels/{}/messages", messages::list),
    call("create", "POST", "channels/{}/messages", messages::create),
    call("bulk delete", "POST", "channels/{}/messages/bulk-delete", messages::bulk_delete),
    call("message", "GET", "channels/{}/messages/{}", messages::get),
    call("edit", "PATCH", "channels/{}/messages/{}", messages::edit),
    call("delete", "DELETE", "channels/{}/messages/{}", messages::delete),
    call("react", "PUT", "channels/{}/messages/{}/reactions/{}/@me", messages::react),
    call("unreact", "DELETE", "channels/{}/messages/{}/reactions/{}/@me", messages::unreact),
    call("unreact other", "DELETE", "channels/{}/messages/{}/reactions/{}/{}", messages::unreact_other),
    call("pins", "GET", "channels/{}/pins", messages::pins),
    call("pin", "PUT", "channels/{}/pins/{}", messages::pin),
    call("pin", "PUT", "channels/{}/messages/pins/{}", messages::pin),
    call("unpin", "DELETE", "channels/{}/pins/{}", messages::unpin),
    call("unpin", "DELETE", "channels/{}/messages/pins/{}", messages::unpin),
    call("thread from message", "POST", "channels/{}/messages/{}/threads", threads::from_message),
    call("thread", "POST", "channels/{}/threads", threads::create),
    call("archived threads", "GET", "channels/{}/threads/archived/public", threads::archived),
    call("thread members", "GET", "channels/{}/thread-members", threads::members),
    call("thread member", "GET", "channels/{}/thread-members/{}", threads::member),
    call("join thread", "PUT", "channels/{}/thread-members/@me", threads::join),
    call("leave thread", "DELETE", "channels/{}/thread-members/@me", threads::leave),
    call("add to thread", "PUT", "channels/{}/thread-members/{}", threads::add),
    call("take from thread", "DELETE", "channels/{}/thread-members/{}", threads::take),
    call("commands", "GET", "applications/{}/commands", commands::list),
    call("set commands", "PUT", "applications/{}/commands", commands::replace),
    call("create command", "POST", "applications/{}/commands", commands::create),
    call("command", "GET", "applications/{}/commands/{}", commands::get),
    call("edit command", "PATCH", "applications/{}/commands/{}", commands::edit),
    call("delete command", "DELETE", "applications/{}/commands/{}", commands::delete),
    call("guild commands", "GET", "applications/{}/guilds/{}/commands", commands::list_local),
    call("set guild commands", "PUT", "applications/{}/guilds/{}/commands", commands::replace_local),
    call("create guild command", "POST", "applications/{}/guilds/{}/commands", commands::create_local),
    call("guild command", "GET", "applications/{}/guilds/{}/commands/{}", commands::get_local),
    call("edit guild command", "PATCH", "applications/{}/guilds/{}/commands/{}", commands::edit_local),
    call("delete guild command", "DELETE", "applications/{}/guilds/{}/commands/{}", commands::delete_local),
    call("command permissions", "GET", "applications/{}/guilds/{}/commands/permissions", commands::permissions),
    by_token("callback", "POST", "interactions/{}/{}/callback", interactions::callback),
    by_token("original", "GET", "webhooks/{}/{}/messages/@original", interactions::original),
    by_token("edit original", "PATCH", "webhooks/{}/{}/messages/@original", interactions::edit_original),
    by_token("delete original", "DELETE", "webhooks/{}/{}/messages/@original", interactions::delete_original),
    by_token("followup", "POST", "webhooks/{}/{}", interactions::followup),
    by_token("get followup", "GET", "webhooks/{}/{}/messages/{}", interactions::get_followup),
    by_token("edit followup", "PATCH", "webhooks/{}/{}/messages/{}", interactions::edit_followup),
    by_token("delete followup", "DELETE", "webhooks/{}/{}/messages/{}", interactions::delete_followup),
    call("emojis", "GET", "guilds/{}/emojis", identity::none),
    call("voice regions", "GET", "voice/regions", identity::none),
    call("guild webhooks", "GET", "guilds/{}/webhooks", identity::none),
];

/// What a path leads to.
pub(crate) enum Found<'a> {
    Call(&'a Route, Vec<String>),
    /// There is such a path, but not with this method.
    WrongMethod,
    Nothing,
}

/// Looks a call up. A path that names a word wins over one with a parameter in its place.
pub(crate) fn find(method: &str, path: &str) -> Found<'static> {
    let below = ["/api/v10/", "/api/v9/", "/api/"].into_iter().find_map(|it| path.strip_prefix(it));
    let Some(below) = below else { return Found::Nothing };
    let parts: Vec<&str> = below.trim_end_matches('/').split('/').collect();
    let fits = |route: &&Route| fit(route.path, &parts);
    let of_method = ROUTES.iter().filter(|it| it.method == method).filter(fits);
    match of_method.min_by_key(|it| it.path.matches("{}").count()) {
        Some(route) => {
            let is_param = |it: &(&str, &&str)| it.0 == "{}";
            let params = route.path.split('/').zip(&parts).filter(is_param).map(|it| decoded(it.1)).collect();
            Found::Call(route, params)
        }
        None if ROUTES.iter().any(|it| fits(&it)) => Found::WrongMethod,
        None => Found::Nothing,
    }
}

fn fit(pattern: &str, parts: &[&str]) -> bool {
    pattern.split('/').count() == parts.len()
        && pattern.split('/').zip(parts).all(|(want, have)| want == "{}" && !have.is_empty() || want == *have)
}

/// What a bucket is counted by besides the call: the channel, server, or webhook with its token.
pub(crate) fn major(route: &Route, params: &[String]) -> String {
    let first = params.first().map_or("", String::as_str);
    match route.path.split('/').next() {
        Some("channels" | "guilds") => first.to_owned(),
        Some("webhooks" | "interactions") => params.iter().take(2).cloned().collect::<Vec<_>>().join("/"),
        _ => String::new(),
    }
}

/// A path for the log: interaction tokens are secrets.
pub(crate) fn without_token(route: &Route, params: &[String], path: &str) -> String {
    match params.get(1) {
        Some(token) if !route.secret && !token.is_empty() => path.replace(token.as_str(), "TOKEN"),
        _ => path.to_owned(),
    }
}

/// Undoes percent-encoding.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = tail.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        match pair.and_then(|it| u8::from_str_radix(it, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str) -> String {
        match find(method, path) {
            Found::Call(route, params) => format!("{} {}", route.name, params.join(" ")),
            Found::WrongMethod => "wrong method".into(),
            Found::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn paths_lead_to_calls() {
        assert_eq!(check("POST", "/api/v10/channels/1/messages"), "create 1");
        assert_eq!(check("POST", "/api/v10/channels/1/messages/bulk-delete"), "bulk delete 1");
        assert_eq!(check("PUT", "/api/v10/channels/1/messages/2/reactions/%F0%9F%91%8D/@me"), "react 1 2 👍");
        assert_eq!(check("PATCH", "/api/v10/webhooks/1/tok/messages/@original"), "edit original 1 tok");
        assert_eq!(check("PUT", "/api/v10/channels/1/messages/2"), "wrong method");
        assert_eq!(check("GET", "/api/v10/moon"), "nothing");
    }

    #[test]
    fn tokens_are_not_logged() {
        let Found::Call(route, params) = find("POST", "/api/v10/interactions/1/secret/callback") else {
            panic!()
        };
        let shown = without_token(route, &params, "/api/v10/interactions/1/secret/callback");
        assert_eq!(shown, "/api/v10/interactions/1/TOKEN/callback");
    }
}
