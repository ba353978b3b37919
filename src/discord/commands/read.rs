//! What a slash command that was typed asks for.

use serenity::model::application::{ResolvedOption, ResolvedValue};

/// What a command asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command<'a> {
    Ask { prompt: &'a str, provider: Option<&'a str>, private: bool },
    Reset,
    Help,
    PrivacyExport,
    PrivacyForget,
    PrivacyOptOut,
    PrivacyOptIn,
    Status,
    ProviderList,
    ProviderUse { name: &'a str, is_server: bool, lasts: Option<&'a str>, strict: bool },
    ProviderAuto { is_server: bool },
    ProviderDisable { name: &'a str, lasts: Option<&'a str> },
    ProviderEnable { name: &'a str },
}

impl Command<'_> {
    /// Whether only moderators may give it. Each command has to say so here.
    pub(crate) fn needs_moderator(&self) -> bool {
        match self {
            Self::Ask { .. }
            | Self::Reset
            | Self::Help
            | Self::PrivacyExport
            | Self::PrivacyForget
            | Self::PrivacyOptOut
            | Self::PrivacyOptIn => false,
            Self::Status
            | Self::ProviderList
            | Self::ProviderUse { .. }
            | Self::ProviderAuto { .. }
            | Self::ProviderDisable { .. }
            | Self::ProviderEnable { .. } => true,
        }
    }
}

/// What a command asks for. None for one that this version does not know.
pub(crate) fn read<'a>(name: &str, options: &'a [ResolvedOption<'a>]) -> Option<Command<'a>> {
    Some(match name {
        "ask" => Command::Ask {
            prompt: text(options, "prompt")?,
            provider: text(options, "provider"),
            private: flag(options, "private"),
        },
        "reset" => Command::Reset,
        "help" => Command::Help,
        "privacy" => match sub(options)?.0 {
            "export" => Command::PrivacyExport,
            "forget" => Command::PrivacyForget,
            "opt-out" => Command::PrivacyOptOut,
            "opt-in" => Command::PrivacyOptIn,
            _ => return None,
        },
        "status" => Command::Status,
        "provider" => {
            let (sub, options) = sub(options)?;
            provider(sub, options)?
        }
        _ => return None,
    })
}

fn provider<'a>(sub: &str, options: &'a [ResolvedOption<'a>]) -> Option<Command<'a>> {
    let is_server = text(options, "where") == Some("server");
    let lasts = text(options, "for");
    Some(match sub {
        "list" => Command::ProviderList,
        "use" => Command::ProviderUse {
            name: text(options, "name")?,
            is_server,
            lasts,
            strict: flag(options, "strict"),
        },
        "auto" => Command::ProviderAuto { is_server },
        "disable" => Command::ProviderDisable { name: text(options, "name")?, lasts },
        "enable" => Command::ProviderEnable { name: text(options, "name")? },
        _ => return None,
    })
}

/// The subcommand and its options.
fn sub<'a>(options: &'a [ResolvedOption<'a>]) -> Option<(&'a str, &'a [ResolvedOption<'a>])> {
    let sub = options.first()?;
    let ResolvedValue::SubCommand(options) = &sub.value else { return None };
    Some((sub.name, options))
}

fn text<'a>(options: &'a [ResolvedOption<'a>], name: &str) -> Option<&'a str> {
    options.iter().find(|it| it.name == name).and_then(|it| match it.value {
        ResolvedValue::String(text) => Some(text.trim()),
        _ => None,
    })
}

fn flag(options: &[ResolvedOption<'_>], name: &str) -> bool {
    options.iter().any(|it| it.name == name && matches!(it.value, ResolvedValue::Boolean(true)))
}
