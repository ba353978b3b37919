//! Names and descriptions of commands in people's own languages, from one file (answers are English).
//!
//! A key of `languages.json` is a command's name, with its subcommand's and option's behind dots; `.name` is an option of that
//! name in any command, and `=value` behind an option one of its choices. What is not in the file is shown in English.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

const FILE: &str = include_str!("languages.json");

/// By key and Discord's locale: the name, and the description where there is one.
type Words = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// Adds every language to the declared commands.
pub(super) fn localize(mut commands: Vec<Value>) -> Vec<Value> {
    // A test reads the file: it can't be wrong in a program that was built.
    let words: Words = serde_json::from_str(FILE).unwrap_or_default();
    for command in &mut commands {
        walk(command, "", &words);
    }
    commands
}

fn walk(it: &mut Value, above: &str, words: &Words) {
    let name = it["name"].as_str().unwrap_or_default().to_owned();
    let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
    let anywhere = format!(".{name}");
    let is_option = !above.is_empty();
    add(it, words.get(&path).or_else(|| words.get(&anywhere).filter(|_| is_option)));
    for inner in list(it, "options") {
        walk(inner, &path, words);
    }
    for choice in list(it, "choices") {
        let value = choice["value"].as_str().unwrap_or_default().to_owned();
        let known =
            words.get(&format!("{path}={value}")).or_else(|| words.get(&format!("{anywhere}={value}")));
        add(choice, known);
    }
}

fn list<'a>(it: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    it.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

fn add(it: &mut Value, known: Option<&BTreeMap<String, Vec<String>>>) {
    for (place, key) in ["name_localizations", "description_localizations"].into_iter().enumerate() {
        let said: Map<String, Value> = known
            .into_iter()
            .flatten()
            .filter_map(|(locale, words)| Some((locale.clone(), words.get(place)?.as_str().into())))
            .collect();
        if !said.is_empty() {
            it[key] = said.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discord::commands::declared;
    use std::collections::BTreeSet;

    const LOCALES: [&str; 5] = ["de", "es-ES", "fr", "ja", "pt-BR"];

    fn said<'a>(it: &'a Value, key: &str, locale: &str) -> Option<&'a str> {
        it[key][locale].as_str()
    }

    /// Discord's rules for a name of chat input, in any language.
    fn is_name(name: &str) -> bool {
        let fits = |it: char| matches!(it, '-' | '_' | '\'') || it.is_alphanumeric();
        (1..=32).contains(&name.chars().count()) && name.chars().all(fits) && name.to_lowercase() == name
    }

    fn check(it: &Value, is_slash: bool) {
        let name = it["name"].as_str().unwrap();
        for locale in LOCALES {
            let own = said(it, "name_localizations", locale);
            let own = own.unwrap_or_else(|| panic!("{name} has no name in {locale}"));
            assert!(if is_slash { is_name(own) } else { (1..=32).contains(&own.chars().count()) }, "{own}");
            if is_slash {
                let about = said(it, "description_localizations", locale);
                let about = about.unwrap_or_else(|| panic!("{name} is not described in {locale}"));
                assert!((1..=100).contains(&about.chars().count()), "{about}");
            }
        }
        let options: Vec<&Value> = it["options"].as_array().into_iter().flatten().collect();
        are_unique(&options);
        for option in options {
            check(option, true);
        }
        for choice in it["choices"].as_array().into_iter().flatten() {
            for locale in LOCALES {
                let own = said(choice, "name_localizations", locale).unwrap();
                assert!((1..=100).contains(&own.chars().count()), "{own}");
            }
        }
    }

    /// No two of a list may have the same name in a language.
    fn are_unique(all: &[&Value]) {
        for locale in LOCALES {
            let names: BTreeSet<_> =
                all.iter().map(|it| (it["type"].as_u64(), said(it, "name_localizations", locale))).collect();
            let kinds: BTreeSet<_> = all.iter().map(|it| it["type"].as_u64()).collect();
            if kinds.iter().all(|it| it.is_some_and(|it| it == 1)) || kinds.contains(&Some(3)) {
                let distinct: BTreeSet<_> = names.iter().map(|it| it.1).collect();
                assert_eq!(distinct.len(), all.len(), "{locale}: {distinct:?}");
            }
        }
    }

    /// Characters as Discord counts them against 8,000: of each text the longest language.
    fn size(it: &Value) -> usize {
        let longest = |key: &str| {
            let own = it[key].as_str().map_or(0, |it| it.chars().count());
            let others = it[format!("{key}_localizations")].as_object().into_iter().flatten();
            others.filter_map(|it| it.1.as_str()).map(|it| it.chars().count()).fold(own, usize::max)
        };
        let inner = |key: &str| it[key].as_array().into_iter().flatten().map(size).sum::<usize>();
        let value = it["value"].as_str().map_or(0, str::len);
        longest("name") + longest("description") + value + inner("options") + inner("choices")
    }

    #[test]
    fn every_command_is_there_in_every_language_and_within_discords_limits() {
        let all = declared();
        for command in &all {
            check(command, command["type"].as_u64().unwrap_or(1) == 1);
            assert!(size(command) <= 8000, "{}", command["name"]);
        }
        let slash: Vec<&Value> = all.iter().filter(|it| it["type"].is_null()).collect();
        for locale in LOCALES {
            let names: BTreeSet<_> =
                slash.iter().map(|it| said(it, "name_localizations", locale).unwrap()).collect();
            assert_eq!(names.len(), slash.len(), "{locale}");
        }
    }

    #[test]
    fn every_key_of_the_file_is_used() {
        let words: Words = serde_json::from_str(FILE).unwrap();
        let text = serde_json::to_string(&declared()).unwrap();
        for (key, languages) in words {
            for (locale, words) in languages {
                for word in words {
                    let shown = format!("\"{locale}\":{}", serde_json::to_string(&word).unwrap());
                    assert!(text.contains(&shown), "{key}: {shown}");
                }
            }
        }
    }
}
