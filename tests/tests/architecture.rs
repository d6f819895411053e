//! What must stay absent: shells below the cores, crates that depend upwards, core crates whose lints say less than the root's, two things
//! of one name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates that decide and compute: given the time, never reading it; handed bytes, never fetching them.
const CORES: [&str; 5] = ["shared", "search", "learning", "control", "view"];

/// What waits for something: a core has none of it below itself, under any name that begins so.
const SHELLS: [&str; 4] = ["tokio", "tonic", "hyper", "rusqlite"];

/// Each crate with those of ours that it may depend on, directly or not.
const LAYERS: [(&str, &[&str]); 9] = [
    ("hebbian-trace", &[]),
    ("hebbian-shared", &[]),
    ("hebbian-search", &["hebbian-shared"]),
    ("hebbian-learning", &["hebbian-shared"]),
    ("hebbian-proto", &["hebbian-shared"]),
    ("hebbian-view", &["hebbian-proto", "hebbian-shared"]),
    ("hebbian-control", &["hebbian-search", "hebbian-proto", "hebbian-shared"]),
    (
        "hebbian-coordinator",
        &[
            "hebbian-control",
            "hebbian-search",
            "hebbian-trace",
            "hebbian-view",
            "hebbian-proto",
            "hebbian-shared",
        ],
    ),
    ("hebbian-worker", &["hebbian-learning", "hebbian-proto", "hebbian-trace", "hebbian-shared"]),
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

/// The library crates. The program has none of its names in public.
const CRATES: [&str; 9] =
    ["shared", "search", "learning", "control", "proto", "view", "trace", "worker", "coordinator"];

/// Names that several crates have, and why that is one concept, or is never confused.
const SHARED: [(&str, &str); 3] = [
    ("Settings", "what steers the thing of its module, and is always written with it: `engine::Settings`"),
    (
        "Form",
        "of a strategy's state, and of the shapes that a rule's arithmetic meets; each inside its own crate",
    ),
    (
        "Parameters",
        "of a strategy, and of a rule's genome, as both literatures call them; inside their own modules",
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a crate has its sources") {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The public types, traits and constants that a text declares at the beginning of a line: what is associated with a type, and what a
/// module of tests has, is indented.
fn declared(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (kind, rest) = line.strip_prefix("pub ")?.split_once(' ')?;
        let is_name = ["struct", "enum", "trait", "type", "const", "static", "union"].contains(&kind);
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        (is_name && name != "fn").then_some(name)
    })
}

#[test]
fn a_declaration_is_found_by_its_name() {
    let text = "pub struct One<T> {\npub const TWO: u8 = 1;\npub const fn three() {}\n    pub const FOUR: u8 = 1;\n\
                pub(crate) enum Five {\npub fn six() {}\npub type Seven = One<u8>;\nstruct Eight;";
    assert_eq!(declared(text).collect::<Vec<_>>(), ["One", "TWO", "Seven"]);
}

#[test]
fn no_two_crates_give_one_name_to_different_things() {
    let root = root();
    let mut names: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for package in CRATES {
        let mut files = Vec::new();
        sources(&root.join(package).join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("a source is text");
            for name in declared(&text) {
                names.entry(name.to_owned()).or_default().insert(package);
            }
        }
    }
    assert!(names.len() > 300, "{} names are found", names.len());
    let is_shared = |name: &str| SHARED.iter().any(|(shared, _)| *shared == name);
    let twice = names.iter().filter(|(name, packages)| packages.len() > 1 && !is_shared(name));
    let twice: Vec<String> = twice.map(|(name, packages)| format!("`{name}` of {packages:?}")).collect();
    assert!(twice.is_empty(), "one name per thing (docs/GLOSSARY.md): {}", twice.join(", "));
    for (name, _) in SHARED {
        assert!(
            names.get(name).is_some_and(|packages| packages.len() > 1),
            "`{name}` is no more of several crates"
        );
    }
}

/// The limits, and every other constant with its file, but for what tests have.
fn constants() -> (BTreeSet<String>, Vec<(String, PathBuf)>) {
    let limits = root().join("shared/src/limits.rs");
    let text = fs::read_to_string(&limits).expect("a source is text");
    // A row of the table is `NAME: kind = value, "unit";`.
    let row = |line: &str| {
        let (name, rest) = line.trim().split_once(": ")?;
        let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        (is_name && rest.ends_with("\";")).then(|| name.to_owned())
    };
    let mut others = Vec::new();
    for package in CRATES.into_iter().chain(["cli"]) {
        let mut files = Vec::new();
        sources(&root().join(package).join("src"), &mut files);
        for file in files.into_iter().filter(|file| *file != limits) {
            let text = fs::read_to_string(&file).expect("a source is text");
            for line in text.lines() {
                let declaration = line.split_once("const ").or_else(|| line.split_once("static "));
                let name = declaration.and_then(|(before, rest)| Some((before, rest.split_once(':')?.0)));
                if let Some((before, name)) = name
                    && (before.is_empty() || before.trim_start().starts_with("pub"))
                {
                    others.push((name.to_owned(), file.clone()));
                }
            }
        }
    }
    (text.lines().filter_map(row).collect(), others)
}

#[test]
fn no_constant_has_the_name_of_a_limit() {
    let (limits, others) = constants();
    assert!(limits.len() > 100 && others.len() > 300, "{} limits, {} others", limits.len(), others.len());
    for (name, file) in others {
        assert!(!limits.contains(&name), "{}: `{name}` is the name of a limit in limits.rs", file.display());
    }
}

/// The families of the house itself: the default, and the baselines of all comparisons.
const AT_HOME: [&str; 2] = ["multi-state", "gradient-descent"];

/// What a file declares outside of its tests, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// Whether a text names a family of rules: by its module, a type, or as a spec does.
fn names_family(text: &str, family: &str) -> bool {
    let module = family.replace('-', "_");
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let type_name: String = family.split('-').map(capital).collect();
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code(text).any(|line| {
        let is_module = line.match_indices(&module).any(|(place, _)| {
            let (before, after) = (&line[..place], &line[place + module.len()..]);
            !is_part(before.chars().next_back()) && !is_part(after.chars().next())
        });
        is_module || line.contains(&type_name) || line.contains(&format!("\"{family}\""))
    })
}

#[test]
fn a_family_is_found_by_its_names() {
    for text in ["mod abc_d;", "use x::abc_d::Y;", "AbcD(AbcDSpec),", "family = \"abc-d\""] {
        assert!(names_family(text, "abc-d"), "{text}");
    }
    for text in ["// abc_d", "abc_de", "see abc-d", "\n#[cfg(test)]\nmod tests {\nabc_d"] {
        assert!(!names_family(text, "abc-d"), "{text}");
    }
}

/// A family's options are a file of `shared/src/spec/rule`, its arithmetic one of `learning/src/rule`, each with a folder of that name if it
/// needs one. All else that it touches are the two tables of families, and that of ablations if something new can be taken from its rules.
#[test]
fn a_family_of_rules_touches_three_files_that_are_not_its_own() {
    let root = root();
    let read = |file: &Path| fs::read_to_string(file).expect("a source is text");
    let mut files = Vec::new();
    for package in CRATES.into_iter().chain(["cli"]) {
        sources(&root.join(package).join("src"), &mut files);
    }
    let texts: Vec<(&Path, String)> =
        files.iter().map(|file| (file.strip_prefix(&root).expect("it is below"), read(file))).collect();
    let [options, rules] = ["shared/src/spec/rule", "learning/src/rule"].map(Path::new);
    let declared = |(file, text): &(&Path, String)| {
        let (_, rest) = text.split_once("pub const FAMILY: &str = \"")?;
        file.starts_with(options).then(|| rest.split('"').next().map(str::to_owned)).flatten()
    };
    let families: Vec<String> = texts.iter().filter_map(declared).collect();
    assert!(families.len() >= 8, "{families:?}");
    let own: Vec<PathBuf> = families
        .iter()
        .flat_map(|family| [options, rules].map(|folder| folder.join(family.replace('-', "_"))))
        .collect();
    let is_own =
        |file: &Path| own.iter().any(|own| file.starts_with(own) || file == own.with_extension("rs"));
    for family in &families {
        let others = texts.iter().filter(|(file, text)| !is_own(file) && names_family(text, family));
        let mut touched: Vec<&Path> = others.map(|(file, _)| *file).collect();
        let arithmetic = rules.join(family.replace('-', "_")).with_extension("rs");
        let has_ablations = code(&read(&root.join(arithmetic))).any(|line| line.contains("Ablation::"));
        touched.extend(has_ablations.then_some(Path::new("shared/src/spec/rule/ablation.rs")));
        println!("{family}: {touched:?}");
        for table in [options, rules].map(|folder| folder.with_extension("rs")) {
            assert!(touched.contains(&&*table), "{} lists {family}", table.display());
        }
        assert!(touched.len() <= 3 || AT_HOME.contains(&family.as_str()), "{family} touches {touched:?}");
    }
}
