//! A value of the wrong type is too much for it.

broken_guests::destination!(CrashesOnBad);
