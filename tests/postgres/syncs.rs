//! Whole syncs, from a component to the component.

use serde_json::json;

use crate::common::guest;
use crate::scene::Scene;

/// Syncs users of source-faker; `more` are further arguments.
#[track_caller]
fn sync(scene: &Scene, count: u32, more: &[&str]) {
    let (source, destination) = (guest("source-faker"), guest("destination-postgres"));
    let grant = format!("{}:{}", scene.server.host, scene.server.port);
    scene.folder.write("config.json", &scene.config().to_string());
    let mut command = scene.folder.lockgate();
    command.args(["sync", "--quiet", "--connection", "c", "--streams", "users"]);
    command.arg("--source").arg(source).args(["--source-config"]);
    command.arg(json!({ "count": count }).to_string()).arg("--destination").arg(destination);
    command.args(["--destination-config", "config.json", "--destination-allow-net", &grant]);
    command.args(more).assert().success();
}

#[test]
fn what_is_new_is_merged() {
    let scene = Scene::new();
    for count in [30, 50] {
        sync(&scene, count, &["--strategy", "merge"]);
        let counted = "SELECT count(*), count(DISTINCT id), max(id) FROM users";
        assert_eq!(scene.lines(counted), [format!("{count}|{count}|{count}")]);
    }
    // The second brought what the first had not.
    let notes = "SELECT sync_id, row_count FROM _lockgate.streams";
    assert_eq!(scene.query(notes), [json!({"sync_id": 2, "row_count": 20})]);
    // And again in full, in place of what is there.
    sync(&scene, 10, &["--strategy", "replace"]);
    assert_eq!(scene.lines("SELECT count(*), max(id) FROM users"), ["10|10"]);
}

#[test]
fn what_remembers_nothing_replaces_all_the_same() {
    for cache in [&["--cache", "none"], &["--cache", "default"]] {
        let scene = Scene::new();
        for count in [30, 20] {
            let more = ["--state", "none", "--strategy", "replace"];
            sync(&scene, count, &[&more[..], cache].concat());
            let counted = scene.lines("SELECT count(*), max(id) FROM users");
            assert_eq!(counted, [format!("{count}|{count}")], "{cache:?}");
        }
    }
}
