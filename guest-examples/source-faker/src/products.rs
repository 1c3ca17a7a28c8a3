//! The stream `products`: a hundred cars.

use lockgate_sdk::{Failure, StreamOutput};

use crate::json::Json;
use crate::random::Random;
use crate::time;
use crate::words::CARS;

/// How many products there are.
pub(crate) const COUNT: u64 = 100;

const STREAM: u64 = 1;

pub(crate) fn rows(seed: u64, place: u64, stream: &mut StreamOutput<'_>) -> Result<u64, Failure> {
    let mut random = Random::new(seed, STREAM, place);
    stream.write_with(|data| {
        // The cars are the same for every seed, so that a purchase's product can be recognised.
        let (make, model) = CARS[place as usize % CARS.len()];
        let created = time::YEAR_2000 + u64::from(random.below(700_000_000));
        Json(data)
            .raw("{\"id\":")
            .number(place + 1)
            .raw(",\"make\":\"")
            .raw(make)
            .raw("\",\"model\":\"")
            .raw(model)
            .raw("\",\"year\":")
            .number(u64::from(random.between(1990, 2023)))
            .raw(",\"price\":")
            .number(u64::from(random.between(10_000, 80_000)))
            .raw(",\"created_at\":\"")
            .time(created)
            .raw("\",\"updated_at\":\"")
            .time(time::updated_at(place))
            .raw("\"}");
    })?;
    Ok(1)
}
