//! It does not tell capital letters from small ones.

broken_guests::destination!(OneCase);
