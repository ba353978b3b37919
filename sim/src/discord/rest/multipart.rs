//! Bodies with files: `payload_json` and the parts beside it (pure).

use crate::discord::compose::Upload;
use serde_json::Value;

/// The boundary of a `multipart/form-data` content type.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let rest = content_type.strip_prefix("multipart/form-data")?;
    let value = rest.split(';').find_map(|it| it.trim().strip_prefix("boundary="))?;
    Some(value.trim_matches('"').to_owned())
}

/// The JSON payload and the files of a body; none when it is no such body.
pub(crate) fn read(bytes: &[u8], boundary: &str) -> Option<(Value, Vec<Upload>)> {
    let marker = format!("--{boundary}").into_bytes();
    let (mut payload, mut files) = (Value::Null, Vec::new());
    let mut at = position(bytes, &marker, 0)? + marker.len();
    while !bytes[at..].starts_with(b"--") {
        let end = position(bytes, &marker, at)?;
        let part = bytes[at..end].strip_prefix(b"\r\n")?.strip_suffix(b"\r\n")?;
        let split = position(part, b"\r\n\r\n", 0)?;
        let (head, data) = (std::str::from_utf8(&part[..split]).ok()?, &part[split + 4..]);
        let header = |name: &str| {
            let is = |it: &&str| it.to_ascii_lowercase().starts_with(name);
            head.lines().find(is).and_then(|it| it.split_once(':')).map_or("", |it| it.1.trim())
        };
        let disposition = header("content-disposition:");
        match (field(disposition, "name")?.as_str(), field(disposition, "filename")) {
            ("payload_json", _) => payload = serde_json::from_slice(data).ok()?,
            (_, Some(name)) => {
                let mime = header("content-type:").split(';').next().unwrap_or_default();
                let mime = if mime.is_empty() { "application/octet-stream" } else { mime };
                files.push(Upload { name, mime: mime.into(), bytes: data.to_vec() });
            }
            (_, None) => {}
        }
        at = end + marker.len();
    }
    Some((payload, files))
}

fn field(disposition: &str, key: &str) -> Option<String> {
    let value = disposition.split(';').find_map(|it| it.trim().strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

fn position(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(what.len()).position(|it| it == what).map(|it| it + from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_payload_and_a_file_are_read() {
        let boundary = boundary("multipart/form-data; boundary=\"xx\"").unwrap();
        let body = "--xx\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n{\"content\":\"hi\"}\r\n\
                    --xx\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nline\r\n--x\r\n--xx--\r\n";
        let (payload, files) = read(body.as_bytes(), &boundary).unwrap();
        assert_eq!(payload, json!({ "content": "hi" }));
        assert_eq!((files[0].name.as_str(), files[0].mime.as_str()), ("a.txt", "text/plain"));
        assert_eq!(files[0].bytes, b"line\r\n--x");
        assert_eq!(read(b"--xx\r\nno end", "xx"), None);
    }
}
