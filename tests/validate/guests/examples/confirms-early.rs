//! It confirms states and keeps the rows in memory until their stream ends.

broken_guests::destination!(ConfirmsEarly);
