//! The manifest of a crate of this repository's workspace, for use outside of it.

use toml_edit::{DocumentMut, InlineTable, Item, Table, Value, value};

/// Replaces what is inherited from the workspace by what the workspace says. `sdk` is where the SDK is,
/// seen from the crate; none in the SDK itself. `own_workspace`: no workspace around the project is asked.
///
/// # Errors
/// A sentence, where one of the two is not as they are in this repository.
pub(super) fn standalone(
    manifest: &str,
    workspace: &str,
    sdk: Option<&str>,
    own_workspace: bool,
) -> Result<String, String> {
    let mut manifest: DocumentMut = manifest.parse().map_err(|e| format!("the manifest: {e}"))?;
    let workspace: DocumentMut = workspace.parse().map_err(|e| format!("the workspace: {e}"))?;
    let shared = |list: &str, key: &str| {
        let found = workspace.get("workspace").and_then(|w| w.get(list)).and_then(|l| l.get(key));
        found.cloned().ok_or_else(|| format!("the workspace has no {list}.{key}"))
    };
    if let Some(package) = manifest.get_mut("package").and_then(Item::as_table_mut) {
        for (key, item) in package.iter_mut() {
            if inherits(item) {
                let key = key.get().to_owned();
                *item = shared("package", &key)?;
            }
        }
    }
    for list in ["dependencies", "dev-dependencies"] {
        let Some(table) = manifest.get_mut(list).and_then(Item::as_table_mut) else { continue };
        for (key, item) in table.iter_mut() {
            if !inherits(item) {
                continue;
            }
            let key = key.get().to_owned();
            *item = match (key.as_str(), sdk) {
                ("lockgate-sdk", Some(path)) => {
                    let mut place = InlineTable::new();
                    place.insert("path", path.into());
                    value(place)
                }
                (key, _) => shared("dependencies", key)?,
            };
        }
    }
    // Lints of the repository are no business of others.
    manifest.remove("lints");
    if own_workspace {
        manifest.insert("workspace", Item::Table(Table::new()));
        let mut release = Table::new();
        release.insert("lto", value(true));
        release.insert("codegen-units", value(1));
        release.insert("strip", value("debuginfo"));
        let mut profile = Table::new();
        profile.set_implicit(true);
        profile.insert("release", Item::Table(release));
        manifest.insert("profile", Item::Table(profile));
    } else {
        // Its tests are in the repository.
        manifest.remove("test");
        manifest.remove("dev-dependencies");
    }
    Ok(manifest.to_string())
}

/// Whether something is `{ workspace = true }`.
fn inherits(item: &Item) -> bool {
    let asks = match item {
        Item::Value(Value::InlineTable(table)) => table.get("workspace").and_then(Value::as_bool),
        Item::Table(table) => table.get("workspace").and_then(Item::as_bool),
        _ => None,
    };
    asks == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inherited_is_written_out() {
        let workspace = r#"
[workspace.package]
version = "1.2.3"
[workspace.dependencies]
lockgate-sdk = { path = "sdk" }
serde = { version = "1.0", features = ["derive"] }
"#;
        let manifest = r#"
[package]
name = "x"
version.workspace = true
[dependencies]
lockgate-sdk = { workspace = true }
serde = { workspace = true }
url = "2"
[lints]
workspace = true
"#;
        let text = standalone(manifest, workspace, Some("lockgate-sdk"), true).unwrap();
        let read: DocumentMut = text.parse().unwrap();
        assert_eq!(read["package"]["version"].as_str(), Some("1.2.3"));
        assert_eq!(read["dependencies"]["lockgate-sdk"]["path"].as_str(), Some("lockgate-sdk"));
        assert_eq!(read["dependencies"]["serde"]["version"].as_str(), Some("1.0"));
        assert!(!text.contains("workspace = true"), "{text}");
        assert!(read.get("workspace").is_some() && read.get("lints").is_none(), "{text}");
        assert!(standalone(manifest, "", Some("sdk"), true).is_err());
    }
}
