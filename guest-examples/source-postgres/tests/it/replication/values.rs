//! Values of the log are those of the table.
