//! It writes to a directory, and does not say that it needs one.

broken_guests::destination!(Undeclared);
