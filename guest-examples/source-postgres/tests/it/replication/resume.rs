//! Reads that are cut off, and what is written meanwhile.
