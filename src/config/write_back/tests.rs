use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

struct Scene {
    folder: tempfile::TempDir,
    file: ConfigFile,
    place: ConfigPlace,
}

fn toml() -> ConfigPlace {
    ConfigPlace::Toml(["sources", "a", "config"].map(str::to_owned))
}

impl Scene {
    fn new(text: &str, place: ConfigPlace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        fs::write(&path, text).unwrap();
        let file = ConfigFile::open(&path, place.clone()).unwrap().unwrap();
        Self { folder, file, place }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.folder.path().join("c")).unwrap()
    }

    fn config(&self) -> Json {
        Json::from_value(&Value::Object(edit::config_of(&self.text(), &self.place).unwrap()))
    }

    fn write(&self, change: &str, fixed: &[&str]) -> Result<Written, WriteBackError> {
        let before = self.config();
        let now = super::super::merge_members(&before, &Json::parse(change).unwrap());
        let fixed: Vec<String> = fixed.iter().map(|s| (*s).to_owned()).collect();
        self.file.write(&before, &now, &fixed, |_| Ok(()))
    }
}

#[test]
fn the_rest_of_a_json_file_stays_as_it_is_written() {
    let text = "{\n    \"z\": 1.50,\n    \"token\": \"old\",\n    \"auth\": {\"b\" : 1,  \"a\": [1,\n 2]},\n    \"big\": 123456789012345678901234567890\n}\n\n";
    let scene = Scene::new(text, ConfigPlace::Json);
    scene.write(r#"{"token":"new","auth":{"b":2,"a":[1,2]},"more":{"x":[1]}}"#, &[]).unwrap();
    let wanted = text
        .replace("\"old\"", "\"new\"")
        .replace("\"b\" : 1", "\"b\" : 2")
        .replace("7890\n}", "7890,\n    \"more\": {\n      \"x\": [\n        1\n      ]\n    }\n}");
    assert_eq!(scene.text(), wanted);
}

#[test]
fn small_and_empty_objects_grow() {
    for (text, wanted) in [
        ("{}", r#"{"t": "x"}"#),
        (r#"{"a":1}"#, r#"{"a":1, "t": "x"}"#),
        ("  {\n}\n", "  {\"t\": \"x\"\n}\n"),
    ] {
        let scene = Scene::new(text, ConfigPlace::Json);
        scene.write(r#"{"t":"x"}"#, &[]).unwrap();
        assert_eq!(scene.text(), wanted);
    }
}

#[test]
fn comments_of_a_toml_file_stay() {
    let text = "# mine\n[sources.a]\nconnector = \"exec:./a\" # the program\nconfig = { token = \"old\", n = 1 } # a token\n\n[connections.c]\nsource = \"a\"\n";
    let scene = Scene::new(text, toml());
    scene.write(r#"{"token":"n\"e]w","n":1}"#, &[]).unwrap();
    assert_eq!(scene.text(), text.replace("\"old\"", "'n\"e]w'"));

    let text = "[sources.a.config]\n# rotated by the connector\ntoken = \"old\" # do not edit\nat = 2020-01-01\n[sources.a.config.deep]\nx = 1\n";
    let scene = Scene::new(text, toml());
    scene.write(r#"{"token":"new","deep":{"x":2}}"#, &[]).unwrap();
    assert_eq!(scene.text(), text.replace("\"old\"", "\"new\"").replace("x = 1", "x = 2"));
}

#[test]
fn what_toml_cannot_say_is_kept_back() {
    let scene = Scene::new("[sources.a]\nconfig = { t = 1 }\n", toml());
    let written = scene.write(r#"{"t":null,"u":18446744073709551615,"v":2}"#, &[]).unwrap();
    assert_eq!(written.places, ["t", "u"]);
    assert!(written.kept_back.contains_key("t") && written.kept_back.contains_key("u"));
    assert!(scene.text().contains("t = 1") && scene.text().contains("v = 2"), "{}", scene.text());
}

#[test]
fn references_and_members_of_grants_stay() {
    let text = r#"{"auth":{"id":"${secret:env:ID}","secret":"${secret:env:S}","at":1},"host":"a"}"#;
    let scene = Scene::new(text, ConfigPlace::Json);
    let change = r#"{"auth":{"id":"${secret:env:ID}","secret":"new","at":2},"host":"evil"}"#;
    let written = scene.write(change, &["host"]).unwrap();
    assert_eq!(written.places, ["auth.secret", "host"]);
    assert_eq!(scene.text(), text.replace("\"at\":1", "\"at\":2"));
    assert_eq!(written.kept_back["auth"]["secret"], "new");
    assert_eq!(written.kept_back["host"], "evil");
}

#[test]
fn mode_stays_and_a_link_is_followed_only_at_first() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "{}").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real", &link).unwrap();
    let file = ConfigFile::open(&link, ConfigPlace::Json).unwrap().unwrap();
    let write = |value: &str| {
        let now = Json::parse(format!(r#"{{"t":"{value}"}}"#)).unwrap();
        file.write::<WriteBackError>(&Json::empty_object(), &now, &[], |_| Ok(()))
    };
    write("x").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(&real).unwrap(), r#"{"t": "x"}"#);

    let victim = folder.path().join("victim");
    fs::rename(&real, &victim).unwrap();
    symlink("victim", &real).unwrap();
    let error = write("y").unwrap_err().to_string();
    assert!(error.contains("a link took its place"), "{error}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), r#"{"t": "x"}"#);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "no draft stays");
}

#[test]
fn a_read_only_file_is_said_and_stays() {
    let scene = Scene::new("{}", ConfigPlace::Json);
    let path = scene.folder.path().join("c");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let error = scene.write(r#"{"t":1}"#, &[]).unwrap_err().to_string();
    assert!(error.contains("cannot be written to") && error.contains("/c"), "{error}");
    assert_eq!(scene.text(), "{}");
}

#[test]
fn what_somebody_else_wrote_meanwhile_stays() {
    let scene = Scene::new(r#"{"a":1,"t":1}"#, ConfigPlace::Json);
    let before = scene.config();
    fs::write(scene.folder.path().join("c"), r#"{"a":2,"t":1}"#).unwrap();
    let now = Json::parse(r#"{"a":1,"t":2}"#).unwrap();
    scene.file.write::<WriteBackError>(&before, &now, &[], |_| Ok(())).unwrap();
    assert_eq!(scene.text(), r#"{"a":2,"t":2}"#);
    fs::write(scene.folder.path().join("c"), "hunter2").unwrap();
    let error = scene.write_anyway(&before, &now).unwrap_err().to_string();
    assert!(error.contains("is not what it was") && !error.contains("hunter2"), "{error}");
}

impl Scene {
    fn write_anyway(&self, before: &Json, now: &Json) -> Result<Written, WriteBackError> {
        self.file.write(before, now, &[], |_| Ok(()))
    }
}

#[test]
fn what_somebody_else_writes_meanwhile_is_kept() {
    let scene = Scene::new(r#"{"mine":1,"token":"old"}"#, ConfigPlace::Json);
    let path = scene.folder.path().join("c");
    let before = scene.config();
    let now = Json::parse(r#"{"mine":1,"token":"new"}"#).unwrap();
    let mut asked = 0;
    let written = scene.file.write(&before, &now, &[], |_| {
        asked += 1;
        match asked {
            1 => fs::write(&path, r#"{"mine":22,"token":"old"}"#).unwrap(),
            2 => {
                // As an editor does it.
                let next = scene.folder.path().join("next");
                fs::write(&next, r#"{"mine":33,"token":"old"}"#).unwrap();
                fs::rename(next, &path).unwrap();
            }
            _ => {}
        }
        Ok::<(), WriteBackError>(())
    });
    assert_eq!(scene.text(), r#"{"mine":33,"token":"new"}"#);
    assert_eq!(asked, 3);
    assert_eq!(written.unwrap().config.get(), scene.config().get());
    // Who never stops is let win.
    let mut number = 0;
    let now = Json::parse(r#"{"mine":33,"token":"newer"}"#).unwrap();
    let refused = scene.file.write(&scene.config(), &now, &[], |_| {
        number += 1;
        fs::write(&path, format!(r#"{{"mine":"{}","token":"new"}}"#, "x".repeat(number))).unwrap();
        Ok::<(), WriteBackError>(())
    });
    assert!(matches!(refused, Err(WriteBackError::Changed { .. })), "{refused:?}");
    assert!(scene.text().contains("xxxxx"));
    assert_eq!(fs::read_dir(scene.folder.path()).unwrap().count(), 1);
}
