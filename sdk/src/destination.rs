//! A connector that writes.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::types::{Catalog, Specification};
use crate::port::{Imports, InputPort};
use crate::{Failure, Input, Spec, config};

/// A connector that writes. Each call comes to a fresh instance; nothing is kept between calls.
///
/// The [crate's documentation](crate) has one that writes a file. One that only looks at what comes:
///
/// ```
/// use lockgate_sdk::{
///     Catalog, Destination, DestinationSyncMode, Event, Failure, Input, Spec, export_destination, log,
/// };
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Config {}
///
/// struct Shown;
///
/// impl Destination for Shown {
///     type Config = Config;
///
///     fn spec() -> Spec {
///         Spec::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
///             .modes([DestinationSyncMode::Append])
///     }
///
///     fn check(_: Config) -> Result<(), Failure> {
///         Ok(())
///     }
///
///     fn write(_: Config, catalog: &Catalog, input: &mut Input<'_>) -> Result<(), Failure> {
///         while let Some(event) = input.next()? {
///             match event {
///                 Event::Rows(rows) => {
///                     let stream = &catalog.streams[rows.stream()].descriptor;
///                     log::info(format_args!("{} rows of {stream}", rows.count()));
///                 }
///                 // Nothing is kept, so nothing has to become durable first.
///                 Event::Checkpoint(checkpoint) => input.commit(checkpoint)?,
///                 Event::StreamEnd(_) | Event::Flush => {}
///             }
///         }
///         Ok(())
///     }
/// }
///
/// export_destination!(Shown);
/// ```
pub trait Destination {
    /// The configuration. Its JSON Schema is what the operator sees; a secret carries
    /// `#[schemars(extend("airbyte_secret" = true))]`.
    type Config: DeserializeOwned + JsonSchema;

    /// What the connector says of itself, its modes included. Called without any grant.
    fn spec() -> Spec;

    /// Tries to reach the system, and that it can be written to, leaving no trace.
    ///
    /// # Errors
    /// The answer "no", with the reason.
    fn check(config: Self::Config) -> Result<(), Failure>;

    /// Writes what `input` gives until it gives none. Returning without a failure says that all of
    /// it is durable and every complete stream is in place.
    ///
    /// # Errors
    /// What stopped the write. A failure of `input` is returned as it is.
    fn write(config: Self::Config, catalog: &Catalog, input: &mut Input<'_>)
    -> Result<(), Failure>;
}

/// Answers the contract's `spec` for a destination.
#[must_use]
pub fn spec<D: Destination>() -> Specification {
    D::spec().into_specification(config::schema::<D::Config>())
}

/// Answers the contract's `check` for a destination.
///
/// # Errors
/// As [`Destination::check`], and `config` when the configuration does not fit.
pub fn check<D: Destination>(config: &str) -> Result<(), Failure> {
    D::check(config::parse(config)?)
}

/// Answers the contract's `write` for a destination, through any port.
///
/// # Errors
/// As [`Destination::write`]; `config` when the configuration does not fit, `system` when the
/// destination returned before the end of its input.
pub fn write<D: Destination>(
    config: &str,
    catalog: &Catalog,
    port: &mut dyn InputPort,
) -> Result<(), Failure> {
    let config = config::parse(config)?;
    let mut input = Input::new(catalog, port);
    let result = D::write(config, catalog, &mut input);
    input.finish(result)
}

/// A destination behind the contract; made by [`export_destination!`](crate::export_destination).
#[doc(hidden)]
#[derive(Debug)]
pub struct Component<D>(PhantomData<D>);

impl<D: Destination> crate::bindings::destination::Guest for Component<D> {
    fn spec() -> Specification {
        spec::<D>()
    }

    fn check(config: String) -> Result<(), Failure> {
        check::<D>(&config)
    }

    fn write(config: String, catalog: Catalog) -> Result<(), Failure> {
        write::<D>(&config, &catalog, &mut Imports)
    }
}
