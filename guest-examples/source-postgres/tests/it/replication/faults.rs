//! What is missing is said, and what to do.
