//! It says overwrite, and appends.

broken_guests::destination!(KeepsOld);
