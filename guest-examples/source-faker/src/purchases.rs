//! The stream `purchases`: none, one or two rows a user.

use lockgate_sdk::{Failure, StreamOutput};

use crate::json::Json;
use crate::products;
use crate::random::Random;
use crate::time;

const STREAM: u64 = 3;
const GROUP_STREAM: u64 = 4;

/// Users come in groups of this many, which make as many purchases. So the id of a user's first
/// purchase is known without counting those of all users before.
const GROUP: u64 = 10;

pub(crate) fn rows(seed: u64, place: u64, stream: &mut StreamOutput<'_>) -> Result<u64, Failure> {
    let (first, count) = purchases_of(seed, place);
    let mut random = Random::new(seed, STREAM, place);
    for number in first..first + count {
        stream.write_with(|data| row(&mut Json(data), &mut random, number, place))?;
    }
    Ok(count)
}

/// How many purchases came before those of a user, and how many are the user's.
fn purchases_of(seed: u64, user: u64) -> (u64, u64) {
    let (group, member) = (user / GROUP, user % GROUP);
    let mut random = Random::new(seed, GROUP_STREAM, group);
    // One member buys nothing and another buys two things.
    let none = u64::from(random.below(GROUP as u32));
    let two = (none + u64::from(random.between(1, GROUP as u32 - 1))) % GROUP;
    let before = group * GROUP + member + u64::from(two < member) - u64::from(none < member);
    let count = 1 + u64::from(two == member) - u64::from(none == member);
    (before, count)
}

fn row(json: &mut Json<'_>, random: &mut Random, number: u64, user: u64) {
    const DAY: u64 = 86_400;
    let created = time::YEAR_2000 + u64::from(random.below(600_000_000));
    let added = created + u64::from(random.between(1, 300)) * DAY;
    json.raw("{\"id\":")
        .number(number + 1)
        .raw(",\"product_id\":")
        .number(u64::from(random.below(products::COUNT as u32)) + 1)
        .raw(",\"user_id\":")
        .number(user + 1)
        .raw(",\"created_at\":\"")
        .time(created)
        .raw("\",\"updated_at\":\"")
        .time(time::updated_at(user))
        .raw("\",\"added_to_cart_at\":\"")
        .time(added)
        .raw("\"");
    // Some carts are left, and some of what is bought comes back; a time that is not there is left
    // out, as Airbyte's source does.
    if random.below(100) < 70 {
        let purchased = added + u64::from(random.between(1, 300)) * DAY;
        json.raw(",\"purchased_at\":\"").time(purchased).raw("\"");
        if random.below(100) < 15 {
            let returned = purchased + u64::from(random.between(1, 300)) * DAY;
            json.raw(",\"returned_at\":\"").time(returned).raw("\"");
        }
    }
    json.raw("}");
}
