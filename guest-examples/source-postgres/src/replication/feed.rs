//! The log, from the saved position to where it ends as the read begins.

use std::time::{Duration, Instant};

use lockgate_sdk::{Failure, Output};
use postgres_client::{Heard, literal, quote};

use super::apply::{Changes, Step};
use super::lsn::Lsn;
use super::positions::Positions;
use super::{mend, server};
use crate::config::{Config, Replication};
use crate::session;

const WHAT: &str = "reading the server's log";

/// A checkpoint is due after this much, if fewer rows than `fetch_size` came.
const CHECKPOINT_BYTES: usize = 32 << 20;

/// How often the server is asked how far it is, while it sends nothing.
const POLL: Duration = Duration::from_millis(20);

/// How long it may stay where it is before it is asked whether it can go on: the log may end in what is
/// not on its disk, and what is there in the middle of what somebody writes. Then the rest is for the next
/// read.
const STANDSTILL: Duration = Duration::from_secs(1);

/// Reads the changes of all streams. The end is where the log ends now, so that a read ends however much
/// is written meanwhile.
pub(super) fn read(
    config: &Config,
    replication: &Replication,
    changes: &mut Changes<'_>,
    positions: &mut Positions,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let end = server::end_of_log(changes.connection())?;
    server::wait_for_slot(changes.connection(), &replication.slot)?;
    let mut connection = session::open_to_replicate(config)?;
    let read = from_slot(&mut connection, config, replication, changes, positions, end, output);
    read.map_err(|failure| explained(failure, connection.sqlstate(), replication))
}

fn from_slot(
    connection: &mut postgres_client::Connection,
    config: &Config,
    replication: &Replication,
    changes: &mut Changes<'_>,
    positions: &mut Positions,
    end: Lsn,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let start = positions.reached();
    // Version 1 has each transaction in one piece, after its commit.
    let command = format!(
        "START_REPLICATION SLOT {} LOGICAL {start} (proto_version '1', publication_names {})",
        quote(&replication.slot),
        literal(&quote(&replication.publication))
    );
    // What the saved state covers was confirmed by the destination: the server may forget it.
    let mut log = connection.replicate(&command, start.0, WHAT)?;
    let (mut rows, mut bytes) = (0, 0);
    let (mut place, mut since) = (0, Instant::now());
    // Parts came since the server said how far it is.
    let mut is_moving = false;
    log.ask()?;
    loop {
        match log.next()? {
            Heard::Part(part) => {
                is_moving = true;
                bytes += part.len();
                match changes.take(part, end, output)? {
                    Step::On(count) => rows += count,
                    Step::Committed(lsn) => {
                        positions.reach(lsn);
                        if lsn >= end {
                            break;
                        }
                        if rows >= u64::from(config.fetch_size) || bytes >= CHECKPOINT_BYTES {
                            (rows, bytes) = (0, 0);
                            positions.save(output)?;
                        }
                    }
                    // It and what follows are for the next read.
                    Step::Beyond(lsn) => {
                        positions.reach(lsn);
                        break;
                    }
                }
            }
            Heard::Reached(reached) => {
                let more = std::mem::take(&mut is_moving);
                if more || reached != place {
                    (place, since) = (reached, Instant::now());
                }
                // Within a transaction it says nothing of it.
                let is_between = !changes.is_in_transaction();
                let mut is_over = is_between && reached >= end.0;
                if is_between && !is_over && since.elapsed() > STANDSTILL {
                    // It may be at work on what is for others.
                    is_over = server::end_of_written_log(changes.connection())? < end;
                    since = Instant::now();
                }
                if is_over {
                    positions.reach(Lsn(reached));
                    break;
                }
                if !more {
                    // Rows that came are not kept while nothing comes.
                    output.flush()?;
                    std::thread::sleep(POLL);
                }
                log.ask()?;
            }
        }
    }
    log.end()
}

/// Says what to do about what the server refuses.
fn explained(failure: Failure, sqlstate: &str, replication: &Replication) -> Failure {
    let Replication { slot, publication } = replication;
    let again = mend::make_slot_anew(slot);
    match sqlstate {
        // The log is decoded with what there was when it was written.
        "42704" if failure.message.contains("publication") => Failure::config(format!(
            "the publication {publication} was made after the replication slot {slot}, or anew since the \
             last sync: {again}"
        ))
        .with_detail(failure.message),
        // The slot, or the log that it needs, is gone.
        "42704" | "55000" | "58P01" => Failure::config(format!(
            "the replication slot {slot} cannot be read any more ({}): {again}",
            failure.message
        )),
        _ => failure,
    }
}
