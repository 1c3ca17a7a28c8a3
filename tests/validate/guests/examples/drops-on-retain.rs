//! Every new generation replaces the one before.

broken_guests::destination!(DropsOnRetain);
