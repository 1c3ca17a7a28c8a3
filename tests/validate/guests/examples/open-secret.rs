//! Its token is not marked as a secret.

broken_guests::source!(None, broken_guests::OpenConfig);
