//! Files of states and of catalogs.

use lockgate::protocol::{Catalog, DiscoveredStream, StateMessage, StateScope};

/// What is read can be written, and read again.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(states) = StateMessage::list_from_file(text) {
        let again = StateMessage::list_from_file(&StateMessage::list_to_file(&states));
        let again = again.expect("what was written is read");
        if let [only] = states.as_slice()
            && *only.scope() == StateScope::Legacy
        {
            // Written as its bare data, and one without data is no state at all.
            assert!(again.len() <= 1);
            return;
        }
        assert_eq!(again.len(), states.len());
        for (one, other) in again.iter().zip(&states) {
            assert!(one.same_state(other));
            assert_eq!(one.scope(), other.scope());
        }
    }
    if let Ok(catalog) = Catalog::from_airbyte(text) {
        let again = Catalog::from_airbyte(&catalog.to_airbyte().to_string());
        assert_eq!(again.expect("what was written is read").streams.len(), catalog.streams.len());
    }
    if let Ok(streams) = DiscoveredStream::list_from_airbyte(text) {
        for stream in streams {
            let _ = stream.to_airbyte();
        }
    }
}
