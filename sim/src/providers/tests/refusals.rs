//! What each vendor's server refuses, seen from a socket: keys, versions, fields, and what `refuses=` names.

use super::*;

/// One call with these headers, and how it was answered: status, and the error or that it went well.
async fn call(providers: &Providers, kind: Kind, headers: &str, body: &Value) -> String {
    let (path, _) = question(kind, false);
    let mut socket = TcpStream::connect(address(providers, "alpha")).await.unwrap();
    told(&exchange_with(headers, &mut socket, "POST", path, &body.to_string()).await)
}

fn told(seen: &Seen) -> String {
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    if body["error"].is_null() {
        return format!("{} well", seen.status());
    }
    format!("{} {}", seen.status(), steady(&body["error"]))
}

#[tokio::test]
async fn the_key_is_looked_for_where_each_vendor_has_it() {
    let mut shown = String::new();
    for kind in Kind::ALL {
        let providers = start(&format!("alpha: kind={kind} key=sk-1 'Hi.'")).await;
        let (path, body) = question(kind, false);
        let (right, wrong) = match kind {
            Kind::Anthropic => {
                ("x-api-key: sk-1\r\nanthropic-version: 1\r\n", "x-api-key: sk-2\r\nanthropic-version: 1\r\n")
            }
            Kind::Gemini => ("x-goog-api-key: sk-1\r\n", "x-goog-api-key: sk-2\r\n"),
            _ => ("authorization: Bearer sk-1\r\n", "authorization: Bearer sk-2\r\n"),
        };
        for headers in [right, wrong, ""] {
            shown += &format!("{kind:16} {}\n", call(&providers, kind, headers, &body).await);
        }
        let listing = match kind {
            Kind::Completions => "/v1/health",
            Kind::Ollama => "/api/tags",
            _ => "/v1/models",
        };
        for (headers, status) in [(right, "200"), (wrong, if kind == Kind::Gemini { "400" } else { "401" })] {
            let mut socket = TcpStream::connect(address(&providers, "alpha")).await.unwrap();
            let seen = exchange_with(headers, &mut socket, "GET", listing, "").await;
            assert_eq!(seen.status(), status, "{kind} {headers:?}");
        }
        assert_eq!(providers.calls("alpha").len(), 3, "refused ones are remembered, too: {path}");
    }
    expect![[r#"
        openai           200 well
        openai           401 {"code":"invalid_api_key","message":"Incorrect API key provided.","param":null,"type":"invalid_request_error"}
        openai           401 {"code":null,"message":"You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).","param":null,"type":"invalid_request_error"}
        openai-responses 200 well
        openai-responses 401 {"code":"invalid_api_key","message":"Incorrect API key provided.","param":null,"type":"invalid_request_error"}
        openai-responses 401 {"code":null,"message":"You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).","param":null,"type":"invalid_request_error"}
        anthropic        200 well
        anthropic        401 {"message":"invalid x-api-key","type":"authentication_error"}
        anthropic        401 {"message":"x-api-key header is required","type":"authentication_error"}
        gemini           200 well
        gemini           400 {"code":400,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}],"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}
        gemini           403 {"code":403,"details":[],"message":"Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.","status":"PERMISSION_DENIED"}
        completions      200 well
        completions      401 {"code":"invalid_api_key","message":"Incorrect API key provided.","param":null,"type":"invalid_request_error"}
        completions      401 {"code":null,"message":"You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).","param":null,"type":"invalid_request_error"}
        ollama           200 well
        ollama           401 "unauthorized"
        ollama           401 "unauthorized"
    "#]].assert_eq(&shown);
    let providers = start("alpha: kind=gemini key=sk-1 'Hi.'").await;
    let mut socket = TcpStream::connect(address(&providers, "alpha")).await.unwrap();
    let path = "/v1beta/models/m:generateContent?alt=sse&key=sk-1";
    let body = question(Kind::Gemini, false).1.to_string();
    assert_eq!(exchange_with("", &mut socket, "POST", path, &body).await.status(), "200");
    let providers = start("alpha: kind=anthropic 'Hi.'").await;
    let (_, body) = question(Kind::Anthropic, false);
    expect![[r#"400 {"message":"anthropic-version: header is required","type":"invalid_request_error"}"#]]
        .assert_eq(&call(&providers, Kind::Anthropic, "", &body).await);
}

#[tokio::test]
async fn the_models_are_listed_as_each_vendor_lists_them() {
    let mut shown = String::new();
    for kind in Kind::ALL.into_iter().filter(|it| *it != Kind::Completions) {
        let providers = start(&format!("alpha: kind={kind} model=small,large:7b window=8192 'Hi.'")).await;
        assert_eq!(providers.roles()[0].model, "small");
        let path = if kind == Kind::Ollama { "/api/tags" } else { "/models" };
        let mut socket = TcpStream::connect(address(&providers, "alpha")).await.unwrap();
        let seen = exchange(&mut socket, "GET", path, "").await;
        shown += &format!("{kind}\n{}\n", steady(&serde_json::from_str(&seen.body).unwrap()));
    }
    expect![[r#"
        openai
        {"data":[{"context_length":8192,"created":1763800000,"id":"small","max_model_len":8192,"object":"model","owned_by":"sim"},{"context_length":8192,"created":1763800000,"id":"large:7b","max_model_len":8192,"object":"model","owned_by":"sim"}],"object":"list"}
        openai-responses
        {"data":[{"context_length":8192,"created":1763800000,"id":"small","max_model_len":8192,"object":"model","owned_by":"sim"},{"context_length":8192,"created":1763800000,"id":"large:7b","max_model_len":8192,"object":"model","owned_by":"sim"}],"object":"list"}
        anthropic
        {"data":[{"created_at":"2025-11-22T00:00:00Z","display_name":"small","id":"small","max_input_tokens":8192,"type":"model"},{"created_at":"2025-11-22T00:00:00Z","display_name":"large:7b","id":"large:7b","max_input_tokens":8192,"type":"model"}],"first_id":"small","has_more":false,"last_id":"large:7b"}
        gemini
        {"models":[{"displayName":"small","inputTokenLimit":8192,"name":"models/small","outputTokenLimit":65536,"supportedGenerationMethods":["generateContent","countTokens"],"version":"001"},{"displayName":"large:7b","inputTokenLimit":8192,"name":"models/large:7b","outputTokenLimit":65536,"supportedGenerationMethods":["generateContent","countTokens"],"version":"001"}]}
        ollama
        {"models":[{"details":{"families":["llama"],"family":"llama","format":"gguf","parameter_size":"3.2B","parent_model":"","quantization_level":"Q4_K_M"},"digest":"a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72","model":"small:latest","modified_at":"2025-11-22T08:26:40.123456789Z","name":"small:latest","size":2019393189},{"details":{"families":["llama"],"family":"llama","format":"gguf","parameter_size":"3.2B","parent_model":"","quantization_level":"Q4_K_M"},"digest":"a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72","model":"large:7b","modified_at":"2025-11-22T08:26:40.123456789Z","name":"large:7b","size":2019393189}]}
    "#]].assert_eq(&shown);
}

#[tokio::test]
async fn what_is_refused_is_answered_when_it_is_asked_right() {
    let cast = "alpha: 'One.' refuses=max_tokens,temperature then 'Two.'";
    let providers = start(cast).await;
    let (path, plain) = question(Kind::OpenAi, true);
    let mut socket = TcpStream::connect(address(&providers, "alpha")).await.unwrap();
    let mut texts = Vec::new();
    for extra in
        [json!({ "max_tokens": 9 }), json!({ "temperature": 1 }), json!({}), json!({ "max_tokens": 9 })]
    {
        let mut body = plain.clone();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let seen = exchange(&mut socket, "POST", path, &body.to_string()).await;
        texts.push(format!("{} {}", seen.status(), understood(Kind::OpenAi, &seen.body).0));
    }
    assert_eq!(texts, ["400 ", "400 ", "200 One.", "200 Two."]);
    // A fault is a fault, whatever was asked.
    let providers = start("alpha: kind=anthropic 503 then reset").await;
    assert_eq!(call(&providers, Kind::Anthropic, "", &json!({})).await.split(' ').next(), Some("503"));
    assert_eq!(ask(&providers, "alpha", Kind::Anthropic, true).await.end, "reset");
}
