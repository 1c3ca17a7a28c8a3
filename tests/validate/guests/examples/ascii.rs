//! It has no letters but those of ASCII.

broken_guests::destination!(Ascii);
