//! A state beyond its rows counts as none.

broken_guests::source!(ClampsFuture);
