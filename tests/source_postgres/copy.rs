//! From one database to the other: what arrives is what was there.

use crate::scene::Scene;

/// A column's type, a value as SQL has it, and how the copy, `c`, is made the same type again.
const TYPES: &[(&str, &str, &str)] = &[
    ("smallint", "-32768", "c::smallint"),
    ("integer", "2147483647", "c::integer"),
    ("bigint", "'-9223372036854775808'", "c"),
    ("numeric", "123456789012345678901234567890.000000000000000000001", "c"),
    ("numeric(12,2)", "-0.50", "c::numeric(12,2)"),
    ("money", "'-1234.56'", "c::money"),
    ("real", "0.1", "c::real"),
    ("double precision", "0.30000000000000004", "c::double precision"),
    ("double precision", "'1e-300'", "c::double precision"),
    ("boolean", "false", "c"),
    ("text", "E'a\"b\\\\c\\nd\\te\\u00fc\\U0001F600'", "c"),
    ("text", "''", "c"),
    ("char(5)", "'abc'", "c::char(5)"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "c::uuid"),
    ("bytea", "'\\x00ff10'", "decode(c, 'base64')"),
    ("date", "'2024-02-29'", "c"),
    ("date", "'0044-03-15 BC'", "c"),
    ("date", "'infinity'", "c"),
    ("time", "'01:02:03.4'", "c"),
    ("time", "'24:00'", "c"),
    ("timetz", "'01:02:03.000001-08:30'", "c"),
    ("timestamp", "'2024-01-02 03:04:05.123456'", "c"),
    ("timestamp", "'0044-03-15 01:02:03.5 BC'", "c"),
    ("timestamp", "'-infinity'", "c"),
    ("timestamptz", "'2024-01-02 03:04:05.123456+02'", "c"),
    ("timestamptz", "'infinity'", "c"),
    ("interval", "'1 year 2 months 3 days 04:05:06.7'", "c::interval"),
    ("json", "'{\"b\": 1.50, \"a\": [null, \"x\"]}'", "c"),
    ("jsonb", "'{\"b\": 12345678901234567890.5, \"a\": [null, \"x\"]}'", "c"),
    ("jsonb", "'\"text\"'", "c"),
    (
        "bigint[]",
        "'{1,NULL,9223372036854775807}'",
        "ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(c) AS x)",
    ),
    (
        "text[]",
        "ARRAY['a,b', 'c\"d', 'e\\f', '', 'NULL', NULL]",
        "ARRAY(SELECT jsonb_array_elements_text(c))",
    ),
    ("int4range", "'[1,5)'", "c::int4range"),
    ("point", "'(1.5,2)'", "c"),
    ("inet", "'10.0.0.0/8'", "c::inet"),
    ("bit(3)", "B'101'", "c::bit(3)"),
];

#[test]
fn every_type_arrives_by_value() {
    let columns: Vec<_> =
        TYPES.iter().enumerate().map(|(place, (kind, ..))| format!("c{place} {kind}")).collect();
    let values: Vec<_> = TYPES.iter().map(|(_, value, _)| *value).collect();
    let scene = Scene::new(&format!(
        "CREATE TABLE types (id integer PRIMARY KEY, {}); INSERT INTO types VALUES (1, {}), (2{})",
        columns.join(", "),
        values.join(", "),
        ", NULL".repeat(TYPES.len()),
    ));
    scene.project("replace", "");
    scene.sync();
    let settings = "SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601';";
    for (place, (kind, value, back)) in TYPES.iter().enumerate() {
        let column = format!("c{place}");
        // As jsonb what is json is compared by value.
        let text = if *kind == "json" { "::jsonb::text" } else { "::text" };
        let there = scene.run(&format!("{settings} SELECT {column}{text} FROM types ORDER BY id"));
        let back = back
            .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .find(|word| *word == "c")
            .map(|_| replace_column(back, &column))
            .expect("it is of the column");
        let come =
            scene.written(&format!("{settings} SELECT ({back})::text FROM types ORDER BY id"));
        // A missing array is no array with nothing in it.
        let (there, come) = (&there[..1], &come[..1]);
        assert_eq!(there, come, "{kind} {value}");
        let nulls = scene.written(&format!("SELECT {column} IS NULL FROM types ORDER BY id"));
        assert_eq!(nulls, ["f", "t"], "{kind} {value}");
    }
    // Nothing was changed on the way.
    let changed = "SELECT count(*) FROM types WHERE _airbyte_meta->'changes' <> '[]'";
    assert_eq!(scene.written(changed), ["0"]);
}

/// An expression with a column in the place of `c`, where it is a word.
fn replace_column(expression: &str, column: &str) -> String {
    let is_word = |letter: Option<char>| letter.is_some_and(|l| l.is_alphanumeric() || l == '_');
    let mut out = String::new();
    for (place, letter) in expression.char_indices() {
        let before = expression[..place].chars().next_back();
        let after = expression[place + letter.len_utf8()..].chars().next();
        if letter == 'c' && !is_word(before) && !is_word(after) {
            out.push_str(column);
        } else {
            out.push(letter);
        }
    }
    out
}

#[test]
fn tables_are_merged_by_key_and_what_is_new_is_added() {
    let scene = Scene::new(
        "CREATE TABLE \"Odd \"\"Table\"\"\" (id integer PRIMARY KEY, \"At\" timestamptz, name text); \
         INSERT INTO \"Odd \"\"Table\"\"\" SELECT i, '2024-01-01Z'::timestamptz + i * interval '1 s', 'n' || i \
         FROM generate_series(1, 500) AS i",
    );
    scene.project(
        "merge",
        "[connections.c.stream-options.'public.Odd \"Table\"']\ncursor-field = \"At\"\n",
    );
    let all = "SELECT id, \"At\", name FROM \"Odd \"\"Table\"\"\" ORDER BY id";
    for turn in 0..3 {
        scene.sync();
        assert_eq!(scene.written(all), scene.run(all), "turn {turn}");
        scene.run(
            "INSERT INTO \"Odd \"\"Table\"\"\" SELECT max(id) + 1, '2025-01-01Z', 'new' FROM \"Odd \"\"Table\"\"\"; \
             UPDATE \"Odd \"\"Table\"\"\" SET name = name || '!', \"At\" = '2025-01-01Z' WHERE id % 100 = 7",
        );
    }
    scene.sync();
    assert_eq!(scene.written(all), scene.run(all));
}

#[test]
fn partitioned_tables_and_views_are_copied_whole() {
    let scene = Scene::new(
        "CREATE TABLE parts (id integer, text text) PARTITION BY HASH (id); \
         CREATE TABLE part_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
         CREATE TABLE part_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
         INSERT INTO parts SELECT i, md5(i::text) FROM generate_series(1, 3000) AS i; \
         CREATE VIEW seen AS SELECT id, upper(text) AS text FROM parts; \
         CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen WHERE id < 100",
    );
    scene.project("replace", "");
    for _ in 0..2 {
        scene.sync();
        for table in ["parts", "seen", "kept"] {
            let all = format!(
                "SELECT count(*), md5(string_agg(id || text, ',' ORDER BY id)) FROM {table}"
            );
            assert_eq!(scene.written(&all), scene.run(&all), "{table}");
        }
        assert_eq!(scene.written("SELECT to_regclass('part_0') IS NULL"), ["t"]);
        scene.run("DELETE FROM parts WHERE id % 3 = 0; REFRESH MATERIALIZED VIEW kept");
    }
}
