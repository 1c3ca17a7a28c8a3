//! Tries whether a configuration can be read from.

use lockgate_sdk::{Failure, StreamDescriptor, retry};

use crate::config::{Config, Format};
use crate::place::Place;
use crate::{discover, parquet, text};

/// Opens the directory and the first file of each stream, and looks at its first bytes.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let place = Place::open(config, retry::Policy::BRIEF)?;
    for settings in &config.streams {
        let looked = || -> Result<(), Failure> {
            let listed = discover::files(&place, settings)?;
            let Some(first) = listed.first() else { return Ok(()) };
            let file = place.file(first)?;
            if settings.format == Format::Parquet {
                return parquet::look(&file);
            }
            text::Text::open(&file, settings.compression, 0)?.fill().map(|_| ())
        };
        looked().map_err(|failure| failure.in_stream(&StreamDescriptor::new(&settings.name)))?;
    }
    Ok(())
}
