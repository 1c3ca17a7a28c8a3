//! A destination without a fault.

broken_guests::destination!(None);
