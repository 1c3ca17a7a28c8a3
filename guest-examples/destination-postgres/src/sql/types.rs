//! Types of columns, and what holds the values of two.

use json_rows::ColumnType;

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Boolean,
    BigInt,
    Numeric,
    Date,
    Timestamp,
    TimestampTz,
    Time,
    TimeTz,
    Jsonb,
}

impl Type {
    /// As the server's `format_type` writes it.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::BigInt => "bigint",
            Self::Numeric => "numeric",
            Self::Date => "date",
            Self::Timestamp => "timestamp without time zone",
            Self::TimestampTz => "timestamp with time zone",
            Self::Time => "time without time zone",
            Self::TimeTz => "time with time zone",
            Self::Jsonb => "jsonb",
        }
    }

    /// The type that this connector writes in the place of one of the server's, whether it is the
    /// same, and nothing where there is none.
    pub(crate) fn of_server(name: &str) -> Option<(Self, bool)> {
        use Type as T;
        let all = [
            T::Text,
            T::Boolean,
            T::BigInt,
            T::Numeric,
            T::Date,
            T::Timestamp,
            T::TimestampTz,
            T::Time,
            T::TimeTz,
            T::Jsonb,
        ];
        if let Some(same) = all.into_iter().find(|kind| kind.sql() == name) {
            return Some((same, true));
        }
        // With a length or a precision, or narrower: a value that fits the wide one may not fit it.
        let base = name.split('(').next().unwrap_or_default().trim_end();
        let zoned = name.ends_with("with time zone");
        let wide = match base {
            "smallint" | "integer" => T::BigInt,
            "real" | "double precision" | "numeric" => T::Numeric,
            "character varying" | "character" | "uuid" | "name" | "\"char\"" => T::Text,
            "json" => T::Jsonb,
            "timestamp" => {
                if zoned {
                    T::TimestampTz
                } else {
                    T::Timestamp
                }
            }
            "time" => {
                if zoned {
                    T::TimeTz
                } else {
                    T::Time
                }
            }
            _ => return None,
        };
        Some((wide, false))
    }

    /// The narrowest type that holds the values of both.
    pub(crate) fn join(self, other: Self) -> Self {
        use Type as T;
        match (self, other) {
            (a, b) if a == b => a,
            (T::Jsonb, _) | (_, T::Jsonb) => T::Jsonb,
            (T::BigInt | T::Numeric, T::BigInt | T::Numeric) => T::Numeric,
            (T::Date, T::Timestamp) | (T::Timestamp, T::Date) => T::Timestamp,
            (T::Date | T::Timestamp | T::TimestampTz, T::Date | T::Timestamp | T::TimestampTz) => {
                T::TimestampTz
            }
            (T::Time | T::TimeTz, T::Time | T::TimeTz) => T::TimeTz,
            _ => T::Text,
        }
    }

    /// An expression of this type as one of a type that holds its values. What has no zone is UTC.
    pub(crate) fn cast(self, to: Self, expression: &str) -> String {
        use Type as T;
        match (self, to) {
            (from, to) if from == to => expression.to_owned(),
            (_, T::Jsonb) => format!("to_jsonb({expression})"),
            // As JSON writes it, which is ISO 8601.
            (T::Date | T::Timestamp | T::TimestampTz | T::Time | T::TimeTz, T::Text) => {
                format!("(to_jsonb({expression}) #>> '{{}}')")
            }
            (T::Date | T::Timestamp, T::TimestampTz) => {
                format!("({expression}::timestamp AT TIME ZONE 'UTC')")
            }
            (_, to) => format!("{expression}::{}", to.sql()),
        }
    }
}

impl From<ColumnType> for Type {
    fn from(column: ColumnType) -> Self {
        match column {
            ColumnType::String => Self::Text,
            ColumnType::Boolean => Self::Boolean,
            ColumnType::Integer => Self::BigInt,
            ColumnType::Number => Self::Numeric,
            ColumnType::Date => Self::Date,
            ColumnType::Timestamp => Self::Timestamp,
            ColumnType::TimestampWithTimezone => Self::TimestampTz,
            ColumnType::Time => Self::Time,
            ColumnType::TimeWithTimezone => Self::TimeTz,
            ColumnType::Json => Self::Jsonb,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_is_a_join() {
        use Type as T;
        let all = [
            T::Text,
            T::Boolean,
            T::BigInt,
            T::Numeric,
            T::Date,
            T::Timestamp,
            T::TimestampTz,
            T::Time,
            T::TimeTz,
            T::Jsonb,
        ];
        for a in all {
            assert_eq!(a.join(a), a);
            for b in all {
                assert_eq!(a.join(b), b.join(a));
                assert_eq!(a.join(a.join(b)), a.join(b), "{a:?} {b:?}");
                for c in all {
                    assert_eq!(a.join(b).join(c), a.join(b.join(c)), "{a:?} {b:?} {c:?}");
                }
            }
        }
        assert_eq!(T::BigInt.join(T::Numeric), T::Numeric);
        assert_eq!(T::Date.join(T::Timestamp), T::Timestamp);
        assert_eq!(T::Boolean.join(T::BigInt), T::Text);
        assert_eq!(T::Text.join(T::Jsonb), T::Jsonb);
    }

    #[test]
    fn types_of_the_server_are_known() {
        assert_eq!(Type::of_server("bigint"), Some((Type::BigInt, true)));
        assert_eq!(Type::of_server("character varying(20)"), Some((Type::Text, false)));
        assert_eq!(Type::of_server("numeric(38,9)"), Some((Type::Numeric, false)));
        let precise = Type::of_server("timestamp(3) with time zone");
        assert_eq!(precise, Some((Type::TimestampTz, false)));
        assert_eq!(Type::of_server("point"), None);
        assert_eq!(Type::of_server("integer[]"), None);
    }
}
