//! The body of a question: its parameters, and what the model was found to refuse of them.
//!
//! **The problem.** Vendors rename parameters from one model to the next, and newer models refuse what older ones took
//! (`max_tokens`, `temperature`); their error names the parameter. **The rule.** A dialect writes what it would like to send. When
//! a model refuses a parameter, it is sent under the other name that the dialect knows for it, or left out, and that is
//! remembered for as long as the process runs. **The limits.** What decides what the answer is (the messages, tools, the answer's
//! format) is never left out, and neither is the limit of its length.

use super::verdict::Complaint;
use serde::ser::{Error, Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, value::RawValue};
use std::{borrow::Cow, cmp::Reverse};

/// Parameters without which it would be another question; by their names in any dialect, without the group.
const ESSENTIAL: [&str; 31] = [
    "audio",
    "contents",
    "format",
    "function_call",
    "functions",
    "input",
    "instructions",
    "maxOutputTokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "messages",
    "modalities",
    "model",
    "num_ctx",
    "num_predict",
    "prompt",
    "responseJsonSchema",
    "responseMimeType",
    "responseSchema",
    "response_format",
    "stop",
    "stopSequences",
    "stop_sequences",
    "stream",
    "system",
    "systemInstruction",
    "text",
    "toolConfig",
    "tool_choice",
    "tools",
];

/// Parameters, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Body<'a>(Vec<Parameter<'a>>);

#[derive(Debug)]
struct Parameter<'a> {
    /// The object in which it stands; empty for the body itself.
    group: &'static str,
    name: Cow<'a, str>,
    value: Part<'a>,
}

#[derive(Debug)]
enum Part<'a> {
    Ours(Value),
    /// A program's own, as it was written.
    PassedOn(&'a RawValue),
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ours(value) => value.serialize(to),
            Self::PassedOn(value) => value.serialize(to),
        }
    }
}

impl<'a> Body<'a> {
    /// Adds a parameter. A name such as `options.seed` stands in the object before the dot.
    pub(super) fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        let (group, name) = name.split_once('.').unwrap_or(("", name));
        self.0.push(Parameter { group, name: Cow::Borrowed(name), value: Part::Ours(value.into()) });
    }

    /// Adds a parameter if there is a value.
    pub(super) fn put_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Adds a program's parameter as it was written.
    pub(super) fn pass_on(&mut self, name: &'a str, value: &'a RawValue) {
        self.0.push(Parameter { group: "", name: Cow::Borrowed(name), value: Part::PassedOn(value) });
    }

    /// Its JSON, without what is refused. `extra` is the operator's: it takes the place of what has the same name.
    ///
    /// # Errors
    /// A value cannot be written as JSON.
    pub(super) fn write(&self, refused: &Refused, extra: &Map<String, Value>) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Written { body: self, refused, extra })
    }

    fn has(&self, group: &str, name: &str) -> bool {
        self.0.iter().any(|it| it.group == group && it.name == name)
    }
}

/// A body on its way out.
struct Written<'a> {
    body: &'a Body<'a>,
    refused: &'a Refused,
    extra: &'a Map<String, Value>,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut object = to.serialize_map(None)?;
        let mut groups: Vec<&str> = Vec::new();
        for parameter in &self.body.0 {
            match parameter.group {
                "" => self.one(parameter, self.extra, &mut object)?,
                group if groups.contains(&group) => {}
                group => {
                    groups.push(group);
                    if self.has_some_of(group) {
                        object.serialize_entry(group, &Group { group, written: self })?;
                    }
                }
            }
        }
        for (name, value) in self.extra.iter().filter(|(name, _)| !groups.contains(&name.as_str())) {
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}

impl Written<'_> {
    /// Whether there is something to be written in this object.
    fn has_some_of(&self, group: &str) -> bool {
        let is_told = |it: &Parameter<'_>| it.group == group && self.refused.name(group, &it.name).is_some();
        self.extra.contains_key(group) || self.body.0.iter().any(is_told)
    }

    fn one<M: SerializeMap>(
        &self,
        parameter: &Parameter<'_>,
        extra: &Map<String, Value>,
        object: &mut M,
    ) -> Result<(), M::Error> {
        let Parameter { group, name, value } = parameter;
        let Some(told) = self.refused.name(group, name) else { return Ok(()) };
        let is_double = told != name && self.body.has(group, told);
        if is_double || extra.contains_key(told) {
            return Ok(());
        }
        object.serialize_entry(told, value)
    }
}

/// An object within the body.
struct Group<'a> {
    group: &'a str,
    written: &'a Written<'a>,
}

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let none = Map::new();
        let extra = match self.written.extra.get(self.group) {
            None => &none,
            Some(Value::Object(extra)) => extra,
            Some(_) => return Err(S::Error::custom("not an object")),
        };
        let mut object = to.serialize_map(None)?;
        for parameter in self.written.body.0.iter().filter(|it| it.group == self.group) {
            self.written.one(parameter, extra, &mut object)?;
        }
        for (name, value) in extra {
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}

/// What a model was found to refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused(Vec<Refusal>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    group: &'static str,
    name: String,
    /// Its name for this model; none if it knows none.
    instead: Option<&'static str>,
}

impl Refused {
    /// What this model calls a parameter; none if it is not sent.
    fn name<'a>(&'a self, group: &str, name: &'a str) -> Option<&'a str> {
        match self.0.iter().find(|it| it.group == group && it.name == name) {
            None => Some(name),
            Some(refusal) => refusal.instead,
        }
    }

    /// What is known with this complaint about this body; none if that teaches nothing. `renames` are the dialect's pairs of names.
    pub(super) fn and(
        &self,
        complaint: &Complaint,
        body: &Body<'_>,
        renames: &[(&'static str, &'static str)],
    ) -> Option<Self> {
        let sent = body.0.iter().filter_map(|it| Some((it, self.name(it.group, &it.name)?)));
        // The complaint about one often names another as the cure, which comes later and may not have been sent.
        let mentioned =
            sent.filter_map(|it| Some((complaint.mentions(it.1)?, it, self.instead(it.0, it.1, renames)?)));
        let (_, (parameter, _), instead) =
            mentioned.min_by_key(|(at, (_, told), _)| (*at, Reverse(told.len())))?;
        let mut known = self.clone();
        known.0.retain(|it| it.group != parameter.group || it.name != parameter.name);
        known.0.push(Refusal { group: parameter.group, name: parameter.name.clone().into_owned(), instead });
        Some(known)
    }

    /// What to call a parameter that is refused under this name: none if it can be left out; none at all if it can be neither.
    fn instead(
        &self,
        parameter: &Parameter<'_>,
        told: &str,
        renames: &[(&'static str, &'static str)],
    ) -> Option<Option<&'static str>> {
        let other = renames.iter().find_map(|(one, two)| match told {
            _ if *one == told => Some(*two),
            _ if *two == told => Some(*one),
            _ => None,
        });
        let was_renamed = told != parameter.name;
        match other.filter(|_| !was_renamed) {
            None if ESSENTIAL.contains(&&*parameter.name) => None,
            instead => Some(instead),
        }
    }

    /// Whether what was learned last is how hard the model should think: models refuse some of its values, never all.
    pub(super) fn ends_with_effort(&self) -> bool {
        self.0.last().is_some_and(|it| it.name.ends_with("effort"))
    }

    /// What either knows.
    pub(super) fn with(mut self, other: &Self) -> Self {
        for refusal in &other.0 {
            if !self.0.iter().any(|it| it.group == refusal.group && it.name == refusal.name) {
                self.0.push(refusal.clone());
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    const RENAMES: &[(&str, &str)] = &[("max_tokens", "max_completion_tokens")];

    fn body() -> Body<'static> {
        let mut body = Body::default();
        body.put("model", "m");
        body.put("options.seed", 7);
        body.put("max_tokens", 5);
        body.put("options.top_k", 3);
        body.put_some("temperature", Some(0.5));
        body.put_some("top_p", None::<f64>);
        body
    }

    fn written(body: &Body<'_>, refused: &Refused, extra: Value) -> String {
        let Value::Object(extra) = extra else { panic!("{extra}") };
        String::from_utf8(body.write(refused, &extra).unwrap()).unwrap()
    }

    fn refusal(param: &str, text: &str) -> Complaint {
        Complaint::read(&json!({"error": {"code": "unsupported_parameter", "param": param, "message": text}}))
    }

    #[test]
    fn groups_stand_together_and_the_operators_words_win() {
        expect![[r#"{"model":"m","options":{"seed":7,"top_k":3},"max_tokens":5,"temperature":0.5}"#]]
            .assert_eq(&written(&body(), &Refused::default(), json!({})));
        expect![[
            r#"{"model":"m","options":{"top_k":3,"min_p":1,"seed":8},"max_tokens":5,"temperature":1,"x":[]}"#
        ]]
        .assert_eq(&written(
            &body(),
            &Refused::default(),
            json!({"temperature": 1, "options": {"seed": 8, "min_p": 1}, "x": []}),
        ));
        assert!(body().write(&Refused::default(), json!({"options": 1}).as_object().unwrap()).is_err());
    }

    #[test]
    fn what_is_refused_is_renamed_or_left_out() {
        let none = Refused::default();
        let renamed =
            none.and(&refusal("max_tokens", "use 'max_completion_tokens'"), &body(), RENAMES).unwrap();
        let left_out = renamed.and(&refusal("", "`temperature` is deprecated"), &body(), RENAMES).unwrap();
        let left_out = left_out.and(&refusal("", "unknown: options.seed\nseed"), &body(), RENAMES).unwrap();
        expect![[r#"{"model":"m","options":{"top_k":3},"max_completion_tokens":5}"#]].assert_eq(&written(
            &body(),
            &left_out,
            json!({}),
        ));
        assert_eq!(none.clone().with(&left_out), left_out);
        // An object of which nothing is left is not sent.
        let mut grouped = Body::default();
        grouped.put("output_config.effort", "low");
        let refused = none
            .and(&refusal("", "This model does not support the effort parameter."), &grouped, &[])
            .unwrap();
        assert_eq!(written(&grouped, &refused, json!({})), "{}");
        assert_eq!(
            written(&grouped, &refused, json!({"output_config": {"x": 1}})),
            r#"{"output_config":{"x":1}}"#
        );
        // A second refusal of the same teaches nothing, and neither does one of what is essential or was not sent.
        assert_eq!(renamed.and(&refusal("max_completion_tokens", ""), &body(), RENAMES), None);
        assert_eq!(renamed.and(&refusal("max_tokens", ""), &body(), RENAMES), None);
        assert_eq!(none.and(&refusal("model", ""), &body(), RENAMES), None);
        assert_eq!(none.and(&refusal("logprobs", "no logprobs"), &body(), RENAMES), None);
    }

    #[test]
    fn the_first_that_is_named_and_can_be_changed_is_at_fault() {
        let mut body = body();
        body.put("max_completion_tokens", 6);
        body.put("top_p", 0.5);
        let after = |text: &str| {
            let refused = Refused::default().and(&refusal("", text), &body, RENAMES)?;
            Some(written(&body, &refused, json!({"model": ""})))
        };
        let all = r#"{"options":{"seed":7,"top_k":3},"max_tokens":5,"temperature":0.5,"max_completion_tokens":6,"top_p":0.5,"model":""}"#;
        let without = |part: &str| Some(all.replace(part, ""));
        assert_eq!(after("no 'max_tokens': use 'max_completion_tokens'"), without(r#""max_tokens":5,"#));
        assert_eq!(after("`top_p` and `temperature` cannot both be specified"), without(r#""top_p":0.5,"#));
        assert_eq!(after("'model' x does not support 'temperature'"), without(r#""temperature":0.5,"#));
        assert_eq!(after("topK is unknown"), without(r#","top_k":3"#));
        assert_eq!(after("'model' x does not support that"), None);
    }

    #[test]
    fn a_limit_under_both_names_is_sent_once() {
        let mut both = body();
        both.put("max_completion_tokens", 6);
        let refused = Refused::default().and(&refusal("max_tokens", ""), &both, RENAMES).unwrap();
        expect![[
            r#"{"model":"m","options":{"seed":7,"top_k":3},"temperature":0.5,"max_completion_tokens":6}"#
        ]]
        .assert_eq(&written(&both, &refused, json!({})));
    }

    #[test]
    fn a_programs_words_stay_as_they_were() {
        let schema: Box<RawValue> = serde_json::from_str("{\"b\": 1.50,  \"a\":1e400}").unwrap();
        let mut body = Body::default();
        body.pass_on("response_format", &schema);
        expect![[r#"{"response_format":{"b": 1.50,  "a":1e400}}"#]].assert_eq(&written(
            &body,
            &Refused::default(),
            json!({}),
        ));
    }
}
