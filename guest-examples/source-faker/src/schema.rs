//! The schemas of the rows, equal to those of Airbyte's source-faker.

use serde_json::{Value, json};

pub(crate) fn products() -> Value {
    object(json!({
        "id": { "type": "integer" },
        "make": { "type": "string" },
        "model": { "type": "string" },
        "year": { "type": "integer" },
        "price": { "type": "number" },
        "created_at": time(),
        "updated_at": time(),
    }))
}

pub(crate) fn users() -> Value {
    object(json!({
        "id": { "type": "integer" },
        "created_at": time(),
        "updated_at": time(),
        "name": { "type": "string" },
        "title": { "type": "string" },
        "age": { "type": "integer" },
        "email": { "type": "string" },
        "telephone": { "type": "string" },
        "gender": { "type": "string" },
        "language": { "type": "string" },
        "academic_degree": { "type": "string" },
        "nationality": { "type": "string" },
        "occupation": { "type": "string" },
        "height": { "type": "string" },
        "blood_type": { "type": "string" },
        "weight": { "type": "integer" },
        "address": {
            "type": "object",
            "properties": {
                "street_number": { "type": "string" },
                "street_name": { "type": "string" },
                "city": { "type": "string" },
                "state": { "type": "string" },
                "province": { "type": "string" },
                "postal_code": { "type": "string" },
                "country_code": { "type": "string" },
            },
        },
    }))
}

pub(crate) fn purchases() -> Value {
    object(json!({
        "id": { "type": "integer" },
        "user_id": { "type": "integer" },
        "product_id": { "type": "integer" },
        "created_at": time(),
        "updated_at": time(),
        "added_to_cart_at": optional_time(),
        "purchased_at": optional_time(),
        "returned_at": optional_time(),
    }))
}

fn object(properties: Value) -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": properties,
    })
}

fn time() -> Value {
    json!({
        "type": "string",
        "format": "date-time",
        "airbyte_type": "timestamp_with_timezone",
    })
}

fn optional_time() -> Value {
    json!({
        "type": ["null", "string"],
        "format": "date-time",
        "airbyte_type": "timestamp_with_timezone",
    })
}
