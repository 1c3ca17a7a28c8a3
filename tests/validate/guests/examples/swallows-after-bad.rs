//! A value of the wrong type takes the rows after it along.

broken_guests::destination!(SwallowsAfterBad);
