//! A folder that the real binary runs in, and a registry that counts.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::common::{Folder, guest};

/// A registry that counts who comes, and answers each with its document.
pub(crate) struct CountingRegistry {
    pub(crate) url: String,
    asked: Arc<AtomicU32>,
}

impl CountingRegistry {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/registry.json", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let document = document().to_string();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                let head = BufReader::new(stream.try_clone().unwrap()).lines();
                let _ = head.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
                let length = document.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{document}");
                let _ = stream.write_all(head.as_bytes());
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

pub(crate) fn document() -> Value {
    let spec = json!({
        "documentationUrl": "https://docs.example/source-java",
        "connectionSpecification": {
            "type": "object",
            "required": ["start"],
            "properties": { "start": { "type": "string" } },
        },
        "advanced_auth": { "auth_flow_type": "oauth2.0" },
    });
    json!({
        "sources": [{
            "dockerRepository": "airbyte/source-java",
            "dockerImageTag": "1.4.2",
            "language": "java",
            "tags": ["language:java"],
            "spec": spec,
        }],
        "destinations": [],
    })
}

/// A folder whose registry is a file, whose PATH has nothing in it, and what runs in it.
pub(crate) struct Place {
    pub(crate) folder: Folder,
}

pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        folder.write("registry.json", &document().to_string());
        Self { folder }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[("AIRBYTE_LOCAL_REGISTRY", "registry.json")])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let mut command = self.folder.lockgate();
        command.args(arguments).env("PATH", self.folder.path().join("bin"));
        // Nothing of what an earlier test was told.
        command.env("LOCKGATE_CACHE_DIR", self.folder.path().join("cache"));
        command.env_remove("AIRBYTE_LOCAL_REGISTRY").env_remove("AIRBYTE_OFFLINE_MODE");
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A program that answers `spec` and nothing else.
    pub(crate) fn program(&self, name: &str) {
        let spec = r#"{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}"#;
        let path = self.folder.write(name, &format!("#!/bin/sh\necho '{spec}'\n"));
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    pub(crate) fn component(&self, name: &str, guest_name: &str) {
        let path = self.folder.write(name, "");
        std::fs::copy(guest(guest_name), path).unwrap();
    }
}

impl Said {
    /// It is refused, with a code and all of these words.
    pub(crate) fn refused(&self, code: &str, words: &[&str]) {
        assert_eq!(self.code, 2, "{}", self.err);
        assert!(self.err.starts_with(&format!("error[{code}]: ")), "{}", self.err);
        assert!(self.err.contains("\nhint: "), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word}: {}", self.err);
        }
        assert!(self.out.is_empty(), "{}", self.out);
    }

    pub(crate) fn succeeded(&self, words: &[&str]) {
        assert_eq!(self.code, 0, "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word}: {}", self.err);
        }
    }
}
