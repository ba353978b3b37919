//! Posts of a forum.

use super::{Call, Method, Rest, RestError};
use crate::message::ChannelId;
use serde_json::json;
use tokio::time::Instant;

impl Rest {
    /// Gives a post these tags, by their ids, in the place of those that it has. Needs *Manage Threads*.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn set_tags(&self, post: ChannelId, tags: &[&str], deadline: Instant) -> Result<(), RestError> {
        let call = Call::new(Method::Patch, format!("channels/{post}"), deadline);
        self.send(&call.with(&json!({ "applied_tags": tags }))?, |_| Some(())).await
    }
}
