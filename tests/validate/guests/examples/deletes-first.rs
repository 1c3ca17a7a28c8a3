//! To overwrite, it first removes what is there.

broken_guests::destination!(DeletesFirst);
