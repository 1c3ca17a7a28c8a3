//! A source without a fault.

broken_guests::source!(None);
