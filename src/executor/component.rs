//! Runs a component in this process.

use std::sync::Arc;

use async_trait::async_trait;

use super::guarded::guarded;
use super::{Context, Described, Executor, ExecutorError};
use crate::component::Component;
use crate::protocol::{
    Catalog, DestinationInput, DiscoveredStream, Failure, Json, SourceOutput, Specification,
    StateMessage,
};
use crate::sandbox::Policy;

/// A component and what it is granted.
#[derive(Debug, Clone)]
pub struct ComponentExecutor {
    component: Component,
    policy: Policy,
}

impl ComponentExecutor {
    /// Runs `component` under `policy`.
    #[must_use]
    pub fn new(component: Component, policy: Policy) -> Self {
        Self { component, policy }
    }
}

/// A component waits only in host functions, and dropping its call there is safe: a stop needs no
/// help from the guest.
async fn unless_cancelled<T>(
    context: &Context,
    running: impl Future<Output = Result<T, ExecutorError>>,
) -> Result<T, ExecutorError> {
    tokio::select! {
        biased;
        result = running => result,
        () = context.cancel.cancelled() => Err(Failure::cancelled().into()),
    }
}

#[async_trait]
impl Executor for ComponentExecutor {
    fn describe(&self) -> Described {
        Described {
            executor: "component",
            reference: self.component.path().display().to_string(),
            digest: Some(self.component.digest().to_owned()),
            fence: None,
        }
    }

    fn identity(&self) -> Vec<String> {
        super::identity(self.component.path(), &self.policy)
    }

    fn policy(&self) -> Option<&Policy> {
        Some(&self.policy)
    }

    fn may_import(&self) -> Result<(), ExecutorError> {
        Ok(self.component.may_import(&self.policy)?)
    }

    fn component(&self) -> Option<(&Component, &Policy)> {
        Some((&self.component, &self.policy))
    }

    async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        guarded("spec", async {
            Ok(self.component.spec(&self.policy, context.observer.clone()).await?)
        })
        .await
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        guarded("check", async {
            Ok(self.component.check(&self.policy, context.observer.clone(), config).await?)
        })
        .await
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        guarded("discover", async {
            Ok(self.component.discover(&self.policy, context.observer.clone(), config).await?)
        })
        .await
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let observer = context.observer.clone();
        let reading = guarded("read", async {
            Ok(self.component.read(&self.policy, observer, config, catalog, states, output).await?)
        });
        unless_cancelled(context, reading).await
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let observer = context.observer.clone();
        // No select: a destination that is cancelled hears it from `next` and can say goodbye.
        guarded("write", async {
            Ok(self.component.write(&self.policy, observer, config, catalog, input).await?)
        })
        .await
    }
}
