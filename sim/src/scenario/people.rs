//! Reads what people do.

use super::{Act, Deed, Place, parse::first_word};

const DEEDS: &str = "`in #channel: …`, `replies in …: …`, `opens \"Title\" in #channel: …`, `posts \"Title\" [tags] in #forum: …`, \
                     `runs /command in …`, `edits: …`, `deletes`, `clicks …` or `uses \"Command\" on ben's message`";

/// Reads a line that begins with a person's name.
pub(super) fn person(who: &str, rest: &str) -> Result<Act, String> {
    let (name, moderator) = who.strip_suffix('*').map_or((who, false), |name| (name, true));
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_')) {
        return Err(format!(
            "`{who}`: expected a person's name, cast, config, break, heal, health, gateway, discord, wait or until"
        ));
    }
    let deed = deed(rest).map_err(|error| format!("{name}: {error}"))?;
    Ok(Act::Person { name: name.to_owned(), moderator, deed })
}

fn deed(text: &str) -> Result<Deed, String> {
    let (verb, rest) = first_word(text);
    match verb {
        "in" => {
            let (place, text) = place_and_text(text)?;
            Ok(Deed::Say { place, text })
        }
        "replies" => {
            let (place, text) = place_and_text(rest)?;
            Ok(Deed::Reply { place, text })
        }
        "opens" => {
            let (title, rest) = title(rest)?;
            match place_and_text(rest)? {
                (Place::Channel(channel), text) => Ok(Deed::Open { title, channel, text }),
                _ => Err(format!("`{rest}`: a thread is opened in a channel")),
            }
        }
        "posts" => {
            let (title, rest) = title(rest)?;
            let (tags, rest) = tags(rest)?;
            match place_and_text(rest)? {
                (Place::Channel(forum), text) => Ok(Deed::Post { title, tags, forum, text }),
                _ => Err(format!("`{rest}`: a post is written in a forum")),
            }
        }
        "runs" => match rest.rsplit_once(" in ") {
            Some((command, spot)) if command.starts_with('/') => {
                Ok(Deed::Run { place: place(spot)?, command: command.trim_end().to_owned() })
            }
            _ => Err(format!("`{text}`: expected `runs /command in #channel`")),
        },
        "edits:" if !rest.is_empty() => Ok(Deed::Edit(rest.to_owned())),
        "deletes" if rest.is_empty() => Ok(Deed::Delete),
        "clicks" if !rest.is_empty() => Ok(Deed::Click(rest.to_owned())),
        "uses" => uses(rest).ok_or_else(|| format!("`{text}`: expected `uses \"Command\" on ben's message`")),
        _ => Err(format!("`{text}`: expected {DEEDS}")),
    }
}

/// Reads `"Command" on ben's message`.
fn uses(text: &str) -> Option<Deed> {
    let (command, rest) = title(text).ok()?;
    let on = rest.strip_prefix("on ")?.trim_end().strip_suffix("'s message")?;
    let is_name = !on.is_empty() && !on.contains(char::is_whitespace);
    is_name.then(|| Deed::Use { command, on: on.to_owned() })
}

/// Reads `in PLACE: text`. The place ends at the first colon.
fn place_and_text(text: &str) -> Result<(Place, String), String> {
    let expected = || {
        format!("`{text}`: expected `in`, a place (`#channel`, `#channel/Title` or `dm`), a colon and a text")
    };
    let (spot, said) = text.strip_prefix("in ").and_then(|rest| rest.split_once(':')).ok_or_else(expected)?;
    if said.trim().is_empty() {
        return Err(expected());
    }
    Ok((place(spot)?, said.strip_prefix(' ').unwrap_or(said).to_owned()))
}

fn place(text: &str) -> Result<Place, String> {
    let text = text.trim();
    match (text, text.strip_prefix('#')) {
        ("dm", _) => Ok(Place::Dm),
        (_, Some(name)) if !name.is_empty() => Ok(match name.split_once('/') {
            Some((parent, title)) => Place::Below { parent: parent.to_owned(), title: title.to_owned() },
            None => Place::Channel(name.to_owned()),
        }),
        _ => Err(format!("`{text}`: expected a place: `#channel`, `#channel/Title` or `dm`")),
    }
}

/// Reads a title in quotes.
fn title(text: &str) -> Result<(String, &str), String> {
    let quoted = text.strip_prefix('"').and_then(|rest| rest.split_once('"'));
    match quoted {
        Some((title, rest)) if !title.is_empty() => Ok((title.to_owned(), rest.trim_start())),
        _ => Err(format!("`{text}`: expected a title in \"quotes\"")),
    }
}

/// Reads `[rust, help]`, if it is there.
fn tags(text: &str) -> Result<(Vec<String>, &str), String> {
    let Some(rest) = text.strip_prefix('[') else { return Ok((Vec::new(), text)) };
    let (inside, rest) =
        rest.split_once(']').ok_or_else(|| format!("`{text}`: expected `]` behind the tags"))?;
    let tags = inside.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    Ok((tags, rest.trim_start()))
}
