//! The stream `users`: one row a place.

use lockgate_sdk::{Failure, StreamOutput};

use crate::json::Json;
use crate::random::Random;
use crate::time;
use crate::words;

const STREAM: u64 = 2;

pub(crate) fn rows(seed: u64, place: u64, stream: &mut StreamOutput<'_>) -> Result<u64, Failure> {
    let mut random = Random::new(seed, STREAM, place);
    stream.write_with(|data| row(&mut Json(data), &mut random, place))?;
    Ok(1)
}

fn row(json: &mut Json<'_>, random: &mut Random, place: u64) {
    let created = time::YEAR_2000 + u64::from(random.below(700_000_000));
    json.raw("{\"id\":")
        .number(place + 1)
        .raw(",\"created_at\":\"")
        .time(created)
        .raw("\",\"updated_at\":\"")
        .time(time::updated_at(place))
        .raw("\",\"name\":\"")
        .raw(random.pick(words::NAMES))
        .raw("\",\"title\":\"")
        .raw(random.pick(words::TITLES))
        .raw("\",\"age\":")
        .number(u64::from(random.between(16, 66)));
    // The place makes the address unique.
    json.raw(",\"email\":\"")
        .raw(random.pick(words::MAILBOXES))
        .number(u64::from(random.between(1800, 2099)))
        .raw("+")
        .number(place + 1)
        .raw("@")
        .raw(random.pick(words::MAIL_HOSTS))
        .raw("\",\"telephone\":\"(")
        .digits(random.below(1000), 3)
        .raw(") 555-")
        .digits(random.below(10_000), 4);
    json.raw("\",\"gender\":\"")
        .raw(random.pick(words::GENDERS))
        .raw("\",\"language\":\"")
        .raw(random.pick(words::LANGUAGES))
        .raw("\",\"academic_degree\":\"")
        .raw(random.pick(words::DEGREES))
        .raw("\",\"nationality\":\"")
        .raw(random.pick(words::NATIONALITIES))
        .raw("\",\"occupation\":\"")
        .raw(random.pick(words::OCCUPATIONS))
        .raw("\",\"height\":\"1.")
        .digits(random.between(50, 99), 2)
        .raw("\",\"blood_type\":\"")
        .raw(random.pick(words::BLOOD_TYPES))
        .raw("\",\"weight\":")
        .number(u64::from(random.between(38, 90)));
    json.raw(",\"address\":{\"street_number\":\"")
        .number(u64::from(random.between(1, 1400)))
        .raw("\",\"street_name\":\"")
        .raw(random.pick(words::STREETS))
        .raw("\",\"city\":\"")
        .raw(random.pick(words::CITIES))
        .raw("\",\"state\":\"")
        .raw(random.pick(words::STATES))
        .raw("\",\"province\":\"")
        .raw(random.pick(words::STATES))
        .raw("\",\"postal_code\":\"")
        .digits(random.below(100_000), 5)
        .raw("\",\"country_code\":\"")
        .raw(random.pick(words::COUNTRIES))
        .raw("\"}}");
}
