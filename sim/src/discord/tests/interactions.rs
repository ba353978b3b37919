//! Commands, clicks and forms: from what a person types to what they see.

use super::{
    client::{Bot, INTENTS, call, raw},
    free,
};
use crate::discord::Discord;
use serde_json::{Value, json};

async fn register(discord: &Discord, commands: Value) -> super::client::Back {
    let path = format!("/applications/{}/commands", discord.bot().id);
    call(discord, "PUT", &path, commands).await
}

fn commands() -> Value {
    json!([
        { "name": "ask", "description": "Asks", "options": [
            { "type": 3, "name": "prompt", "description": "What", "required": true },
            { "type": 3, "name": "provider", "description": "Who", "autocomplete": true },
        ] },
        { "name": "provider", "description": "Providers", "default_member_permissions": "32", "contexts": [0], "options": [
            { "type": 1, "name": "use", "description": "Uses", "options": [
                { "type": 3, "name": "name", "description": "Who", "required": true },
            ] },
        ] },
        { "name": "Ask about this", "type": 3 },
    ])
}

/// Answers an interaction event.
async fn answer(discord: &Discord, event: &Value, body: Value) -> super::client::Back {
    let (id, token) = (event["id"].as_str().unwrap(), event["token"].as_str().unwrap());
    let head = format!(
        "POST /api/v10/interactions/{id}/{token}/callback HTTP/1.1\r\ncontent-type: application/json"
    );
    raw(discord, &head, body.to_string().as_bytes()).await.unwrap()
}

/// A call below an interaction's webhook.
async fn hook(
    discord: &Discord,
    event: &Value,
    method: &str,
    rest: &str,
    body: Value,
) -> super::client::Back {
    let path = format!("/webhooks/{}/{}{rest}", discord.bot().id, event["token"].as_str().unwrap());
    call(discord, method, &path, body).await
}

#[tokio::test]
async fn a_command_is_answered_edited_and_followed_up() {
    let discord = free().await;
    assert_eq!(register(&discord, commands()).await.body.as_array().unwrap().len(), 3);
    assert_eq!(discord.commands(), ["/ask", "/provider", "Ask about this"]);
    let help = discord.channel("help");
    let mut bot = Bot::ready(&discord, INTENTS).await;
    discord.moderator("mia");
    let id = discord.slash("mia", help, "/provider use beta").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    assert_eq!(event["data"]["options"][0]["options"][0]["value"], "beta");
    let permissions: u64 = event["member"]["permissions"].as_str().unwrap().parse().unwrap();
    assert_ne!(permissions & 32, 0);
    assert!(discord.answer_to(id).is_none());
    assert_eq!(
        hook(&discord, &event, "PATCH", "/messages/@original", json!({ "content": "x" })).await.failed(),
        (404, 10_015)
    );
    assert_eq!(answer(&discord, &event, json!({ "type": 5, "data": { "flags": 64 } })).await.status, 204);
    assert!(discord.answer_to(id).unwrap().thinking);
    assert_eq!(
        answer(&discord, &event, json!({ "type": 4, "data": { "content": "x" } })).await.failed(),
        (400, 40_060)
    );
    assert_eq!(
        hook(&discord, &event, "PATCH", "/messages/@original", json!({ "content": "Pinned." })).await.status,
        200
    );
    let shown = discord.answer_to(id).unwrap();
    assert_eq!(
        (shown.content.as_str(), shown.ephemeral, shown.only_for.as_deref(), shown.thinking),
        ("Pinned.", true, Some("mia"), false)
    );
    assert!(shown.history.is_empty(), "an announcement is no text that people saw");
    let list = call(&discord, "GET", &format!("/channels/{help}/messages"), Value::Null).await;
    assert_eq!(list.body, json!([]), "what one person sees is not in the channel");
    let more = hook(&discord, &event, "POST", "?wait=true", json!({ "content": "More." })).await;
    assert_eq!(discord.answers_to(id)[1].content, "More.");
    assert_eq!(
        hook(&discord, &event, "DELETE", &format!("/messages/{}", more.id()), Value::Null).await.status,
        204
    );
    assert!(discord.answers_to(id)[1].deleted);
    let run = &discord.invocations(help)[0];
    assert_eq!(
        (run.person.as_str(), run.line.as_str(), run.acknowledged),
        ("mia", "/provider use beta", true)
    );
    assert!(discord.requests().iter().all(|it| !it.path.contains(event["token"].as_str().unwrap())));
}

#[tokio::test]
async fn commands_are_refused_where_discord_does_not_offer_them() {
    let discord = free().await;
    let help = discord.channel("help");
    let refused = |person: &str, place: u64, line: &str| discord.slash(person, place, line).unwrap_err().0;
    assert_eq!(refused("ana", help, "/ask hi"), "no command /ask is registered; there is none");
    register(&discord, commands()).await;
    assert_eq!(
        refused("ana", help, "/provider use beta"),
        "ana cannot use 'provider': permissions are missing"
    );
    discord.moderator("mia");
    assert_eq!(
        refused("mia", discord.dm("mia"), "/provider use beta"),
        "mia cannot use 'provider': it is not offered in a DM"
    );
    assert_eq!(refused("ana", help, "/ask"), "the option 'prompt' is required");
    assert!(discord.slash("ana", discord.dm("ana"), "/ask hi").is_ok());
}

#[tokio::test]
async fn choices_buttons_forms_and_context_commands_work() {
    let discord = free().await;
    register(&discord, commands()).await;
    let help = discord.channel("help");
    let mut bot = Bot::ready(&discord, INTENTS).await;
    let id = discord.complete("ana", help, "/ask what provider:be").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    assert_eq!(
        (event["type"].clone(), event["data"]["options"][1]["focused"].clone()),
        (json!(4), json!(true))
    );
    answer(
        &discord,
        &event,
        json!({ "type": 8, "data": { "choices": [{ "name": "beta", "value": "beta" }] } }),
    )
    .await;
    assert_eq!(discord.choices(id).unwrap(), ["beta"]);

    let row = json!([{ "type": 1, "components": [{ "type": 2, "style": 1, "label": "Retry", "custom_id": "retry" }] }]);
    let body = json!({ "content": "failed", "components": row });
    let message = call(&discord, "POST", &format!("/channels/{help}/messages"), body).await.id();
    assert_eq!(discord.message(message).unwrap().buttons, [("retry".to_owned(), "Retry".to_owned())]);
    assert_eq!(discord.click("ana", message, "x").unwrap_err().0, "no component 'x'; there is retry");
    let id = discord.click("ana", message, "retry").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    assert_eq!(event["message"]["id"], message.to_string());
    answer(&discord, &event, json!({ "type": 7, "data": { "content": "again", "components": [] } })).await;
    assert_eq!(discord.answer_to(id).unwrap().content, "again");

    let id = discord.context("ana", message, "Ask about this").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    assert_eq!(event["data"]["resolved"]["messages"][message.to_string()]["content"], "again");
    let form = json!({ "custom_id": "f", "title": "Ask", "components": [{ "type": 1, "components": [{ "type": 4, "custom_id": "q", "label": "Q", "style": 1 }] }] });
    assert_eq!(answer(&discord, &event, json!({ "type": 9, "data": form })).await.status, 204);
    assert_eq!(discord.form(id).unwrap(), "Ask");
    discord.submit(id, &[("q", "why?")]).unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    assert_eq!(
        (event["type"].clone(), event["data"]["components"][0]["components"][0]["value"].clone()),
        (json!(5), json!("why?"))
    );
}

#[tokio::test]
async fn three_seconds_are_all_there_is_to_acknowledge() {
    let discord = free().await;
    register(&discord, commands()).await;
    let mut bot = Bot::ready(&discord, INTENTS).await;
    discord.slash("ana", discord.channel("help"), "/ask hi").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    tokio::time::sleep(std::time::Duration::from_millis(3050)).await;
    assert_eq!(answer(&discord, &event, json!({ "type": 5 })).await.failed(), (404, 10_062));
}

#[tokio::test]
async fn commands_keep_their_ids_and_their_bounds() {
    let discord = free().await;
    let path = format!("/applications/{}/commands", discord.bot().id);
    let first = register(&discord, commands()).await;
    let again = register(&discord, commands()).await;
    assert_eq!(first.body, again.body, "nothing changed, not even versions");
    let one = json!({ "name": "ask", "description": "Asks anew" });
    let changed = call(&discord, "POST", &path, one).await;
    assert_eq!((changed.status, changed.body["id"].clone()), (200, first.body[0]["id"].clone()));
    let many: Vec<Value> = (0..16).map(|it| json!({ "name": format!("On {it}"), "type": 3 })).collect();
    assert_eq!(register(&discord, many.into()).await.failed(), (400, 30_032));
    let local = format!("/applications/{}/guilds/{}/commands", discord.bot().id, discord.guild());
    assert_eq!(
        call(&discord, "POST", &local, json!({ "name": "here", "description": "d" })).await.status,
        201
    );
    let id = first.body[2]["id"].as_str().unwrap();
    assert_eq!(call(&discord, "DELETE", &format!("{path}/{id}"), Value::Null).await.status, 204);
    assert_eq!(call(&discord, "GET", &format!("{path}/{id}"), Value::Null).await.failed(), (404, 10_063));
}
