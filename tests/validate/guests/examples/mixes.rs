//! What is in its buffer goes to the stream that was last.

broken_guests::destination!(Mixes);
