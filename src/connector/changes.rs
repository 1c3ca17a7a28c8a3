//! Changes that a connector makes of its configuration while it runs: an access token that was
//! refreshed. Each is checked, kept, and given to whoever stores the configuration, before the
//! operation goes on.
//!
//! The attack: a connector changes its configuration to what opens more than the operator granted, or
//! to a reference that has a command run; or it goes on with a change that nobody kept, and the next
//! run has a token that no longer works. A reference counts only if the operator wrote the same one; what
//! was refused fails the operation, whatever the connector makes of the answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::{Connector, ConnectorError};
use crate::config::{config_digest, merge_members};
use crate::executor::ExecutorError;
use crate::executor::secrets::Changes;
use crate::protocol::{Decision, Failure, Json, LogLevel, Observer, Specification};
use crate::state::{StateStore, StateStoreError};

/// Bytes of one change of a configuration, and of all changes beyond the operator's own: a connector
/// keeps tokens there, not data.
pub(crate) const CHANGE_BYTES: usize = 1 << 20;

/// How long a callback may take: a vault over a network needs seconds. Nothing of the operation moves
/// meanwhile, and nobody hears that it should stop.
const CALLBACK_TIME: Duration = Duration::from_secs(60);

/// Is given the configuration of a connector each time the connector has changed it. A closure
/// `Fn(Json) -> Result<(), Failure>` is one.
#[async_trait]
pub trait ConfigCallback: Send + Sync {
    /// Takes the whole configuration, as the operator would write it: a reference to a secret is still
    /// one where its value did not change. The operation goes on when this returns, and fails if
    /// this does.
    async fn changed(&self, config: Json) -> Result<(), Failure>;
}

#[async_trait]
impl<F: Fn(Json) -> Result<(), Failure> + Send + Sync> ConfigCallback for F {
    async fn changed(&self, config: Json) -> Result<(), Failure> {
        self(config)
    }
}

/// What a connector changed of its configuration in the life of this value and its copies.
#[derive(Default)]
pub(super) struct Changed {
    /// Members that replace the operator's.
    members: Mutex<Option<Json>>,
}

impl Changed {
    fn get(&self) -> Option<Json> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, change: &Json) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        *members = Some(match members.take() {
            Some(earlier) => merge_members(&earlier, change),
            None => change.clone(),
        });
    }
}

/// Where changes are stored in a sync.
pub(crate) struct ChangeStore {
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) connection: String,
    pub(crate) side: &'static str,
}

impl ChangeStore {
    async fn run<T: Send + 'static>(
        &self,
        connector: &Connector,
        body: impl FnOnce(&dyn StateStore, &str, &str, &str) -> Result<T, StateStoreError>
        + Send
        + 'static,
    ) -> Result<T, StateStoreError> {
        let (store, connection, side) = (self.store.clone(), self.connection.clone(), self.side);
        // A change counts for the configuration that it was made in.
        let digest = config_digest(connector.config());
        let ran =
            tokio::task::spawn_blocking(move || body(store.as_ref(), &connection, side, &digest));
        ran.await.unwrap_or_else(|error| {
            Err(StateStoreError::Database {
                path: std::path::PathBuf::new(),
                reason: format!("the operation ended early: {error}"),
            })
        })
    }
}

impl Connector {
    /// The same connector; what it changes in its configuration is given to `callback`, by each of
    /// its operations. An operation whose change was not taken fails.
    #[must_use]
    pub fn on_config_change(mut self, callback: impl ConfigCallback + 'static) -> Self {
        self.callback = Some(Arc::new(callback));
        self
    }

    /// Its configuration with what it changed meanwhile: what its next operation is given.
    #[must_use]
    pub fn current_config(&self) -> Json {
        match self.changed.get() {
            Some(members) => merge_members(&self.config, &members),
            None => self.config.clone(),
        }
    }

    /// What it changed meanwhile, for the same connector elsewhere.
    pub(crate) fn changed_members(&self) -> Option<Json> {
        self.changed.get()
    }

    /// The same connector with what it changed elsewhere.
    pub(crate) fn with_changed_members(self, members: Option<&Json>) -> Self {
        if let Some(members) = members {
            self.changed.add(members);
        }
        self
    }

    /// The same connector for one operation: with the configuration as earlier ones left it, and
    /// heard by what keeps its changes. `spec` is what they must fit.
    pub(crate) async fn keeping(
        &self,
        spec: &Arc<Specification>,
        store: Option<ChangeStore>,
    ) -> Result<Self, StateStoreError> {
        let now = self.now(&spec.config_schema, store.as_ref()).await?;
        let config = now.config.clone();
        let mut keeper = ConfigKeeper::new(self, store);
        keeper.spec = Some(spec.clone());
        keeper.now = tokio::sync::Mutex::new(Some(now));
        let keeper = Arc::new(keeper);
        let mut kept = self.clone().with_config(config);
        kept.observer = keeper.clone();
        kept.keeper = Some(keeper);
        Ok(kept)
    }

    /// Its configuration as it is now.
    async fn now(
        &self,
        schema: &Json,
        store: Option<&ChangeStore>,
    ) -> Result<Now, StateStoreError> {
        let changes = Changes::new(&self.config, schema);
        let stored = match store {
            Some(store) => store.run(self, |s, c, side, d| s.changed_config(c, side, d)).await?,
            None => None,
        };
        let mut config = match &stored {
            Some(stored) => changes.merged(stored),
            None => self.config.clone(),
        };
        // Made after what is stored, or with it.
        if let Some(members) = self.changed.get() {
            config = merge_members(&config, &members);
        }
        Ok(Now { changes, config })
    }

    /// What takes changes that were checked and stored elsewhere.
    pub(crate) fn keeper_elsewhere(&self, store: Option<ChangeStore>) -> Arc<ConfigKeeper> {
        Arc::new(ConfigKeeper::new(self, store))
    }

    /// Why a change was refused, where one was.
    pub(crate) fn refused_change(&self) -> Option<ExecutorError> {
        self.keeper.as_ref().and_then(|keeper| keeper.refused())
    }

    /// The result of an operation: a failure where a change was refused, whatever the connector made
    /// of it.
    pub(super) fn judged<T>(&self, result: Result<T, ExecutorError>) -> Result<T, ExecutorError> {
        match self.refused_change() {
            Some(refused) => Err(refused),
            None => result,
        }
    }
}

/// A configuration with all changes so far.
struct Now {
    changes: Changes,
    config: Json,
}

/// Passes logs on, and keeps changes of the configuration.
pub(crate) struct ConfigKeeper {
    /// With the configuration that the operator wrote.
    connector: Connector,
    /// What changes must fit; none: they were checked and stored elsewhere.
    spec: Option<Arc<Specification>>,
    /// Its schema, as it was said to be elsewhere.
    schema: Mutex<Option<Json>>,
    store: Option<ChangeStore>,
    /// None until it is needed.
    now: tokio::sync::Mutex<Option<Now>>,
    refused: Mutex<Option<Refusal>>,
}

enum Refusal {
    Invalid(String),
    Refused(String),
}

impl ConfigKeeper {
    fn new(connector: &Connector, store: Option<ChangeStore>) -> Self {
        Self {
            connector: connector.clone(),
            spec: None,
            schema: Mutex::default(),
            store,
            now: tokio::sync::Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// Notes the schema that changes were checked against elsewhere: it says what is secret in what is
    /// stored.
    pub(crate) fn know_schema(&self, schema: Json) {
        *self.schema.lock().unwrap_or_else(PoisonError::into_inner) = Some(schema);
    }

    /// The first refusal.
    pub(crate) fn refused(&self) -> Option<ExecutorError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match refused.as_ref()? {
            Refusal::Invalid(why) => ExecutorError::ChangeInvalid(why.clone()),
            Refusal::Refused(why) => ExecutorError::ChangeRefused(why.clone()),
        })
    }

    async fn keep(&self, mut change: Json) -> Result<(), Refusal> {
        let refused = |why: String| Refusal::Refused(why);
        if !change.is_object() {
            return Err(refused("it is not a JSON object".into()));
        }
        if change.get().len() > CHANGE_BYTES {
            return Err(refused(format!("it has more than {CHANGE_BYTES} bytes")));
        }
        let mut now = self.now.lock().await;
        let now = match &mut *now {
            Some(now) => now,
            none => {
                let schema = self.schema.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let schema = schema.unwrap_or_else(Json::empty_object);
                let loaded = self.connector.now(&schema, self.store.as_ref()).await;
                none.insert(loaded.map_err(|e| refused(e.to_string()))?)
            }
        };
        change = match &self.spec {
            Some(_) => without_same(&now.config, &change),
            // Whoever checked it may be out of its sandbox. It is stored by now.
            None => now.changes.trusted(&change),
        };
        let changed = merge_members(&now.config, &change);
        if changed.get().len() > self.connector.config.get().len() + CHANGE_BYTES {
            return Err(refused("all changes together have no measure".into()));
        }
        let has_news =
            change.to_value().is_ok_and(|v| v.as_object().is_some_and(|o| !o.is_empty()));
        if let (Some(spec), true) = (&self.spec, has_news) {
            // Stored, it would fail every later operation, as if the operator had written it.
            let with_change = self.connector.clone().with_config(changed.clone());
            with_change.validate(spec).await.map_err(|fault| match fault {
                ConnectorError::Invalid { .. } => Refusal::Invalid(fault.to_string()),
                other => refused(other.to_string()),
            })?;
            if let Some(store) = &self.store {
                let members = now.changes.conceal(&change);
                store
                    .run(&self.connector, move |s, c, side, d| {
                        s.change_config(c, side, d, &members)
                    })
                    .await
                    .map_err(|e| refused(e.to_string()))?;
            }
        }
        if has_news {
            now.config = changed;
            self.connector.changed.add(&change);
            if let Some(callback) = &self.connector.callback {
                let took =
                    tokio::time::timeout(CALLBACK_TIME, callback.changed(now.config.clone()));
                let late = |_| {
                    refused(format!("the callback took more than {} s", CALLBACK_TIME.as_secs()))
                };
                took.await.map_err(late)?.map_err(|f| refused(f.message))?;
            }
        }
        self.connector.observer.update_config(change).await.map_err(|f| refused(f.message))
    }
}

/// A change without the members that stay as they are: what the operator wrote is not stored again.
fn without_same(before: &Json, change: &Json) -> Json {
    match (before.to_value(), change.to_value()) {
        (Ok(before), Ok(Value::Object(mut changed))) => {
            changed.retain(|name, value| before.get(name.as_str()) != Some(&*value));
            Json::from_value(&Value::Object(changed))
        }
        _ => change.clone(),
    }
}

#[async_trait]
impl Observer for ConfigKeeper {
    fn log(&self, level: LogLevel, message: &str) {
        self.connector.observer.log(level, message);
    }

    async fn update_config(&self, config: Json) -> Result<(), Failure> {
        let Err(refusal) = self.keep(config).await else { return Ok(()) };
        // What was not taken may hold a secret, and who says so may quote it.
        let hide = |text: String| self.connector.executor.redactor().redact(&text).into_owned();
        let refusal = match refusal {
            Refusal::Invalid(why) => Refusal::Invalid(hide(why)),
            Refusal::Refused(why) => Refusal::Refused(hide(why)),
        };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get_or_insert(refusal);
        drop(refused);
        Err(match self.refused() {
            Some(error) => Failure::system(error.to_string()),
            None => Failure::system("the changed configuration was not taken"),
        })
    }

    fn decided(&self, decision: &Decision) {
        self.connector.observer.decided(decision);
    }
}
