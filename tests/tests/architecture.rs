//! What must stay absent: shells below the cores, crates that depend upwards, core crates whose lints say less than the root's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates that decide and compute: given the time, never reading it; handed bytes, never fetching them.
const CORES: [&str; 5] = ["shared", "search", "learning", "control", "view"];

/// What waits for something: a core has none of it below itself, under any name that begins so.
const SHELLS: [&str; 4] = ["tokio", "tonic", "hyper", "rusqlite"];

/// Each crate with those of ours that it may depend on, directly or not.
const LAYERS: [(&str, &[&str]); 8] = [
    ("hebbian-shared", &[]),
    ("hebbian-search", &["hebbian-shared"]),
    ("hebbian-learning", &["hebbian-shared"]),
    ("hebbian-proto", &["hebbian-shared"]),
    ("hebbian-view", &["hebbian-proto", "hebbian-shared"]),
    ("hebbian-control", &["hebbian-search", "hebbian-proto", "hebbian-shared"]),
    (
        "hebbian-coordinator",
        &["hebbian-control", "hebbian-search", "hebbian-view", "hebbian-proto", "hebbian-shared"],
    ),
    ("hebbian-worker", &["hebbian-learning", "hebbian-proto", "hebbian-shared"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace").to_path_buf()
}

/// The packages below one of ours, its own name among them; without what only its tests or its build use.
fn below(package: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            package,
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "cargo tree fails: {}", String::from_utf8_lossy(&tree.stderr));
    let listed = String::from_utf8(tree.stdout).expect("names are text");
    listed.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn is_shell(package: &str) -> bool {
    SHELLS
        .iter()
        .any(|shell| package.strip_prefix(shell).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

#[test]
fn no_shell_below_a_core() {
    for core in CORES {
        let packages = below(&format!("hebbian-{core}"));
        assert!(packages.contains("serde"), "the tree of {core} is read: {packages:?}");
        let shells: Vec<_> = packages.iter().filter(|package| is_shell(package)).collect();
        assert!(shells.is_empty(), "{core} has {shells:?} below itself");
    }
    assert!(
        below("hebbian-worker").iter().any(|package| is_shell(package)),
        "a worker has shells, and they are found"
    );
}

#[test]
fn crates_depend_downwards_only() {
    for (package, allowed) in LAYERS {
        let ours: Vec<String> =
            below(package).into_iter().filter(|name| name.starts_with("hebbian")).collect();
        assert!(ours.iter().any(|name| name == package), "the tree of {package} is read");
        let upwards: Vec<_> =
            ours.iter().filter(|name| *name != package && !allowed.contains(&name.as_str())).collect();
        assert!(upwards.is_empty(), "{package} depends on {upwards:?}");
    }
}

fn lints(folder: &Path) -> toml::Table {
    let path = folder.join("clippy.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Clippy reads only the nearest `clippy.toml`: each core repeats what the root says, and all cores say the same.
#[test]
fn cores_repeat_the_bans_of_the_root() {
    let general = lints(&root());
    let first = lints(&root().join(CORES[0]));
    for core in CORES {
        assert_eq!(
            lints(&root().join(core)),
            first,
            "{core}/clippy.toml and {}/clippy.toml differ",
            CORES[0]
        );
    }
    for (key, value) in &general {
        let here = first.get(key).unwrap_or_else(|| panic!("the cores' clippy.toml lacks `{key}`"));
        match (value.as_array(), here.as_array()) {
            (Some(all), Some(repeated)) => {
                for entry in all {
                    assert!(repeated.contains(entry), "the cores' clippy.toml lacks {entry} in `{key}`");
                }
            }
            _ => assert_eq!(value, here, "`{key}` of the cores' clippy.toml"),
        }
    }
    for ban in ["std::time::Instant", "std::fs::File", "std::net::TcpStream", "std::collections::HashMap"] {
        let types = first["disallowed-types"].as_array().expect("a list");
        assert!(types.iter().any(|entry| entry["path"].as_str() == Some(ban)), "cores may name {ban}");
    }
}
