//! `lockgate inspect COMPONENT`: what it is, without running it on anything.

use std::sync::Arc;

use serde_json::json;

use super::arguments::Inspect;
use super::output::{CliError, Output, sized, table};
use crate::component::Component;
use crate::connector::{Host, Silent};
use crate::protocol::Specification;
use crate::sandbox::{Policy, printable};

pub(super) async fn run(call: &Inspect, output: &Output) -> Result<(), CliError> {
    let component = Host::new().runtime().load(&call.component)?;
    let kind = component.kind();
    // What it needs is in its specification: code of its own, run with nothing granted.
    let (spec, failed) = match &kind {
        Ok(_) => match component.spec(&Policy::default(), Arc::new(Silent)).await {
            Ok(spec) => (Some(spec), None),
            Err(error) => (None, Some(error)),
        },
        Err(_) => (None, None),
    };
    if output.is_json() {
        output.json(&as_json(&component, spec.as_ref()));
    } else {
        output.result(&printable(&as_text(&component, spec.as_ref())));
    }
    // Printed first: what it imports is what one wants to see when it is refused.
    kind?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

fn as_json(component: &Component, spec: Option<&Specification>) -> serde_json::Value {
    let (kind, contract) = match component.kind() {
        Ok((kind, version)) => (Some(kind.word()), Some(version.to_owned())),
        Err(_) => (None, None),
    };
    let imports = component.imports();
    json!({
        "path": component.path(),
        "digest": component.digest(),
        "size": component.size(),
        "world": kind.map(|k| format!("{k}-connector")),
        "contract": contract,
        "name": spec.map(|s| &s.name),
        "version": spec.map(|s| &s.version),
        "imports": imports.iter().map(|i| json!({ "name": i.name, "refused": i.refused, "needs_network": i.needs_network })).collect::<Vec<_>>(),
        "exports": component.exports(),
        "needs": spec.map(|s| &s.needs),
    })
}

fn as_text(component: &Component, spec: Option<&Specification>) -> String {
    let mut facts = vec![
        vec!["path".to_owned(), component.path().display().to_string()],
        vec!["digest".to_owned(), component.digest().to_owned()],
        vec!["size".to_owned(), sized(component.size())],
    ];
    if let Ok((kind, version)) = component.kind() {
        let world = format!("{}-connector of lockgate:connector@{version}", kind.word());
        facts.push(vec!["world".into(), world]);
    }
    if let Some(spec) = spec {
        facts.push(vec!["connector".into(), format!("{} {}", spec.name, spec.version)]);
    }
    let mut text = table(&facts, &[]);
    text.push_str("imports\n");
    let imports = component.imports().into_iter().map(|import| {
        let verdict = match import.refused {
            Some(why) => format!("refused: it {why}"),
            None if import.needs_network => "needs a network grant: --allow-net HOST:PORT".into(),
            None => "linked".to_owned(),
        };
        vec![import.name, verdict]
    });
    text.push_str(&table(&imports.collect::<Vec<_>>(), &[]));
    text.push_str("exports\n");
    text.push_str(&table(
        &component.exports().into_iter().map(|e| vec![e]).collect::<Vec<_>>(),
        &[],
    ));
    if let Some(spec) = spec {
        text.push_str("needs\n");
        if spec.needs.is_empty() {
            text.push_str("  nothing\n");
        }
        let needs = spec.needs.iter();
        let needs = needs.map(|n| vec![n.capability.clone(), n.pattern.clone(), n.reason.clone()]);
        text.push_str(&table(&needs.collect::<Vec<_>>(), &[]));
    }
    text
}
