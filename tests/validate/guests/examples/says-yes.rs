//! Its check says yes to everything.

broken_guests::source!(SaysYes);
