//! What is handed out: the npm packages of the binary, packed and tried as a new user would, and those of `js/`.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{isolated, run, yunqiao};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn packed() -> TempDir {
    let out = TempDir::new().unwrap();
    // Most of it is what a debugger reads; a package without is made in a moment.
    let binary = out.path().join("stripped");
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(&binary)
        .arg(env!("CARGO_BIN_EXE_yunqiao"))
        .status();
    assert!(
        stripped.is_ok_and(|status| status.success()),
        "strip, of binutils"
    );
    let mut build = Command::new(root().join("packaging/npm/build"));
    build.arg("--out").arg(out.path()).arg("--binary").arg(&binary);
    let (output, _, err) = run(&mut build);
    assert!(output.status.success(), "{err}");
    fs::remove_file(binary).unwrap();
    out
}

#[test]
fn the_packed_binary_runs_in_an_empty_folder_with_node_alone() {
    let out = packed();
    let film = out.path().join("film");
    let mut script = isolated(Command::new("node"));
    script
        .arg(root().join("packaging/npm/try.mjs"))
        .arg(out.path())
        .arg("--film")
        .arg(&film);
    let (output, told, err) = run(&mut script);
    assert!(output.status.success(), "{told}{err}");
    for step in [
        &format!("installed: yunqiao {}", env!("CARGO_PKG_VERSION")),
        "ready http://127.0.0.1:",
        "the first call in the console",
        "a call: {\"openid\":",
        "ended",
        "without its binary it says how to get it",
    ] {
        assert!(told.contains(step), "{step}: {told}{err}");
    }
    assert_eq!(fs::read_dir(film).unwrap().count(), 4, "{told}");

    let platform = fs::read_dir(out.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|file| {
            file.to_string_lossy().contains("/yunqiao-linux-")
                || file.to_string_lossy().contains("/yunqiao-darwin-")
        })
        .unwrap();
    let unpacked = TempDir::new().unwrap();
    let tar = Command::new("tar")
        .arg("-xzf")
        .arg(platform)
        .arg("-C")
        .arg(unpacked.path())
        .status();
    assert!(tar.unwrap().success());
    let read = |name: &str| fs::read_to_string(unpacked.path().join("package").join(name)).unwrap();
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        assert_eq!(read(license), fs::read_to_string(root().join(license)).unwrap());
    }
    // One that is linked, one that only builds, one that only tests.
    let others = read("THIRD-PARTY");
    assert!(others.contains("\ntokio 1."), "{others}");
    assert!(!others.contains("\nproptest 1.") && !others.contains("\ncc 1."));
}

/// In the binary's place: ends with 7 when it is interrupted.
const INTERRUPTED: &str =
    "#!/bin/sh\ntrap 'exit 7' INT\necho ready\ni=0\nwhile [ $((i += 1)) -lt 3000 ]; do sleep 0.1; done\n";

#[test]
fn a_launcher_that_alone_is_asked_to_end_passes_it_on_in_a_terminal_too() {
    let folder = TempDir::new().unwrap();
    let at = |path: &str| folder.path().join(path);
    let platform = Command::new("node")
        .args(["-p", "process.platform + '-' + process.arch"])
        .output();
    let platform = String::from_utf8(platform.unwrap().stdout).unwrap();
    let binary = format!("node_modules/@yunqiao/{}/bin/yunqiao", platform.trim());
    fs::create_dir_all(at(&binary).parent().unwrap()).unwrap();
    fs::write(at(&binary), INTERRUPTED).unwrap();
    fs::set_permissions(at(&binary), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(at("package.json"), "{\"optionalDependencies\": {}}").unwrap();
    fs::copy(root().join("packaging/npm/yunqiao/bin.js"), at("bin.js")).unwrap();
    let mut python = Command::new("python3");
    python
        .arg(root().join("tests/packaging/interrupt.py"))
        .args(["node".as_ref(), at("bin.js").as_os_str()]);
    let (output, out, err) = run(&mut python);
    assert_eq!(output.status.code(), Some(7), "{out}{err}");
}

/// The files that a manifest sends its readers to.
fn targets(exports: &Value, found: &mut BTreeSet<String>) {
    match exports {
        Value::String(path) => {
            found.insert(path.trim_start_matches("./").to_owned());
        }
        Value::Object(conditions) => conditions.values().for_each(|inner| targets(inner, found)),
        other => panic!("{other}"),
    }
}

#[test]
fn the_packages_of_js_can_be_published() {
    let cargo = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let cargo: toml::Value = toml::from_str(&cargo).unwrap();
    let workspace = &cargo["workspace"]["package"];
    for name in ["client", "wx"] {
        let folder = root().join("js").join(name);
        let manifest = fs::read_to_string(folder.join("package.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["name"], format!("@yunqiao/{name}"));
        assert_eq!(manifest["private"], Value::Null);
        assert_eq!(manifest["publishConfig"]["access"], "public");
        assert_eq!(manifest["version"].as_str(), workspace["version"].as_str());
        let repository = workspace["repository"].as_str().unwrap();
        assert_eq!(manifest["repository"]["url"], format!("git+{repository}.git"));
        assert_eq!(manifest["repository"]["directory"], format!("js/{name}"));
        assert_eq!(manifest["engines"]["node"], ">=18");
        assert!(manifest["scripts"]["test"].is_string());

        let mut npm = Command::new("npm");
        npm.args(["pack", "--dry-run", "--json", "--ignore-scripts"])
            .current_dir(&folder);
        let (output, out, err) = run(&mut npm);
        assert!(output.status.success(), "{err}");
        let out: Value = serde_json::from_str(&out).unwrap();
        let files = out[0]["files"].as_array().unwrap();
        let packed: BTreeSet<_> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
        let mut wanted = BTreeSet::from(["LICENSE-APACHE", "LICENSE-MIT", "README.md"].map(str::to_owned));
        targets(&manifest["exports"], &mut wanted);
        for entry in ["main", "module", "types"] {
            targets(&manifest[entry], &mut wanted);
        }
        for file in &wanted {
            assert!(
                packed.contains(file.as_str()),
                "{name} is packed without {file}: {packed:?}"
            );
        }
        assert!(!packed.iter().any(|file| file.contains("test")), "{packed:?}");
        for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
            assert_eq!(
                fs::read_to_string(folder.join(license)).unwrap(),
                fs::read_to_string(root().join(license)).unwrap()
            );
        }
        for (entry, condition) in manifest["exports"].as_object().unwrap() {
            if entry != "./package.json" {
                assert!(condition["import"]["types"].as_str().unwrap().ends_with(".d.mts"));
                assert!(condition["require"]["types"].as_str().unwrap().ends_with(".d.ts"));
            }
        }
    }
}

#[test]
fn a_release_says_what_is_in_it() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a-1.0.0.tgz"), "abc").unwrap();
    let mut script = Command::new(root().join("packaging/release-notes"));
    let (output, notes, err) = run(script.arg(folder.path()));
    assert!(output.status.success(), "{err}");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        notes.starts_with(&format!("# Yunqiao {version}\n\n* ")),
        "{notes}"
    );
    // That of the three letters, from FIPS 180.
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a-1.0.0.tgz\n";
    assert!(notes.contains(sum), "{notes}");
    assert_eq!(fs::read_to_string(folder.path().join("SHA256SUMS")).unwrap(), sum);
}

#[test]
fn action_and_containers_are_of_this_version() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("action.yml").contains(&format!("default: {version}\n")));
    let workflow = read("examples/quickstart/.github/workflows/cloud-functions.yml");
    assert!(workflow.contains(&format!("- uses: yunqiao/yunqiao@v{version}\n")));
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(read("Dockerfile").contains(&format!("FROM rust:{rust}-")));

    // The settings of compose.yaml are ones, and every variable that it sets is read by somebody.
    let folder = TempDir::new().unwrap();
    let example = root().join("examples/todo");
    let mut check = yunqiao();
    check
        .args(["serve", "--check", "--json"])
        .current_dir(folder.path())
        .env("YUNQIAO_APPSECRET", "0123456789abcdef0123456789abcdef")
        .env("YUNQIAO_OPERATOR_SECRET", "0123456789abcdef0123456789abcdef")
        .env(
            "YUNQIAO_MONGODB_URL",
            "mongodb://127.0.0.1:1/yunqiao?serverSelectionTimeoutMS=100",
        )
        .env("YUNQIAO_S3_ACCESS_KEY", "yunqiao")
        .env("YUNQIAO_S3_SECRET_KEY", "yunqiao-yunqiao");
    let settings = read("packaging/compose/yunqiao.toml");
    assert!(settings.contains("http://s3:9000"));
    fs::write(
        folder.path().join("yunqiao.toml"),
        settings
            .replace("/project", example.to_str().unwrap())
            .replace("http://s3:9000", "http://127.0.0.1:1"),
    )
    .unwrap();
    let (output, out, err) = run(&mut check);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let faults: Vec<_> = told["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["what"].as_str().unwrap())
        .collect();
    // Nothing is wrong with them but that neither server is there.
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("[database] url"), "{faults:?}");
    assert!(faults[1].contains("[storage] s3"), "{faults:?}");
    let compose = read("compose.yaml");
    for variable in [
        "YUNQIAO_APPSECRET",
        "YUNQIAO_OPERATOR_SECRET",
        "YUNQIAO_MONGODB_URL",
        "YUNQIAO_S3_ACCESS_KEY",
        "YUNQIAO_S3_SECRET_KEY",
    ] {
        assert!(compose.contains(&format!("      {variable}: ")), "{variable}");
    }
    // A secret is nobody's example, and does not get into an image or the repository.
    let example = read("packaging/compose/example.env");
    let asked: BTreeSet<_> = compose
        .split("${")
        .filter_map(|rest| rest.split_once(":?"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    for name in asked {
        assert!(example.lines().any(|line| line == format!("{name}=")), "{name}");
    }
    assert!(read(".dockerignore").lines().any(|line| line == "**/.env*"));
    assert!(read(".gitignore").lines().any(|line| line == ".env*"));
}
