//! The connectors of a sync: what each says it is, and each as it is now.

use std::sync::Arc;

use crate::connector::{ChangeStore, Connector, require};
use crate::protocol::Specification;
use crate::sync::{ConnectorReport, SyncError, WriteOptions};

/// A connector that has said what it is.
pub(super) struct Side {
    /// As it was given.
    connector: Connector,
    pub(super) spec: Arc<Specification>,
    side: &'static str,
    /// Of its flags.
    prefix: &'static str,
}

impl Side {
    /// Asks a source what it is. `alone`: its flags have no prefix.
    pub(super) async fn source(connector: &Connector, alone: bool) -> Result<Self, SyncError> {
        Self::ask(connector, "source", if alone { "" } else { "source-" }).await
    }

    pub(super) async fn destination(connector: &Connector) -> Result<Self, SyncError> {
        Self::ask(connector, "destination", "destination-").await
    }

    async fn ask(
        connector: &Connector,
        side: &'static str,
        prefix: &'static str,
    ) -> Result<Self, SyncError> {
        let spec = Arc::new(connector.whole_spec().await?);
        Ok(Self { connector: connector.clone(), spec, side, prefix })
    }

    /// The connector as earlier operations left its configuration.
    pub(super) async fn now(
        &self,
        connection: &str,
        options: &WriteOptions,
    ) -> Result<Connector, SyncError> {
        prepared(&self.connector, &self.spec, self.side, connection, options).await
    }

    pub(super) fn report(&self) -> ConnectorReport {
        let spec = self.connector.shown(self.spec.as_ref().clone());
        ConnectorReport::new(&self.connector, &spec.name, &spec.version)
    }
}

/// Checks configurations and grants, of all sides at once, before anything but `spec` runs.
pub(super) async fn ready(
    sides: &[&Side],
    connection: &str,
    options: &WriteOptions,
) -> Result<(), SyncError> {
    let mut now = Vec::with_capacity(sides.len());
    for side in sides {
        now.push(side.now(connection, options).await?);
    }
    for (side, connector) in sides.iter().zip(&now) {
        connector.validate(&side.spec).await?;
    }
    let missing = sides.iter().zip(&now);
    require(missing.flat_map(|(side, c)| c.missing_needs(&side.spec, side.prefix)).collect())?;
    for connector in &now {
        connector.try_config().await?;
    }
    Ok(())
}

/// The connector with what it changed of its configuration in earlier syncs, and an observer that
/// keeps what it changes in this one.
async fn prepared(
    connector: &Connector,
    spec: &Arc<Specification>,
    side: &'static str,
    connection: &str,
    options: &WriteOptions,
) -> Result<Connector, SyncError> {
    Ok(connector.keeping(spec, change_store(side, connection, options)).await?)
}

/// Where changes of a side's configuration are stored.
pub(super) fn change_store(
    side: &'static str,
    connection: &str,
    options: &WriteOptions,
) -> Option<ChangeStore> {
    let store = options.state.clone()?;
    Some(ChangeStore { store, connection: connection.to_owned(), side })
}
