//! What can be said of one connector on the command line: how it is run, and what it is granted.

use std::path::PathBuf;

use clap::{Args, Command, Id};

use crate::config::{ConfigError, ConnectorOptions, DockerImage, LocalExecutable, UsePython};

/// The options of one connector: unprefixed where a command has one, and with a prefix for each side
/// of a sync.
macro_rules! grants {
    ($name:ident, $prefix:literal, $run:literal, $heading:literal $(, requires = $requires:literal)?) => {
        /// How one connector is run, its grants and limits.
        #[derive(Debug, Args)]
        pub(super) struct $name {
            /// Its version: the tag of its image, or its package's version
            #[arg(id = concat!($prefix, "version"), long = concat!($prefix, "version"), value_name = "VERSION", help_heading = $run $(, requires = $requires)?)]
            version: Option<String>,
            /// Run it as a Python package, with this Python, or with false as an image
            #[arg(id = concat!($prefix, "use-python"), long = concat!($prefix, "use-python"), value_name = "true|false|VERSION|PATH", num_args = 0..=1, default_missing_value = "true", help_heading = $run $(, requires = $requires)?)]
            use_python: Option<String>,
            /// Install this, as pip reads it, and run it
            #[arg(id = concat!($prefix, "pip-url"), long = concat!($prefix, "pip-url"), value_name = "REQUIREMENT", help_heading = $run $(, requires = $requires)?)]
            pip_url: Option<String>,
            /// Run this program, a path or a name on PATH; without one, that of its own name
            #[arg(id = concat!($prefix, "local-executable"), long = concat!($prefix, "local-executable"), value_name = "PROGRAM", num_args = 0..=1, default_missing_value = "true", help_heading = $run $(, requires = $requires)?)]
            local_executable: Option<String>,
            /// Run this image; without one, airbyte/CONNECTOR
            #[arg(id = concat!($prefix, "docker-image"), long = concat!($prefix, "docker-image"), value_name = "IMAGE", num_args = 0..=1, default_missing_value = "true", help_heading = $run $(, requires = $requires)?)]
            docker_image: Option<String>,
            /// Run this component
            #[arg(id = concat!($prefix, "component"), long = concat!($prefix, "component"), value_name = "FILE", help_heading = $run $(, requires = $requires)?)]
            component: Option<PathBuf>,
            /// Run nothing: the registry has its specification
            #[arg(id = concat!($prefix, "no-executor"), long = concat!($prefix, "no-executor"), help_heading = $run $(, requires = $requires)?)]
            no_executor: bool,
            /// Put its container on the host's network, where nothing that it reaches is enforced
            #[arg(id = concat!($prefix, "use-host-network"), long = concat!($prefix, "use-host-network"), help_heading = $run $(, requires = $requires)?)]
            use_host_network: bool,
            /// Give its container this directory as /local
            #[arg(id = concat!($prefix, "docker-local"), long = concat!($prefix, "docker-local"), value_name = "DIR", help_heading = $run $(, requires = $requires)?)]
            docker_local: Option<PathBuf>,
            /// Let its container write to its root file system
            #[arg(id = concat!($prefix, "docker-writable-root"), long = concat!($prefix, "docker-writable-root"), help_heading = $run $(, requires = $requires)?)]
            docker_writable_root: bool,
            /// Whether its package is installed, and its image pulled, where it is not there
            /// [default: true]
            #[arg(id = concat!($prefix, "install-if-missing"), long = concat!($prefix, "install-if-missing"), value_name = "true|false", num_args = 0..=1, default_missing_value = "true", help_heading = $run $(, requires = $requires)?)]
            install_if_missing: Option<bool>,
            /// Make its Python environment in this folder [default: .lockgate/python]
            #[arg(id = concat!($prefix, "install-root"), long = concat!($prefix, "install-root"), value_name = "DIR", help_heading = $run $(, requires = $requires)?)]
            install_root: Option<PathBuf>,
            /// Look it up in this registry: a URL or a file [default: Airbyte's]
            #[arg(id = concat!($prefix, "registry"), long = concat!($prefix, "registry"), value_name = "URL|FILE", help_heading = $run $(, requires = $requires)?)]
            registry: Option<String>,
            /// Ask the registry for nothing over the network
            #[arg(id = concat!($prefix, "offline"), long = concat!($prefix, "offline"), help_heading = $run $(, requires = $requires)?)]
            offline: bool,
            /// Grant it the directory HOST, which it knows as GUEST; without GUEST, and for a
            /// process always, under its own path; :ro to read only
            #[arg(id = concat!($prefix, "allow-dir"), long = concat!($prefix, "allow-dir"), value_name = "HOST[::GUEST][:ro|rw]", help_heading = $heading $(, requires = $requires)?)]
            allow_dir: Vec<String>,
            /// Grant it a host and port: db.example:5432, *.example.com:443, 10.0.0.0/8:5432
            #[arg(id = concat!($prefix, "allow-net"), long = concat!($prefix, "allow-net"), value_name = "HOST:PORT", help_heading = $heading $(, requires = $requires)?)]
            allow_net: Vec<String>,
            /// Let * be a host in its network grants: every public address
            #[arg(id = concat!($prefix, "allow-any-network"), long = concat!($prefix, "allow-any-network"), help_heading = $heading $(, requires = $requires)?)]
            allow_any_network: bool,
            /// Trust the certificate authorities of this PEM file too
            #[arg(id = concat!($prefix, "tls-root"), long = concat!($prefix, "tls-root"), value_name = "FILE", help_heading = $heading $(, requires = $requires)?)]
            tls_root: Vec<PathBuf>,
            /// Set an environment variable; nothing of your own environment is passed on
            #[arg(id = concat!($prefix, "env"), long = concat!($prefix, "env"), value_name = "NAME=VALUE", help_heading = $heading $(, requires = $requires)?)]
            env: Vec<String>,
            /// The kernel's fence around it, if it is a process: require, best-effort or off
            /// [default: require]
            #[arg(id = concat!($prefix, "sandbox"), long = concat!($prefix, "sandbox"), value_name = "LEVEL", help_heading = $heading $(, requires = $requires)?)]
            sandbox: Option<String>,
            /// Run it although it says that it needs more than it is granted
            #[arg(id = concat!($prefix, "allow-missing-needs"), long = concat!($prefix, "allow-missing-needs"), help_heading = $heading $(, requires = $requires)?)]
            allow_missing_needs: bool,
            /// The most memory it may use, if it is a component or a container [default: 256MiB,
            /// 2GiB]
            #[arg(id = concat!($prefix, "max-memory"), long = concat!($prefix, "max-memory"), value_name = "SIZE", help_heading = $heading $(, requires = $requires)?)]
            max_memory: Option<String>,
            /// The most time each of its operations may take [default: spec 10s, check and discover
            /// 60s, read and write no limit]
            #[arg(id = concat!($prefix, "timeout"), long = concat!($prefix, "timeout"), value_name = "DURATION", help_heading = $heading $(, requires = $requires)?)]
            timeout: Option<String>,
            /// Set another limit; `lockgate policy show` lists all
            #[arg(id = concat!($prefix, "limit"), long = concat!($prefix, "limit"), value_name = "NAME=VALUE", help_heading = $heading $(, requires = $requires)?)]
            limit: Vec<String>,
        }

        impl $name {
            /// What is said with them.
            ///
            /// # Errors
            /// [`ConfigError::Setting`].
            pub(super) fn options(&self) -> Result<ConnectorOptions, ConfigError> {
                let local = self.local_executable.as_deref().map(LocalExecutable::parse);
                let image = self.docker_image.as_deref().map(DockerImage::parse);
                Ok(ConnectorOptions {
                    version: self.version.clone(),
                    use_python: self.use_python.as_deref().map(UsePython::parse).transpose()?,
                    pip_url: self.pip_url.clone(),
                    local_executable: local.transpose()?.flatten(),
                    docker_image: image.transpose()?.flatten(),
                    component: self.component.clone(),
                    no_executor: self.no_executor,
                    use_host_network: self.use_host_network,
                    docker_local: self.docker_local.clone(),
                    docker_writable_root: self.docker_writable_root,
                    install_if_missing: self.install_if_missing,
                    install_root: self.install_root.clone(),
                    registry: self.registry.clone(),
                    offline: self.offline,
                    allow_dir: self.allow_dir.clone(),
                    env: self.env.clone(),
                    allow_net: self.allow_net.clone(),
                    allow_any_network: self.allow_any_network,
                    tls_root: self.tls_root.clone(),
                    sandbox: self.sandbox.clone(),
                    allow_missing_needs: self.allow_missing_needs,
                    limit: self.limit.clone(),
                    max_memory: self.max_memory.clone(),
                    timeout: self.timeout.clone(),
                })
            }
        }
    };
}

grants!(Grants, "", "How it is run", "Grants and limits");
grants!(SourceGrants, "source-", "Source", "Source", requires = "source");
grants!(DestinationGrants, "destination-", "Destination", "Destination", requires = "destination");
grants!(ReaderGrants, "read-back-", "Read back", "Read back", requires = "read_back");

/// Every argument that names a side of a sync by flags, or says something of one: where a connection
/// is named, none of them is.
pub(super) fn of_a_side() -> Vec<Id> {
    let sides = ["source", "source_config", "destination", "destination_config", "connection"];
    let grants = SourceGrants::augment_args(Command::default());
    let grants = DestinationGrants::augment_args(grants);
    let grants = grants.get_arguments().map(|argument| argument.get_id().clone());
    sides.into_iter().map(Id::from).chain(grants.collect::<Vec<_>>()).collect()
}
