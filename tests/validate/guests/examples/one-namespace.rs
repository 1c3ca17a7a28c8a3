//! Of namespaces it knows nothing.

broken_guests::destination!(OneNamespace);
