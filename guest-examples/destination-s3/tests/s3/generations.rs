//! Old rows stay until the new ones are all there.

use lockgate_sdk::testing::{self, Feed};
use lockgate_sdk::{Failure, FailureKind};

use crate::scene::{Scene, numbers, overwritten, stream};

fn stop() -> Failure {
    Failure::new(FailureKind::Cancelled, "stop")
}

fn whole(rows: &[String]) -> Feed {
    Feed::new().rows(0, rows).complete(0).checkpoint()
}

/// An attempt that commits some rows and is stopped then.
fn interrupted(scene: &Scene, name: &str, generation: u64, rows: &[String]) {
    let feed = Feed::new().rows(0, rows).checkpoint().flush().fail(stop());
    let run = scene.run(&testing::catalog([stream(name, generation, true)]), feed);
    assert_eq!((run.result, run.commits.len()), (Err(stop()), 1));
}

#[test]
fn an_overwrite_leaves_the_new_rows_only() {
    let scene = Scene::new();
    scene.write(overwritten("a", 1), whole(&numbers(0..3)));
    scene.write(overwritten("a", 2), whole(&numbers(5..7)));
    assert_eq!(scene.rows("a"), numbers(5..7));
    scene.assert_all_named("a");
    // By nothing, too.
    scene.write(overwritten("a", 3), Feed::new().complete(0).checkpoint());
    assert_eq!(scene.keys(), ["lake/a/_manifest.json"]);
    assert_eq!(scene.named("a"), [""; 0]);
}

#[test]
fn an_overwrite_without_generations_begins_again_each_time() {
    let scene = Scene::new();
    scene.write(overwritten("a", 0), whole(&numbers(0..3)));
    scene.write(overwritten("a", 0), whole(&numbers(5..7)));
    assert_eq!(scene.rows("a"), numbers(5..7));
    let feed = Feed::new().rows(0, &numbers(8..9)).checkpoint().flush().fail(stop());
    assert!(scene.run(&testing::catalog([overwritten("a", 0)]), feed).result.is_err());
    assert_eq!(scene.rows("a"), numbers(5..7));
    scene.write(overwritten("a", 0), whole(&numbers(9..10)));
    assert_eq!(scene.rows("a"), numbers(9..10));
    scene.assert_all_named("a");
}

#[test]
fn a_refresh_goes_on_where_it_was_interrupted() {
    let scene = Scene::new();
    scene.write(stream("a", 1, false), whole(&numbers(0..3)));
    interrupted(&scene, "a", 2, &numbers(10..12));
    assert_eq!(scene.rows("a"), numbers(0..3));
    assert_eq!(scene.manifest("a")["begun"]["generation"], 2);
    // The source says that its rows are not all there.
    let catalog = testing::catalog([stream("a", 2, true)]);
    let feed = Feed::new().rows(0, &numbers(12..13)).checkpoint().flush().incomplete(0);
    assert!(scene.run(&catalog, feed.fail(stop())).result.is_err());
    assert_eq!(scene.rows("a"), numbers(0..3));
    scene.write(stream("a", 2, true), whole(&numbers(13..14)));
    assert_eq!(scene.rows("a"), numbers(10..14));
    scene.assert_all_named("a");
    assert!(scene.manifest("a").get("begun").is_none());
}

#[test]
fn a_later_refresh_drops_what_was_begun() {
    let scene = Scene::new();
    scene.write(stream("a", 1, false), whole(&numbers(0..3)));
    interrupted(&scene, "a", 2, &numbers(10..12));
    scene.write(stream("a", 3, true), whole(&numbers(20..22)));
    assert_eq!(scene.rows("a"), numbers(20..22));
    scene.assert_all_named("a");
}

#[test]
fn a_later_generation_that_keeps_takes_over_what_was_begun() {
    let scene = Scene::new();
    scene.write(stream("a", 1, false), whole(&numbers(0..3)));
    interrupted(&scene, "a", 2, &numbers(10..12));
    scene.write(stream("a", 3, false), whole(&numbers(20..22)));
    assert_eq!(scene.rows("a"), [numbers(0..3), numbers(10..12), numbers(20..22)].concat());
    assert_eq!(scene.objects().len(), 3);
}

/// A refresh whose stream was complete before another one failed.
#[test]
fn a_generation_that_is_in_place_is_gone_on_with() {
    let scene = Scene::new();
    scene.write(stream("a", 1, false), whole(&numbers(0..3)));
    scene.write(stream("a", 2, true), whole(&numbers(10..12)));
    scene.write(stream("a", 2, true), whole(&numbers(12..13)));
    assert_eq!(scene.rows("a"), numbers(10..13));
}

/// Rows that came after the checkpoint of a flush: a stream is not in place before they are.
#[test]
fn a_flush_puts_no_part_in_place() {
    let scene = Scene::new();
    scene.write(stream("a", 1, false), whole(&numbers(0..3)));
    let feed = Feed::new()
        .rows(0, &numbers(10..11))
        .checkpoint()
        .rows(0, &numbers(11..12))
        .complete(0)
        .flush()
        .fail(stop());
    assert!(scene.run(&testing::catalog([stream("a", 2, true)]), feed).result.is_err());
    assert_eq!(scene.rows("a"), numbers(0..3));
    scene.write(stream("a", 2, true), whole(&numbers(11..12)));
    assert_eq!(scene.rows("a"), numbers(10..12));
}
