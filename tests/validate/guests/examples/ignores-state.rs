//! It reads everything, whatever state it is given.

broken_guests::source!(IgnoresState);
