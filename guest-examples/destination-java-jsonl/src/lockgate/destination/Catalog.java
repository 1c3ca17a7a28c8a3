package lockgate.destination;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;

/** The streams that are written. */
final class Catalog {
    /** A stream's name. The namespace is null where there is none, which is not the empty one. */
    record Descriptor(String namespace, String name) {
        @Override
        public String toString() {
            return namespace == null ? name : namespace + "." + name;
        }
    }

    /** One stream, and how far it has come. */
    static final class Stream {
        final Descriptor descriptor;

        /** Rows of earlier generations go when the stream is complete. */
        final boolean replaces;

        /** The source may go on from a state of an earlier try, whose rows are then kept. */
        final boolean continues;

        final long generation;

        /** Records since the last state that covers this stream. */
        long records;

        boolean complete;
        boolean incomplete;

        Stream(Descriptor descriptor, boolean replaces, boolean continues, long generation) {
            this.descriptor = descriptor;
            this.replaces = replaces;
            this.continues = continues;
            this.generation = generation;
        }
    }

    private final Map<Descriptor, Stream> streams = new LinkedHashMap<>();

    static Catalog read(Path file) {
        JsonNode root = Config.parse(file, "the catalog");
        Catalog catalog = new Catalog();
        for (JsonNode entry : root.path("streams")) {
            Stream stream = stream(entry);
            if (catalog.streams.put(stream.descriptor, stream) != null) {
                throw Failure.config("the catalog has the stream " + stream.descriptor + " twice");
            }
        }
        return catalog;
    }

    private static Stream stream(JsonNode entry) {
        JsonNode name = entry.path("stream").path("name");
        if (!name.isTextual()) {
            throw Failure.config("a stream of the catalog has no name");
        }
        String namespace = entry.path("stream").path("namespace").textValue();
        Descriptor descriptor = new Descriptor(namespace, name.textValue());
        String mode = entry.path("destination_sync_mode").asText("");
        if (!mode.equals("append") && !mode.equals("overwrite")) {
            throw Failure.config(
                    "the stream " + descriptor + " has the mode \"" + mode + "\"; known are append and overwrite");
        }
        long generation = entry.path("generation_id").asLong(0);
        long minimum = entry.path("minimum_generation_id").asLong(0);
        if (minimum != 0 && minimum != generation) {
            throw Failure.config("the stream " + descriptor
                    + " has a minimum_generation_id that is neither 0 nor its generation_id");
        }
        boolean replaces = mode.equals("overwrite") || minimum != 0;
        boolean continues = replaces && generation > 0 && entry.path("sync_mode").asText("").equals("incremental");
        return new Stream(descriptor, replaces, continues, generation);
    }

    Collection<Stream> streams() {
        return streams.values();
    }

    Stream get(Descriptor descriptor) {
        Stream stream = streams.get(descriptor);
        if (stream == null) {
            throw Failure.system("a message is about the stream " + descriptor + ", which the catalog does not have");
        }
        return stream;
    }
}
