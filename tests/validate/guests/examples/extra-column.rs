//! Its rows have a column that is not in the schema.

broken_guests::source!(ExtraColumn);
