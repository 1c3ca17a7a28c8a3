//! A stream that failed at its source counts as complete.

broken_guests::destination!(TakesIncomplete);
