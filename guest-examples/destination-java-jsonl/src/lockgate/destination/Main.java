package lockgate.destination;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.Path;

/** The commands of an Airbyte destination: spec, check and write. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) {
        Messages out = new Messages(new FileOutputStream(FileDescriptor.out));
        // Messages alone may be on stdout, whatever a library prints.
        System.setOut(System.err);
        int code = 0;
        try {
            run(arguments, out);
        } catch (Failure failure) {
            out.error(failure);
            code = 1;
        } catch (IOException | RuntimeException fault) {
            out.error(Failure.system(fault.toString(), fault));
            code = 1;
        }
        System.exit(code);
    }

    private static void run(String[] arguments, Messages out) throws IOException {
        String command = arguments.length > 0 ? arguments[0] : "";
        switch (command) {
            case "spec" -> out.spec(Spec.text());
            case "check" -> check(file(arguments, "--config"), out);
            case "write" -> {
                Config config = Config.read(file(arguments, "--config"));
                Catalog catalog = Catalog.read(file(arguments, "--catalog"));
                try (FileInputStream in = new FileInputStream(FileDescriptor.in);
                        Store store = Store.open(config)) {
                    new Writer(config, catalog, store, out).run(new Lines(in));
                }
            }
            default -> throw Failure.config("the command is spec, check or write, not \"" + command + "\"");
        }
    }

    private static void check(Path config, Messages out) {
        try (Store store = Store.open(Config.read(config))) {
            store.probe();
        } catch (Failure failure) {
            out.status(failure.getMessage());
            return;
        }
        out.status(null);
    }

    private static Path file(String[] arguments, String option) {
        for (int i = 1; i + 1 < arguments.length; i++) {
            if (arguments[i].equals(option)) {
                return Path.of(arguments[i + 1]);
            }
        }
        throw Failure.config(option + " FILE is missing");
    }
}
