//! A provider at an address: what all dialects have in common, from the key in its header to what a model was found to refuse.

use super::{
    Model, Pieces, Provider, ProviderSpec, Unfit, answer,
    body::Refused,
    dialect::{self, Dialect, Question},
    models, wire,
};
use crate::{
    message::Prompt,
    outcome::{Failed, Failure, Usage},
};
use futures::{FutureExt, future::BoxFuture};
use reqwest::{
    Client, Response, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret;
use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// How often a question is asked anew because a parameter was refused.
const MOST_REFUSALS: usize = 4;
/// The most bytes of a list of models: OpenRouter's has 600 KB.
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;
/// How long such a list may take once its head is here.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// The most bytes that are looked at to see whether a health address answers with a web page.
const MAX_HEALTH_BYTES: usize = 256;

/// A provider.
#[derive(Clone)]
pub(super) struct Remote(Arc<Inner>);

struct Inner {
    spec: ProviderSpec,
    dialect: &'static Dialect,
    client: Client,
    /// The key's among them.
    headers: HeaderMap,
    questions: Url,
    health: Url,
    models: Url,
    /// What this provider's model was found to refuse.
    refused: RwLock<Arc<Refused>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.0.spec;
        f.debug_struct("Remote").field("name", &spec.name).field("kind", &spec.kind).finish_non_exhaustive()
    }
}

impl Remote {
    pub(super) fn new(spec: ProviderSpec, client: Client) -> Result<Self, Unfit> {
        let dialect = dialect::of(spec.kind);
        let address = |path: &str| address(&spec, path);
        Ok(Self(Arc::new(Inner {
            dialect,
            client,
            headers: headers(&spec, dialect)?,
            questions: address(&(dialect.questions)(&spec.model))?,
            health: address(dialect.health)?,
            models: address(dialect.models)?,
            refused: RwLock::default(),
            spec,
        })))
    }

    /// The models that the provider lists.
    pub(super) fn models(&self) -> BoxFuture<'static, Result<Vec<Model>, Failed>> {
        let inner = Arc::clone(&self.0);
        async move {
            let response = inner.get(&inner.models).await.map_err(|refused| refused.failed)?;
            let body = wire::beginning(response, MAX_LIST_BYTES, LIST_WITHIN).await;
            models::read(&body).ok_or_else(|| Failed::new(Failure::Malformed, "no list of models"))
        }
        .boxed()
    }
}

impl Provider for Remote {
    fn name(&self) -> &str {
        &self.0.spec.name
    }

    fn model(&self) -> &str {
        &self.0.spec.model
    }

    fn context_window(&self) -> u32 {
        self.0.spec.context_window
    }

    fn cost(&self, usage: Usage) -> Option<f64> {
        self.0.spec.cost(usage)
    }

    fn names_speakers(&self, prompt: &Prompt) -> bool {
        (self.0.dialect.names_speakers)(prompt)
    }

    fn generate(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Pieces, Failed>> {
        let inner = Arc::clone(&self.0);
        async move { Ok(answer::pieces(inner.open(&prompt).await?, inner.dialect)) }.boxed()
    }

    fn health_check(&self) -> BoxFuture<'static, Result<(), Failed>> {
        let inner = Arc::clone(&self.0);
        async move { inner.is_well().await }.boxed()
    }
}

impl Inner {
    /// Asks; and asks again at once, in another way, where the model says that it does not take a parameter.
    async fn open(&self, prompt: &Prompt) -> Result<Response, Failed> {
        let ProviderSpec { model, context_window, temperature, .. } = &self.spec;
        let (context_window, temperature) = (*context_window, *temperature);
        let body = (self.dialect.write)(Question { prompt, model, context_window, temperature })?;
        let mut refused = self.refused();
        let mut left = MOST_REFUSALS;
        // A value that one program chose must not cost the others theirs.
        let mut is_lasting = true;
        loop {
            let json = body.write(&refused, &self.spec.body);
            let json = json.map_err(|_| Failed::new(Failure::BadRequest, "no json"))?;
            let post = self.client.post(self.questions.clone()).headers(self.headers.clone());
            let post = post.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let no = match wire::send(post.body(json)).await {
                Ok(response) => {
                    if is_lasting {
                        self.remember(&refused);
                    }
                    return Ok(response);
                }
                Err(no) => no,
            };
            let may_learn = no.failed.failure == Failure::UnsupportedParameter && left > 0;
            let learned =
                may_learn.then(|| refused.and(&no.complaint, &body, self.dialect.renames)).flatten();
            let Some(learned) = learned else { return Err(no.failed) };
            is_lasting &= !(no.complaint.is_about_a_value() && learned.ends_with_effort());
            refused = Arc::new(learned);
            left -= 1;
        }
    }

    fn refused(&self) -> Arc<Refused> {
        Arc::clone(&self.refused.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps what was found: only once it was shown to help.
    fn remember(&self, found: &Arc<Refused>) {
        if *self.refused() != **found {
            let mut known = self.refused.write().unwrap_or_else(PoisonError::into_inner);
            *known = Arc::new(Refused::clone(&known).with(found));
        }
    }

    async fn get(&self, address: &Url) -> Result<Response, wire::Refused> {
        wire::send(self.client.get(address.clone()).headers(self.headers.clone())).await
    }

    /// Whether the health address is answered with a 2xx that is no web page.
    async fn is_well(&self) -> Result<(), Failed> {
        let response = match self.get(&self.health).await {
            Ok(response) => response,
            Err(wire::Refused { failed, .. }) if matches!(failed.http_status, Some(404 | 405)) => {
                let failure = Failure::BadRequest;
                return Err(Failed { failure, detail: "no health path".to_owned(), ..failed });
            }
            Err(refused) => return Err(refused.failed),
        };
        let status = response.status().as_u16();
        if wire::beginning(response, MAX_HEALTH_BYTES, wire::ERROR_BODY_WITHIN)
            .await
            .trim_ascii_start()
            .starts_with(b"<")
        {
            return Err(Failed { http_status: Some(status), ..Failed::new(Failure::Malformed, "html") });
        }
        Ok(())
    }
}

/// A path below the base address, with the operator's query behind the dialect's.
fn address(spec: &ProviderSpec, path: &str) -> Result<Url, Unfit> {
    Url::parse(&spec.base_url).ok().filter(is_plain).ok_or(Unfit::BaseUrl)?;
    let base = spec.base_url.trim_end_matches('/');
    let mut url = Url::parse(&format!("{base}{path}")).map_err(|_| Unfit::BaseUrl)?;
    if !spec.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&spec.query);
    }
    Ok(url)
}

fn is_plain(url: &Url) -> bool {
    let has_login = !url.username().is_empty() || url.password().is_some();
    matches!(url.scheme(), "http" | "https")
        && !has_login
        && url.query().is_none()
        && url.fragment().is_none()
}

fn headers(spec: &ProviderSpec, dialect: &Dialect) -> Result<HeaderMap, Unfit> {
    let mut headers = HeaderMap::new();
    for (name, value) in dialect.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(key) = &spec.api_key {
        let name = spec.key_header.as_deref().unwrap_or(dialect.key_header);
        let name = HeaderName::try_from(name).map_err(|_| Unfit::Header)?;
        let prefix = if name == header::AUTHORIZATION { "Bearer " } else { "" };
        let value = HeaderValue::try_from(format!("{prefix}{}", key.expose_secret().trim()));
        headers.insert(name, secret(value.map_err(|_| Unfit::ApiKey)?));
    }
    for (name, value) in &spec.headers {
        let name = HeaderName::try_from(name).map_err(|_| Unfit::Header)?;
        let value = HeaderValue::try_from(value.expose_secret()).map_err(|_| Unfit::Header)?;
        headers.insert(name, secret(value));
    }
    Ok(headers)
}

fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
