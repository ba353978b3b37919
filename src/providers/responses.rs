//! The `openai-responses` dialect.

use super::{
    answer::Said,
    asked::Asked,
    body::Body,
    dialect::{Dialect, Framing, Question},
    prompt_text,
};
use crate::outcome::Failed;

pub(super) static DIALECT: Dialect = Dialect {
    questions: |_| "/responses".to_owned(),
    health: "/models",
    models: "/models",
    key_header: "authorization",
    headers: &[],
    write,
    renames: &[],
    names_speakers: prompt_text::has_several_speakers,
    framing: Framing::Events,
    read,
    finish_may_be_early: false,
    trims_start: false,
};

fn write(question: Question<'_>) -> Result<Body<'_>, Failed> {
    let _asked = Asked::new(question.prompt, question.temperature)?;
    Ok(Body::default())
}

fn read(_json: &str) -> serde_json::Result<Said> {
    Ok(Said::default())
}
