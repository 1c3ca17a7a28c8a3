//! It completes streams that it does not have.

broken_guests::source!(AnyStream);
