//! What must stay absent: words that core modules never name, dependencies that crates never have.

use std::fs;
use std::path::{Path, PathBuf};

/// Core modules are pure: given the time, never reading it; handed bytes, never fetching them.
const CORE: [(&str, &[&str]); 2] = [
    ("coordinator/src", &["strategy", "scheduler", "run", "engine"]),
    ("worker/src", &["episode", "task", "network", "baseline"]),
];

const BANNED: [&str; 13] = [
    "tokio",
    "tonic",
    "hebbian_proto",
    "std::fs",
    "std::net",
    "Instant",
    "SystemTime",
    "thread_rng",
    "from_os_rng",
    "rand::random",
    "rand::rng",
    "HashMap",
    "HashSet",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace").to_path_buf()
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_path_buf());
    }
}

/// The banned words of a source text, with their lines; comments and unit tests may say what they like.
fn banned(text: &str) -> Vec<(usize, &'static str)> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    let mut found = Vec::new();
    for (number, line) in code.enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let word_at = |word: &str, place: usize| {
            let letter = |c: char| c.is_alphanumeric() || c == '_';
            !code[..place].chars().next_back().is_some_and(letter)
                && !code[place + word.len()..].chars().next().is_some_and(letter)
        };
        for word in BANNED {
            if code.match_indices(word).any(|(place, _)| word_at(word, place)) {
                found.push((number + 1, word));
            }
        }
    }
    found
}

#[test]
fn core_modules_are_pure() {
    let mut checked = 0;
    for (source, modules) in CORE {
        for module in modules {
            let mut files = Vec::new();
            for path in [root().join(source).join(module), root().join(source).join(format!("{module}.rs"))] {
                if path.exists() {
                    sources(&path, &mut files);
                }
            }
            for file in files {
                let name = file.file_stem().unwrap().to_string_lossy().into_owned();
                if name == "tests" || name == "conformance" {
                    continue;
                }
                let found = banned(&fs::read_to_string(&file).unwrap());
                assert!(found.is_empty(), "{} names {found:?}", file.display());
                checked += 1;
            }
        }
    }
    assert!(checked >= 8, "only {checked} files of core modules were found");
}

#[test]
fn the_check_finds_what_it_looks_for() {
    assert_eq!(banned("use tokio::sync;\n"), [(1, "tokio")]);
    assert_eq!(banned("fn f() {\n    let t = std::time::Instant::now();\n}"), [(2, "Instant")]);
    assert_eq!(banned("// tokio\nlet tokio_like = Instantly; // Instant\n#[cfg(test)]\nuse tokio;"), []);
}

/// The dependencies that a package's manifest names, those for tests included.
fn dependencies(package: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && let Some(end) = line.find([' ', '.', '=']) {
            // Optional ones belong to a feature.
            if !line.contains("optional = true") {
                found.push(line[..end].to_owned());
            }
        }
    }
    found
}

fn check(package: &str, never: &[&str]) {
    let found = dependencies(package);
    assert!(!found.is_empty(), "{package} has dependencies");
    for banned in never {
        assert!(!found.iter().any(|name| name == banned), "{package} depends on {banned}");
    }
}

#[test]
fn crates_depend_downwards_only() {
    let upper = ["hebbian-coordinator", "hebbian-worker", "hebbian"];
    check("shared", &[&upper[..], &["hebbian-proto", "tokio", "tonic", "prost", "rusqlite"]].concat());
    check("proto", &upper);
    check("coordinator", &["hebbian-worker", "hebbian"]);
    check("worker", &["hebbian-coordinator", "hebbian", "rusqlite"]);
}
