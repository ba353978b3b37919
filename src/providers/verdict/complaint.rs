//! What the body of a failure says, as far as the vendors' shapes go.

use serde_json::Value;

/// The most bytes of free text that are looked at: what it is about, vendors say first.
const MAX_TEXT_BYTES: usize = 4096;
/// No code or type is longer. (xAI's are sentences.)
const MAX_WORD_BYTES: usize = 128;

/// What a body says.
#[derive(Default)]
pub(in crate::providers) struct Complaint {
    /// Codes and types in small letters, the most exact one first.
    pub(super) words: Vec<String>,
    /// The parameter that is at fault.
    param: String,
    /// The free text, in small letters.
    pub(super) text: String,
    /// The status that an error inside a 200 would have had.
    pub(super) status: Option<u16>,
}

impl Complaint {
    /// Reads `{"error":{…}}`, `{"error":"…"}`, `[{"error":…}]`, `{"response":{"error":…}}`, `{"message":…}`,
    /// `{"detail":…}`, a bare error object and a bare text.
    pub(in crate::providers) fn read(body: &Value) -> Self {
        let (error, around) = error_in(body);
        // The same object twice if the error is bare.
        let places = [error, around];
        let word = |at: &str| places.iter().find_map(|it| it.pointer(at)?.as_str());
        let number = |at: &str| places.iter().find_map(|it| http_status(it.get(at)?));
        Self {
            words: words(&places),
            param: word("/param").unwrap_or_default().to_lowercase(),
            text: text(&places),
            status: number("status_code")
                .or_else(|| number("code"))
                .or_else(|| number("status"))
                // Ollama, of what a cloud model behind it said.
                .or_else(|| number("StatusCode")),
        }
    }

    /// Whether it is about this parameter: it names it as the one at fault, or its text has the name in it as a word. A name
    /// that may be a word of English counts only where it is quoted, alone, called a parameter or at the end of a path.
    pub(in crate::providers) fn is_about(&self, param: &str) -> bool {
        let param = param.to_lowercase();
        if self.param == param {
            return true;
        }
        // Gemini names the pair by half: "Penalty is not enabled for this model".
        if param.ends_with("penalty") && self.text.contains("penalty is not enabled") {
            return true;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_plain = !param.contains('_') && param.len() < 8;
        self.text.match_indices(&param).any(|(at, _)| {
            let before = self.text[..at].chars().next_back();
            let rest = &self.text[at + param.len()..];
            let after = rest.chars().next();
            let is_word = !before.is_some_and(is_name) && !after.is_some_and(is_name);
            let is_set_off = |c: Option<char>| c.is_none_or(|c| "'\"`\n".contains(c));
            let is_quoted = is_set_off(after) && (is_set_off(before) || before == Some('.'));
            let is_path = before == Some('.') && after == Some(':');
            is_word && (!is_plain || is_quoted || is_path || rest.starts_with(" parameter"))
        })
    }

    /// What operators see of it: the first code or type that is surely one.
    pub(super) fn detail(&self) -> String {
        self.words.iter().find_map(|word| machine_word(word)).unwrap_or_default()
    }
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
    let reasons = details(places[0]).filter_map(|it| it["reason"].as_str());
    let types = invalid_fields(places).filter_map(|it| it["type"].as_str());
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
fn text(places: &[&Value; 2]) -> String {
    /// Where they stand. OpenRouter passes on what the vendor behind it said.
    const AT: [&str; 5] = ["", "/message", "/detail", "/msg", "/metadata/raw"];
    let mut text = String::new();
    let mut add = |part: &str| {
        let room = MAX_TEXT_BYTES.saturating_sub(text.len());
        text.push_str(&part[..part.floor_char_boundary(room)]);
        text.push('\n');
    };
    for at in AT {
        places.iter().filter_map(|it| it.pointer(at)?.as_str()).filter(|it| !is_page(it)).for_each(&mut add);
    }
    for field in invalid_fields(places) {
        field["loc"].as_array().into_iter().flatten().filter_map(Value::as_str).for_each(&mut add);
        field["msg"].as_str().into_iter().for_each(&mut add);
    }
    for detail in details(places[0]) {
        let quotas = detail["violations"].as_array().into_iter().flatten();
        quotas.filter_map(|it| it["quotaId"].as_str()).for_each(&mut add);
    }
    text.to_lowercase()
}

/// A proxy's web page says nothing that could be trusted beside its status.
fn is_page(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// Google's list of details.
fn details(error: &Value) -> impl Iterator<Item = &Value> {
    error["details"].as_array().into_iter().flatten()
}

/// FastAPI's list of fields that are wrong; Mistral has it one level deeper.
fn invalid_fields<'a>(places: &[&'a Value; 2]) -> impl Iterator<Item = &'a Value> {
    let lists = places.map(|it| [it.pointer("/detail"), it.pointer("/message/detail")]);
    lists.into_iter().flatten().flatten().filter_map(Value::as_array).flatten()
}
