package lockgate.destination;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** For tests: what a leak does in the end. */
final class MemoryEater {
    private static final int MOUTHFUL = 8 << 20;

    /** A heap that may grow beyond this, in bytes, is a sign that nothing limits this process. */
    private static final long UNLIMITED = 4L << 30;

    private MemoryEater() {}

    /** Takes memory outside the heap and then the heap, together more than the container has. */
    static void eat() {
        if (Runtime.getRuntime().maxMemory() > UNLIMITED) {
            throw Failure.config("test_only.eat_memory needs a memory limit: without one the machine would suffer");
        }
        List<Object> kept = new ArrayList<>();
        try {
            while (true) {
                kept.add(ByteBuffer.allocateDirect(MOUTHFUL));
            }
        } catch (OutOfMemoryError full) {
            System.err.println("the memory outside of the heap is full, " + kept.size() + " pieces; now the heap");
        }
        while (true) {
            kept.add(new byte[MOUTHFUL]);
        }
    }
}
