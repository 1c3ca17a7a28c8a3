//! A stream without rows is too much for it.

broken_guests::destination!(CrashesOnEmpty);
