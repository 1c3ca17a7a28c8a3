//! Of generations it knows nothing.

broken_guests::destination!(IgnoresMinimum);
