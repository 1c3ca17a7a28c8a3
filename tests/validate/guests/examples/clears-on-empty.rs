//! When there are no rows, there are no rows.

broken_guests::destination!(ClearsOnEmpty);
