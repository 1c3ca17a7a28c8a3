//! Its cursor is not in the schema.

broken_guests::source!(CursorNowhere);
