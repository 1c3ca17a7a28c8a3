//! Its states hold its token.

broken_guests::source!(KeepsToken);
