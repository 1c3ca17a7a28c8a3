//! When there is nothing new, it gives a state of nothing.

broken_guests::source!(ForgetsState);
