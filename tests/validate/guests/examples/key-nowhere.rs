//! Its key is neither in the schema nor in the rows.

broken_guests::source!(KeyNowhere);
