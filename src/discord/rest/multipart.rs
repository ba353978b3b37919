//! Bodies with a file: Discord takes them as `multipart/form-data` (pure).

/// A file below a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name, in plain ASCII without quotation marks.
    pub name: &'a str,
    /// What is in it; Discord takes 10 MiB.
    pub text: &'a str,
}

/// A body of `payload` (JSON) and a file, and its content type.
pub(super) fn write(payload: &[u8], file: &File<'_>) -> (Vec<u8>, String) {
    let boundary = boundary(payload, file.text.as_bytes());
    let mut body = Vec::with_capacity(payload.len() + file.text.len() + 512);
    let mut part = |head: &str, data: &[u8]| {
        body.extend_from_slice(format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n");
    };
    part("Content-Disposition: form-data; name=\"payload_json\"\r\nContent-Type: application/json", payload);
    let name = file.name;
    let head = format!(
        "Content-Disposition: form-data; name=\"files[0]\"; filename=\"{name}\"\r\nContent-Type: text/markdown; charset=utf-8"
    );
    part(&head, file.text.as_bytes());
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (body, format!("multipart/form-data; boundary={boundary}"))
}

/// A line that is in neither of them, so that a model cannot end the file early.
fn boundary(payload: &[u8], file: &[u8]) -> String {
    let is_in = |text: &[u8], it: &str| memchr::memmem::find(text, it.as_bytes()).is_some();
    let mut number = 0_u64;
    loop {
        let it = format!("neverdark-{number:08x}");
        if !is_in(payload, &it) && !is_in(file, &it) {
            return it;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_payload_and_a_file_and_nothing_of_the_file_ends_it() {
        let file = File { name: "answer.md", text: "--neverdark-00000000--\r\nDone." };
        let (body, kind) = write(b"{}", &file);
        let shown = format!("{kind}\n{}", String::from_utf8(body).unwrap()).replace('\r', "");
        expect![[r#"
            multipart/form-data; boundary=neverdark-00000001
            --neverdark-00000001
            Content-Disposition: form-data; name="payload_json"
            Content-Type: application/json

            {}
            --neverdark-00000001
            Content-Disposition: form-data; name="files[0]"; filename="answer.md"
            Content-Type: text/markdown; charset=utf-8

            --neverdark-00000000--
            Done.
            --neverdark-00000001--
        "#]]
        .assert_eq(&shown);
    }
}
