//! Texts lose the spaces around them.

broken_guests::destination!(Trims);
