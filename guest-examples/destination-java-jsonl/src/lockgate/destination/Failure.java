package lockgate.destination;

/** Why an operation cannot go on, as it is told in a TRACE message. */
final class Failure extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** Whose fault it is, in the protocol's words. */
    enum Kind {
        CONFIG("config_error"),
        TRANSIENT("transient_error"),
        SYSTEM("system_error");

        final String word;

        Kind(String word) {
            this.word = word;
        }
    }

    final Kind kind;

    private Failure(Kind kind, String message, Throwable cause) {
        super(message, cause);
        this.kind = kind;
    }

    static Failure config(String message) {
        return new Failure(Kind.CONFIG, message, null);
    }

    static Failure config(String message, Throwable cause) {
        return new Failure(Kind.CONFIG, message, cause);
    }

    static Failure temporary(String message, Throwable cause) {
        return new Failure(Kind.TRANSIENT, message, cause);
    }

    static Failure system(String message) {
        return new Failure(Kind.SYSTEM, message, null);
    }

    static Failure system(String message, Throwable cause) {
        return new Failure(Kind.SYSTEM, message, cause);
    }
}
