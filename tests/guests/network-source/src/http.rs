//! By `wasi:http`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::bindings::wasi::http::outgoing_handler::handle;
use crate::bindings::wasi::http::types::{
    Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;

/// A request.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Ask {
    scheme: String,
    authority: String,
    path: String,
    method: String,
    headers: Vec<(String, String)>,
    trailers: Vec<(String, String)>,
    body: String,
    /// The body is sent so many times.
    times: u64,
    empty_writes: u32,
    /// Nanoseconds, for connecting, the first byte and between two.
    timeout: Option<u64>,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            scheme: "http".into(),
            authority: String::new(),
            path: "/".into(),
            method: "GET".into(),
            headers: Vec::new(),
            trailers: Vec::new(),
            body: String::new(),
            times: 1,
            empty_writes: 0,
            timeout: None,
        }
    }
}

fn fields(pairs: &[(String, String)]) -> Result<Fields, String> {
    let fields = Fields::new();
    for (name, value) in pairs {
        fields.append(name, value.as_bytes()).map_err(|e| format!("header {name}: {e:?}"))?;
    }
    Ok(fields)
}

/// Keeps headers: new ones, and copies that are changed.
pub(crate) fn hoard(sets: usize) -> Result<Value, String> {
    let mut kept: Vec<Fields> = Vec::new();
    for at in 0..sets {
        let mut add = || {
            let fields = match kept.last() {
                Some(last) if at % 2 == 1 => last.clone(),
                _ => Fields::from_list(&[("x".to_owned(), vec![b'x'; 100_000])])?,
            };
            fields.set("y", &[b"y".to_vec()])?;
            kept.push(fields);
            Ok(())
        };
        let added: Result<(), crate::bindings::wasi::http::types::HeaderError> = add();
        if let Err(error) = added {
            return Ok(json!({ "kept": kept.len(), "error": format!("{error:?}") }));
        }
    }
    Ok(json!({ "kept": kept.len() }))
}

pub(crate) fn ask(ask: &Ask) -> Result<Value, String> {
    let request = OutgoingRequest::new(fields(&ask.headers)?);
    let method = match ask.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.to_owned()),
    };
    let scheme = match ask.scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(|()| "method".to_owned())?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme".to_owned())?;
    request.set_authority(Some(&ask.authority)).map_err(|()| "authority".to_owned())?;
    request.set_path_with_query(Some(&ask.path)).map_err(|()| "path".to_owned())?;
    let options = ask.timeout.map(|nanoseconds| {
        let options = RequestOptions::new();
        let _ = options.set_connect_timeout(Some(nanoseconds));
        let _ = options.set_first_byte_timeout(Some(nanoseconds));
        let _ = options.set_between_bytes_timeout(Some(nanoseconds));
        options
    });
    let body = request.body().map_err(|()| "body".to_owned())?;
    let future = handle(request, options).map_err(|e| format!("{e:?}"))?;
    // What goes wrong with the body is said by the answer.
    let _ = send(ask, body);
    future.subscribe().block();
    let answer = future.get().ok_or("not ready")?.map_err(|()| "taken".to_owned())?;
    let answer = answer.map_err(|e| format!("{e:?}"))?;
    let headers: serde_json::Map<String, Value> = answer
        .headers()
        .entries()
        .into_iter()
        .take(20)
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into()))
        .collect();
    let body = answer.consume().map_err(|()| "consumed".to_owned())?;
    let (bytes, start) = receive(&body)?;
    Ok(json!({ "status": answer.status(), "headers": headers, "bytes": bytes, "body": start }))
}

/// By the SDK.
pub(crate) fn post(url: &str, bytes: usize, limit: u64) -> Result<Value, String> {
    let said = |error: lockgate_sdk::http::Error| format!("{:?}: {error}", error.kind());
    let request = lockgate_sdk::http::Client::new().post(url).header("x-own", "1");
    let answer = request.body(vec![b'x'; bytes]).send().map_err(said)?;
    let status = answer.status();
    let header = answer.header("X-Answer").map(str::to_owned);
    let body = answer.bytes_up_to(limit).map_err(said)?;
    Ok(json!({ "status": status, "header": header, "bytes": body.len() }))
}

fn send(ask: &Ask, body: OutgoingBody) -> Result<(), String> {
    let failed = |error: StreamError| format!("{error:?}");
    if !ask.body.is_empty() || ask.empty_writes > 0 {
        let stream = body.write().map_err(|()| "stream".to_owned())?;
        for _ in 0..ask.empty_writes {
            if stream.check_write().map_err(failed)? == 0 {
                stream.subscribe().block();
                continue;
            }
            stream.write(&[]).map_err(failed)?;
        }
        for _ in 0..ask.times {
            stream.blocking_write_and_flush(ask.body.as_bytes()).map_err(failed)?;
        }
    }
    let trailers = if ask.trailers.is_empty() { None } else { Some(fields(&ask.trailers)?) };
    OutgoingBody::finish(body, trailers).map_err(|e| format!("{e:?}"))
}

fn receive(body: &IncomingBody) -> Result<(u64, String), String> {
    let stream = body.stream().map_err(|()| "stream".to_owned())?;
    let (mut count, mut start) = (0, Vec::new());
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => {
                count += bytes.len() as u64;
                let room = 2000_usize.saturating_sub(start.len());
                start.extend(bytes.into_iter().take(room));
            }
            Err(StreamError::Closed) => {
                return Ok((count, String::from_utf8_lossy(&start).into_owned()));
            }
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(format!("body after {count} bytes: {}", error.to_debug_string()));
            }
        }
    }
}
