//! Types of the server, and what becomes of their values.

use std::collections::HashMap;

use super::Cast;
use crate::value::Kind;

/// Domains of domains and arrays of arrays of domains that are followed: the server has no cycles, but
/// a server that is not what it seems may.
const DEPTH: usize = 32;

/// A row of `pg_type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Type {
    /// `b`ase, `c`omposite, `d`omain, `e`num, `r`ange, `m`ultirange.
    pub(super) class: u8,
    pub(super) category: u8,
    /// Of a domain: what it is made of.
    pub(super) base: u32,
    /// Of an array: its elements.
    pub(super) element: Option<u32>,
    pub(super) delimiter: u8,
    /// It is of the server's own: its operators are found whatever the session's search path is.
    pub(super) builtin: bool,
}

/// The types that some columns have, by OID.
pub(super) type Types = HashMap<u32, Type>;

/// What becomes of a type's values, how they are asked for, and whether their order can be followed.
pub(super) fn kind(oid: u32, types: &Types) -> (Kind, Cast, bool) {
    of(oid, types, 0)
}

fn of(oid: u32, types: &Types, depth: usize) -> (Kind, Cast, bool) {
    const BY_ORDER: bool = true;
    let plain = |kind| (kind, Cast::None, BY_ORDER);
    match oid {
        // The OIDs of the server's own types never change.
        16 => return plain(Kind::Bool),
        17 => return (Kind::Bytes, Cast::None, false),
        20 | 21 | 23 | 26 => return plain(Kind::Integer),
        114 | 3802 => return (Kind::Json, Cast::None, false),
        700 | 701 => return plain(Kind::Float),
        1700 => return plain(Kind::Numeric),
        790 => return (Kind::Numeric, Cast::Numeric, false),
        1082 => return plain(Kind::Date),
        1083 => return plain(Kind::Time),
        1266 => return plain(Kind::TimeTz),
        1114 => return plain(Kind::Timestamp),
        1184 => return plain(Kind::TimestampTz),
        // uuid, pg_lsn, macaddr, macaddr8.
        2950 | 3220 | 829 | 774 => return plain(Kind::Text),
        _ => {}
    }
    let text = (Kind::Text, Cast::None, false);
    let Some(found) = types.get(&oid).filter(|_| depth < DEPTH) else { return text };
    match (found.class, found.element) {
        (b'd', _) => of(found.base, types, depth + 1),
        (b'c', _) => (Kind::Json, Cast::Json, false),
        (_, Some(element)) => match of(element, types, depth + 1) {
            (_, Cast::Json, _) => (Kind::Json, Cast::Json, false),
            // An array of a domain of arrays: braces in quotes. The server knows better.
            (Kind::Array(..), ..) => (Kind::Json, Cast::Json, false),
            (kind, cast, _) => {
                let cast = if cast == Cast::Numeric { Cast::NumericArray } else { Cast::None };
                (Kind::Array(Box::new(kind), found.delimiter), cast, false)
            }
        },
        // Dates, enums, networks, numbers, ranges, strings, spans of time and bits have an order.
        // The operators of other types are not found, or others in their place.
        (class, _) => {
            let known = found.builtin || b"erm".contains(&class);
            (Kind::Text, Cast::None, known && b"DEINRSTV".contains(&found.category))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(class: u8, category: u8) -> Type {
        Type { class, category, base: 0, element: None, delimiter: b',', builtin: true }
    }

    #[test]
    fn types_become_kinds() {
        let domain = |base| Type { base, ..self::base(b'd', b'S') };
        let array = |element| Type { element: Some(element), ..self::base(b'b', b'A') };
        let types = Types::from([
            (25, base(b'b', b'S')),
            (600, base(b'b', b'G')),
            (1186, base(b'b', b'T')),
            (1, base(b'e', b'E')),
            (2, base(b'c', b'C')),
            (3, base(b'r', b'R')),
            (4, domain(23)),
            (5, domain(4)),
            (6, array(5)),
            (7, array(2)),
            (8, array(790)),
            (9, domain(9)),
            (10, domain(6)),
            (11, array(10)),
            (13, Type { builtin: false, ..base(b'b', b'S') }),
            (14, Type { builtin: false, ..base(b'e', b'E') }),
            (603, Type { delimiter: b';', ..base(b'b', b'G') }),
            (12, Type { delimiter: b';', ..array(603) }),
        ]);
        let array = |kind, delimiter| Kind::Array(Box::new(kind), delimiter);
        for (oid, expected) in [
            (23, (Kind::Integer, Cast::None, true)),
            (25, (Kind::Text, Cast::None, true)),
            (600, (Kind::Text, Cast::None, false)),
            (1186, (Kind::Text, Cast::None, true)),
            (1, (Kind::Text, Cast::None, true)),
            (2, (Kind::Json, Cast::Json, false)),
            (3, (Kind::Text, Cast::None, true)),
            (13, (Kind::Text, Cast::None, false)),
            (14, (Kind::Text, Cast::None, true)),
            (5, (Kind::Integer, Cast::None, true)),
            (6, (array(Kind::Integer, b','), Cast::None, false)),
            (7, (Kind::Json, Cast::Json, false)),
            (8, (array(Kind::Numeric, b','), Cast::NumericArray, false)),
            (9, (Kind::Text, Cast::None, false)),
            (11, (Kind::Json, Cast::Json, false)),
            (12, (array(Kind::Text, b';'), Cast::None, false)),
            (790, (Kind::Numeric, Cast::Numeric, false)),
            (999_999, (Kind::Text, Cast::None, false)),
        ] {
            assert_eq!(kind(oid, &types), expected, "{oid}");
        }
    }
}
