//! A connector that reads.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::types::{Catalog, DiscoveredStream, Specification, State};
use crate::port::{Imports, OutputPort};
use crate::{Failure, Output, SavedState, Spec, Stream, config};

/// A connector that reads. Each call comes to a fresh instance; nothing is kept between calls.
///
/// The [crate's documentation](crate) has one with rows and states. The least there is:
///
/// ```
/// use lockgate_sdk::{Catalog, Failure, Output, SavedState, Source, Spec, Stream, export_source};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use serde_json::json;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Config {}
///
/// struct Greeting;
///
/// impl Source for Greeting {
///     type Config = Config;
///
///     fn spec() -> Spec {
///         Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
///     }
///
///     fn check(_: Config) -> Result<(), Failure> {
///         Ok(())
///     }
///
///     fn discover(_: Config) -> Result<Vec<Stream>, Failure> {
///         Ok(vec![Stream::new("greetings", json!({ "type": "object" }))])
///     }
///
///     fn read(
///         _: Config,
///         catalog: &Catalog,
///         _: &SavedState,
///         output: &mut Output<'_>,
///     ) -> Result<(), Failure> {
///         for index in 0..catalog.streams.len() {
///             let mut stream = output.stream(index)?;
///             stream.write(&json!({ "text": "hello" }))?;
///             stream.complete()?;
///         }
///         Ok(())
///     }
/// }
///
/// export_source!(Greeting);
/// ```
pub trait Source {
    /// The configuration. Its JSON Schema is what the operator sees; a secret carries
    /// `#[schemars(extend("airbyte_secret" = true))]`.
    type Config: DeserializeOwned + JsonSchema;

    /// What the connector says of itself. Called without any grant.
    fn spec() -> Spec;

    /// Tries to reach the system.
    ///
    /// # Errors
    /// The answer "no", with the reason.
    fn check(config: Self::Config) -> Result<(), Failure>;

    /// Lists the streams there are.
    ///
    /// # Errors
    /// The system cannot be reached or understood.
    fn discover(config: Self::Config) -> Result<Vec<Stream>, Failure>;

    /// Reads the catalog's streams from `state` on. Every stream must be ended through `output`.
    ///
    /// # Errors
    /// What stopped the read. A failure of `output` is returned as it is.
    fn read(
        config: Self::Config,
        catalog: &Catalog,
        state: &SavedState,
        output: &mut Output<'_>,
    ) -> Result<(), Failure>;
}

/// Answers the contract's `spec` for a source.
#[must_use]
pub fn spec<S: Source>() -> Specification {
    S::spec().into_specification(config::schema::<S::Config>())
}

/// Answers the contract's `check` for a source.
///
/// # Errors
/// As [`Source::check`], and `config` when the configuration does not fit.
pub fn check<S: Source>(config: &str) -> Result<(), Failure> {
    S::check(config::parse(config)?)
}

/// Answers the contract's `discover` for a source.
///
/// # Errors
/// As [`Source::discover`], and `config` when the configuration does not fit.
pub fn discover<S: Source>(config: &str) -> Result<Vec<DiscoveredStream>, Failure> {
    let streams = S::discover(config::parse(config)?)?;
    Ok(streams.into_iter().map(Stream::into_discovered).collect())
}

/// Answers the contract's `read` for a source, through any port.
///
/// # Errors
/// As [`Source::read`]; `config` when the configuration does not fit, `system` when a stream was
/// left without an end.
pub fn read<S: Source>(
    config: &str,
    catalog: &Catalog,
    state: Vec<State>,
    port: &mut dyn OutputPort,
) -> Result<(), Failure> {
    let config = config::parse(config)?;
    let mut output = Output::new(catalog, port);
    let result = S::read(config, catalog, &SavedState::new(state), &mut output);
    output.finish(result)
}

/// A source behind the contract; made by [`export_source!`](crate::export_source).
#[doc(hidden)]
#[derive(Debug)]
pub struct Component<S>(PhantomData<S>);

impl<S: Source> crate::bindings::source::Guest for Component<S> {
    fn spec() -> Specification {
        spec::<S>()
    }

    fn check(config: String) -> Result<(), Failure> {
        check::<S>(&config)
    }

    fn discover(config: String) -> Result<Vec<DiscoveredStream>, Failure> {
        discover::<S>(&config)
    }

    fn read(config: String, catalog: Catalog, state: Vec<State>) -> Result<(), Failure> {
        read::<S>(&config, &catalog, state, &mut Imports)
    }
}
