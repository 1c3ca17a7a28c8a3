//! Starting a container: created, attached to, started, and then its output is read.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use tokio::sync::watch;

use super::attach::Attached;
use super::container::{self, Network, Plan};
use super::engine::Engine;
use super::error::DockerError;
use super::exit::watch_end;
use super::files::Files;
use super::image::Image;
use super::input::{ContainerInput, GUARD};
use super::output::{Output, Pump, Reader};
use super::remains::{Held, Made, Remains};
use super::running::Container;
use super::{DockerExecutor, egress, network, sweep};
use crate::executor::process::{Guard, Tail, listen};
use crate::executor::session::{Call, Launch, Started, Stdin};
use crate::executor::{Context, ExecutorError};
use crate::protocol::{Capability, Decision};
use crate::sandbox::Limits;

/// Bytes of stderr on their way to its reader.
const ERRORS: usize = 64 << 10;

#[async_trait]
impl Launch for DockerExecutor {
    fn limits(&self) -> &Limits {
        &self.policy.limits
    }

    async fn start(&self, call: Call, context: &Context) -> Result<Started, ExecutorError> {
        let image = self.image(context).await?;
        let engine = self.engine().await?;
        sweep::once(engine).await;
        let rule = container::words(&self.settings, &self.policy);
        let decision = Decision::allow(Capability::Process, &self.settings.image, rule);
        context.observer.decided(&decision);
        let run = sweep::run_id();
        let mut remains = Remains::new(engine, &run);
        match self.begin(&call, context, engine, image, &run, &mut remains).await {
            Ok(begun) => Ok(self.pump(&call, context, begun, remains)),
            Err(error) => {
                remains.remove().await;
                Err(error)
            }
        }
    }
}

/// A container that has been started, and the connection to it.
struct Begun {
    id: String,
    connection: Attached,
    output: Vec<u8>,
}

impl DockerExecutor {
    async fn begin(
        &self,
        call: &Call,
        context: &Context,
        engine: &Engine,
        image: &Image,
        run: &str,
        remains: &mut Remains,
    ) -> Result<Begun, ExecutorError> {
        let settings = &self.settings;
        let failed = |reason: String| DockerError::Create { image: settings.image.clone(), reason };
        let io = |what: &'static str| {
            move |e: std::io::Error| ExecutorError::Io { what, reason: e.to_string() }
        };
        // What only says what it is needs nothing but its variables.
        let granted = call.operation != "spec";
        let directories = match granted {
            true => container::directories(&self.policy, engine.address.socket())?,
            false => Vec::new(),
        };
        let files = Files::write(&call.files).map_err(io("writing the connector's files"))?;
        let mut command = vec![call.operation.to_owned()];
        for (file, (_, guest)) in call.files.iter().zip(files.paths()) {
            command.extend([format!("--{}", file.name), guest.clone()]);
        }
        let paths = files.paths().to_vec();
        remains.files = Some(files);

        let mut environment: Vec<(String, String)> = Vec::new();
        let network = if granted && self.policy.host_network {
            Network::Host
        } else if granted && !self.policy.network.patterns.is_empty() {
            remains.has_network = true;
            let (resolver, observer) = (self.resolver.clone(), context.observer.clone());
            let own = network::make(engine, run, &self.policy, resolver, observer).await?;
            environment = own.egress.environment();
            let id = own.id.clone();
            remains.network = Some(own);
            Network::Own(id)
        } else {
            Network::None
        };
        let operators: Vec<(String, String)> = self
            .policy
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect();
        let environment = egress::merged(&operators, environment);

        let body = container::body(Plan {
            settings,
            image,
            limits: &self.policy.limits,
            cpus: engine.cpus,
            command,
            files: paths,
            directories,
            environment,
            network,
            with_stdin: call.with_stdin,
            labels: sweep::labels(run),
        });
        let options = CreateContainerOptionsBuilder::default().name(&remains.name).build();
        remains.made = Made::Asked;
        let making = async {
            let made = engine.docker.create_container(Some(options), body).await;
            if matches!(made, Err(Error::DockerResponseServerError { .. })) {
                remains.made = Made::Not;
            }
            made
        };
        let made = engine.ask(making).await;
        let id = made.map_err(|reason| match reason.contains("No such image") {
            true => DockerError::Missing { image: settings.image.clone() },
            false => failed(reason),
        })?;
        let id = id.id;
        remains.made = Made::Yes;
        if let Some(files) = &remains.files {
            let given = files.give(engine, &id, &image.user).await;
            given.map_err(io("giving the connector its files"))?;
        }
        let attaching = Attached::open(engine, &id, call.with_stdin);
        let attached = tokio::time::timeout(engine.time, attaching).await;
        let attached = attached.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let (connection, output) = attached.map_err(|e| failed(e.to_string()))?;
        let input = call.with_stdin.then_some(&connection);
        let held = hold(engine, &id, input).map_err(io("holding the input open"))?;
        *remains.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        engine.ask(engine.docker.start_container(&id, None)).await.map_err(failed)?;
        Ok(Begun { id, connection, output })
    }

    fn pump(&self, call: &Call, context: &Context, begun: Begun, remains: Remains) -> Started {
        let limits = &self.policy.limits;
        let Begun { id, connection, output: begun } = begun;
        let engine = remains.engine.clone();
        let told = Arc::new(AtomicBool::new(false));
        let (ended, exit) = watch::channel(None);
        tokio::spawn({
            let watching = watch_end(engine.clone(), id.clone(), told.clone());
            async move {
                ended.send_replace(Some(watching.await));
            }
        });
        let stderr = Tail::default();
        let (errors, heard) = tokio::io::duplex(ERRORS);
        let observer = context.observer.clone();
        let listening = listen(heard, stderr.clone(), observer, limits.log_message_bytes);
        let stderr_task = tokio::spawn(listening);
        let output = Arc::new(Output::default());
        let pump = Pump {
            engine,
            id,
            connection: connection.clone(),
            begun,
            output: output.clone(),
            errors,
            exit: exit.clone(),
            at_risk: None,
            pauses: true,
        };
        let held: Arc<Mutex<Held>> = remains.held.clone();
        let container = Container {
            image: self.settings.image.clone(),
            remains,
            exit,
            told,
            output: output.clone(),
            pump: Some(tokio::spawn(pump.run())),
            stderr,
            stderr_task,
            stop_time: limits.stop_time,
            memory: limits.container_memory,
            overdue: None,
            ended: super::output::Ended::default(),
        };
        let stdin = call
            .with_stdin
            .then(|| Box::new(ContainerInput { connection, held }) as Box<dyn Stdin>);
        Started { connector: Box::new(container), stdin, stdout: Box::new(Reader(output)) }
    }
}

/// What ends a container with us, and keeps a torn input from ending before its container has.
fn hold(engine: &Engine, id: &str, input: Option<&Attached>) -> std::io::Result<Held> {
    let socket = engine.address.socket().map(|path| path.display().to_string());
    let arguments = [&engine.address.to_string(), id, &socket.unwrap_or_default()];
    #[expect(clippy::disallowed_methods, reason = "by name: the guard finds its programs by it")]
    let path = std::env::var_os("PATH");
    let handle = || input.map(Attached::handle).transpose();
    let guard = Guard::start(GUARD, &arguments, path.as_deref(), handle()?);
    Ok(Held { _connection: handle()?, _guard: guard })
}
