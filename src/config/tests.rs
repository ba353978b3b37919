//! What people are told about their configuration, and that the reference file tells the truth.

use super::{
    Config, Env, Loaded, Origin, Problems, ProviderConfig, Rate, RegisterCommands, Vendor, assemble,
    effective_toml, load,
};
use expect_test::{Expect, expect};
use secrecy::ExposeSecret as _;
use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, time::Duration};

const REFERENCE: &str = include_str!("../../config/neverdark.toml");
const MINIMAL: &str = include_str!("../../config/minimal.toml");

fn read(toml: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    assemble(Some((Path::new("bot.toml"), toml)), &env.iter().copied().collect())
}

/// What `neverdark check` would say: the problems, or what is in effect beyond the defaults.
fn check(toml: &str, env: &[(&str, &str)], expect: &Expect) {
    let mut said = String::new();
    match read(toml, env) {
        Err(problems) => writeln!(said, "{problems}").unwrap(),
        Ok(loaded) => {
            let usual = effective_toml(&Config::default());
            for line in
                effective_toml(&loaded.config).lines().filter(|it| !usual.lines().any(|other| other == *it))
            {
                writeln!(said, "{line}").unwrap();
            }
            loaded.warnings.iter().for_each(|it| writeln!(said, "warning: {it}").unwrap());
            loaded.notes.iter().for_each(|it| writeln!(said, "note: {it}").unwrap());
        }
    }
    expect.assert_eq(&said);
}

/// The problems of several files, one after the other.
fn check_each(files: &[&str], env: &[(&str, &str)], expect: &Expect) {
    let mut said = String::new();
    for problem in files.iter().flat_map(|toml| read(toml, env).unwrap_err().0) {
        writeln!(said, "{problem}").unwrap();
    }
    expect.assert_eq(&said);
}

#[test]
fn nothing_at_all_is_the_defaults() {
    let loaded = assemble(None, &Env::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.warnings.is_empty() && loaded.notes.is_empty());
}

#[test]
fn a_misspelt_key_is_named_with_its_neighbour() {
    check_each(
        &[
            "[chat]\nfotter = \"always\"\n",
            "[chatt]\nfooter = \"always\"\n",
            "[router]\nfooter = \"always\"\n",
            "[router]\n\n[router.breakr]\nfailures = 3\n",
            "[router.breaker]\nfailure = 3\n",
            "[log]\ncolour = true\n",
            &format!("{MINIMAL}api_keyy_env = \"X\"\n"),
        ],
        &[],
        &expect![[r#"
            bot.toml:2: unknown key `chat.fotter`: did you mean `footer`?
            Write `footer`, or remove it.
            bot.toml:1: unknown section `chatt`: did you mean `chat`?
            Write `chat`, or remove it.
            bot.toml:2: unknown key `router.footer`: `footer` belongs in [chat]
            Move it below the line [chat].
            bot.toml:3: unknown key `router.breakr`: did you mean `breaker`?
            Write `breaker`, or remove it.
            bot.toml:2: unknown key `router.breaker.failure`: did you mean `failures`?
            Write `failures`, or remove it.
            bot.toml:2: unknown key `log.colour`
            Remove it, or use one of: format, level.
            bot.toml:8: unknown key `providers[0].api_keyy_env`: did you mean `api_key_env`?
            Write `api_key_env`, or remove it.
        "#]],
    );
}

#[test]
fn a_wrong_type_is_told_with_an_example() {
    check_each(
        &[
            "[chat]\ncontext_messages = \"many\"\n",
            "[chat]\ncontext_messages = -4\n",
            "[chat]\ncontext_messages = 4.5\n",
            "[discord]\nenabled = \"yes\"\n",
            "[discord]\ndrain = 25\n",
            "[router]\nstall_timeout = \"adaptiv\"\n",
            "[router]\nhedge_budget = nan\n",
            "[chat]\nrespond_to = [\"mention\", \"replies\"]\n",
            "[chat]\nchannels = [12, \"thirteen\"]\n",
            "[status]\nlisten = \"9464\"\n",
            "chat = 3\n[providers]\nname = \"a\"\n",
            &format!("{MINIMAL}price = {{ input = 2.5 }}\n"),
        ],
        &[],
        &expect![[r#"
            bot.toml:2: `chat.context_messages`: got "many", expected a whole number from 0 on
            For example: context_messages = 40
            bot.toml:2: `chat.context_messages`: got `-4`, expected a whole number from 0 on
            For example: context_messages = 40
            bot.toml:2: `chat.context_messages`: got `4.5`, expected a whole number from 0 on
            For example: context_messages = 40
            bot.toml:2: `discord.enabled`: got "yes", expected true or false
            For example: enabled = true
            bot.toml:2: `discord.drain`: got `25`, expected a time such as "1200ms", "15m" or "30d"
            For example: drain = "25s"
            bot.toml:2: `router.stall_timeout`: `adaptiv` is not "adaptive", or a time such as "5s"
            For example: stall_timeout = "adaptive"
            bot.toml:2: `router.hedge_budget`: got "NaN", expected a number
            For example: hedge_budget = 0.05
            bot.toml:2: `chat.respond_to`: `replies` is not one of mention, reply, dm, thread
            For example: respond_to = ["mention", "reply", "dm", "thread"]
            bot.toml:2: `chat.channels`: `thirteen` is not a Discord id
            For example: channels = ["1234567890123456789"]
            bot.toml:2: `status.listen`: `9464` is not an address with a port, such as "127.0.0.1:9464", or "off"
            For example: listen = "127.0.0.1:9464"
            bot.toml:1: `chat` is a section, not a value
            Write the line [chat], and its settings below it.
            bot.toml:2: `providers` is a list of tables
            Write [[providers]], with two brackets, above each of them.
            bot.toml:8: `providers[0].price`: missing field `output`
            For example: price = { input = 1.0, output = 1.0 }
        "#]],
    );
}

#[test]
fn all_problems_are_told_at_once_down_the_file() {
    check(
        r#"
[chat]
max_parts = 99
edit_intervall = "1s"

[router]
strategy = "adaptive"
order = ["opnai"]
turn_timeout = "0s"
backoff = { base = "9s" }

[[providers]]
name = "openai"
kind = "anthropic"
base_url = "api.openai.com"

[[providers]]
name = "Open AI"
modle = "gpt-4o"

[store]
url = "postgres://db"
key_env = "STORE_KEY"
"#,
        &[("NEVERDARK__LOG__LEVEL", "loud")],
        &expect![[r#"
            12 problems in the configuration:
              1. bot.toml:3: `chat.max_parts` is 99, and must be from 1 to 10
                 A longer answer is sent as a file, so nothing is lost with fewer parts.
              2. bot.toml:4: unknown key `chat.edit_intervall`: did you mean `edit_interval`?
                 Write `edit_interval`, or remove it.
              3. bot.toml:8: `router.order` names `opnai`, and there is no such provider
                 Did you mean `openai`?
              4. bot.toml:9: `router.turn_timeout` is no time at all
                 Give it a time above zero, such as "5s".
              5. bot.toml:10: `router.backoff.base` is longer than `router.backoff.max`
                 Lower the first or raise the second.
              6. bot.toml:12: `providers[0].model` is missing
                 Name the model to ask for, such as model = "gpt-6-luna".
              7. bot.toml:15: `providers[0].base_url` must begin with https:// or http://
                 Write it like "https://api.anthropic.com/v1", or leave it out.
              8. bot.toml:18: `providers[1].name` is `Open AI`, and footers and commands need a simpler name
                 Use a-z, 0-9, `.`, `_` and `-` only, at most 32 of them.
              9. bot.toml:19: unknown key `providers[1].modle`: did you mean `model`?
                 Write `model`, or remove it.
             10. bot.toml:22: `store.url` must begin with sqlite: and name a file
                 Write "sqlite://neverdark.db", or "sqlite::memory:" to keep nothing.
             11. bot.toml:23: `store.key_env` asks for encryption at rest, which is not in this version yet
                 Remove it and know that message text is then stored as it is, for example on an encrypted disk.
             12. environment variable NEVERDARK__LOG__LEVEL: `log.level` has `loud`, which is no level
                 Use off, error, warn, info, debug, trace; or by target, such as "info,neverdark=debug".
        "#]],
    );
}

#[test]
fn the_environment_goes_over_the_file() {
    check(
        "[chat]\nfooter = \"never\"\ncontext_messages = 7\n[router]\nbackoff = { base = \"1s\" }\n",
        &[
            ("NEVERDARK__CHAT__FOOTER", "always"),
            ("NEVERDARK__CHAT__CHANNELS", "1234567890123456789, 42"),
            ("NEVERDARK__CHAT__RESPOND_TO", "dm,mention"),
            ("NEVERDARK__ROUTER__BACKOFF__MAX", "4s"),
            ("NEVERDARK__ROUTER__HEDGE_BUDGET", "1"),
            ("NEVERDARK__DISCORD__ENABLED", "false"),
            ("NEVERDARK__DISCORD__REGISTER_COMMANDS", "7,8"),
            ("NEVERDARK__DISCORD__API_BASE", "http://127.0.0.1:8080/"),
            ("NEVERDARK_API_KEY", "not a setting"),
        ],
        &expect![[r#"
            enabled = false
            api_base = "http://127.0.0.1:8080"
            register_commands = ["7", "8"]
            respond_to = ["mention", "dm"]
            channels = ["1234567890123456789", "42"]
            context_messages = 7
            footer = "always"
            hedge_budget = 1.0
            backoff = { base = "1s", max = "4s" }
        "#]],
    );
}

#[test]
fn the_environment_changes_and_adds_providers() {
    let env = [
        ("NEVERDARK__PROVIDERS__0__MODEL", "gpt-4o"),
        ("NEVERDARK__PROVIDERS__1__NAME", "local"),
        ("NEVERDARK__PROVIDERS__1__BASE_URL", "http://127.0.0.1:8080/v1/"),
        ("NEVERDARK__PROVIDERS__1__MODEL", "tiny"),
        ("NEVERDARK__PROVIDERS__1__PRICE__INPUT", "1"),
        ("NEVERDARK__PROVIDERS__1__PRICE__OUTPUT", "2.5"),
    ];
    let config = read(MINIMAL, &env).unwrap().config;
    let [first, second] = &config.providers[..] else { panic!("two providers") };
    assert_eq!(
        (first.name.as_str(), first.model.as_str(), &first.origin),
        ("openai", "gpt-4o", &Origin::Table("bot.toml:4".to_owned()))
    );
    assert_eq!((second.name.as_str(), second.base_url.as_str()), ("local", "http://127.0.0.1:8080/v1"));
    assert_eq!(second.price.map(|it| (it.input, it.output)), Some((1.0, 2.5)));
    assert_eq!(second.origin, Origin::Variables("NEVERDARK__PROVIDERS__1".to_owned()));
}

#[test]
fn a_wrong_variable_is_an_error_too() {
    for (variables, expect) in [
        (
            &[
                ("NEVERDARK__CHAT__FOTTER", "always"),
                ("NEVERDARK__CHATTER", "x"),
                ("NEVERDARK__ROUTER__BACKOFF", "1s"),
                ("NEVERDARK__LOG__LEVEL__ALL", "info"),
                ("NEVERDARK__CHAT__MAX_PARTS", "many"),
                ("NEVERDARK__CHAT__CHANNELS", "general"),
                ("NEVERDARK__PROVIDERS", "openai"),
                ("NEVERDARK__PROVIDERS__FIRST__MODEL", "x"),
                ("NEVERDARK__PROVIDERS__2__MODEL", "x"),
            ][..],
            expect![[r#"
                environment variable NEVERDARK__CHATTER: there is no setting `chatter`
                Unset it, or use one of: api, chat, discord, limits, log, providers, router, status, store.
                environment variable NEVERDARK__CHAT__FOTTER: there is no setting `chat.fotter`: did you mean NEVERDARK__CHAT__FOOTER?
                Rename the variable to NEVERDARK__CHAT__FOOTER, or unset it.
                environment variable NEVERDARK__LOG__LEVEL__ALL: `log.level` is a value and has no key `all`
                Set it with NEVERDARK__LOG__LEVEL.
                environment variable NEVERDARK__PROVIDERS: `providers` is a list of tables, not a value
                Number the providers, such as NEVERDARK__PROVIDERS__0__MODEL.
                environment variable NEVERDARK__PROVIDERS__FIRST__MODEL: `first` is not the number of a provider
                Number the providers from 0, such as NEVERDARK__PROVIDERS__0__MODEL.
                environment variable NEVERDARK__ROUTER__BACKOFF: `router.backoff` is a table, not a value
                Set its keys one by one, such as NEVERDARK__ROUTER__BACKOFF__BASE.
                environment variable NEVERDARK__PROVIDERS__2__…: there is no provider 1, so provider 2 cannot follow it
                Number further providers from 1: NEVERDARK__PROVIDERS__1__NAME and so on.
                environment variable NEVERDARK__CHAT__CHANNELS: `chat.channels`: `general` is not a Discord id
                For example: NEVERDARK__CHAT__CHANNELS=1234567890123456789
                environment variable NEVERDARK__CHAT__MAX_PARTS: `chat.max_parts`: got "many", expected a whole number from 0 on
                For example: NEVERDARK__CHAT__MAX_PARTS=8
            "#]],
        ),
        (
            &[("NEVERDARK__PROVIDERS__1__MODEL", "x")][..],
            expect![[r#"
            environment variable NEVERDARK__PROVIDERS__1__MODEL: `providers[1].name` is missing
            Give the provider a name, such as name = "openai".
        "#]],
        ),
    ] {
        check_each(&[MINIMAL], variables, &expect);
    }
}

#[test]
fn broken_toml_is_told_by_line_and_column() {
    check(
        "[chat]\nfooter = always\nmax_parts = 3\nburst = \"1s\n",
        &[],
        &expect![[r#"
        2 problems in bot.toml:
          1. bot.toml:2:10: this is not TOML: string values must be quoted, expected literal string
             Text goes in quotes, a list in [ ], and each setting on a line of its own: key = value.
          2. bot.toml:4:12: this is not TOML: invalid basic string, expected `"`
             Text goes in quotes, a list in [ ], and each setting on a line of its own: key = value.
    "#]],
    );
    check(
        "[chat]\n[chat]\n",
        &[],
        &expect![[r#"
        1 problem in bot.toml:
          1. bot.toml:2:2: this is not TOML: duplicate key
             Text goes in quotes, a list in [ ], and each setting on a line of its own: key = value.
    "#]],
    );
}

#[test]
fn well_known_keys_make_providers_when_no_table_does() {
    let env = [
        ("OPENAI_API_KEY", "sk-1"),
        ("INTERWEST_API_KEY", "iw-1"),
        ("GEMINI_API_KEY", ""),
        ("GOOGLE_API_KEY", "g-1"),
        ("ANTHROPIC_API_KEY", ""),
        // These open more than models: nobody who set them meant to be asked for answers.
        ("HF_TOKEN", "hf-1"),
        ("GITHUB_TOKEN", "gh-1"),
    ];
    check(
        REFERENCE,
        &env,
        &expect![[r#"
            [[providers]]
            name = "openai"
            vendor = "openai"
            kind = "openai"
            base_url = "https://api.openai.com/v1"
            api_key_env = "OPENAI_API_KEY"
            model = "gpt-6-luna"
            extra_body = { reasoning_effort = "none" }
            weight = 1
            max_concurrent = 64
            context_window = 1050000
            price = { input = 0.1, output = 0.5 }
            trains_on_data = false
            [[providers]]
            name = "gemini"
            vendor = "gemini"
            kind = "gemini"
            base_url = "https://generativelanguage.googleapis.com/v1beta"
            api_key_env = "GOOGLE_API_KEY"
            model = "gemini-3.5-flash-lite"
            weight = 1
            max_concurrent = 64
            context_window = 1048576
            price = { input = 0.3, output = 2.5 }
            trains_on_data = "unknown"
            [[providers]]
            name = "interwest"
            vendor = "interwest"
            kind = "completions"
            base_url = "https://api.interwest.ai/v1"
            api_key_env = "INTERWEST_API_KEY"
            model = "interwest-1"
            weight = 1
            max_concurrent = 64
            context_window = 128000
            trains_on_data = "unknown"
            note: no table names a provider; keys in the environment make the list: openai (OPENAI_API_KEY, gpt-6-luna), gemini (GOOGLE_API_KEY, gemini-3.5-flash-lite), interwest (INTERWEST_API_KEY, interwest-1)
        "#]],
    );
    let config = read(REFERENCE, &env).unwrap().config;
    assert_eq!(config.providers[0].origin, Origin::Key("OPENAI_API_KEY".to_owned()));
    assert_eq!(config.providers[1].origin, Origin::Key("GOOGLE_API_KEY".to_owned()), "the second name");
    assert_eq!(read(MINIMAL, &env).unwrap().config.providers.len(), 1, "a table switches discovery off");
}

#[test]
fn a_key_in_the_file_is_refused_and_not_shown() {
    let toml = format!("{MINIMAL}api_key = \"sk-verysecret\"\n[discord]\ntoken = \"MTk4.verysecret\"\n");
    check(
        &toml,
        &[("NEVERDARK__PROVIDERS__0__API_KEY", "sk-verysecret")],
        &expect![[r#"
            3 problems in the configuration:
              1. bot.toml:8: unknown key `providers[0].api_key`: keys do not belong in files
                 Use api_key_env = "OPENAI_API_KEY" to name the variable that holds it, or api_key_file to name a file.
              2. bot.toml:10: unknown key `discord.token`: keys do not belong in files
                 Use token_env = "DISCORD_TOKEN" to name the variable that holds it, or token_file to name a file.
              3. environment variable NEVERDARK__PROVIDERS__0__API_KEY: there is no setting `providers[0].api_key`: settings name the variable that holds a key
                 Set NEVERDARK__PROVIDERS__0__API_KEY_ENV to the name of that variable.
        "#]],
    );
    check(
        "[discord]\ntoken_env = \"MTk4.verysecret.x\"\n",
        &[],
        &expect![[r#"
        1 problem in bot.toml:
          1. bot.toml:2: `discord.token_env` must be the name of an environment variable, and what it says is none
             Write a name such as "MY_KEY" here, and set that variable to the secret.
    "#]],
    );
    check(
        "[api]\nkey_env = \"AIzaSyVerySecret0123456789abcdefghijklmn\"\n",
        &[],
        &expect![[r#"
        1 problem in bot.toml:
          1. bot.toml:2: `api.key_env` must be the name of an environment variable, and what it says is none
             Write a name such as "MY_KEY" here, and set that variable to the secret.
    "#]],
    );
    check(
        "[[providers]]\nname = \"a\"\nmodel = \"m\"\nbase_url = \"https://me:verysecret@host/v1\"\n",
        &[],
        &expect![[r#"
            1 problem in bot.toml:
              1. bot.toml:4: `providers[0].base_url` has a user name or password in it, which does not belong in files
                 Write it like "https://api.openai.com/v1", or leave it out.
        "#]],
    );
}

#[test]
fn names_tell_providers_apart() {
    let table = |name: &str| format!("[[providers]]\nname = \"{name}\"\nmodel = \"m\"\n");
    check(
        &(table("a") + &table("b") + &table("a") + &table("auto") + &table("")),
        &[],
        &expect![[r#"
        3 problems in bot.toml:
          1. bot.toml:8: two providers have the name `a`: providers[0] and providers[2]
             Rename one of them: pins and the ledger tell providers apart by name.
          2. bot.toml:11: `providers[3].name` is `auto`, which already means that the strategy chooses
             Give it another name.
          3. bot.toml:14: `providers[4].name` is missing
             Give the provider a name, such as name = "openai".
    "#]],
    );
}

#[test]
fn addresses_are_checked() {
    let with = |url: &str| format!("[[providers]]\nname = \"a\"\nmodel = \"m\"\nbase_url = \"{url}\"\n");
    for fine in ["http://[::1]:8080/v1/", "https://host", "http://localhost:1/a/b//"] {
        let config = read(&with(fine), &[]).unwrap().config;
        assert!(!config.providers[0].base_url.ends_with('/'), "{fine}");
    }
    for wrong in [
        "ftp://host",
        "https://",
        "https:///v1",
        "http://host:99999",
        "http://ho st/",
        "http://host/v1?x=1",
        "http://:80",
    ] {
        assert!(read(&with(wrong), &[]).is_err(), "{wrong}");
    }
    check(
        "[discord]\napi_base = \"https://discord.com/api/v10\"\n",
        &[],
        &expect![[r#"
        1 problem in bot.toml:
          1. bot.toml:2: `discord.api_base` has a path, and must end with the host or port
             Write scheme and host only, such as "https://discord.com" or "http://127.0.0.1:8080".
    "#]],
    );
}

#[test]
fn servers_that_others_reach_need_a_key() {
    check(
        "[status]\nlisten = \"127.0.0.1:9000\"\n[api]\nlisten = \"127.0.0.1:9000\"\n",
        &[],
        &expect![[r#"
        1 problem in bot.toml:
          1. bot.toml:4: `status.listen` and `api.listen` are both 127.0.0.1:9000
             Give one of them another port.
    "#]],
    );
    check(
        "[api]\nlisten = \"0.0.0.0:9000\"\n",
        &[],
        &expect![[r#"
        1 problem in bot.toml:
          1. bot.toml:2: `api.listen` is 0.0.0.0:9000, which others can reach, and there is no key: NEVERDARK_API_KEY is not set
             Set NEVERDARK_API_KEY, or listen on 127.0.0.1.
    "#]],
    );
    check(
        "[api]\nlisten = \"0.0.0.0:9000\"\nkey_env = \"\"\n",
        &[],
        &expect![[r#"
        1 problem in bot.toml:
          1. bot.toml:2: `api.listen` is 0.0.0.0:9000, which others can reach, and `api.key_env` names no key
             Set api.key_env, or listen on 127.0.0.1.
    "#]],
    );
    assert!(read("[api]\nlisten = \"0.0.0.0:9000\"\n", &[("NEVERDARK_API_KEY", "k")]).is_ok());
    assert!(read("[api]\nlisten = \"127.0.0.1:9000\"\n", &[("NEVERDARK_API_KEY", " ")]).is_ok());
    // Somebody meant it to be closed: it must not be open by mistake.
    check(
        "[api]\nlisten = \"127.0.0.1:9000\"\n",
        &[("NEVERDARK_API_KEY", "two words")],
        &expect![[r#"
        1 problem in bot.toml:
          1. bot.toml:1: NEVERDARK_API_KEY cannot be the key of the router API: it has spaces or strange characters in it
             Use one word of letters, digits and signs.
    "#]],
    );
}

#[test]
fn values_arrive_as_they_were_meant() {
    let toml = "\u{feff}[discord]\nregister_commands = [1234567890123456789, \"18446744073709551615\"]\n[limits]\nper_server = \"100/1h\"\n\
        [router]\nhealth_check = \"off\"\nhedge_budget = 0.2_5\nattempts_per_provider = 0x1_0\n[status]\nlisten = \"off\"\n";
    let config = read(toml, &[]).unwrap().config;
    assert_eq!(
        config.discord.register_commands,
        RegisterCommands::Guilds(vec![1_234_567_890_123_456_789, u64::MAX])
    );
    assert_eq!(config.limits.per_server, Some(Rate { count: 100, per: Duration::from_secs(3600) }));
    assert_eq!((config.router.health_check, config.status.listen), (None, None));
    assert_eq!((config.router.hedge_budget, config.router.attempts_per_provider), (0.25, 16));
    assert_eq!(read(&effective_toml(&config), &[]).unwrap().config, config, "and back");
}

#[test]
fn the_shown_configuration_loads_as_itself() {
    // All but the values of headers, which it hides.
    let reference = uncommented().replace("\nextra_headers", "\n# extra_headers");
    for toml in [
        MINIMAL,
        &reference,
        "[[providers]]\nname = \"groq\"\n",
        "[[providers]]\nname = \"a\"\nmodel = \"m\"\nbase_url = \"http://a\"\n",
    ] {
        let config = |toml, env| without_places(read(toml, env).unwrap().config);
        let first = config(toml, &[("OPENAI_API_KEY", "k")][..]);
        let shown = effective_toml(&first);
        assert_eq!(config(&shown, &[]), first, "{shown}");
    }
    let odd = Config {
        chat: super::ChatConfig { system_prompt: "\"\\\u{7f}\n\u{1}é'''".to_owned(), ..Default::default() },
        ..Config::default()
    };
    assert_eq!(read(&effective_toml(&odd), &[]).unwrap().config, odd);
}

/// Without where each thing was found, which nothing but a file can say.
fn without_places(mut config: Config) -> Config {
    for provider in &mut config.providers {
        (provider.origin, provider.sources) = <_>::default();
    }
    config
}

/// The reference with its settings and example tables switched on.
fn uncommented() -> String {
    let switch_on = |line: &str| match line.strip_prefix("# ") {
        Some(setting) if setting == "[[providers]]" => setting.to_owned(),
        Some(setting) if key_of(setting).is_some() => setting.to_owned(),
        _ => line.to_owned(),
    };
    REFERENCE.lines().map(switch_on).collect::<Vec<_>>().join("\n")
}

/// The key of a line `key = value`.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(" = ")?;
    key.chars().all(|it| it.is_ascii_lowercase() || it == '_').then_some(key)
}

#[test]
fn the_reference_changes_nothing_as_it_is() {
    assert_eq!(read(REFERENCE, &[]).unwrap().config, Config::default());
}

#[test]
fn every_default_in_the_reference_is_the_real_one() {
    let loaded = read(&uncommented(), &[]).unwrap();
    assert_eq!(Config { providers: Vec::new(), ..loaded.config.clone() }, Config::default());
    // The first example shows each default of a table, apart from what a person may choose.
    let usual = ProviderConfig::default();
    let first = &loaded.config.providers[0];
    assert_eq!(first.known_vendor(), Vendor::named("openai"));
    assert_eq!(first.price, Vendor::named("openai").unwrap().model(&first.model).unwrap().price);
    assert_eq!(
        (first.kind, first.weight, first.max_concurrent, first.context_window),
        (usual.kind, usual.weight, usual.max_concurrent, usual.context_window)
    );
    assert_eq!(first.base_url, usual.kind.default_base_url());
}

#[test]
fn no_setting_is_missing_from_the_reference() {
    let mut section = "";
    let mut present = BTreeSet::new();
    let switched_on = uncommented();
    for line in switched_on.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if let Some(key) = key_of(line) {
            present.insert(format!("{section}.{key}"));
        }
    }
    let shape = super::Shape::new();
    for (section, keys) in shape.root().as_object().unwrap() {
        let (keys, prefix) = match keys.get(0) {
            Some(table) => (table, "PROVIDERS__0".to_owned()),
            None => (keys, section.to_uppercase()),
        };
        for key in keys.as_object().unwrap().keys() {
            assert!(present.remove(&format!("{section}.{key}")), "{section}.{key} is missing");
            let variable = format!("NEVERDARK__{prefix}__{}", key.to_uppercase());
            assert!(REFERENCE.contains(&variable), "{variable} is missing");
        }
    }
    assert_eq!(present, BTreeSet::new(), "nothing else is there");
}

fn secret(read: Result<impl Into<Option<secrecy::SecretString>>, super::Problem>) -> String {
    match read.map(Into::into) {
        Ok(Some(secret)) => secret.expose_secret().to_owned(),
        Ok(None) => "none".to_owned(),
        Err(problem) => problem.to_string(),
    }
}

#[test]
fn every_vendor_is_in_the_reference() {
    let text = REFERENCE.replace("\n#", "");
    for vendor in Vendor::all() {
        assert!(text.contains(&format!(" {}", vendor.name)), "{}", vendor.name);
        let by_key = vendor.key_env.first().filter(|_| vendor.default_model.is_some());
        assert!(by_key.is_none_or(|it| text.contains(it)), "{by_key:?}");
    }
}

#[test]
fn the_token_is_found_or_asked_for() {
    let check = |env: &[(&str, &str)], expect: &Expect| {
        expect.assert_eq(&secret(Config::default().discord_token(&env.iter().copied().collect())));
    };
    check(&[("DISCORD_TOKEN", " Bot abc.def \n")], &expect!["abc.def"]);
    check(
        &[],
        &expect![[r#"
        the bot has no token: DISCORD_TOKEN is not set
        Take the token from https://discord.com/developers/applications (your application, Bot, Reset Token) and set DISCORD_TOKEN to it, or name a file with it in discord.token_file."#]],
    );
    check(
        &[("DISCORD_TOKEN", "two words")],
        &expect![[r#"
        what DISCORD_TOKEN holds cannot be a token: it has spaces or strange characters in it
        Take the token from https://discord.com/developers/applications (your application, Bot, Reset Token) again."#]],
    );
}

#[test]
fn secrets_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let mut config = Config::default();
    config.discord.token_file = Some(path.clone());
    let said =
        || secret(config.discord_token(&Env::default())).replace(&folder.path().display().to_string(), "DIR");
    expect![[r#"
        DIR/token cannot be read: No such file or directory (os error 2)
        Check the path, and that this user may read the file."#]]
    .assert_eq(&said());
    fs::write(&path, "\n").unwrap();
    expect![[r#"
        what DIR/token holds cannot be a token: it is empty or has more than one word
        Take the token from https://discord.com/developers/applications (your application, Bot, Reset Token) and put only it in the file."#]].assert_eq(&said());
    fs::write(&path, "abc.def\n").unwrap();
    expect!["abc.def"].assert_eq(&said());
}

#[test]
fn a_provider_has_its_key_or_none_or_a_problem() {
    let env: Env = [("A_KEY", "sk-1\n")].into_iter().collect();
    let check = |name: &str, expect: &Expect| {
        let provider = ProviderConfig {
            name: "a".to_owned(),
            api_key_env: name.to_owned(),
            ..ProviderConfig::default()
        };
        expect.assert_eq(&secret(provider.api_key(&env)));
    };
    check("A_KEY", &expect!["sk-1"]);
    check("", &expect!["none"]);
    check(
        "B_KEY",
        &expect![[r#"
            provider `a` has no key: B_KEY is not set
            Set B_KEY; or write api_key_env = "" if this provider needs no key."#]],
    );
}

#[test]
fn the_file_that_was_named_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bot.toml");
    let said = |problems: Problems| problems.to_string().replace(&folder.path().display().to_string(), "DIR");
    expect![[r#"
        1 problem in the configuration:
          1. the configuration file DIR/bot.toml cannot be read: No such file or directory (os error 2)
             Check the path after --config."#]]
    .assert_eq(&said(load(Some(&path), &Env::default()).unwrap_err()));
    let env: Env = [("NEVERDARK_CONFIG", path.to_str().unwrap())].into_iter().collect();
    expect![[r#"
        1 problem in the configuration:
          1. the configuration file DIR/bot.toml cannot be read: No such file or directory (os error 2)
             Check the path in NEVERDARK_CONFIG, or unset it."#]]
    .assert_eq(&said(load(None, &env).unwrap_err()));
    fs::write(&path, MINIMAL).unwrap();
    assert_eq!(load(None, &env).unwrap().file, Some(path));
}

#[test]
fn an_environment_shows_its_names_only() {
    let env: Env = [("DISCORD_TOKEN", "verysecret")].into_iter().collect();
    assert_eq!(format!("{env:?}"), r#"{"DISCORD_TOKEN"}"#);
}

#[test]
fn limits_and_prices_are_shown_as_they_are_written() {
    let toml = "[limits]\nper_user = \"off\"\nper_channel = \"3/10s\"\n[router]\ncoalesce = true\ncache = { entries = 0 }\n";
    check(
        &format!("{toml}{MINIMAL}daily_budget = 5\nprice = {{ input = 1.0, output = 2.0 }}\n"),
        &[],
        &expect![[r#"
            per_user = "off"
            per_channel = "3/10s"
            cache = { entries = 0, ttl = "10m" }
            [[providers]]
            name = "openai"
            vendor = "openai"
            kind = "openai"
            base_url = "https://api.openai.com/v1"
            api_key_env = "OPENAI_API_KEY"
            model = "gpt-4o-mini"
            weight = 1
            max_concurrent = 64
            context_window = 128000
            price = { input = 1.0, output = 2.0 }
            daily_budget = 5.0
            trains_on_data = false
        "#]],
    );
}
