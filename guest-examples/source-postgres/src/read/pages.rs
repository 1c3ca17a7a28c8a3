//! A full refresh in ranges of pages.
//!
//! A row's place (`ctid`) is a page and a number in it, and the server reads a range of pages without
//! the others. All ranges of an attempt are read under one snapshot, so they are the table as it was at
//! its beginning. The next attempt has another snapshot: in pages that were read before it, rows may
//! have been written that nobody saw. It reads those first, told by the transaction that wrote them
//! (`xmin`), and goes on behind.
//!
//! Of a table with parts, or that others inherit from, the same range of each part is read at once,
//! through the table itself: with its rights, and whatever its parts are called.

use lockgate_sdk::{Failure, log};

use super::Reading;
use super::state::{Pages, State};

/// A part of a table gives at least so many pages to a query: planning one that reads many parts is not
/// free.
const LEAST_PAGES: u64 = 64;

/// Transactions after which numbers of 32 bits can no longer be told apart.
const AGE: u64 = 1 << 31;

/// The files of a table, its parts included.
#[derive(Debug)]
struct Files {
    /// The oldest transaction that is not over.
    transaction: u64,
    /// Stands for the files.
    name: String,
    /// Of the part that has most.
    pages: u64,
    /// How many parts have any.
    parts: u64,
}

/// Reads all rows, or those that a state leaves.
pub(super) fn read(reading: &mut Reading<'_, '_>, saved: Option<State>) -> Result<(), Failure> {
    let files = Files::of(reading)?;
    let mut at = Pages {
        files: files.name.clone(),
        page: 0,
        transaction: files.transaction,
        done: files.pages == 0,
    };
    match saved {
        Some(State::Pages(saved)) if saved.done => {
            return reading.out.checkpoint(State::Pages(saved));
        }
        Some(State::Pages(saved)) if files.is_continued(&saved) => {
            reading.catch_up(&saved)?;
            at.page = saved.page;
            at.done = saved.page >= files.pages;
        }
        Some(_) => log::warn(format_args!(
            "{}: the table was written anew since the state was stored, or the state is of another way \
             of reading; it is read again from its start",
            reading.what
        )),
        None => {}
    }
    reading.out.stream()?.estimate(reading.relation.rows, None);
    if at.done {
        return reading.out.checkpoint(State::Pages(at));
    }
    let step = step(u64::from(reading.config.chunk_pages), files.parts);
    while !at.done {
        let end = at.page.saturating_add(step).min(files.pages);
        reading.write_all(&reading.select(&range(at.page, end)))?;
        at.page = end;
        at.done = end >= files.pages;
        reading.out.checkpoint(State::Pages(at.clone()))?;
    }
    Ok(())
}

/// Pages of each part that a query reads, so that all parts together give about `pages`.
fn step(pages: u64, parts: u64) -> u64 {
    (pages / parts.max(1)).max(LEAST_PAGES.min(pages)).max(1)
}

/// Rows on pages from `start` up to `end`.
fn range(start: u64, end: u64) -> String {
    format!("WHERE ctid >= '({start},0)'::tid AND ctid < '({end},0)'::tid")
}

/// Rows on pages up to `page` that were written by `transaction` or a later one.
fn written_since(page: u64, transaction: u64) -> String {
    // A row that is too old for its number to mean anything is read again rather than not at all.
    format!("WHERE ctid < '({page},0)'::tid AND age(xmin) <= age('{transaction}'::xid8::xid)")
}

impl Files {
    fn of(reading: &mut Reading<'_, '_>) -> Result<Self, Failure> {
        let sql = format!(
            "WITH RECURSIVE tree (oid) AS (SELECT {}::oid UNION \
               SELECT i.inhrelid FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.oid), \
             parts AS (SELECT oid, coalesce(pg_relation_filenode(oid), 0) AS file, \
               pg_relation_size(oid) / current_setting('block_size')::int8 AS pages FROM tree) \
             SELECT pg_snapshot_xmin(pg_current_snapshot()), \
               (SELECT md5(d.oid || string_agg(' ' || p.oid || ' ' || p.file, '' ORDER BY p.oid)) \
                FROM pg_database AS d, parts AS p WHERE d.datname = current_database() \
                GROUP BY d.oid), \
               (SELECT max(pages) FROM parts), (SELECT count(*) FROM parts WHERE pages > 0)",
            reading.relation.oid
        );
        let rows = reading.connection.run(&sql, &reading.what)?;
        let missing = || Failure::system("the server does not say what files the table is in");
        let answer = |place: usize| {
            rows.first().and_then(|row| row.get(place)?.as_deref()).ok_or_else(missing)
        };
        let number = |place: usize| answer(place)?.parse::<u64>().map_err(|_| missing());
        Ok(Self {
            transaction: number(0)?,
            name: answer(1)?.to_owned(),
            pages: number(2)?,
            parts: number(3)?,
        })
    }

    /// Are these the files that a state is of, and can it be told what was written since?
    fn is_continued(&self, saved: &Pages) -> bool {
        saved.files == self.name
            && saved.transaction <= self.transaction
            && self.transaction - saved.transaction < AGE
    }
}

impl Reading<'_, '_> {
    /// Reads what was written since in pages that were read already.
    fn catch_up(&mut self, saved: &Pages) -> Result<(), Failure> {
        if saved.page == 0 {
            return Ok(());
        }
        let count = self.write_all(&self.select(&written_since(saved.page, saved.transaction)))?;
        if count > 0 {
            log::info(format_args!(
                "{}: {count} rows that were written since the last attempt are read again",
                self.what
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_the_pages_of_a_query() {
        assert_eq!(step(4096, 1), 4096);
        assert_eq!(step(4096, 0), 4096);
        assert_eq!(step(4096, 8), 512);
        assert_eq!(step(4096, 1000), 64);
        assert_eq!(step(1, 1000), 1);
    }

    #[test]
    fn a_state_of_other_files_or_of_long_ago_is_not_continued() {
        let files = Files { transaction: 5_000_000_000, name: "a".to_owned(), pages: 9, parts: 1 };
        let saved = |name: &str, transaction| Pages {
            files: name.to_owned(),
            page: 3,
            transaction,
            done: false,
        };
        assert!(files.is_continued(&saved("a", 5_000_000_000)));
        assert!(files.is_continued(&saved("a", 4_000_000_000)));
        assert!(!files.is_continued(&saved("b", 5_000_000_000)));
        assert!(!files.is_continued(&saved("a", 1_000_000_000)), "the numbers went round");
        assert!(!files.is_continued(&saved("a", 5_000_000_001)), "another server");
    }

    #[test]
    fn conditions() {
        assert_eq!(range(0, 8), "WHERE ctid >= '(0,0)'::tid AND ctid < '(8,0)'::tid");
        assert_eq!(
            written_since(8, 700),
            "WHERE ctid < '(8,0)'::tid AND age(xmin) <= age('700'::xid8::xid)"
        );
    }
}
