//! Limits by their names: `memory-bytes = "512MiB"` in `lockgate.toml`, `--limit memory-bytes=512MiB`.

use super::{ConfigError, parse_duration, parse_size};
use crate::sandbox::Limits;

/// What a limit counts.
enum Field<'a> {
    Size(&'a mut usize),
    Size64(&'a mut u64),
    Count(&'a mut usize),
    Count64(&'a mut u64),
    Time(&'a mut std::time::Duration),
    OptionalTime(&'a mut Option<std::time::Duration>),
}

macro_rules! fields {
    ($($name:literal $kind:ident $field:ident,)*) => {
        /// The names of all limits, in the order of [`Limits`].
        pub const LIMIT_NAMES: &[&str] = &[$($name),*];

        fn field<'a>(limits: &'a mut Limits, name: &str) -> Option<(&'static str, Field<'a>)> {
            match name {
                $($name => Some(($name, Field::$kind(&mut limits.$field))),)*
                _ => None,
            }
        }
    };
}

fields! {
    "memory-bytes" Size memory_bytes,
    "table-elements" Count table_elements,
    "instances" Count instances,
    "handles" Count handles,
    "host-call-bytes" Size host_call_bytes,
    "spec-bytes" Size spec_bytes,
    "component-bytes" Size component_bytes,
    "compile-bytes" Size compile_bytes,
    "compile-time" Time compile_time,
    "cpu-time" OptionalTime cpu_time,
    "random-bytes" Size64 random_bytes,
    "open-files" Count open_files,
    "created-files" Count created_files,
    "written-bytes" Size64 written_bytes,
    "disk-reserve-bytes" Size64 disk_reserve_bytes,
    "connections" Count connections,
    "connections-total" Count64 connections_total,
    "lookups" Count64 lookups,
    "network-bytes" Size64 network_bytes,
    "connect-time" Time connect_time,
    "first-byte-time" Time first_byte_time,
    "network-idle-time" Time network_idle_time,
    "http-header-bytes" Size http_header_bytes,
    "http-body-bytes" Size64 http_body_bytes,
    "row-bytes" Size row_bytes,
    "state-bytes" Size state_bytes,
    "line-bytes" Size line_bytes,
    "streams" Count streams,
    "discover-bytes" Size discover_bytes,
    "decisions" Count decisions,
    "log-bytes" Size log_bytes,
    "log-message-bytes" Size log_message_bytes,
    "spec-time" Time spec_time,
    "check-time" Time check_time,
    "sync-time" OptionalTime sync_time,
    "process-start" Time process_start,
    "process-bytes" Size64 process_bytes,
    "process-files" Count64 process_files,
    "container-memory" Size64 container_memory,
    "container-pids" Count64 container_pids,
    "container-cpus" Count64 container_cpus,
    "container-tmp" Size64 container_tmp,
    "pull-time" Time pull_time,
    "engine-time" Time engine_time,
    "secret-time" Time secret_time,
    "install-time" Time install_time,
    "stop-time" Time stop_time,
}

/// Sets one limit by its name.
///
/// # Errors
/// [`ConfigError`], for an unknown name and for a text that is no size, number or duration.
pub fn set_limit(limits: &mut Limits, name: &str, text: &str) -> Result<(), ConfigError> {
    let Some((name, field)) = field(limits, name) else {
        let known = LIMIT_NAMES.join(", ");
        return Err(ConfigError::Usage(format!("there is no limit {name:?}; there are {known}")));
    };
    match field {
        Field::Size(field) => *field = parse_size(name, text)?,
        Field::Size64(field) => *field = parse_size(name, text)? as u64,
        Field::Count(field) => *field = parse_size(name, text)?,
        Field::Count64(field) => *field = parse_size(name, text)? as u64,
        Field::Time(field) => *field = parse_duration(name, text)?,
        Field::OptionalTime(field) => *field = Some(parse_duration(name, text)?),
    }
    Ok(())
}

/// Sets a limit by `NAME=VALUE`.
///
/// # Errors
/// [`ConfigError`].
pub(super) fn set_limit_pair(limits: &mut Limits, pair: &str) -> Result<(), ConfigError> {
    let Some((name, text)) = pair.split_once('=') else {
        return Err(ConfigError::Usage(format!("the limit {pair:?} is not NAME=VALUE")));
    };
    set_limit(limits, name.trim(), text.trim())
}

/// Every limit as name and text, for people.
#[must_use]
pub fn limits_as_text(limits: &Limits) -> Vec<(&'static str, String)> {
    let mut copy = limits.clone();
    let size = |bytes: u64| match bytes {
        b if b >= 1 << 30 && b % (1 << 30) == 0 => format!("{}GiB", b >> 30),
        b if b >= 1 << 20 && b % (1 << 20) == 0 => format!("{}MiB", b >> 20),
        b if b >= 1 << 10 && b % (1 << 10) == 0 => format!("{}KiB", b >> 10),
        b => b.to_string(),
    };
    let time = |d: std::time::Duration| match d.as_millis() {
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    };
    LIMIT_NAMES
        .iter()
        .filter_map(|name| {
            let (name, field) = field(&mut copy, name)?;
            let text = match field {
                Field::Size(n) => size(*n as u64),
                Field::Size64(n) => size(*n),
                Field::Count(n) => n.to_string(),
                Field::Count64(n) => n.to_string(),
                Field::Time(d) => time(*d),
                Field::OptionalTime(d) => d.map_or_else(|| "none".to_owned(), time),
            };
            Some((name, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_name() {
        // A field without a name could not be set: the debug form lists them all.
        let fields = format!("{:#?}", Limits::default());
        let count = fields
            .lines()
            .filter(|l| l.starts_with("    ") && l[4..].contains(": "))
            .filter(|l| !l.starts_with("     "))
            .count();
        assert_eq!(count, LIMIT_NAMES.len());
    }

    #[test]
    fn limits_are_set_by_name_and_shown_as_they_are_written() {
        let mut limits = Limits::default();
        for (name, text) in limits_as_text(&Limits::default()) {
            if text != "none" {
                set_limit(&mut limits, name, &text).unwrap();
            }
        }
        assert_eq!(limits, Limits::default());
        set_limit_pair(&mut limits, "cpu-time = 5s").unwrap();
        assert_eq!(limits.cpu_time, Some(std::time::Duration::from_secs(5)));
        for bad in ["x=1", "handles", "handles=x", "memory-bytes=0"] {
            assert!(set_limit_pair(&mut limits, bad).is_err(), "{bad}");
        }
    }
}
