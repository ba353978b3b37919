//! Discord's error answers.

use serde_json::{Value, json};

/// A refused call: HTTP status and Discord's JSON error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fail {
    pub(crate) status: u16,
    pub(crate) code: u32,
    pub(crate) message: String,
    /// The tree under `errors` of an invalid form body.
    pub(crate) errors: Option<Value>,
}

impl Fail {
    pub(crate) fn new(status: u16, code: u32, message: &str) -> Self {
        Self { status, code, message: message.into(), errors: None }
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({ "message": self.message, "code": self.code });
        if let Some(errors) = &self.errors {
            body["errors"] = errors.clone();
        }
        body
    }

    /// 50035 with one fault at `path` (`content`, `options.0.name`, …).
    pub(crate) fn form(path: &str, code: &str, message: &str) -> Self {
        let mut tree = json!({ "_errors": [{ "code": code, "message": message }] });
        for key in path.rsplit('.') {
            tree = json!({ key: tree });
        }
        Self { errors: Some(tree), ..Self::new(400, 50_035, "Invalid Form Body") }
    }

    pub(crate) fn too_long(path: &str, most: usize) -> Self {
        Self::form(path, "BASE_TYPE_MAX_LENGTH", &format!("Must be {most} or fewer in length."))
    }

    pub(crate) fn bad_length(path: &str, least: usize, most: usize) -> Self {
        Self::form(path, "BASE_TYPE_BAD_LENGTH", &format!("Must be between {least} and {most} in length."))
    }

    pub(crate) fn required(path: &str) -> Self {
        Self::form(path, "BASE_TYPE_REQUIRED", "This field is required")
    }

    pub(crate) fn choice(path: &str, value: &str) -> Self {
        Self::form(path, "BASE_TYPE_CHOICES", &format!("Value {value} is not one of the known ones."))
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, 0, "401: Unauthorized")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, 0, "404: Not Found")
    }

    pub(crate) fn wrong_method() -> Self {
        Self::new(405, 0, "405: Method Not Allowed")
    }

    pub(crate) fn unknown(what: &str) -> Self {
        let code = match what {
            "Application" => 10_002,
            "Channel" => 10_003,
            "Guild" => 10_004,
            "Message" => 10_008,
            "User" => 10_013,
            "Emoji" => 10_014,
            "Webhook" => 10_015,
            "interaction" => 10_062,
            "application command" => 10_063,
            _ => 0,
        };
        Self::new(404, code, &format!("Unknown {what}"))
    }

    pub(crate) fn missing_access() -> Self {
        Self::new(403, 50_001, "Missing Access")
    }

    pub(crate) fn missing_permissions() -> Self {
        Self::new(403, 50_013, "Missing Permissions")
    }

    pub(crate) fn archived() -> Self {
        Self::new(400, 50_083, "Thread is archived")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_form_fault_sits_at_its_path() {
        expect![[r#"{"code":50035,"errors":{"options":{"0":{"name":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 32 or fewer in length."}]}}}},"message":"Invalid Form Body"}"#]]
            .assert_eq(&Fail::too_long("options.0.name", 32).body().to_string());
    }
}
