//! It takes any mode for append.

broken_guests::destination!(AnyMode);
