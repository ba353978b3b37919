//! Scripts that are understood, and such that are not.

use super::Script;
use expect_test::{Expect, expect};

#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn check(text: &str, expected: Expect) {
    let shown = match Script::parse(text) {
        Ok(script) => {
            let cast = script.cast.names().map(|name| format!("cast {name}"));
            let config = script.config.iter().map(|(key, value)| format!("config {key} = {value}"));
            let steps = script
                .steps
                .iter()
                .map(|it| format!("{} {:?}{}", it.line, it.act, if it.waits { "" } else { " at once" }));
            cast.chain(config).chain(steps).collect::<Vec<_>>().join("\n")
        }
        // The words for providers are tested with them.
        Err(errors) => {
            errors.lines().map(|it| it.split(": known are").next().unwrap()).collect::<Vec<_>>().join("\n")
        }
    };
    expected.assert_eq(&shown);
}

#[test]
fn people() {
    check(
        r#"
            // a comment
            ana   in #help: @neverdark hi: you &
            ana   in dm: hi
                  | second line
                  |
                  |   fourth // no comment
            ana   replies in #help: and then?
            ana   opens "Plans: A" in #help: go
            ana   in #help/Plans: on
            bob   posts "Title" [rust, help] in #forum: text
            bob   posts "Title" in #forum: text
            mia*  runs /provider use beta in #help
            mia   runs /ask a question in general in dm
            ana   edits: new text
            ana   deletes &
            ana   clicks Try again
            ana   uses "Ask about this" on bob's message
            "#,
        expect![[r#"
                3 Person { name: "ana", moderator: false, deed: Say { place: Channel("help"), text: "@neverdark hi: you" } } at once
                4 Person { name: "ana", moderator: false, deed: Say { place: Dm, text: "hi\nsecond line\n\n  fourth // no comment" } }
                8 Person { name: "ana", moderator: false, deed: Reply { place: Channel("help"), text: "and then?" } }
                9 Person { name: "ana", moderator: false, deed: Open { title: "Plans: A", channel: "help", text: "go" } }
                10 Person { name: "ana", moderator: false, deed: Say { place: Below { parent: "help", title: "Plans" }, text: "on" } }
                11 Person { name: "bob", moderator: false, deed: Post { title: "Title", tags: ["rust", "help"], forum: "forum", text: "text" } }
                12 Person { name: "bob", moderator: false, deed: Post { title: "Title", tags: [], forum: "forum", text: "text" } }
                13 Person { name: "mia", moderator: true, deed: Run { place: Channel("help"), command: "/provider use beta" } }
                14 Person { name: "mia", moderator: false, deed: Run { place: Dm, command: "/ask a question in general" } }
                15 Person { name: "ana", moderator: false, deed: Edit("new text") }
                16 Person { name: "ana", moderator: false, deed: Delete } at once
                17 Person { name: "ana", moderator: false, deed: Click("Try again") }
                18 Person { name: "ana", moderator: false, deed: Use { command: "Ask about this", on: "bob" } }"#]],
    );
}

#[test]
fn the_rest() {
    check(
        r"
            cast   alpha: 500   // broken
                   | beta: 'Hello.'
            cast   gamma: echo
            config router.strategy=priority chat.system_prompt='Be kind.'
            break  alpha 429 retry-after=30 then 'ok'
            heal   alpha
            health gamma bad
            gateway drop
            gateway invalid
            gateway close 4000
            discord 429 retry-after=0.5 on edit
            discord 500 times=3 on create
            discord lost on create  // the answer
            discord delay=300ms
            discord heal
            wait   300ms
            until  'Hello'
            ",
        expect![[r#"
                cast alpha
                cast beta
                cast gamma
                config router.strategy = priority
                config chat.system_prompt = Be kind.
                6 Break { provider: "alpha", behaviour: "429 retry-after=30 then 'ok'" } at once
                7 Heal("alpha") at once
                8 Health { provider: "gamma", ok: false } at once
                9 Gateway(Drop) at once
                10 Gateway(InvalidSession { resumable: false }) at once
                11 Gateway(Close(4000)) at once
                12 Rest(RestFault { method: None, route: "edit", times: 1, effect: RateLimited { retry_after: 500ms, global: false } }) at once
                13 Rest(RestFault { method: None, route: "create", times: 3, effect: Status(500) }) at once
                14 Rest(RestFault { method: None, route: "create", times: 1, effect: Lost }) at once
                15 Rest(RestFault { method: None, route: "", times: 1, effect: Delay(300ms) }) at once
                16 HealRest at once
                17 Wait(300ms) at once
                18 Until("Hello") at once"#]],
    );
}

#[test]
fn errors_name_the_line_and_what_was_expected() {
    check(
        "ana shouts in #help: hi\n\nana in help: hi\nana in #help hi\nana in #help:",
        expect![[r#"
            line 1: ana: `shouts in #help: hi`: expected `in #channel: …`, `replies in …: …`, `opens "Title" in #channel: …`, `posts "Title" [tags] in #forum: …`, `runs /command in …`, `edits: …`, `deletes`, `clicks …` or `uses "Command" on ben's message`
            line 3: ana: `help`: expected a place: `#channel`, `#channel/Title` or `dm`
            line 4: ana: `in #help hi`: expected `in`, a place (`#channel`, `#channel/Title` or `dm`), a colon and a text
            line 5: ana: `in #help:`: expected `in`, a place (`#channel`, `#channel/Title` or `dm`), a colon and a text"#]],
    );
    check(
        "cast alpha: oops\ncast beta: 'a' 500",
        expect![[r#"
            line 1: alpha: `oops` is not a behaviour
            line 2: beta: `'a'` and a status, page or error are two answers: put `then` between them, or say `error=… after=3`"#]],
    );
    check(
        "a.b in #help: hi",
        expect![
            "line 1: `a.b`: expected a person's name, cast, config, break, heal, health, gateway, discord, wait or until"
        ],
    );
    check(
        "ana opens Plans in #help: hi\nana posts \"T\" [rust in #f: x\nana opens \"T\" in dm: x",
        expect![[r#"
                line 1: ana: `Plans in #help: hi`: expected a title in "quotes"
                line 2: ana: `[rust in #f: x`: expected `]` behind the tags
                line 3: ana: `in dm: x`: a thread is opened in a channel"#]],
    );
    check(
        "ana runs provider in #help\nana runs /provider",
        expect![[r#"
            line 1: ana: `runs provider in #help`: expected `runs /command in #channel`
            line 2: ana: `runs /provider`: expected `runs /command in #channel`"#]],
    );
    check(
        "gateway explode\ngateway close 7\nwait a bit\nuntil text\nhealth alpha",
        expect![[r#"
            line 1: `gateway explode`: expected drop, reset, reconnect, invalid, resumable, close CODE, freeze, thaw, refuse or accept
            line 2: `gateway close 7`: expected drop, reset, reconnect, invalid, resumable, close CODE, freeze, thaw, refuse or accept
            line 3: `wait a bit`: expected a time such as 300ms
            line 4: `until`: expected a text in quotes
            line 5: `health alpha`: expected a provider's name, and `good` or `bad`"#]],
    );
    check(
        "discord\ndiscord 429 on\ndiscord lost 500 on edit\ndiscord 500 retry-after=1\ndiscord slow",
        expect![[r#"
                line 1: `discord`: expected a status, `lost`, `reset`, `garbled` or `delay=300ms`, then `retry-after=0.5`, `global` or `times=3`, then `on` and a call such as create or edit
                line 2: `discord 429 on`: `on`: expected a status, `lost`, `reset`, `garbled` or `delay=300ms`, then `retry-after=0.5`, `global` or `times=3`, then `on` and a call such as create or edit
                line 3: `discord lost 500 on edit`: only one thing can happen to a call
                line 4: `discord 500 retry-after=1`: expected a status, `lost`, `reset`, `garbled` or `delay=300ms`, then `retry-after=0.5`, `global` or `times=3`, then `on` and a call such as create or edit
                line 5: `discord slow`: `slow`: expected a status, `lost`, `reset`, `garbled` or `delay=300ms`, then `retry-after=0.5`, `global` or `times=3`, then `on` and a call such as create or edit"#]],
    );
    check(
        "cast alpha: 500\nbreak alhpa 500\nbreak alpha 5000\nheal",
        expect![[r#"
            line 2: there is no provider `alhpa`: the cast is alpha
            line 3: alpha: `5000` is not a behaviour
            line 4: `heal`: expected a provider's name"#]],
    );
    check(
        "config router.strategy priority",
        expect!["line 1: `router.strategy`: expected `section.key=value`"],
    );
}
