//! One row has no key.

broken_guests::source!(NullKey);
