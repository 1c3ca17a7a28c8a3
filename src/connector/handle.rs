//! Sources and destinations as values.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::changes::{Changed, ConfigCallback, ConfigKeeper};
use super::{Choice, ConnectorError, MissingNeed, needs, validate_config};
use crate::executor::secrets::{hide_specification, hide_stream};
use crate::executor::{Audited, Context, Described, Executor, ExecutorError};
use crate::protocol::{DiscoveredStream, Json, Need, Observer, Specification};
use crate::sandbox::{JudgedNeed, Policy, redacted};

/// A connector with its configuration, not yet known to be a source or a destination.
#[derive(Clone)]
pub struct Connector {
    name: String,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) config: Json,
    pub(super) observer: Arc<dyn Observer>,
    /// What it changed of its configuration; shared by all copies.
    pub(super) changed: Arc<Changed>,
    pub(super) callback: Option<Arc<dyn ConfigCallback>>,
    /// Keeps the changes of an operation.
    pub(super) keeper: Option<Arc<ConfigKeeper>>,
    /// Why it is run so; none where it was made by hand.
    pub(super) choice: Option<Arc<Choice>>,
    /// What it said it needs, as it was last judged; shared by all copies.
    needs: Arc<Mutex<Vec<JudgedNeed>>>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("name", &self.name)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector named `name` in messages, run by `executor`. Credentials of an address in the name
    /// are left out.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        executor: Arc<dyn Executor>,
        config: Json,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let executor = Audited::around(executor);
        Self {
            name: redacted(&name.into()),
            executor,
            config,
            observer,
            changed: Arc::default(),
            callback: None,
            keeper: None,
            choice: None,
            needs: Arc::default(),
        }
    }

    pub(super) fn with_choice(mut self, choice: Choice) -> Self {
        self.choice = Some(Arc::new(choice));
        self
    }

    /// How it was decided to run it, and why; none where it was made by hand.
    #[must_use]
    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_deref()
    }

    /// As it was named, without the credentials of an address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is run.
    #[must_use]
    pub fn describe(&self) -> Described {
        self.executor.describe()
    }

    /// Its configuration as the operator wrote it.
    #[must_use]
    pub fn config(&self) -> &Json {
        &self.config
    }

    /// The same connector with another configuration.
    #[must_use]
    pub fn with_config(mut self, config: Json) -> Self {
        self.config = config;
        self.changed = Arc::default();
        self
    }

    /// The same connector, heard by someone else.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// How it is run, to run it.
    #[must_use]
    pub fn executor(&self) -> Arc<dyn Executor> {
        self.executor.clone()
    }

    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        self.observer.clone()
    }

    /// What it is granted; none where nothing can be.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.executor.policy()
    }

    /// What it said it needs, once that was judged: by [`Connector::ready`], or by a sync.
    #[must_use]
    pub fn needs(&self) -> Vec<JudgedNeed> {
        self.needs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it what it needs, with nothing granted, and judges that; refuses nothing.
    ///
    /// # Errors
    /// [`ConnectorError`], where it cannot be asked.
    pub async fn asked_needs(&self) -> Result<Vec<JudgedNeed>, ConnectorError> {
        let spec = self.spec().await?;
        Ok(needs::judge(&self.clone().with_observer(Arc::new(super::Silent)), &spec, "").0)
    }

    /// Judges what it says it needs, and gives what it is not granted; nothing where it may go on
    /// without. `prefix` is that of its flags.
    pub(crate) fn missing_needs(
        &self,
        spec: &Specification,
        prefix: &'static str,
    ) -> Vec<MissingNeed> {
        let (judged, missing) = needs::judge(self, spec, prefix);
        *self.needs.lock().unwrap_or_else(PoisonError::into_inner) = judged;
        missing
    }

    /// Judges needs that were asked for elsewhere.
    pub(crate) fn note_needs(&self, needs: Vec<Need>, schema: Json) {
        let judged = needs::judged(self, &needs, &schema);
        *self.needs.lock().unwrap_or_else(PoisonError::into_inner) = judged;
    }

    fn context(&self) -> Context {
        Context::new(self.observer.clone())
    }

    fn failed(&self, error: ExecutorError) -> ConnectorError {
        ConnectorError::Run { name: self.name.clone(), error: Box::new(error) }
    }

    /// Asks what it is, for whoever shows it: what is known as a secret is hidden.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn spec(&self) -> Result<Specification, ConnectorError> {
        self.executor.may_import().map_err(|e| self.failed(e))?;
        Ok(self.shown(self.whole_spec().await?))
    }

    /// Asks what it is, for whoever checks a configuration against it.
    pub(crate) async fn whole_spec(&self) -> Result<Specification, ConnectorError> {
        self.executor.spec(&self.context()).await.map_err(|e| self.failed(e))
    }

    /// A specification with what is known as a secret hidden.
    pub(crate) fn shown(&self, spec: Specification) -> Specification {
        hide_specification(&self.executor.redactor(), spec)
    }

    /// What its configuration and its variables refer to.
    pub(crate) async fn secrets(&self) -> Result<HashMap<String, String>, ConnectorError> {
        let secrets = self.executor.secrets(&self.context(), &self.config).await;
        secrets.map_err(|e| self.failed(e))
    }

    /// Checks its configuration, secrets filled in, against its specification.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub(crate) async fn validate(&self, spec: &Specification) -> Result<(), ConnectorError> {
        let filled = self.executor.filled_in(&self.context(), &self.current_config()).await;
        let filled = filled.map_err(|e| self.failed(e))?;
        validate_config(&self.name, spec, &filled).map_err(|error| {
            // A member's name may be a secret too.
            let redactor = self.executor.redactor();
            let hide = |text: String| redactor.redact(&text).into_owned();
            match error {
                ConnectorError::Invalid { name, faults } => {
                    ConnectorError::Invalid { name, faults: faults.into_iter().map(hide).collect() }
                }
                ConnectorError::Schema { name, reason } => {
                    ConnectorError::Schema { name, reason: hide(reason) }
                }
                other => other,
            }
        })
    }

    /// Checks its configuration against its specification, and its needs against its policy:
    /// before anything of it runs but `spec`.
    ///
    /// # Errors
    /// [`ConnectorError`]; [`ConnectorError::Needs`] lists all that is not granted.
    pub async fn ready(&self) -> Result<(), ConnectorError> {
        self.ready_spec().await.map(drop)
    }

    async fn ready_spec(&self) -> Result<Arc<Specification>, ConnectorError> {
        let spec = Arc::new(self.whole_spec().await?);
        self.validate(&spec).await?;
        needs::require(self.missing_needs(&spec, ""))?;
        Ok(spec)
    }

    /// For an operation outside a sync, whose changes are kept in this value and by its callback.
    async fn ready_and_keeping(&self) -> Result<Self, ConnectorError> {
        let spec = self.ready_spec().await?;
        let kept = self.keeping(&spec, None).await;
        // Only a store fails, and there is none.
        kept.map_err(|e| self.failed(ExecutorError::ChangeRefused(e.to_string())))
    }

    /// Checks its configuration against its specification, then lets it try it.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn check(&self) -> Result<(), ConnectorError> {
        self.ready_and_keeping().await?.try_config().await
    }

    /// Lets it try its configuration, which is known to fit its specification.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn try_config(&self) -> Result<(), ConnectorError> {
        let checked = self.executor.check(&self.context(), &self.current_config()).await;
        self.judged(checked).map_err(|e| self.failed(e))
    }

    /// Checks its configuration against its specification, then lets it list its streams, for
    /// whoever shows them: what is known as a secret is hidden.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn discover(&self) -> Result<Vec<DiscoveredStream>, ConnectorError> {
        self.ready_and_keeping().await?.shown_discover().await
    }

    /// The same with a configuration that is known to fit its specification.
    pub(crate) async fn shown_discover(&self) -> Result<Vec<DiscoveredStream>, ConnectorError> {
        let streams = self.whole_discover().await?;
        let redactor = self.executor.redactor();
        Ok(streams.into_iter().map(|s| hide_stream(&redactor, s)).collect())
    }

    /// Lets it list its streams, for whoever moves them.
    pub(crate) async fn whole_discover(&self) -> Result<Vec<DiscoveredStream>, ConnectorError> {
        let found = self.executor.discover(&self.context(), &self.current_config()).await;
        self.judged(found).map_err(|e| self.failed(e))
    }
}

/// A connector that reads.
#[derive(Debug, Clone)]
pub struct Source(pub(crate) Connector);

/// A connector that writes. `write` is in [`crate::sync`].
#[derive(Debug, Clone)]
pub struct Destination(pub(crate) Connector);

impl From<Connector> for Source {
    /// A connector as a source; what is none says so when it is asked to read.
    fn from(connector: Connector) -> Self {
        Self(connector)
    }
}

impl From<Connector> for Destination {
    /// A connector as a destination; what is none says so when it is asked to write.
    fn from(connector: Connector) -> Self {
        Self(connector)
    }
}

impl Source {
    /// The same connector; what it changes in its configuration is given to `callback`. See
    /// [`Connector::on_config_change`].
    #[must_use]
    pub fn on_config_change(self, callback: impl ConfigCallback + 'static) -> Self {
        Self(self.0.on_config_change(callback))
    }

    /// The same connector, heard by someone else.
    #[must_use]
    pub fn heard_by(self, observer: Arc<dyn Observer>) -> Self {
        Self(self.0.with_observer(observer))
    }

    /// The connector.
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.0
    }

    /// Asks what it is.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn spec(&self) -> Result<Specification, ConnectorError> {
        self.0.spec().await
    }

    /// Lets it try its configuration.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn check(&self) -> Result<(), ConnectorError> {
        self.0.check().await
    }

    /// Lists its streams.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn discover(&self) -> Result<Vec<DiscoveredStream>, ConnectorError> {
        self.0.discover().await
    }
}

impl Destination {
    /// The same connector; what it changes in its configuration is given to `callback`. See
    /// [`Connector::on_config_change`].
    #[must_use]
    pub fn on_config_change(self, callback: impl ConfigCallback + 'static) -> Self {
        Self(self.0.on_config_change(callback))
    }

    /// The same connector, heard by someone else.
    #[must_use]
    pub fn heard_by(self, observer: Arc<dyn Observer>) -> Self {
        Self(self.0.with_observer(observer))
    }

    /// The connector.
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.0
    }

    /// Asks what it is.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn spec(&self) -> Result<Specification, ConnectorError> {
        self.0.spec().await
    }

    /// Lets it try its configuration.
    ///
    /// # Errors
    /// [`ConnectorError`].
    pub async fn check(&self) -> Result<(), ConnectorError> {
        self.0.check().await
    }
}
