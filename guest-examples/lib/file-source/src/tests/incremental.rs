//! Reads that go on from a state.

use super::*;

/// Every state that a read gives, and how many rows came before it.
fn states(run: &SourceRun) -> Vec<(usize, State)> {
    let mut rows = 0;
    let mut states = Vec::new();
    for emitted in &run.sink.emitted {
        match emitted {
            testing::Emitted::Rows(batch) => rows += batch.count as usize,
            testing::Emitted::Checkpoint(_, state) => states.push((rows, state.clone())),
            _ => {}
        }
    }
    states
}

#[test]
fn what_is_new_is_read_and_nothing_else() {
    for (format, files) in [("jsonl", "*.jsonl"), ("csv", "*.csv")] {
        let scene = Scene::new(format, &[files]);
        let name = |name: &str| format!("{name}.{format}");
        let line = |number: i64| match format {
            "csv" => format!("{number},\"x\ny\"\n"),
            _ => format!("{{\"n\":{number}}}\n"),
        };
        let head = if format == "csv" { "n,t\n" } else { "" };
        scene.write(&name("a"), format!("{head}{}{}", line(1), line(2)));
        scene.write(&name("c"), format!("{head}{}", line(3)));
        let (rows, state, _) = scene.next(None);
        assert_eq!(numbers(&rows, "n"), [1, 2, 3]);
        let (rows, state, warnings) = scene.next(Some(&state));
        assert_eq!((numbers(&rows, "n"), warnings), (vec![], vec![]));
        scene.append(&name("a"), line(4));
        scene.write(&name("b"), format!("{head}{}", line(5)));
        let (rows, state, warnings) = scene.next(Some(&state));
        assert_eq!((numbers(&rows, "n"), warnings), (vec![4, 5], vec![]));
        // One that is gone is forgotten.
        std::fs::remove_file(scene.path().join(name("c"))).expect("removed");
        let (_, state, _) = scene.next(Some(&state));
        assert!(!format!("{state:?}").contains(&name("c")));
        // Another file of the same name, which is longer.
        scene.write(&name("a"), format!("{head}{}{}{}", line(7), line(8), line(9)));
        let (rows, _, warnings) = scene.next(Some(&state));
        assert_eq!(numbers(&rows, "n"), [7, 8, 9]);
        assert!(warnings[0].contains("is another than the one that was read"), "{warnings:?}");
    }
}

#[test]
fn a_row_that_is_not_whole_is_read_when_it_is() {
    let scene = Scene::new("jsonl", &["*"]);
    scene.write("a", "{\"n\":1}\n{\"n\":");
    let (rows, state, warnings) = scene.next(None);
    assert_eq!(numbers(&rows, "n"), [1]);
    assert!(warnings[0].contains("is not whole, and is left for the next sync"), "{warnings:?}");
    scene.append("a", "2}");
    // It is whole, though nothing ends it.
    let (rows, state, _) = scene.next(Some(&state));
    assert_eq!(numbers(&rows, "n"), [2]);
    scene.append("a", "\n{\"n\":3}\n");
    let (rows, _, warnings) = scene.next(Some(&state));
    assert_eq!((numbers(&rows, "n"), warnings), (vec![3], vec![]));

    let scene = Scene::new("csv", &["*"]);
    scene.write("a", "n,t\n1,a\n2,");
    let (rows, state, _) = scene.next(None);
    // Nobody can know that more comes.
    assert_eq!(rows[1], json!({ "n": 2, "t": null }));
    scene.append("a", "b\n3,\"x\n");
    let (rows, state, warnings) = scene.next(Some(&state));
    assert_eq!(rows, [json!({ "n": 2, "t": "b" })]);
    assert!(
        warnings[0].contains("a, line 3: the row was read before it was whole"),
        "{warnings:?}"
    );
    assert!(warnings[1].contains("a, line 4: a quote in the row"), "{warnings:?}");
    scene.append("a", "y\"\r\n4,d");
    let (rows, state, _) = scene.next(Some(&state));
    assert_eq!(rows, [json!({ "n": 3, "t": "x\ny" }), json!({ "n": 4, "t": "d" })]);
    scene.append("a", "\r\n5,e\r\n");
    let (rows, _, warnings) = scene.next(Some(&state));
    assert_eq!((numbers(&rows, "n"), warnings), (vec![5], vec![]));
}

#[test]
fn a_file_that_is_touched_is_not_read_again() {
    let scene = Scene::new("jsonl", &["*"]);
    scene.write("a", "{\"n\":1}\n");
    let (_, state, _) = scene.next(None);
    std::thread::sleep(std::time::Duration::from_millis(20));
    scene.write("a", "{\"n\":1}\n");
    let (rows, state, warnings) = scene.next(Some(&state));
    assert_eq!((numbers(&rows, "n"), warnings), (vec![], vec![]));
    std::thread::sleep(std::time::Duration::from_millis(20));
    scene.write("a", "{\"n\":2}\n");
    let (rows, _, warnings) = scene.next(Some(&state));
    assert_eq!((numbers(&rows, "n"), warnings.len()), (vec![2], 1));
}

#[test]
fn from_every_checkpoint_the_rest_comes() {
    let row = |number: usize| format!("{number},\"{}\"\n", "x\n".repeat(500));
    let csv: String = std::iter::once("n,t\n".to_owned()).chain((0..4000).map(row)).collect();
    let expected: Vec<i64> = (0..4000).collect();
    for (name, bytes) in [
        ("a.csv", csv.clone().into_bytes()),
        ("a.gz", gzip(csv.as_bytes())),
        ("a.zst", zstd(csv.as_bytes())),
    ] {
        let mut scene = Scene::new("csv", &["*"]);
        scene.more = json!({ "checkpoint_mib": 1 });
        scene.write(name, &bytes);
        for mode in [SyncMode::FullRefresh, SyncMode::Incremental] {
            let run = scene.read(mode, None);
            assert_eq!(run.result, Ok(()));
            assert_eq!(numbers(&run.sink.rows(0), "n"), expected);
            let states = states(&run);
            assert!(states.len() > 3, "{name}: {} states", states.len());
            for (before, state) in &states {
                let run = scene.read(mode, Some(state));
                assert_eq!(run.result, Ok(()));
                assert_eq!(numbers(&run.sink.rows(0), "n"), expected[*before..], "{name}");
            }
        }
    }
}

#[test]
fn a_state_of_the_other_mode_begins_again() {
    let scene = Scene::new("jsonl", &["*"]);
    scene.write("a", "{\"n\":1}\n");
    let (_, state, _) = scene.next(None);
    let run = scene.read(SyncMode::FullRefresh, Some(&state));
    assert_eq!(numbers(&run.sink.rows(0), "n"), [1]);
    let state = run.sink.states().last().expect("a state").clone();
    let (rows, ..) = scene.next(Some(&state));
    assert_eq!(numbers(&rows, "n"), [1]);
    // It is over.
    let run = scene.read(SyncMode::FullRefresh, Some(&state));
    assert_eq!((run.sink.rows(0).len(), run.result), (0, Ok(())));
}

#[test]
fn lines_are_counted_from_the_files_start_after_a_state() {
    let scene = Scene::new("csv", &["*"]);
    scene.write("a", "n,t\r\n1,\"a\nb\"\r\n");
    let (_, state, _) = scene.next(None);
    scene.append("a", "\r\nx,y\r\n");
    let run = scene.read(SyncMode::Incremental, Some(&state));
    // The file as it is now would have another type: the catalog is as it was.
    let failure = run.result.err().map(|failure| failure.message);
    assert_eq!(failure, None);
    let stream = ConfiguredStream {
        json_schema: json!({ "properties": { "n": { "type": "integer" } } }).to_string(),
        sync_mode: SyncMode::Incremental,
        ..testing::stream("rows")
    };
    let catalog = testing::catalog([stream]);
    let run = testing::read::<Files>(&scene.config(), &catalog, vec![state]);
    let failure = run.result.expect_err("it is no number").message;
    assert!(failure.starts_with("a, line 5, column n: a text of 1 bytes"), "{failure}");
}

#[test]
fn an_appended_member_of_a_compressed_file_is_read() {
    let scene = Scene::new("jsonl", &["*"]);
    scene.write("a.gz", gzip(b"{\"n\":1}\n{\"n\":2}\n"));
    let (_, state, _) = scene.next(None);
    scene.append("a.gz", gzip(b"{\"n\":3}\n"));
    let (rows, _, warnings) = scene.next(Some(&state));
    assert_eq!((numbers(&rows, "n"), warnings), (vec![3], vec![]));
}
