//! It says append, and replaces.

broken_guests::destination!(ReplacesAlways);
