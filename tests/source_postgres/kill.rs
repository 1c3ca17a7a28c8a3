//! Killed at any moment and run again, a copy is the table.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::scene::Scene;

#[test]
fn a_copy_that_is_killed_and_run_again_is_the_table() {
    let mut scene = Scene::new(
        "CREATE TABLE items (id integer PRIMARY KEY, at integer, text text); INSERT INTO items \
         SELECT i, i / 10, repeat(md5(i::text), 20) FROM generate_series(1, 20000) AS i",
    );
    let all = "SELECT count(*), count(DISTINCT id), md5(string_agg(id || text, ',' ORDER BY id)) FROM items";
    let by_cursor = "[connections.c.stream-options.\"public.items\"]\ncursor-field = \"at\"\n";
    // Where rows are replaced and not merged, one that changed between two attempts of a full refresh
    // is there as it was and as it is: they change only where a key tells them apart.
    for (strategy, options, changes) in
        [("replace", "", false), ("auto", "", true), ("merge", by_cursor, true)]
    {
        scene.config = json!({"chunk_pages": 40, "fetch_size": 500});
        scene.project(strategy, options);
        for turn in 0..8_u64 {
            let mut child = scene
                .sync_command()
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("lockgate runs");
            std::thread::sleep(Duration::from_millis(150 + 120 * turn));
            let _ = child.kill();
            child.wait().expect("it ends");
            if !changes {
                continue;
            }
            // Rows move about meanwhile, with a cursor that says so.
            scene.run(&format!(
                "UPDATE items SET text = text || '{turn}', at = {} WHERE id % 97 = {turn}",
                10_000 + turn
            ));
        }
        scene.sync();
        assert_eq!(scene.written(all), scene.run(all), "{strategy}");
        scene.written("DROP TABLE items; DROP SCHEMA _lockgate CASCADE");
        std::fs::remove_dir_all(scene.folder.path().join(".lockgate")).expect("the states");
    }
}
