//! It gives no state at all.

broken_guests::source!(NoState);
