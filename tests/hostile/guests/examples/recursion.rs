//! The attack: calls nest without end.

use hostile_guests::{Failure, Source};

impl Source for Attack {
    fn check(_: &str) -> Result<(), Failure> {
        fn deeper(depth: u64) -> u64 {
            if depth == u64::MAX {
                return 0;
            }
            std::hint::black_box(deeper(std::hint::black_box(depth + 1))) + depth
        }
        hostile_guests::reached(deeper(0))
    }
}

hostile_guests::source!(Attack);
