//! It logs its token.

broken_guests::source!(Leaks);
