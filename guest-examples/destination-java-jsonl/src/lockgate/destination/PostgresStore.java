package lockgate.destination;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyIn;
import org.postgresql.ds.PGSimpleDataSource;

/**
 * One table a stream, filled with COPY.
 *
 * <p>The driver leaves the server's name to a SOCKS proxy where the system properties name one.
 */
final class PostgresStore implements Store {
    /** How long a connection may take, in s. */
    private static final int CONNECT_TIME = 15;

    /** Rows of one stream, as COPY takes them, until the next commit. */
    private static final class Table {
        final String name;
        final ByteArrayOutputStream rows = new ByteArrayOutputStream();

        Table(String name) {
            this.name = name;
        }
    }

    private interface Body<T> {
        T run() throws SQLException;
    }

    private final Config config;
    private final Connection connection;
    private final Map<Catalog.Stream, Table> tables = new HashMap<>();

    PostgresStore(Config config) {
        this.config = config;
        PGSimpleDataSource source = new PGSimpleDataSource();
        source.setServerNames(new String[] {config.host()});
        source.setPortNumbers(new int[] {config.port()});
        source.setDatabaseName(config.database());
        source.setUser(config.username());
        source.setPassword(config.password());
        source.setSslMode(config.sslmode());
        source.setApplicationName("destination-java-jsonl");
        source.setConnectTimeout(CONNECT_TIME);
        source.setLoginTimeout(CONNECT_TIME);
        source.setTcpKeepAlive(true);
        connection = attempt("there is no connection to the server", () -> {
            Connection made = source.getConnection();
            made.setAutoCommit(false);
            return made;
        });
    }

    @Override
    public void probe() {
        attempt("the schema cannot be written to", () -> {
            createSchema();
            String table = qualified("_check_" + UUID.randomUUID());
            execute("CREATE TABLE " + table + " (probe integer)");
            execute("DROP TABLE " + table);
            connection.commit();
            return null;
        });
    }

    @Override
    public void begin(Collection<Catalog.Stream> streams) {
        Names.requireDistinct(streams, true);
        attempt("the tables cannot be prepared", () -> {
            createSchema();
            for (Catalog.Stream stream : streams) {
                String name = Names.table(stream.descriptor);
                removePartials(stream, name);
                if (stream.replaces) {
                    name = Names.partialTable(name) + stream.generation;
                }
                createTable(name);
                tables.put(stream, new Table(name));
            }
            connection.commit();
            return null;
        });
    }

    @Override
    public void append(Catalog.Stream stream, byte[] line, int from, int to, long emittedAt) {
        ByteArrayOutputStream rows = tables.get(stream).rows;
        ThreadLocalRandom random = ThreadLocalRandom.current();
        long high = (random.nextLong() & ~0xf000L) | 0x4000L;
        long low = (random.nextLong() & ~(3L << 62)) | 1L << 63;
        String head = new UUID(high, low) + "\t" + Instant.ofEpochMilli(emittedAt) + "\t";
        rows.writeBytes(head.getBytes(StandardCharsets.US_ASCII));
        // COPY has escapes of its own; what needs none is copied in one piece.
        int start = from;
        for (int at = from; at < to; at++) {
            char escape = escape(line[at]);
            if (escape != 0) {
                rows.write(line, start, at - start);
                rows.write('\\');
                rows.write(escape);
                start = at + 1;
            }
        }
        rows.write(line, start, to - start);
        rows.write('\n');
    }

    private static char escape(byte b) {
        return switch (b) {
            case '\\' -> '\\';
            case '\t' -> 't';
            case '\r' -> 'r';
            default -> 0;
        };
    }

    @Override
    public void commit() {
        attempt("rows could not be written", () -> {
            boolean touched = false;
            for (Table table : tables.values()) {
                if (table.rows.size() > 0) {
                    copy(table);
                    touched = true;
                }
            }
            if (touched) {
                connection.commit();
            }
            return null;
        });
    }

    private void copy(Table table) throws SQLException {
        byte[] rows = table.rows.toByteArray();
        CopyIn copy = connection.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY " + qualified(table.name)
                + " (_airbyte_raw_id, _airbyte_extracted_at, _airbyte_data) FROM STDIN");
        try {
            copy.writeToCopy(rows, 0, rows.length);
            copy.endCopy();
        } finally {
            if (copy.isActive()) {
                copy.cancelCopy();
            }
        }
        table.rows.reset();
    }

    @Override
    public void replace(Catalog.Stream stream) {
        attempt("the new table could not take the place of the old one", () -> {
            String name = Names.table(stream.descriptor);
            execute("DROP TABLE IF EXISTS " + qualified(name));
            execute("ALTER TABLE " + qualified(tables.get(stream).name) + " RENAME TO " + quoted(name));
            connection.commit();
            tables.put(stream, new Table(name));
            return null;
        });
    }

    @Override
    public void drop(Catalog.Stream stream) {
        attempt("an unfinished table could not be removed", () -> {
            execute("DROP TABLE IF EXISTS " + qualified(tables.get(stream).name));
            connection.commit();
            return null;
        });
    }

    @Override
    public void close() {
        try {
            connection.close();
        } catch (SQLException error) {
            System.err.println("the connection was not closed: " + error);
        }
    }

    private void createSchema() throws SQLException {
        try (PreparedStatement query =
                connection.prepareStatement("SELECT 1 FROM pg_namespace WHERE nspname = ?")) {
            query.setString(1, config.schema());
            try (ResultSet found = query.executeQuery()) {
                // Not IF NOT EXISTS: that needs the right to make one where one is.
                if (!found.next()) {
                    execute("CREATE SCHEMA IF NOT EXISTS " + quoted(config.schema()));
                }
            }
        }
    }

    private void createTable(String name) throws SQLException {
        execute("CREATE TABLE IF NOT EXISTS " + qualified(name)
                + " (_airbyte_raw_id uuid NOT NULL, _airbyte_extracted_at timestamptz NOT NULL,"
                + " _airbyte_data jsonb NOT NULL)");
    }

    /** What earlier runs left and this one does not go on with. */
    private void removePartials(Catalog.Stream stream, String table) throws SQLException {
        String prefix = Names.partialTable(table);
        List<String> found = new ArrayList<>();
        try (PreparedStatement query = connection.prepareStatement(
                "SELECT tablename FROM pg_tables WHERE schemaname = ? AND starts_with(tablename, ?)")) {
            query.setString(1, config.schema());
            query.setString(2, prefix);
            try (ResultSet rows = query.executeQuery()) {
                while (rows.next()) {
                    found.add(rows.getString(1));
                }
            }
        }
        for (String name : found) {
            if (!(stream.continues && name.equals(prefix + stream.generation))) {
                execute("DROP TABLE " + qualified(name));
            }
        }
    }

    private void execute(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    private String qualified(String table) {
        return quoted(config.schema()) + "." + quoted(table);
    }

    private static String quoted(String name) {
        return "\"" + name.replace("\"", "\"\"") + "\"";
    }

    /** A message without the row it is about, which the server adds under "Where" and "Detail". */
    private static <T> T attempt(String what, Body<T> body) {
        try {
            return body.run();
        } catch (SQLException error) {
            String state = error.getSQLState() == null ? "" : error.getSQLState();
            String said = error instanceof org.postgresql.util.PSQLException server
                            && server.getServerErrorMessage() != null
                    ? server.getServerErrorMessage().getMessage()
                    : error.getMessage();
            String message = what + ": " + said + " [" + state + "]";
            if (error.getCause() instanceof java.io.IOException cause) {
                message += ": " + cause;
            }
            // 08: the connection; 53, 57: the server is short of something or stops; 28, 3D: who and where.
            throw switch (state.length() < 2 ? "" : state.substring(0, 2)) {
                case "08", "53", "57" -> Failure.temporary(message, null);
                case "28", "3D" -> Failure.config(message);
                default -> Failure.system(message);
            };
        }
    }
}
