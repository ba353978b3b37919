//! Files that people attach, from where Discord keeps them, and from nowhere else.

use super::Rest;
use reqwest::{Client, Response, StatusCode, Url, header};

/// Discord's file hosts (Discord, *CDN Endpoints*).
const HOSTS: [&str; 2] = ["cdn.discordapp.com", "media.discordapp.net"];
/// Where files are when the API is Discord's own: nowhere else.
const DISCORD: &str = "discord.com";

/// Reads attachments. Without the bot's token: these addresses carry their own leave.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    client: Client,
    /// A proxy's or simulator's own host, which may keep files, too.
    also: Option<Url>,
}

/// A file on its way.
#[derive(Debug)]
pub(crate) struct Download(Response);

impl Rest {
    /// A reader of attachments over the same connections. The client follows no redirects, and neither does this.
    pub(crate) fn files(&self) -> Files {
        let also = Url::parse(&self.base).ok().filter(|it| it.host_str() != Some(DISCORD));
        Files { client: self.client.clone(), also }
    }
}

impl Files {
    /// Begins to read a file. None when it is not where Discord keeps files, or not there.
    pub(crate) async fn open(&self, address: &str) -> Option<Download> {
        let address = self.allowed(address)?;
        let request = self.client.get(address).header(header::USER_AGENT, super::call::USER_AGENT);
        let response = request.send().await.ok()?;
        (response.status() == StatusCode::OK).then_some(Download(response))
    }

    fn allowed(&self, address: &str) -> Option<Url> {
        let address = Url::parse(address).ok()?;
        let is_plain = address.username().is_empty() && address.password().is_none();
        let is_discords = address.scheme() == "https"
            && address.port().is_none()
            && address.host_str().is_some_and(|it| HOSTS.contains(&it));
        let is_own = self.also.as_ref().is_some_and(|it| it.origin() == address.origin());
        (is_plain && (is_discords || is_own)).then_some(address)
    }
}

impl Download {
    /// Adds the next bytes. False at the end.
    ///
    /// # Errors
    /// The connection was lost: what is there is not the whole file.
    pub(crate) async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ()> {
        match self.0.chunk().await {
            Ok(Some(bytes)) => {
                into.extend_from_slice(&bytes);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(_) => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_from_where_discord_keeps_them_only() {
        let files =
            |also: Option<&str>| Files { client: Client::new(), also: also.map(|it| it.parse().unwrap()) };
        let takes = |address: &str| files(None).allowed(address).is_some();
        assert!(takes("https://cdn.discordapp.com/attachments/1/2/a.png?ex=1&is=2&hm=3"));
        assert!(takes("https://media.discordapp.net/attachments/1/2/a.png"));
        for address in [
            "http://cdn.discordapp.com/a",
            "https://cdn.discordapp.com:8443/a",
            "https://cdn.discordapp.com.evil.example/a",
            "https://cdn.discordapp.com@evil.example/a",
            "https://me:pw@cdn.discordapp.com/a",
            "https://evil.example/cdn.discordapp.com",
            "https://169.254.169.254/latest",
            "http://127.0.0.1:80/a",
            "file:///etc/passwd",
            "//cdn.discordapp.com/a",
            "",
        ] {
            assert!(!takes(address), "{address}");
        }
        let simulated = files(Some("http://127.0.0.1:4000/api/v10/"));
        assert!(simulated.allowed("http://127.0.0.1:4000/attachments/1/2/a.png").is_some());
        assert!(simulated.allowed("http://127.0.0.1:4001/attachments/1/2/a.png").is_none());
        assert!(simulated.allowed("http://127.0.0.2:4000/attachments/1/2/a.png").is_none());
    }
}
