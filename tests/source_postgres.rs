//! source-postgres: the component, from a real server to Airbyte's messages and to another database.

mod common;
#[path = "source_postgres/scene.rs"]
mod scene;
#[path = "peers/postgres.rs"]
mod server;

#[path = "source_postgres/changes.rs"]
mod changes;
#[path = "source_postgres/copy.rs"]
mod copy;
#[path = "source_postgres/kill.rs"]
mod kill;
#[path = "source_postgres/messages.rs"]
mod messages;
