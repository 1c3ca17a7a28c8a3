use super::*;
use crate::protocol::Json;

fn offered() -> Vec<DiscoveredStream> {
    DiscoveredStream::list_from_airbyte(
        r#"{"streams":[
        {"name":"keyed","json_schema":{},"supported_sync_modes":["full_refresh","incremental"],"source_defined_cursor":true,"source_defined_primary_key":[["id"]]},
        {"name":"plain","namespace":"a","json_schema":{},"supported_sync_modes":["full_refresh"]},
        {"name":"plain","namespace":"b","json_schema":{},"supported_sync_modes":["full_refresh"]}]}"#,
    )
    .unwrap()
}

fn can(modes: &[DestinationSyncMode]) -> Specification {
    let mut spec = Specification::from_airbyte(r#"{"connectionSpecification":{}}"#).unwrap();
    spec.config_schema = Json::empty_object();
    spec.destination_sync_modes = Some(modes.to_vec());
    spec
}

fn plan(
    modes: &[DestinationSyncMode],
    strategy: Strategy,
    full: bool,
) -> Vec<(SyncMode, DestinationSyncMode)> {
    let plan = Plan::new(offered(), &can(modes), &StreamSelection::All, strategy, full).unwrap();
    plan.catalog.streams.iter().map(|s| (s.sync_mode, s.destination_sync_mode)).collect()
}

#[test]
fn auto_takes_what_both_sides_can() {
    use DestinationSyncMode::{Append, AppendDedup, Overwrite};
    use SyncMode::{FullRefresh, Incremental};
    let all = [Append, Overwrite, AppendDedup];
    assert_eq!(
        plan(&all, Strategy::Auto, false)[..2],
        [(Incremental, AppendDedup), (FullRefresh, Overwrite)]
    );
    assert_eq!(
        plan(&all[..2], Strategy::Auto, false)[..2],
        [(Incremental, Append), (FullRefresh, Overwrite)]
    );
    assert_eq!(
        plan(&all[..1], Strategy::Auto, false)[..2],
        [(Incremental, Append), (FullRefresh, Append)]
    );
    assert_eq!(
        plan(&all[..2], Strategy::Auto, true)[..2],
        [(FullRefresh, Overwrite), (FullRefresh, Overwrite)]
    );
    assert_eq!(plan(&all[..2], Strategy::Replace, false)[0], (FullRefresh, Overwrite));
    assert_eq!(plan(&all[..2], Strategy::Append, true)[0], (FullRefresh, Append));
}

#[test]
fn what_cannot_be_is_refused_with_the_choices() {
    let spec = can(&[DestinationSyncMode::Append]);
    let plan = |names: &str, strategy| {
        Plan::new(offered(), &spec, &StreamSelection::parse(names), strategy, false)
            .map(|p| p.catalog.streams.len())
    };
    assert_eq!(plan("keyed, b.plain", Strategy::Auto), Ok(2));
    let known = "keyed, a.plain, b.plain".to_owned();
    assert_eq!(
        plan("other", Strategy::Auto),
        Err(PlanError::UnknownStream { name: "other".into(), known })
    );
    assert!(matches!(plan("plain", Strategy::Auto), Err(PlanError::Ambiguous { .. })));
    assert!(matches!(
        plan("keyed", Strategy::Replace),
        Err(PlanError::Unsupported { mode: "overwrite", .. })
    ));
    assert!(matches!(plan("a.plain", Strategy::Merge), Err(PlanError::NoPrimaryKey { .. })));
}

/// A stream that could be read incrementally, with a schema.
fn pliant() -> Vec<DiscoveredStream> {
    DiscoveredStream::list_from_airbyte(
        r#"{"streams":[{"name":"orders","namespace":"shop","json_schema":{"type":"object","properties":{
            "id":{"type":"integer"},"day":{"type":"string"},
            "meta":{"type":"object","properties":{"at":{"type":"string"}}}}},
            "supported_sync_modes":["full_refresh","incremental"]}]}"#,
    )
    .unwrap()
}

const ALL: [DestinationSyncMode; 3] =
    [DestinationSyncMode::Append, DestinationSyncMode::Overwrite, DestinationSyncMode::AppendDedup];

/// The plan of `pliant` with something said of its stream.
fn with_options(name: &str, options: StreamOptions) -> Result<Plan, PlanError> {
    let stream_options = [(name.to_owned(), options)].into();
    let wanted = Wanted {
        streams: &StreamSelection::All,
        strategy: Strategy::Auto,
        full_refresh: false,
        refresh: None,
        clear: false,
        stream_options: &stream_options,
    };
    Plan::of(pliant(), &can(&ALL), &wanted)
}

fn path(steps: &[&str]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

#[test]
fn without_a_cursor_nothing_is_read_incrementally() {
    let plan = with_options("orders", StreamOptions::default()).unwrap();
    let stream = &plan.catalog.streams[0];
    assert_eq!(stream.sync_mode, SyncMode::FullRefresh);
    assert_eq!(stream.destination_sync_mode, DestinationSyncMode::Overwrite);
    assert!(plan.notes[0].contains("has no cursor"), "{:?}", plan.notes);
}

#[test]
fn a_configured_key_and_cursor_decide() {
    let options = StreamOptions {
        cursor_field: Some(path(&["meta", "at"])),
        primary_key: Some(vec![path(&["id"]), path(&["day"])]),
        strategy: None,
    };
    let plan = with_options("shop.orders", options).unwrap();
    let stream = &plan.catalog.streams[0];
    assert_eq!(stream.sync_mode, SyncMode::Incremental);
    assert_eq!(stream.destination_sync_mode, DestinationSyncMode::AppendDedup);
    assert_eq!(stream.cursor_field, ["meta", "at"]);
    assert_eq!(stream.primary_key, [path(&["id"]), path(&["day"])]);
    assert_eq!(plan.reasons[0].cursor, NamedBy::Configured);
    let replaced = StreamOptions { strategy: Some(Strategy::Replace), ..StreamOptions::default() };
    let plan = with_options("orders", replaced).unwrap();
    assert_eq!(plan.catalog.streams[0].destination_sync_mode, DestinationSyncMode::Overwrite);
}

#[test]
fn what_no_row_has_is_refused_by_its_name() {
    for (what, options) in [
        ("cursor", StreamOptions { cursor_field: Some(path(&["at"])), ..Default::default() }),
        (
            "primary key",
            StreamOptions { primary_key: Some(vec![path(&["meta", "id"])]), ..Default::default() },
        ),
    ] {
        let error = with_options("orders", options).unwrap_err().to_string();
        assert!(error.contains("shop.orders") && error.contains(what), "{error}");
        assert!(error.contains("day, id, meta"), "{error}");
    }
    let unknown = with_options("nothing", StreamOptions::default()).unwrap_err();
    assert!(matches!(unknown, PlanError::UnknownStream { .. }));
}

#[test]
fn the_cursor_of_a_source_is_its_own() {
    let options = StreamOptions { cursor_field: Some(path(&["id"])), ..StreamOptions::default() };
    let stream_options = [("keyed".to_owned(), options)].into();
    let wanted = Wanted {
        streams: &StreamSelection::All,
        strategy: Strategy::Auto,
        full_refresh: false,
        refresh: None,
        clear: false,
        stream_options: &stream_options,
    };
    let error = Plan::of(offered(), &can(&ALL), &wanted).unwrap_err();
    assert!(matches!(error, PlanError::CursorDefined { .. }), "{error}");
}

#[test]
fn earlier_rows_disappear_only_where_the_destination_can() {
    use DestinationSyncMode::{Append, AppendDedup, Overwrite};
    let none = BTreeMap::new();
    let plan = |spec: &Specification, refresh, clear| {
        let wanted = Wanted {
            streams: &StreamSelection::parse("keyed"),
            strategy: Strategy::Auto,
            full_refresh: false,
            refresh,
            clear,
            stream_options: &none,
        };
        Plan::of(offered(), spec, &wanted).map(|p| p.catalog.streams[0].destination_sync_mode)
    };
    let truncate = Some(Refresh::Truncate);
    assert_eq!(plan(&can(&ALL), truncate, false), Ok(Overwrite));
    assert_eq!(plan(&can(&ALL), None, true), Ok(Overwrite));
    assert_eq!(plan(&can(&ALL), Some(Refresh::Retain), false), Ok(AppendDedup));
    let mut knows = can(&[Append, AppendDedup]);
    knows.extra.insert("supportsRefreshes".into(), true.into());
    assert_eq!(plan(&knows, truncate, false), Ok(AppendDedup));
    for (refresh, clear) in [(truncate, false), (None, true)] {
        let refused = plan(&can(&[Append]), refresh, clear);
        assert!(matches!(refused, Err(PlanError::CannotTruncate { .. })), "{refused:?}");
    }
    let both = plan(&knows, truncate, true);
    let conflict = PlanError::Conflict { one: "--clear", other: "--refresh truncate" };
    assert_eq!(both, Err(conflict));
}
