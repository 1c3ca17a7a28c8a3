package lockgate.destination;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;

/** One file of JSON lines a stream. A line is the data of a record, as it came. */
final class JsonlStore implements Store {
    private static final int BUFFER = 1 << 16;

    /** A file and what is not written to it yet. */
    private static final class Table {
        final Path path;
        final FileChannel channel;
        final ByteBuffer buffer = ByteBuffer.allocate(BUFFER);
        boolean touched;

        Table(Path path, boolean empty) throws IOException {
            this.path = path;
            channel = FileChannel.open(
                    path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
            channel.truncate(empty ? 0 : wholeLines(channel));
            channel.position(channel.size());
        }

        void put(byte[] bytes, int from, int to) throws IOException {
            touched = true;
            if (buffer.remaining() < to - from + 1) {
                write(buffer.flip());
                buffer.clear();
            }
            if (buffer.remaining() < to - from + 1) {
                write(ByteBuffer.wrap(bytes, from, to - from));
            } else {
                buffer.put(bytes, from, to - from);
            }
            buffer.put((byte) '\n');
        }

        void sync() throws IOException {
            if (touched) {
                write(buffer.flip());
                buffer.clear();
                channel.force(false);
                touched = false;
            }
        }

        private void write(ByteBuffer bytes) throws IOException {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        }

        /** What a crash left of an unfinished line was never confirmed, and would spoil the next one. */
        private static long wholeLines(FileChannel channel) throws IOException {
            ByteBuffer part = ByteBuffer.allocate(BUFFER);
            long end = channel.size();
            while (end > 0) {
                long start = Math.max(0, end - BUFFER);
                part.clear().limit((int) (end - start));
                while (part.hasRemaining() && channel.read(part, start + part.position()) > 0) {}
                for (int at = part.position() - 1; at >= 0; at--) {
                    if (part.get(at) == '\n') {
                        return start + at + 1;
                    }
                }
                end = start;
            }
            return 0;
        }
    }

    private interface Body<T> {
        T run() throws IOException;
    }

    private final Path folder;
    private final Map<Catalog.Stream, Table> tables = new HashMap<>();

    JsonlStore(Config config) {
        folder = Path.of(config.path());
    }

    @Override
    public void probe() {
        attempt("the folder cannot be written to", () -> {
            Files.createDirectories(folder);
            Path file = Files.createTempFile(folder, ".check", "");
            Files.write(file, new byte[] {'\n'}, StandardOpenOption.SYNC);
            Files.delete(file);
            return null;
        });
    }

    @Override
    public void begin(Collection<Catalog.Stream> streams) {
        Names.requireDistinct(streams, false);
        attempt("the folder cannot be written to", () -> {
            Files.createDirectories(folder);
            for (Catalog.Stream stream : streams) {
                removePartials(stream);
                Path path = stream.replaces ? partialFile(stream) : finalFile(stream);
                tables.put(stream, new Table(path, stream.replaces && !stream.continues));
            }
            syncFolder();
            return null;
        });
    }

    @Override
    public void append(Catalog.Stream stream, byte[] line, int from, int to, long emittedAt) {
        try {
            tables.get(stream).put(line, from, to);
        } catch (IOException error) {
            throw Failure.system("a row could not be written: " + error, error);
        }
    }

    @Override
    public void commit() {
        attempt("rows could not be written", () -> {
            for (Table table : tables.values()) {
                table.sync();
            }
            return null;
        });
    }

    @Override
    public void replace(Catalog.Stream stream) {
        attempt("the new file could not take the place of the old one", () -> {
            Files.move(tables.get(stream).path, finalFile(stream), StandardCopyOption.ATOMIC_MOVE);
            syncFolder();
            return null;
        });
    }

    @Override
    public void drop(Catalog.Stream stream) {
        attempt("an unfinished file could not be removed", () -> Files.deleteIfExists(tables.get(stream).path));
    }

    @Override
    public void close() {
        for (Table table : tables.values()) {
            attempt("a file could not be closed", () -> {
                table.channel.close();
                return null;
            });
        }
    }

    private Path finalFile(Catalog.Stream stream) {
        return folder.resolve(Names.file(stream.descriptor) + ".jsonl");
    }

    private static String partialPrefix(Catalog.Stream stream) {
        return "." + Names.file(stream.descriptor) + ".jsonl.partial-";
    }

    private Path partialFile(Catalog.Stream stream) {
        return folder.resolve(partialPrefix(stream) + stream.generation);
    }

    /** What earlier runs left and this one does not go on with. */
    private void removePartials(Catalog.Stream stream) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
            for (Path file : files) {
                boolean partial = file.getFileName().toString().startsWith(partialPrefix(stream));
                if (partial && !(stream.continues && file.equals(partialFile(stream)))) {
                    Files.delete(file);
                }
            }
        } catch (java.nio.file.DirectoryIteratorException error) {
            throw error.getCause();
        }
    }

    /** A name is on the disk when its folder is. */
    private void syncFolder() throws IOException {
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    private <T> T attempt(String what, Body<T> body) {
        try {
            return body.run();
        } catch (IOException | UncheckedIOException error) {
            throw Failure.system(what + ": " + error, error);
        }
    }
}
