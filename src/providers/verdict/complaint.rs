//! What the body of a failure says, as far as the vendors' shapes go.
//!
//! Gateways pass on what the vendor behind them said, whole, as a text: that is read as well.

use serde_json::Value;

/// The most bytes of free text that are looked at: what it is about, vendors say first.
const MAX_TEXT_BYTES: usize = 4096;
/// No code or type is longer. (xAI's are sentences.)
const MAX_WORD_BYTES: usize = 128;
/// A gateway behind a gateway.
const MOST_WITHIN: u8 = 2;

/// What a body says.
#[derive(Debug, Default)]
pub(in crate::providers) struct Complaint {
    /// Codes and types in small letters, the most exact one first.
    pub(super) words: Vec<String>,
    /// So many of them are surely the vendor's own.
    own_words: usize,
    /// The parameter that is at fault, if it has a field for it.
    param: String,
    /// The free text, in small letters.
    pub(super) text: String,
    /// The status that an error inside a 200 would have had.
    pub(super) status: Option<u16>,
}

impl Complaint {
    /// Reads `{"error":{…}}`, `{"error":"…"}`, `[{"error":…}]`, `{"response":{"error":…}}`, `{"message":…}`,
    /// `{"detail":…}`, a bare error object and a bare text; and any of them within a text.
    pub(in crate::providers) fn read(body: &Value) -> Self {
        Self::read_within(body, MOST_WITHIN)
    }

    fn read_within(body: &Value, within: u8) -> Self {
        let (error, around) = error_in(body);
        // The same object twice if the error is bare.
        let places = [error, around];
        let number = |at: &str| places.iter().find_map(|it| http_status(it.get(at)?));
        // LiteLLM writes Python's word for nothing, Cerebras what is wrong instead of where.
        let param = places.iter().find_map(|it| it["param"].as_str());
        let param = param.filter(|it| !matches!(*it, "None" | "validation_error"));
        let words = words(&places);
        let mut complaint = Self {
            own_words: words.len(),
            words,
            param: param.unwrap_or_default().to_owned(),
            text: String::new(),
            // The last one is Ollama's, of what a cloud model behind it said.
            status: ["status_code", "code", "status", "StatusCode"].into_iter().find_map(number),
        };
        for text in texts(&places) {
            match (within > 0).then(|| said_within(text)).flatten() {
                Some((before, said)) => {
                    complaint.add(before);
                    complaint.pass_on(Self::read_within(&said, within - 1), before.is_empty());
                }
                None => complaint.add(text),
            }
        }
        complaint.text = complaint.text.to_lowercase();
        complaint
    }

    fn add(&mut self, text: &str) {
        let room = MAX_TEXT_BYTES.saturating_sub(self.text.len());
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
        self.text.push('\n');
    }

    /// Adds what stood within a text; `is_all` of it.
    fn pass_on(&mut self, within: Self, is_all: bool) {
        self.add(&within.text);
        if self.param.is_empty() {
            self.param = within.param;
        }
        if is_all && self.own_words == self.words.len() {
            self.own_words += within.own_words;
        }
        self.words.extend(within.words);
    }

    /// Where it speaks of this parameter, counted from its beginning; none if it does not. A body that has a field for the
    /// parameter at fault speaks of no other. In a text, vendors write `top_p` or `topP`, whatever was sent; and a name that may be a
    /// word of English counts only where it is quoted, alone, or called a parameter.
    pub(in crate::providers) fn mentions(&self, param: &str) -> Option<usize> {
        let is_english = param.len() < 8 && param.bytes().all(|it| it.is_ascii_lowercase());
        let name = plain(param);
        if name.is_empty() {
            return None;
        }
        if !self.param.is_empty() {
            // `messages[0].content`, `stream_options.include_usage`, `generationConfig.seed`.
            let mut path = self.param.split(['.', '[', ']']).filter(|it| !it.is_empty()).map(plain);
            return (path.next().as_ref() == Some(&name) || path.next_back() == Some(name)).then_some(0);
        }
        let text = plain(&self.text);
        // Gemini names the pair by half: "Penalty is not enabled for this model".
        if name.ends_with("penalty") && text.contains("penalty is not enabled") {
            return Some(0);
        }
        text.match_indices(&name).map(|(at, _)| at).find(|at| {
            let (before, after) = (&text[..*at], &text[at + name.len()..]);
            let is_part = |it: Option<char>| it.is_some_and(char::is_alphanumeric);
            let is_word = !is_part(before.chars().next_back()) && !is_part(after.chars().next());
            is_word && (!is_english || is_set_off(before, after))
        })
    }

    /// Whether another value of the parameter at fault would do.
    pub(in crate::providers) fn is_about_a_value(&self) -> bool {
        self.words.iter().any(|it| it == "unsupported_value") || self.text.contains("must be one of")
    }

    /// What operators see of it: the first code or type that is surely one.
    pub(super) fn detail(&self) -> String {
        self.words.iter().take(self.own_words).find_map(|word| machine_word(word)).unwrap_or_default()
    }
}

/// A name in any of the ways of writing it.
fn plain(name: &str) -> String {
    name.chars().filter(|it| *it != '_').flat_map(char::to_lowercase).collect()
}

/// Whether a word between these is a name and no English.
fn is_set_off(before: &str, after: &str) -> bool {
    const QUOTES: [char; 5] = ['\'', '"', '`', '[', ']'];
    const SORTS: [&str; 6] = ["parameter", "param", "argument", "field", "property", "option"];
    let is_end = after.starts_with('\n') || after.is_empty();
    let begins_line = before.is_empty() || before.ends_with('\n');
    let is_quoted = before.ends_with(QUOTES) && after.starts_with(QUOTES);
    // `'generation_config.seed'`, `output_config.effort: Extra inputs are not permitted`.
    let is_last_of_path =
        before.ends_with('.') && (after.starts_with(QUOTES) || after.starts_with(':') || is_end);
    // A line of its own, or "seed: Extra inputs are not permitted".
    let is_alone = begins_line && (is_end || after.starts_with(':'));
    // "Unrecognized request argument supplied: seed"
    let is_listed = before.ends_with(": ") && (is_end || after.starts_with(['.', ',']));
    let word_before = before.trim_end_matches([' ', ':']).trim_end_matches('s');
    let is_called_one = before.ends_with(' ') && SORTS.iter().any(|it| word_before.ends_with(it))
        || SORTS.iter().any(|it| after.strip_prefix(' ').is_some_and(|after| after.starts_with(it)));
    is_quoted || is_last_of_path || is_alone || is_listed || is_called_one
}

/// The word, if it is one that a machine says: no sentence, no bare number (the status says as much), and nothing with
/// as many digits as a key has.
pub(in crate::providers) fn machine_word(word: &str) -> Option<String> {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        && word.contains(|c: char| c.is_ascii_alphabetic());
    let short = (1..=48).contains(&word.len()) && word.bytes().filter(u8::is_ascii_digit).count() <= 4;
    (plain && short).then(|| word.to_owned())
}

/// Whether what stands under `error` is one: several hosts send a null or an empty one in every chunk.
pub(super) fn is_error(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(parts) => !parts.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Array(_) => true,
    }
}

/// The error of a body, and the object that it lies in (the same one if it is bare).
pub(super) fn error_in(body: &Value) -> (&Value, &Value) {
    let body = body.get(0).unwrap_or(body);
    let around = body.get("response").filter(|it| is_error(&it["error"])).unwrap_or(body);
    (around.get("error").filter(|error| is_error(error)).unwrap_or(around), around)
}

/// A number or a number in a text (LiteLLM), if it is an HTTP status of a failure.
fn http_status(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

/// The most items of a list that are looked at: an error inside a stream may be as long as an answer.
const MOST_ITEMS: usize = 16;

fn words(places: &[&Value; 2]) -> Vec<String> {
    /// Where codes and types stand. Google's reasons stand in a list of details.
    const AT: [&str; 8] = [
        "/code",
        "/details/error_code",
        "/innererror/code",
        "/metadata/error_type",
        "/error_type",
        "/error_code",
        "/type",
        "/status",
    ];
    let reasons = details(places[0]).take(MOST_ITEMS).filter_map(|it| it["reason"].as_str());
    let types = invalid_fields(places).take(MOST_ITEMS).filter_map(|it| it["type"].as_str());
    let plain = AT.into_iter().flat_map(|at| places.iter().filter_map(move |it| it.pointer(at)?.as_str()));
    let mut words: Vec<String> = Vec::new();
    for word in reasons.chain(types).chain(plain).filter(|word| word.len() <= MAX_WORD_BYTES) {
        let word = word.to_lowercase();
        // LiteLLM writes Python's word for nothing.
        if word != "none" && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// The texts that the vendor wrote. FastAPI's hosts quote the request under `input`; that is left out.
fn texts<'a>(places: &[&'a Value; 2]) -> Vec<&'a str> {
    /// Where they stand. OpenRouter passes on what the vendor behind it said; AWS has a capital, Cloudflare and Venice lists.
    const AT: [&str; 9] = [
        "",
        "/message",
        "/Message",
        "/detail",
        "/details",
        "/details/_errors/0",
        "/msg",
        "/metadata/raw",
        "/errors/0/message",
    ];
    let plain = AT.into_iter().flat_map(|at| places.iter().filter_map(move |it| it.pointer(at)?.as_str()));
    let mut texts: Vec<&str> = plain.filter(|it| !is_page(it)).collect();
    // The same place twice if the error is bare.
    texts.dedup();
    for field in invalid_fields(places).take(MOST_ITEMS) {
        let path = field["loc"].as_array().into_iter().flatten().take(MOST_ITEMS);
        texts.extend(path.filter_map(Value::as_str));
        texts.extend(field["msg"].as_str());
    }
    for detail in details(places[0]).take(MOST_ITEMS) {
        let quotas = detail["violations"].as_array().into_iter().flatten().take(MOST_ITEMS);
        texts.extend(quotas.filter_map(|it| it["quotaId"].as_str()));
    }
    texts
}

/// A proxy's web page says nothing that could be trusted beside its status.
fn is_page(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// What another vendor said, within a text: all of it (OpenRouter, Mistral), or behind the name that LiteLLM gives it
/// (`AnthropicException - {…}`). JSON anywhere else may be somebody's prompt. Also, the text before it.
fn said_within(text: &str) -> Option<(&str, Value)> {
    let at = text.find(['{', '['])?;
    let (before, json) = text.split_at(at);
    let is_all = before.trim().is_empty();
    if !is_all && !before.trim_end_matches(['b', '\'', '"']).ends_with("Exception - ") {
        return None;
    }
    let said = serde_json::Deserializer::from_str(json).into_iter::<Value>().next()?.ok()?;
    let is_object = said.get(0).unwrap_or(&said).is_object();
    is_object.then_some((if is_all { "" } else { before }, said))
}

/// Google's list of details.
fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error["details"].as_array().into_iter().flatten()
}

/// FastAPI's list of fields that are wrong; Mistral has it one level deeper, or twice.
fn invalid_fields<'a>(places: &[&'a Value; 2]) -> impl Iterator<Item = &'a Value> {
    const AT: [&str; 3] = ["/detail", "/message/detail", "/message"];
    let lists = places.map(|it| AT.map(|at| it.pointer(at)));
    lists.into_iter().flatten().flatten().filter_map(Value::as_array).flatten()
}
