//! A state covers rows that are still to come.

broken_guests::source!(StateTooEarly);
