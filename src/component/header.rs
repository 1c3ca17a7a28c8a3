//! What a file is, by its first bytes: before anything parses or compiles it. Without the engine, so
//! that it can be fuzzed without it.

use std::path::Path;

use super::ComponentError;

/// Tells from the first bytes what a file is.
///
/// # Errors
/// [`ComponentError`], unless it is a component.
pub fn header(
    path: &Path,
    bytes: &[u8],
    is_precompiled: impl Fn(&[u8]) -> bool,
) -> Result<(), ComponentError> {
    let path = path.to_owned();
    let not_wasm = |found| Err(ComponentError::NotWasm { path: path.clone(), found });
    match bytes {
        [] => not_wasm("empty"),
        [0, b'a', b's', b'm', version @ ..] => match version {
            [0x0d, 0, 1, 0, ..] => Ok(()),
            [1, 0, 0, 0, ..] => Err(ComponentError::CoreModule { path }),
            [_, _, _, _, ..] => {
                let reason = "its header has an unknown version".into();
                Err(ComponentError::Invalid { path, reason })
            }
            _ => Err(ComponentError::Truncated { path, offset: bytes.len() }),
        },
        [0x7f, b'E', b'L', b'F', ..] if is_precompiled(bytes) => {
            Err(ComponentError::Precompiled { path })
        }
        [0x7f, b'E', b'L', b'F', ..] => not_wasm("a native program"),
        [b'P', b'K', 3, 4, ..] | [0x1f, 0x8b, ..] => not_wasm("an archive"),
        _ if std::str::from_utf8(&bytes[..bytes.len().min(512)]).is_ok() => not_wasm("text"),
        _ => not_wasm("binary data of another kind"),
    }
}
