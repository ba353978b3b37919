//! `neverdark ask` with one provider and an environment of the test's choice.

use super::bot::{Bot, Ended, PATIENCE, program, until};
use crate::vendor::tls::Secure;
use serde_json::json;
use std::fs;
use tempfile::TempDir;

/// What must not come to light, in any way.
const KEY: &str = "sk-hush-hush";
pub(crate) const QUESTION: &str = "where is the treasure?";

/// All that the libraries below can say.
pub(crate) const LOUD: &str = "trace,h2=trace,hyper=trace,hyper_util=trace,reqwest=trace";

/// With a provider at this address, and trust in this vendor's certificate.
pub(crate) fn trusting(vendor: &Secure, base_url: &str) -> Asking {
    let asking = Asking::new(base_url);
    let path = asking.folder.path().join("vendor.pem");
    vendor.write_certificate(&path);
    asking.with("SSL_CERT_FILE", path.to_str().unwrap())
}

/// A folder with a configuration for one provider.
pub(crate) struct Asking {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Asking {
    /// Whose address is this, and who is called once.
    pub(crate) fn new(base_url: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = format!(
            "[discord]\nenabled = false\n[store]\nurl = \"sqlite::memory:\"\n\
             [router]\nattempts_per_provider = 1\nconnect_timeout = \"10s\"\n\
             [[providers]]\nname = \"alpha\"\nkind = \"openai\"\nbase_url = \"{base_url}\"\nmodel = \"m-1\"\n\
             api_key_env = \"ALPHA_KEY\"\n"
        );
        fs::write(folder.path().join("neverdark.toml"), file).unwrap();
        Self { folder, environment: Vec::new() }.with("ALPHA_KEY", KEY)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Bot {
        self.start_with(arguments, &[])
    }

    fn start_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Bot {
        let mut command = program(self.folder.path(), arguments);
        command.env("NEVERDARK_CONFIG", self.folder.path().join("neverdark.toml"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.envs(settings.iter().copied());
        Bot::start(command, "")
    }

    /// Asks. What it says is free of secrets.
    pub(crate) async fn ask(&self) -> Ended {
        self.end(self.start(&["ask", QUESTION])).await
    }

    /// As [`Asking::ask`], and what the call came to: `answered`, or the failure.
    pub(crate) async fn outcome(&self) -> String {
        let ended = self.ask().await;
        let failed = ended.stderr.lines().find_map(|it| it.strip_prefix("neverdark: alpha failed: "));
        match (failed, ended.code) {
            (Some(failed), _) => failed.to_owned(),
            (None, Some(0)) => "answered".to_owned(),
            (None, _) => ended.stderr,
        }
    }

    /// Serves one question of a program through the router API, and gives back the log, which is free of secrets, too.
    pub(crate) async fn serve_once(&self) -> String {
        let settings = [("NEVERDARK__API__LISTEN", "127.0.0.1:0"), ("NEVERDARK__STATUS__LISTEN", "off")];
        let bot = self.start_with(&["run"], &settings);
        let url = until("the log has the API's address", async || {
            let log = bot.log();
            let (_, after) = log.split_once("router API: ")?;
            Some(after.split_once(char::is_whitespace)?.0.to_owned())
        });
        let question = json!({"model": "auto", "messages": [{"role": "user", "content": QUESTION}]});
        let url = format!("{}/chat/completions", url.await);
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let answer = client.post(url).json(&question).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", bot.log());
        bot.signal("TERM");
        let ended = self.end(bot).await;
        assert!(ended.code == Some(0) && !ended.stderr.contains("Ana"), "{}", ended.stderr);
        ended.stderr
    }

    pub(crate) async fn end(&self, bot: Bot) -> Ended {
        let ended = bot.ended().await;
        for secret in [KEY, QUESTION, "pa@ss", "pa%40ss", "dXNlcjpwYUBzcw"] {
            assert!(!ended.stderr.contains(secret), "{secret} is in the log:\n{}", ended.stderr);
        }
        ended
    }
}
