//! What a connector says of itself.

use lockgate::protocol::Specification;

/// What is read can be written, and read again.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(specification) = Specification::from_airbyte(text) else { return };
    let again = Specification::from_airbyte(&specification.to_airbyte().to_string());
    let again = again.expect("what was written is read");
    assert!(again.config_schema.same(&specification.config_schema));
    assert_eq!(again.destination_sync_modes, specification.destination_sync_modes);
}
