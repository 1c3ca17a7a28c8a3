//! A big row is too much for it.

broken_guests::destination!(CrashesOnBig);
