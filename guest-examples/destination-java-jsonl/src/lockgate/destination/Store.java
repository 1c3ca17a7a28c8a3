package lockgate.destination;

import java.util.Collection;

/** Where rows are kept. */
interface Store extends AutoCloseable {
    static Store open(Config config) {
        return config.postgres() ? new PostgresStore(config) : new JsonlStore(config);
    }

    /** Really tries whether rows could be written. */
    void probe();

    /** Prepares a place for each stream. */
    void begin(Collection<Catalog.Stream> streams);

    /** Adds a row, which need not be kept before {@link #commit()}. */
    void append(Catalog.Stream stream, byte[] line, int from, int to, long emittedAt);

    /** Returns when all rows that were added are kept for good. */
    void commit();

    /** Lets the new rows of a stream that replaces take the place of the old ones, at once. */
    void replace(Catalog.Stream stream);

    /** Removes the new rows of a stream that replaces and did not become complete. */
    void drop(Catalog.Stream stream);

    @Override
    void close();
}
