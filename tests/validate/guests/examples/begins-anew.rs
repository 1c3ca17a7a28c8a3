//! To overwrite, it begins anew with each state.

broken_guests::destination!(BeginsAnew);
