//! Every hundredth row of a stream is lost.

broken_guests::destination!(LosesSome);
