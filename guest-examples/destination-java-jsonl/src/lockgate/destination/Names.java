package lockgate.destination;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;

/** Names of files and tables. */
final class Names {
    /** What a file's name may have, in bytes: filesystems take 255, and a partial file's is longer. */
    private static final int LONGEST_FILE = 180;

    /** PostgreSQL cuts off what is longer, in bytes. */
    private static final int LONGEST_TABLE = 63;

    /** The part of a digest that stands for the rest of a long name, in hexadecimal digits. */
    private static final int DIGEST = 16;

    private Names() {}

    /** NAMESPACE_STREAM, or STREAM where there is no namespace. */
    private static String plain(Catalog.Descriptor descriptor) {
        return descriptor.namespace() == null ? descriptor.name() : descriptor.namespace() + "_" + descriptor.name();
    }

    /** A plain file name, without its ending: what could leave the folder is escaped. */
    static String file(Catalog.Descriptor descriptor) {
        StringBuilder name = new StringBuilder();
        for (byte b : plain(descriptor).getBytes(StandardCharsets.UTF_8)) {
            char c = (char) (b & 0xff);
            boolean kept = c < 128 && (Character.isLetterOrDigit(c) || c == '_' || c == '-' || c == '.');
            if (kept && (c != '.' || name.length() > 0)) {
                name.append(c);
            } else {
                name.append(String.format("%%%02x", (int) c));
            }
        }
        return shortened(name.length() == 0 ? "%" : name.toString(), LONGEST_FILE);
    }

    static String table(Catalog.Descriptor descriptor) {
        // The one character that a name cannot have.
        String name = plain(descriptor).replace("\0", "");
        return shortened(name.isEmpty() ? "_" : name, LONGEST_TABLE);
    }

    /** The prefix of the tables that hold the rows of a table until they are all there. */
    static String partialTable(String table) {
        return "_partial_" + digest(table) + "_";
    }

    private static String shortened(String name, int longest) {
        if (name.getBytes(StandardCharsets.UTF_8).length <= longest) {
            return name;
        }
        int end = name.length();
        while (name.substring(0, end).getBytes(StandardCharsets.UTF_8).length > longest - DIGEST - 1) {
            end = name.offsetByCodePoints(end, -1);
        }
        return name.substring(0, end) + "_" + digest(name);
    }

    private static String digest(String text) {
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            byte[] digest = sha.digest(text.getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(digest).substring(0, DIGEST);
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Two streams in one place would mix their rows. */
    static void requireDistinct(Collection<Catalog.Stream> streams, boolean tables) {
        Map<String, Catalog.Descriptor> taken = new HashMap<>();
        for (Catalog.Stream stream : streams) {
            String name = tables ? table(stream.descriptor) : file(stream.descriptor);
            Catalog.Descriptor other = taken.put(name, stream.descriptor);
            if (other != null) {
                throw Failure.config("the streams " + other + " and " + stream.descriptor
                        + " would share one place, " + name);
            }
        }
    }
}
