//! One row has a number where the schema has a text.

broken_guests::source!(RowNotAsSchema);
