package lockgate.destination;

import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;

/** Lines of bytes, in a buffer that grows with the longest of them. */
final class Lines {
    /** What a line may have, in bytes: a larger one would take the heap of a small container. */
    private static final int LONGEST = 128 << 20;

    private static final int CHUNK = 1 << 18;

    /** Called before it waits for input. */
    interface Idle {
        void waiting();
    }

    private final InputStream in;
    private byte[] buffer = new byte[2 * CHUNK];
    private int next;
    private int limit;
    private boolean ended;

    /** Where the line is in {@link #buffer()}. */
    int from;

    int to;

    Lines(InputStream in) {
        this.in = in;
    }

    byte[] buffer() {
        return buffer;
    }

    /** Goes to the next line. False at the end of the input. */
    boolean next(Idle idle) throws IOException {
        int scanned = next;
        while (true) {
            for (int at = scanned; at < limit; at++) {
                if (buffer[at] == '\n') {
                    from = next;
                    to = at;
                    next = at + 1;
                    return true;
                }
            }
            if (ended) {
                from = next;
                to = limit;
                next = limit;
                return from < to;
            }
            int read = fill(idle);
            scanned = limit - read;
        }
    }

    /** Reads more behind what is left. Gives how much was read. */
    private int fill(Idle idle) throws IOException {
        if (next > 0 && limit - next <= next) {
            System.arraycopy(buffer, next, buffer, 0, limit - next);
            limit -= next;
            next = 0;
        }
        if (limit == buffer.length) {
            if (limit - next > LONGEST) {
                throw Failure.system("a line of the input has more than " + LONGEST + " bytes");
            }
            buffer = Arrays.copyOf(buffer, buffer.length * 2);
        }
        if (in.available() == 0) {
            idle.waiting();
        }
        int read = in.read(buffer, limit, Math.min(CHUNK, buffer.length - limit));
        if (read < 0) {
            ended = true;
            return 0;
        }
        limit += read;
        return read;
    }
}
