//! A file that goes with a message (RFC 7578, as Discord wants it).

use serde::Serialize;

/// A file to send.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// Its name: letters, digits, `.`, `-` and `_`.
    pub name: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

/// The content type and the body that carry `message` and one file.
pub(super) fn form<T: Serialize>(message: &T, file: Attachment<'_>) -> Option<(String, Vec<u8>)> {
    let message = serde_json::to_vec(message).ok()?;
    let boundary = boundary(&[&message, file.bytes])?;
    let mut body = Vec::with_capacity(message.len() + file.bytes.len() + 512);
    let mut part = |headers: &str, bytes: &[u8]| {
        body.extend_from_slice(format!("--{boundary}\r\n{headers}\r\n\r\n").as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    };
    part("Content-Disposition: form-data; name=\"payload_json\"\r\nContent-Type: application/json", &message);
    let name: String =
        file.name.chars().filter(|it| it.is_ascii_alphanumeric() || ".-_".contains(*it)).collect();
    let headers = format!(
        "Content-Disposition: form-data; name=\"files[0]\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream"
    );
    part(&headers, file.bytes);
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Some((format!("multipart/form-data; boundary={boundary}"), body))
}

/// A line that is in none of the parts.
fn boundary(parts: &[&[u8]]) -> Option<String> {
    let is_free = |line: &String| parts.iter().all(|it| memchr::memmem::find(it, line.as_bytes()).is_none());
    (0..1000).map(|it| format!("neverdark-{it:03}-boundary")).find(is_free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_form_has_the_message_and_the_file() {
        let file = Attachment { name: "a\"b\r\n.json", bytes: b"neverdark-000-boundary" };
        let (kind, body) = form(&serde_json::json!({"content": "hi"}), file).unwrap();
        assert_eq!(kind, "multipart/form-data; boundary=neverdark-001-boundary");
        expect![[r#"
            --neverdark-001-boundary
            Content-Disposition: form-data; name="payload_json"
            Content-Type: application/json

            {"content":"hi"}
            --neverdark-001-boundary
            Content-Disposition: form-data; name="files[0]"; filename="ab.json"
            Content-Type: application/octet-stream

            neverdark-000-boundary
            --neverdark-001-boundary--
        "#]]
        .assert_eq(&String::from_utf8(body).unwrap().replace("\r\n", "\n"));
    }
}
