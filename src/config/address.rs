//! A web address in its parts: is it a legal one, and whose is it?

/// An address that begins with `http://` or `https://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    is_https: bool,
    /// As it was written.
    host: &'a str,
    pub(super) port: u16,
    /// Without slashes at its end.
    pub(super) path: &'a str,
}

impl<'a> Address<'a> {
    /// Takes it apart; the error is a clause that says what is wrong.
    ///
    /// It is strict, since a secret may be sent there: what browsers would mend, such as a backslash or a space, is refused.
    pub(super) fn parse(address: &'a str) -> Result<Self, &'static str> {
        let (is_https, rest) = match (address.strip_prefix("https://"), address.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("must begin with https:// or http://"),
        };
        if rest.contains(|it: char| it.is_whitespace() || it.is_control() || "?#\\<>\"".contains(it)) {
            return Err("has a character in it that cannot be there");
        }
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("has a user name or password in it, which does not belong in files");
        }
        let after_host = authority.rfind(']').map_or(0, |it| it + 1); // the colons in [::1] begin no port
        let (host, port) = match authority[after_host..].find(':').map(|it| it + after_host) {
            Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
            None => (authority, None),
        };
        if host.is_empty() {
            return Err("has no host");
        }
        let usual = if is_https { 443 } else { 80 };
        let port = port.map_or(Ok(usual), str::parse);
        let port = port.map_err(|_| "has a port that is no number from 0 to 65535")?;
        Ok(Self { is_https, host, port, path: path.trim_end_matches('/') })
    }

    /// Whether the same server answers there: scheme, host and port are the same.
    pub(super) fn is_at(&self, other: &Address<'_>) -> bool {
        self.is_https == other.is_https
            && self.port == other.port
            && self.host.eq_ignore_ascii_case(other.host)
    }

    /// Whether it is at this host, by TLS and at the usual port. `*.` stands for any name below the rest.
    pub(super) fn is_of(&self, host: &str) -> bool {
        let own = self.host.to_ascii_lowercase();
        let is_host = match host.strip_prefix('*') {
            Some(domain) => own.strip_suffix(domain).is_some_and(|name| !name.is_empty()),
            None => own == host,
        };
        self.is_https && self.port == 443 && is_host
    }

    /// Whether it is this machine or one of the operator's own: loopback, a private address, or a name that only a private
    /// network knows (one word, `.local`, `.internal`, `.lan`).
    pub(super) fn is_private(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']).to_ascii_lowercase();
        match host.parse() {
            Ok(std::net::IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private(),
            Ok(std::net::IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
            Err(_) => {
                !host.contains('.')
                    || [".localhost", ".local", ".internal", ".lan"].iter().any(|it| host.ends_with(it))
            }
        }
    }

    /// Whether it is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']).to_ascii_lowercase();
        let is_name = host == "localhost" || host.ends_with(".localhost");
        is_name || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback() || it.is_unspecified())
    }

    /// The host as it was written, for a message.
    pub(super) fn host(&self) -> &'a str {
        self.host
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn is_of(address: &str, host: &str) -> bool {
        Address::parse(address).is_ok_and(|it| it.is_of(host))
    }

    #[test]
    fn a_look_alike_is_a_stranger() {
        for own in ["https://api.x.ai/v1", "https://API.x.ai", "https://api.x.ai:443/v9/"] {
            assert!(is_of(own, "api.x.ai"), "{own}");
        }
        for stranger in [
            "http://api.x.ai/v1",
            "https://api.x.ai:8443",
            "https://api.x.ai.evil.com/v1",
            "https://evil.com/api.x.ai",
            "https://api.x.ai@evil.com/v1",
            "https://evil.com\\@api.x.ai/v1",
            "https://evilapi.x.ai",
            "https://api.x.ai./v1",
            "https:///api.x.ai",
            "https://api%2ex.ai/",
            "//api.x.ai",
        ] {
            assert!(!is_of(stranger, "api.x.ai"), "{stranger}");
        }
        assert!(is_of("https://me.openai.azure.com/openai/v1", "*.openai.azure.com"));
        assert!(!is_of("https://openai.azure.com", "*.openai.azure.com"));
        assert!(!is_of("https://.openai.azure.com", "*.openai.azure.com"));
        assert!(!is_of("https://me-openai.azure.com", "*.openai.azure.com"));
    }

    #[test]
    fn what_is_private() {
        let is_private = |it: &str| Address::parse(it).is_ok_and(|it| it.is_private());
        for own in [
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost",
            "http://ollama:11434",
            "http://10.1.2.3",
            "http://box.lan",
        ] {
            assert!(is_private(own), "{own}");
        }
        for other in ["https://api.x.ai", "http://8.8.8.8", "http://172.32.0.1", "http://local.evil.com"] {
            assert!(!is_private(other), "{other}");
        }
    }
}
