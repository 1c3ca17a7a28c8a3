//! Its rows are others each time.

broken_guests::source!(RandomRows);
