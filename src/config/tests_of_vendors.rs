//! What a provider's table gets from its vendor, and what it never gets.

use super::{Env, Headers, ProviderConfig, Vendor, assemble, effective_toml};
use expect_test::{Expect, expect};
use std::{fmt::Write as _, path::Path};

const KEYS: [(&str, &str); 5] = [
    ("OPENAI_API_KEY", "sk-1"),
    ("ANTHROPIC_API_KEY", "sa-1"),
    ("GROQ_API_KEY", "gr-1"),
    ("AZURE_API_KEY", "az-1"),
    ("GEMINI_API_KEY", "ge-1"),
];

/// The provider that these lines of a table make, with every vendor's key at hand.
fn provider(lines: &str) -> Result<(ProviderConfig, String), String> {
    let toml = format!("[[providers]]\n{lines}\n");
    let env: Env = KEYS.into_iter().collect();
    let loaded = assemble(Some((Path::new("bot.toml"), &toml)), &env).map_err(|it| it.to_string())?;
    let warnings = loaded.warnings.iter().map(|it| format!("\n  warning: {it}")).collect();
    Ok((loaded.config.providers[0].clone(), warnings))
}

/// What each of these tables gets.
fn check(tables: &[&str], expect: &Expect) {
    let mut said = String::new();
    for lines in tables {
        write!(said, "{lines}\n  ").unwrap();
        match provider(lines) {
            Err(problems) => writeln!(said, "{}", problems.replace('\n', "\n  ")).unwrap(),
            Ok((it, warnings)) => {
                let vendor = it.vendor.as_deref().unwrap_or("no vendor");
                let key = if it.api_key_env.is_empty() { "no key" } else { &it.api_key_env };
                let price = it
                    .price
                    .map_or_else(|| "no price".to_owned(), |it| format!("{}/{}", it.input, it.output));
                let ProviderConfig { kind, base_url, model, context_window, trains_on_data, .. } = it;
                let trains = format!("{trains_on_data:?}").to_lowercase();
                writeln!(said, "{vendor}, {kind} at {base_url}, {key}, {model}, {context_window}, {price}, trains: {trains}{warnings}")
                    .unwrap();
            }
        }
    }
    expect.assert_eq(&said);
}

#[test]
fn a_name_is_enough() {
    check(
        &[
            r#"name = "groq""#,
            r#"name = "anthropic""#,
            r#"name = "gemini""#,
            r#"name = "gemini"
kind = "openai""#,
            r#"name = "ollama"
model = "llama3.2""#,
            r#"name = "interwest"
api_key_file = "/run/secrets/interwest""#,
        ],
        &expect![[r#"
            name = "groq"
              groq, openai at https://api.groq.com/openai/v1, GROQ_API_KEY, openai/gpt-oss-20b, 131072, 0.075/0.3, trains: unknown
            name = "anthropic"
              anthropic, anthropic at https://api.anthropic.com/v1, ANTHROPIC_API_KEY, claude-haiku-5-5, 1000000, 0.1/0.5, trains: no
            name = "gemini"
              gemini, gemini at https://generativelanguage.googleapis.com/v1beta, GEMINI_API_KEY, gemini-3.5-flash-lite, 1048576, 0.3/2.5, trains: unknown
            name = "gemini"
            kind = "openai"
              gemini, openai at https://generativelanguage.googleapis.com/v1beta/openai, GEMINI_API_KEY, gemini-3.5-flash-lite, 1048576, 0.3/2.5, trains: unknown
            name = "ollama"
            model = "llama3.2"
              ollama, ollama at http://127.0.0.1:11434, no key, llama3.2, 8192, no price, trains: no
            name = "interwest"
            api_key_file = "/run/secrets/interwest"
              interwest, completions at https://api.interwest.ai/v1, no key, interwest-1, 128000, no price, trains: unknown
        "#]],
    );
}

#[test]
fn the_vendor_is_the_one_that_the_table_means() {
    check(
        &[
            r#"name = "large"
vendor = "groq"
model = "openai/gpt-oss-120b""#,
            r#"name = "a"
kind = "anthropic""#,
            r#"name = "a"
model = "gpt-4o-2024-11-20""#,
            r#"name = "openai"
kind = "anthropic""#,
            r#"name = "openai"
kind = "openai-responses"
model = "gpt-9""#,
            r#"name = "fast"
base_url = "https://api.groq.com/openai/v1/"
model = "qwen/qwen3.8-27b""#,
            r#"name = "openai"
base_url = "https://api.groq.com/openai/v1/""#,
            r#"name = "a"
base_url = "https://generativelanguage.googleapis.com/v1beta/openai"
model = "gemini-3.5-flash""#,
            r#"name = "corp"
base_url = "https://corp.openai.azure.com/openai/v1"
model = "gpt-4o""#,
        ],
        &expect![[r#"
            name = "large"
            vendor = "groq"
            model = "openai/gpt-oss-120b"
              groq, openai at https://api.groq.com/openai/v1, GROQ_API_KEY, openai/gpt-oss-120b, 131072, 0.15/0.6, trains: unknown
            name = "a"
            kind = "anthropic"
              anthropic, anthropic at https://api.anthropic.com/v1, ANTHROPIC_API_KEY, claude-haiku-5-5, 1000000, 0.1/0.5, trains: no
            name = "a"
            model = "gpt-4o-2024-11-20"
              openai, openai at https://api.openai.com/v1, OPENAI_API_KEY, gpt-4o-2024-11-20, 128000, 2.5/10, trains: no
            name = "openai"
            kind = "anthropic"
              anthropic, anthropic at https://api.anthropic.com/v1, ANTHROPIC_API_KEY, claude-haiku-5-5, 1000000, 0.1/0.5, trains: no
            name = "openai"
            kind = "openai-responses"
            model = "gpt-9"
              openai, openai-responses at https://api.openai.com/v1, OPENAI_API_KEY, gpt-9, 128000, no price, trains: no
            name = "fast"
            base_url = "https://api.groq.com/openai/v1/"
            model = "qwen/qwen3.8-27b"
              groq, openai at https://api.groq.com/openai/v1, GROQ_API_KEY, qwen/qwen3.8-27b, 131072, 0.8/4, trains: unknown
            name = "openai"
            base_url = "https://api.groq.com/openai/v1/"
              groq, openai at https://api.groq.com/openai/v1, GROQ_API_KEY, openai/gpt-oss-20b, 131072, 0.075/0.3, trains: unknown
            name = "a"
            base_url = "https://generativelanguage.googleapis.com/v1beta/openai"
            model = "gemini-3.5-flash"
              gemini, openai at https://generativelanguage.googleapis.com/v1beta/openai, GEMINI_API_KEY, gemini-3.5-flash, 1048576, 1.5/9, trains: unknown
            name = "corp"
            base_url = "https://corp.openai.azure.com/openai/v1"
            model = "gpt-4o"
              azure, openai at https://corp.openai.azure.com/openai/v1, AZURE_API_KEY, gpt-4o, 128000, 2.5/10, trains: no
        "#]],
    );
    let azure =
        provider("name = \"azure\"\nbase_url = \"https://corp.openai.azure.com/openai/v1\"\nmodel = \"m\"")
            .unwrap()
            .0;
    assert_eq!((azure.key_header(), azure.api_key_env.as_str()), (Some("api-key"), "AZURE_API_KEY"));
    assert_eq!(provider("name = \"groq\"").unwrap().0.key_header(), None);
}

#[test]
fn what_the_table_says_wins() {
    check(
        &[
            r#"name = "groq"
kind = "openai-responses"
base_url = "https://api.groq.com/openai/v2"
api_key_env = "MY_KEY"
model = "openai/gpt-oss-120b"
context_window = 9
price = { input = 1, output = 2 }
trains_on_data = "unknown""#,
            r#"name = "openai"
api_key_env = """#,
        ],
        &expect![[r#"
            name = "groq"
            kind = "openai-responses"
            base_url = "https://api.groq.com/openai/v2"
            api_key_env = "MY_KEY"
            model = "openai/gpt-oss-120b"
            context_window = 9
            price = { input = 1, output = 2 }
            trains_on_data = "unknown"
              groq, openai-responses at https://api.groq.com/openai/v2, MY_KEY, openai/gpt-oss-120b, 9, 1/2, trains: unknown
            name = "openai"
            api_key_env = ""
              openai, openai at https://api.openai.com/v1, no key, gpt-6-luna, 1050000, 0.1/0.5, trains: no
        "#]],
    );
    let body = |lines: &str| serde_json::to_string(&provider(lines).unwrap().0.extra_body).unwrap();
    assert_eq!(body("name = \"openai\""), r#"{"reasoning_effort":"none"}"#);
    assert_eq!(body("name = \"openai\"\nextra_body = {}"), "{}");
    assert_eq!(
        body("name = \"openai\"\nmodel = \"gpt-6-luna\""),
        "{}",
        "who chose a model chose how it thinks"
    );
    assert_eq!(
        body("name = \"openai\"\nkind = \"openai-responses\""),
        "{}",
        "another dialect has other words"
    );
}

#[test]
fn a_key_goes_to_its_vendor_only() {
    check(
        &[
            // As it was before there were vendors: a local server, by whatever name.
            r#"name = "openai"
base_url = "http://127.0.0.1:8080/v1"
model = "tiny""#,
            r#"name = "local"
base_url = "http://127.0.0.1:11434/v1"
model = "llama3.2""#,
            // A proxy, with the vendor's models behind it.
            r#"name = "proxied"
vendor = "anthropic"
base_url = "https://proxy.example.org/anthropic/v1""#,
            r#"name = "proxied"
vendor = "openai"
base_url = "https://api.openai.com.example.org/v1"
api_key_env = "OPENAI_API_KEY""#,
            // No TLS: anybody on the way could read the key.
            r#"name = "openai"
base_url = "http://api.openai.com/v1"
model = "m""#,
            r#"name = "openai"
base_url = "https://api.openai.com:8443/v1"
model = "m"
api_key_env = """#,
            r#"name = "ollama"
base_url = "http://gpu-box:11434"
model = "llama3.2""#,
            r#"name = "ollama"
model = "gpt-oss:120b-cloud""#,
            r#"name = "ollama"
base_url = "https://ollama.example.org"
model = "llama3.2""#,
        ],
        &expect![[r#"
            name = "openai"
            base_url = "http://127.0.0.1:8080/v1"
            model = "tiny"
              no vendor, openai at http://127.0.0.1:8080/v1, no key, tiny, 128000, no price, trains: unknown
              warning: bot.toml:3: 127.0.0.1 is not an address of openai, so the key in OPENAI_API_KEY is not sent there
            If it may know that key, write api_key_env = "OPENAI_API_KEY"; if it needs none, api_key_env = "".
            name = "local"
            base_url = "http://127.0.0.1:11434/v1"
            model = "llama3.2"
              no vendor, openai at http://127.0.0.1:11434/v1, no key, llama3.2, 128000, no price, trains: unknown
            name = "proxied"
            vendor = "anthropic"
            base_url = "https://proxy.example.org/anthropic/v1"
              anthropic, anthropic at https://proxy.example.org/anthropic/v1, no key, claude-haiku-5-5, 1000000, 0.1/0.5, trains: unknown
              warning: bot.toml:4: proxy.example.org is not an address of anthropic, so the key in ANTHROPIC_API_KEY is not sent there
            If it may know that key, write api_key_env = "ANTHROPIC_API_KEY"; if it needs none, api_key_env = "".
            name = "proxied"
            vendor = "openai"
            base_url = "https://api.openai.com.example.org/v1"
            api_key_env = "OPENAI_API_KEY"
              openai, openai at https://api.openai.com.example.org/v1, OPENAI_API_KEY, gpt-6-luna, 1050000, 0.1/0.5, trains: unknown
            name = "openai"
            base_url = "http://api.openai.com/v1"
            model = "m"
              no vendor, openai at http://api.openai.com/v1, no key, m, 128000, no price, trains: unknown
              warning: bot.toml:3: api.openai.com is not an address of openai, so the key in OPENAI_API_KEY is not sent there
            If it may know that key, write api_key_env = "OPENAI_API_KEY"; if it needs none, api_key_env = "".
            name = "openai"
            base_url = "https://api.openai.com:8443/v1"
            model = "m"
            api_key_env = ""
              no vendor, openai at https://api.openai.com:8443/v1, no key, m, 128000, no price, trains: unknown
            name = "ollama"
            base_url = "http://gpu-box:11434"
            model = "llama3.2"
              ollama, ollama at http://gpu-box:11434, no key, llama3.2, 8192, no price, trains: no
            name = "ollama"
            model = "gpt-oss:120b-cloud"
              ollama, ollama at http://127.0.0.1:11434, no key, gpt-oss:120b-cloud, 8192, no price, trains: unknown
            name = "ollama"
            base_url = "https://ollama.example.org"
            model = "llama3.2"
              ollama, ollama at https://ollama.example.org, no key, llama3.2, 8192, no price, trains: unknown
        "#]],
    );
}

#[test]
fn what_is_missing_is_named() {
    check(
        &[
            r#"name = "huggingface""#,
            r#"name = "azure"
model = "m""#,
            r#"name = "a"
vendor = "grok""#,
            r#"name = "a"
vendor = "nobody-knows-me"
model = "m""#,
            r#"name = "a"
vendor = "groq"
kind = "gemini""#,
            r#"name = "a"
vendor = 3"#,
            r#"name = "a"
trains_on_data = "maybe""#,
        ],
        &expect![[r#"
            name = "huggingface"
              1 problem in bot.toml:
                1. bot.toml:1: `providers[0].model` is missing
                   Name the model to ask for, such as model = "gpt-6-luna".
            name = "azure"
            model = "m"
              1 problem in bot.toml:
                1. bot.toml:1: `providers[0].base_url` is missing: no address of azure in the dialect `openai` is known
                   Write it like "https://RESOURCE.openai.azure.com/openai/v1".
            name = "a"
            vendor = "grok"
              2 problems in bot.toml:
                1. bot.toml:1: `providers[0].model` is missing
                   Name the model to ask for, such as model = "gpt-6-luna".
                2. bot.toml:3: `providers[0].vendor` is `grok`, and no vendor of that name is known
                   Did you mean `groq`?
            name = "a"
            vendor = "nobody-knows-me"
            model = "m"
              1 problem in bot.toml:
                1. bot.toml:3: `providers[0].vendor` is `nobody-knows-me`, and no vendor of that name is known
                   Remove it and write kind and base_url instead, or use one of: openai, anthropic, gemini, interwest, groq, mistral, deepseek, openrouter, xai, perplexity, together, cohere, fireworks, cerebras, azure, moonshot, huggingface, ollama, llamacpp, lmstudio, vllm.
            name = "a"
            vendor = "groq"
            kind = "gemini"
              1 problem in bot.toml:
                1. bot.toml:1: `providers[0].base_url` is missing: no address of groq in the dialect `gemini` is known
                   Write it like "https://generativelanguage.googleapis.com/v1beta".
            name = "a"
            vendor = 3
              1 problem in bot.toml:
                1. bot.toml:3: `providers[0].vendor`: got `3`, expected text in quotes
                   For example: vendor = "groq"
            name = "a"
            trains_on_data = "maybe"
              1 problem in bot.toml:
                1. bot.toml:3: `providers[0].trains_on_data`: `maybe` is not true, false or "unknown"
                   For example: trains_on_data = "unknown"
        "#]],
    );
    let keyless = ProviderConfig {
        name: "groq".to_owned(),
        api_key_env: "GROQ_API_KEY".to_owned(),
        ..Default::default()
    };
    expect![[r#"
        provider `groq` has no key: GROQ_API_KEY is not set
        Set GROQ_API_KEY; or write api_key_env = "" if this provider needs no key."#]]
    .assert_eq(&keyless.api_key(&Env::default()).unwrap_err().to_string());
}

#[test]
fn extras_may_not_break_the_call() {
    check(
        &[
            r#"name = "groq"
temperature = 2.5
extra_headers = { Authorization = "Bearer sk-verysecret", "X Y" = "verysecret", Host = "a", X-A = "very\nsecret", X-B = "…", "" = "x" }
extra_query = { key = "verysecret" }
extra_body = { model = "m", messages = [], stream = false, temperature = 1 }"#,
            r#"name = "groq"
extra_headers = "X-A: verysecret"
extra_query = { a = 3 }
extra_body = 3"#,
            r#"name = "groq"
extra_headers = { X-A = 3 }"#,
        ],
        &expect![[r#"
            name = "groq"
            temperature = 2.5
            extra_headers = { Authorization = "Bearer sk-verysecret", "X Y" = "verysecret", Host = "a", X-A = "very\nsecret", X-B = "…", "" = "x" }
            extra_query = { key = "verysecret" }
            extra_body = { model = "m", messages = [], stream = false, temperature = 1 }
              12 problems in bot.toml:
                1. bot.toml:3: `providers[0].temperature` is 2.5, and must be from 0 to 2
                   0 is sober, 1 is usual; some vendors stop at 1.
                2. bot.toml:4: providers[0]: the header `` has a name that no header can have
                   Use letters, digits and `-`, such as "X-Title".
                3. bot.toml:4: providers[0]: the header `Authorization` carries the key
                   Use api_key_env or api_key_file; the key is then sent as this vendor wants it.
                4. bot.toml:4: providers[0]: the header `Host` is set for every call already
                   Remove it.
                5. bot.toml:4: providers[0]: the header `X Y` has a name that no header can have
                   Use letters, digits and `-`, such as "X-Title".
                6. bot.toml:4: providers[0]: the header `X-A` has a value that no header can have
                   Use ASCII letters, digits and signs, without line breaks, and no spaces around them.
                7. bot.toml:4: providers[0]: the header `X-B` has no value, only the sign that hides one
                   Write the value itself: `config show` prints this sign instead of it.
                8. bot.toml:5: providers[0]: the parameter `key` is a key, which does not belong in an address
                   Use api_key_env or api_key_file; the key is then sent in a header.
                9. bot.toml:6: providers[0]: `extra_body` may not set `messages`
                   It is the conversation itself. Remove it.
               10. bot.toml:6: providers[0]: `extra_body` may not set `model`
                   Use the key `model` of the provider's table.
               11. bot.toml:6: providers[0]: `extra_body` may not set `stream`
                   Answers are read as one stream each. Remove it.
               12. bot.toml:6: providers[0]: `extra_body` may not set `temperature`
                   Use the key `temperature` of the provider's table.
            name = "groq"
            extra_headers = "X-A: verysecret"
            extra_query = { a = 3 }
            extra_body = 3
              3 problems in bot.toml:
                1. bot.toml:3: `providers[0].extra_headers`: expected a table of names and values in quotes
                   For example: extra_headers = { X-Title = "My bot" }
                2. bot.toml:4: `providers[0].extra_query`: got `3`, expected text in quotes
                   For example: extra_query = { api-version = "2024-10-21" }
                3. bot.toml:5: `providers[0].extra_body`: got `3`, expected a table in { }
                   For example: extra_body = { reasoning_effort = "low" }
            name = "groq"
            extra_headers = { X-A = 3 }
              1 problem in bot.toml:
                1. bot.toml:3: `providers[0].extra_headers`: expected a table of names and values in quotes
                   For example: extra_headers = { X-Title = "My bot" }
        "#]],
    );
}

#[test]
fn extras_arrive_and_headers_are_not_shown() {
    let lines = r#"name = "groq"
temperature = 0.5
extra_headers = { X-Title = "verysecret" }
extra_query = { api-version = "2024-10-21" }
extra_body = { provider = { order = ["a", "b"], "x.y" = 0.5 } }"#;
    let (provider, _) = provider(lines).unwrap();
    assert_eq!(provider.extra_headers, [("X-Title", "verysecret")].into_iter().collect::<Headers>());
    assert!(!format!("{provider:?}").contains("verysecret"));
    let shown = effective_toml(&super::Config { providers: vec![provider], ..Default::default() });
    let extras: Vec<_> =
        shown.lines().filter(|it| it.starts_with("extra_") || it.starts_with("temperature")).collect();
    expect![[r#"
        temperature = 0.5
        extra_headers = { X-Title = "…" }
        extra_query = { api-version = "2024-10-21" }
        extra_body = { provider = { order = ["a", "b"], "x.y" = 0.5 } }"#]]
    .assert_eq(&extras.join("\n"));
}

#[test]
fn extras_come_from_the_environment_as_json() {
    let variables = |extras: [(&'static str, &'static str); 3]| {
        let own =
            [("NEVERDARK__PROVIDERS__0__NAME", "groq"), ("NEVERDARK__PROVIDERS__0__TRAINS_ON_DATA", "false")];
        own.into_iter().chain(extras).collect::<Env>()
    };
    let fine = variables([
        ("NEVERDARK__PROVIDERS__0__EXTRA_HEADERS", r#"{"X-Title":"My bot"}"#),
        ("NEVERDARK__PROVIDERS__0__EXTRA_QUERY", r#"{"api-version":"1"}"#),
        ("NEVERDARK__PROVIDERS__0__EXTRA_BODY", r#"{"thinking":{"budget":1024,"on":true}}"#),
    ]);
    let provider = assemble(None, &fine).unwrap().config.providers[0].clone();
    assert_eq!(provider.extra_headers, [("X-Title", "My bot")].into_iter().collect::<Headers>());
    assert_eq!(provider.extra_query["api-version"], "1");
    assert_eq!(provider.extra_body["thinking"]["budget"], 1024);
    assert_eq!(provider.vendor.as_deref(), Some("groq"));
    let wrong = variables([
        ("NEVERDARK__PROVIDERS__0__EXTRA_HEADERS", "X-Title: verysecret"),
        ("NEVERDARK__PROVIDERS__0__EXTRA_QUERY", "[1]"),
        ("NEVERDARK__PROVIDERS__0__EXTRA_BODY__THINKING", "off"),
    ]);
    expect![[r#"
        3 problems in the configuration:
          1. environment variable NEVERDARK__PROVIDERS__0__EXTRA_BODY__THINKING: the keys of `providers[0].extra_body` cannot be set one by one
             Write the whole table as JSON in NEVERDARK__PROVIDERS__0__EXTRA_BODY.
          2. environment variable NEVERDARK__PROVIDERS__0__EXTRA_HEADERS: `providers[0].extra_headers`: expected a table of names and values in quotes
             For example: NEVERDARK__PROVIDERS__0__EXTRA_HEADERS='{"X-Title":"My bot"}'
          3. environment variable NEVERDARK__PROVIDERS__0__EXTRA_QUERY: `providers[0].extra_query`: got "[1]", expected a table in { }
             For example: NEVERDARK__PROVIDERS__0__EXTRA_QUERY='{"api-version":"2024-10-21"}'"#]].assert_eq(&assemble(None, &wrong).unwrap_err().to_string());
}

#[test]
fn every_vendor_with_a_key_and_a_model_is_found_by_its_key() {
    let env: Env = Vendor::all().iter().flat_map(|it| &it.key_env).map(|it| (it.clone(), "k")).collect();
    let loaded = assemble(None, &env).unwrap();
    expect![[r#"
        no table names a provider; keys in the environment make the list: openai (OPENAI_API_KEY, gpt-6-luna),
        anthropic (ANTHROPIC_API_KEY, claude-haiku-5-5),
        gemini (GEMINI_API_KEY, gemini-3.5-flash-lite),
        interwest (INTERWEST_API_KEY, interwest-1),
        groq (GROQ_API_KEY, openai/gpt-oss-20b),
        mistral (MISTRAL_API_KEY, mistral-small-latest),
        deepseek (DEEPSEEK_API_KEY, deepseek-flash),
        openrouter (OPENROUTER_API_KEY, mistralai/mistral-small-2603),
        xai (XAI_API_KEY, grok-4.20-non-reasoning),
        perplexity (PERPLEXITY_API_KEY, sonar),
        together (TOGETHER_API_KEY, openai/gpt-oss-120b),
        cohere (COHERE_API_KEY, command-r7b-12-2024),
        fireworks (FIREWORKS_API_KEY, accounts/fireworks/models/gpt-oss-120b),
        cerebras (CEREBRAS_API_KEY, gpt-oss-120b),
        moonshot (MOONSHOT_API_KEY, kimi-k2.6)"#]]
    .assert_eq(&loaded.notes.join("\n").replace("), ", "),\n"));
    assert!(loaded.config.providers.iter().all(|it| it.api_key(&env).is_ok_and(|it| it.is_some())));
}

#[test]
fn ollama_is_not_told_to_make_room_for_more_than_a_machine_has() {
    let window = |lines: &str| provider(lines).unwrap().0.context_window;
    assert_eq!(
        window("name = \"mine\"\nkind = \"ollama\"\nmodel = \"m\"\nbase_url = \"http://gpu.lan:11434\""),
        8192
    );
    assert_eq!(window("name = \"ollama\"\nmodel = \"m\""), 8192);
    assert_eq!(window("name = \"ollama\"\nmodel = \"m\"\ncontext_window = 32000"), 32_000);
}
