//! `check` names the permission that is missing in a configured channel, and where.

use super::bot::{Bot, Home};
use expect_test::expect;
use sim::discord::bits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_what_is_missing_in_the_channels_that_are_set() {
    let home = Home::new("alpha: 'Hello.'").await;
    let discord = &home.stage.discord;
    let (help, quiet, hidden) =
        (discord.channel("help"), discord.channel("quiet"), discord.channel("hidden"));
    let ideas = discord.forum("ideas", &[]);
    discord.deny(quiet, bits::SEND_MESSAGES | bits::ATTACH_FILES);
    discord.deny(hidden, bits::VIEW_CHANNEL);
    discord.deny(ideas, bits::READ_MESSAGE_HISTORY);
    let mut command = home.command(&["check"]);
    command.env("NEVERDARK__CHAT__CHANNELS", format!("{help},{quiet},{hidden},404"));
    command.env("NEVERDARK__CHAT__FORUMS", ideas.to_string());
    let ended = Bot::start(command, "").ended().await;
    let names = [(help, "HELP"), (quiet, "QUIET"), (hidden, "HIDDEN"), (ideas, "IDEAS")];
    let lines = ended.stdout.lines().filter(|it| it.contains("channel ")).map(|it| it.to_owned() + "\n");
    let shown =
        names.iter().fold(lines.collect::<String>(), |text, (id, name)| text.replace(&id.to_string(), name));
    expect![[r#"
        ok       Discord: the bot may answer in channel HELP of chat.channels
        warning  Discord: the bot lacks the permission Read Message History in channel IDEAS of chat.forums, so answers there do not point at their question, and what was asked while the bot was away is not seen. Allow it in the channel's settings (Permissions)
        PROBLEM  Discord: the bot lacks the permission Send Messages in channel QUIET of chat.channels, so questions there get no answer. Allow it in the channel's settings (Permissions)
        PROBLEM  Discord: the bot lacks the permission View Channel in channel HIDDEN of chat.channels, so questions there get no answer. Allow it in the channel's settings (Permissions)
        PROBLEM  Discord: there is no channel 404 as chat.channels says. Take it out, or put the right id in
    "#]].assert_eq(&shown);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}
