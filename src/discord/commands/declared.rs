//! Every command as Discord wants it declared (Discord, *Application Commands*).

use super::languages;
use serde_json::{Value, json};
use serenity::model::Permissions;

const SUB: u8 = 1;
const TEXT: u8 = 3;
const BOOLEAN: u8 = 5;
/// A command on a message: it has a name and nothing else.
const ON_MESSAGE: u8 = 3;

/// The message command that asks about the message.
pub(crate) const ASK_ABOUT: &str = "Ask about this";
/// The message command that marks a forum post as solved.
pub(crate) const SOLVED: &str = "Solved";

/// The commands, in all languages.
pub(crate) fn declared() -> Vec<Value> {
    let mut all = members();
    all.extend(moderators());
    all.push(json!({"type": ON_MESSAGE, "name": ASK_ABOUT, "contexts": [0, 1]}));
    all.push(json!({"type": ON_MESSAGE, "name": SOLVED, "contexts": [0]}));
    languages::localize(all)
}

fn option(kind: u8, name: &str, description: &str, required: bool) -> Value {
    json!({"type": kind, "name": name, "description": description, "required": required})
}

fn sub(name: &str, description: &str, options: &[&Value]) -> Value {
    json!({"type": SUB, "name": name, "description": description, "options": options})
}

/// An option that takes a provider's name, and completes it.
fn provider(name: &str, description: &str, required: bool) -> Value {
    let mut it = option(TEXT, name, description, required);
    it["autocomplete"] = json!(true);
    it
}

fn members() -> Vec<Value> {
    let asked = provider("provider", "Who shall answer; the others stay behind as fallback", false);
    vec![
        json!({"name": "ask", "description": "Ask me something", "contexts": [0, 1], "options": [
            option(TEXT, "prompt", "What you want to know", true), asked,
            option(BOOLEAN, "private", "Only you see the answer", false)]}),
        json!({"name": "reset", "description": "Make me forget this conversation", "contexts": [0, 1]}),
        json!({"name": "help", "description": "What I can do, and how to talk to me", "contexts": [0, 1]}),
        json!({"name": "privacy", "description": "What I know about you, and how to delete it", "contexts": [0, 1],
            "options": [
            sub("export", "Shows you everything that I have stored about you", &[]),
            sub("forget", "Deletes everything that I have stored about you", &[]),
            sub("opt-out", "I no longer store or pass on what you write", &[]),
            sub("opt-in", "Takes you in again", &[])]}),
    ]
}

fn moderators() -> Vec<Value> {
    let name = provider("name", "The provider", true);
    let lasts =
        option(TEXT, "for", "How long, such as 30m, 1h or 7d; until further notice without it", false);
    let strict = option(BOOLEAN, "strict", "Nobody else answers, even if it fails", false);
    let mut place = option(TEXT, "where", "In this channel (usual), or on the whole server", false);
    place["choices"] = json!([{"name": "this channel", "value": "channel"}, {"name": "the whole server", "value": "server"}]);
    let manage_server = Permissions::MANAGE_GUILD.bits().to_string();
    vec![
        json!({"name": "status", "description": "How the AI providers are doing", "contexts": [0],
            "default_member_permissions": manage_server}),
        json!({"name": "provider", "description": "Choose which AI provider answers", "contexts": [0],
            "default_member_permissions": manage_server, "options": [
            sub("list", "All providers and how they are doing", &[]),
            sub("use", "Let one provider answer first", &[&name, &place, &lasts, &strict]),
            sub("auto", "Back to the usual order", &[&place]),
            sub("disable", "Switch a provider off on this server", &[&name, &lasts]),
            sub("enable", "Switch a provider on again", &[&name])]}),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_keep_discords_limits_and_the_contract() {
        let names: Vec<_> = declared().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            names,
            ["ask", "reset", "help", "privacy", "status", "provider", "Ask about this", "Solved"]
        );
        let mut all: Vec<Value> = declared().into_iter().filter(|it| it["type"].is_null()).collect();
        while let Some(it) = all.pop() {
            let (name, description) = (it["name"].as_str().unwrap(), it["description"].as_str().unwrap());
            let fits = |it: char| it.is_ascii_lowercase() || it == '-';
            assert!(name.len() <= 32 && name.chars().all(fits), "{name}");
            assert!((1..=100).contains(&description.chars().count()), "{name}: {description}");
            all.extend(it["options"].as_array().cloned().unwrap_or_default());
        }
    }
}
