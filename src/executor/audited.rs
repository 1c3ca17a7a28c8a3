//! An executor whose grants and limits are heard: what an operation was given at its start, and the
//! limit it ended at.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Context, Described, DockerError, Executor, ExecutorError, SecretError};
use crate::component::{Component, ComponentError};
use crate::protocol::{
    Capability, Catalog, Decision, DestinationInput, DiscoveredStream, Json, SourceOutput,
    Specification, StateMessage,
};
use crate::sandbox::secrets::Redactor;
use crate::sandbox::{Access, Policy};

/// What the rule of a decision begins with that says what an operation was given.
pub(crate) const GIVEN: &str = "given ";

/// Another executor, with an audit of what it is given.
#[derive(Debug)]
pub(crate) struct Audited(Arc<dyn Executor>);

impl Audited {
    pub(crate) fn around(inner: Arc<dyn Executor>) -> Arc<dyn Executor> {
        Arc::new(Self(inner))
    }

    /// Says what an operation is given. `spec` is given nothing.
    fn begin(&self, context: &Context) {
        let Some(policy) = self.0.policy() else { return };
        let observer = &context.observer;
        for directory in &policy.directories {
            // What is given is not used yet: a use has the grant alone as its rule.
            let rule = format!("{GIVEN}{}", directory.rule());
            observer.decided(&Decision::allow(Capability::DirectoryRead, &directory.guest, &rule));
            if directory.access == Access::ReadWrite {
                observer.decided(&Decision::allow(
                    Capability::DirectoryWrite,
                    &directory.guest,
                    &rule,
                ));
            }
        }
        for (name, _) in &policy.environment {
            observer.decided(&Decision::allow(
                Capability::Environment,
                name,
                format!("env {name}"),
            ));
        }
    }
}

/// Says which limit an operation ended at.
fn end<T>(context: &Context, result: Result<T, ExecutorError>) -> Result<T, ExecutorError> {
    if let Err(error) = &result
        && let Some(decision) = error.decision()
    {
        context.observer.decided(&decision);
    }
    result
}

impl ExecutorError {
    /// The refusal that it rests on: a limit that was reached, an import that is not granted.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        let limit =
            |name: &str| Some(Decision::deny(Capability::Limit, name, format!("limit {name}")));
        let time = |operation: &str| match operation {
            "spec" => limit("spec-time"),
            "check" | "discover" => limit("check-time"),
            _ => limit("sync-time"),
        };
        match self {
            Self::Component(ComponentError::Import { import, why, .. }) => {
                Some(Decision::deny(Capability::Import, import, *why))
            }
            Self::Component(ComponentError::DirectoryRefused { path, .. }) => {
                let path = path.display().to_string();
                Some(Decision::deny(Capability::DirectoryRead, path, "never-granted"))
            }
            Self::Secret(SecretError::InName { label }) => {
                Some(Decision::deny(Capability::Secret, label, "in-name"))
            }
            // A component's limits are said where they are reached.
            Self::Timeout { operation, .. } => time(operation),
            Self::Fenced { error, .. } | Self::Contained { error, .. } => error.decision(),
            Self::Docker(DockerError::Memory { .. }) => limit("container-memory"),
            Self::LineTooLong { .. } => limit("line-bytes"),
            _ => None,
        }
    }
}

#[async_trait]
impl Executor for Audited {
    fn describe(&self) -> Described {
        self.0.describe()
    }

    fn identity(&self) -> Vec<String> {
        self.0.identity()
    }

    fn policy(&self) -> Option<&Policy> {
        self.0.policy()
    }

    fn may_import(&self) -> Result<(), ExecutorError> {
        self.0.may_import()
    }

    fn component(&self) -> Option<(&Component, &Policy)> {
        self.0.component()
    }

    async fn secrets(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<HashMap<String, String>, ExecutorError> {
        self.0.secrets(context, config).await
    }

    fn redactor(&self) -> Arc<Redactor> {
        self.0.redactor()
    }

    async fn filled_in(&self, context: &Context, config: &Json) -> Result<Json, ExecutorError> {
        self.0.filled_in(context, config).await
    }

    async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        end(context, self.0.spec(context).await)
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        self.begin(context);
        end(context, self.0.check(context, config).await)
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        self.begin(context);
        end(context, self.0.discover(context, config).await)
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        self.begin(context);
        end(context, self.0.read(context, config, catalog, states, output).await)
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        self.begin(context);
        end(context, self.0.write(context, config, catalog, input).await)
    }
}
