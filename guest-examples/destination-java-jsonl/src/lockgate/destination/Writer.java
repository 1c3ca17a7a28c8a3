package lockgate.destination;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** The command write: rows go to a store, and a state comes back when what precedes it is kept. */
final class Writer {
    /** Rows that are held before they are kept, in bytes: what a crash makes the source send again. */
    private static final long BATCH_BYTES = 8 << 20;

    /** How long a state waits for more rows while they keep coming, in ns. */
    private static final long BATCH_TIME = 1_000_000_000L;

    /** Lines that are no message are logged so many times, and then counted. */
    private static final int LOGGED = 10;

    private final Config config;
    private final Catalog catalog;
    private final Store store;
    private final Messages out;

    private final List<byte[]> states = new ArrayList<>();
    private long oldestState;
    private long heldBytes;
    private long records;
    private long ignored;

    Writer(Config config, Catalog catalog, Store store, Messages out) {
        this.config = config;
        this.catalog = catalog;
        this.store = store;
        this.out = out;
    }

    void run(Lines lines) throws IOException {
        store.begin(catalog.streams());
        if (config.eatMemory() && config.eatAfterRecords() == 0) {
            MemoryEater.eat();
        }
        // Who has sent a state and nothing more may be waiting for it.
        while (lines.next(() -> {
            if (!states.isEmpty()) {
                commit();
            }
        })) {
            line(lines.buffer(), lines.from, lines.to);
        }
        commit();
        for (Catalog.Stream stream : catalog.streams()) {
            if (stream.replaces && !stream.complete) {
                if (!stream.incomplete) {
                    store.replace(stream);
                } else if (!stream.continues) {
                    store.drop(stream);
                }
            }
        }
        if (ignored > LOGGED) {
            out.log("WARN", ignored + " lines of the input were no messages");
        }
        out.log("INFO", records + " records were written");
    }

    private void line(byte[] line, int from, int to) throws IOException {
        Message message = Message.read(line, from, to);
        if (message == null) {
            if (++ignored <= LOGGED && to > from) {
                out.log("WARN", "a line of the input is no message, " + (to - from) + " bytes");
            }
            return;
        }
        switch (message.type) {
            case "RECORD" -> record(message, line);
            case "STATE" -> state(message, line);
            case "TRACE" -> status(message);
            default -> {}
        }
    }

    private void record(Message message, byte[] line) {
        if (message.descriptor() == null || !message.data.isThere()) {
            throw Failure.system("a RECORD of the input has no stream or no object as its data");
        }
        Catalog.Stream stream = catalog.get(message.descriptor());
        long emittedAt = message.hasEmittedAt ? message.emittedAt : System.currentTimeMillis();
        store.append(stream, line, message.data.from, message.data.to, emittedAt);
        stream.records++;
        heldBytes += message.data.to - message.data.from;
        if (heldBytes >= BATCH_BYTES) {
            commit();
        }
        records++;
        if (config.eatMemory() && records == config.eatAfterRecords()) {
            MemoryEater.eat();
        }
    }

    private void state(Message message, byte[] line) {
        if (!message.state.isThere() || line[message.state.from] != '{') {
            throw Failure.system("a STATE of the input has no object as its state");
        }
        long covered = 0;
        if (message.descriptor() != null) {
            Catalog.Stream stream = catalog.get(message.descriptor());
            covered = stream.records;
            stream.records = 0;
        } else {
            for (Catalog.Stream stream : catalog.streams()) {
                covered += stream.records;
                stream.records = 0;
            }
        }
        if (states.isEmpty()) {
            oldestState = System.nanoTime();
        }
        states.add(echo(message, line, covered));
        if (System.nanoTime() - oldestState >= BATCH_TIME) {
            commit();
        }
    }

    /** A state as it came. Where the source counted, what was kept is counted too. */
    private static byte[] echo(Message message, byte[] line, long covered) {
        ByteArrayOutputStream echo = new ByteArrayOutputStream(message.state.to - message.state.from + 64);
        byte[] stats = ("{\"recordCount\":" + covered + ".0}").getBytes(StandardCharsets.US_ASCII);
        int from = message.state.from;
        int end = message.state.to;
        if (!message.hasSourceStats) {
            echo.write(line, from, end - from);
        } else if (message.destinationStats.isThere()) {
            echo.write(line, from, message.destinationStats.from - from);
            echo.writeBytes(stats);
            echo.write(line, message.destinationStats.to, end - message.destinationStats.to);
        } else {
            echo.write(line, from, end - 1 - from);
            echo.writeBytes(",\"destinationStats\":".getBytes(StandardCharsets.US_ASCII));
            echo.writeBytes(stats);
            echo.write('}');
        }
        return echo.toByteArray();
    }

    private void status(Message message) {
        if (message.status == null || message.descriptor() == null) {
            return;
        }
        Catalog.Stream stream = catalog.get(message.descriptor());
        if (message.status.equals("INCOMPLETE")) {
            stream.incomplete = true;
        } else if (message.status.equals("COMPLETE")) {
            commit();
            if (stream.replaces && !stream.complete) {
                store.replace(stream);
            }
            stream.complete = true;
        }
    }

    private void commit() {
        store.commit();
        heldBytes = 0;
        if (!states.isEmpty()) {
            out.states(states);
            states.clear();
        }
    }
}
