//! What documents promise is there: every test that they name, and on the page on security two or more for each kind of fault.
//!
//! A program of its own, for it needs none of our code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Rust and Python below a directory, without what is built.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            sources(&entry, found);
        } else if is_source(&name) {
            found.push(entry);
        }
    }
}

fn is_source(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "rs" || ending == "py")
}

/// A name in a cell of tests.
#[derive(Debug, PartialEq)]
enum Named<'a> {
    /// A test, and the end of its file's path.
    Test(&'a str, &'a str),
    /// A file, and how many tests of it are meant.
    File(&'a str, usize),
}

/// What a cell names: `` `file.rs: test` ``, further `` `test` `` of the same file, `` `file.rs` (3) ``.
fn named(cell: &str) -> Vec<Named<'_>> {
    let parts: Vec<&str> = cell.split('`').collect();
    let mut file = "";
    let mut found = Vec::new();
    for place in (1..parts.len()).step_by(2) {
        let (text, after) = (parts[place], parts.get(place + 1).copied().unwrap_or_default());
        let is_name = text.len() >= 10
            && text.contains('_')
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        let of_file = text.split_once(": ").filter(|(of, _)| is_source(of));
        if let Some((of, test)) = of_file {
            file = of;
            found.push(Named::Test(file, test));
        } else if is_source(text) {
            file = text;
            let count = after.trim_start().strip_prefix('(').and_then(|rest| rest.split(')').next());
            found.push(Named::File(file, count.and_then(|count| count.parse().ok()).unwrap_or(1)));
        } else if is_name && !file.is_empty() {
            found.push(Named::Test(file, text));
        }
    }
    found
}

/// How many tests a source has, or whether it has this one.
fn tests_of(source: &str, name: Option<&str>) -> usize {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let is_test = |place: usize| {
        let line = lines[place].strip_prefix("async ").unwrap_or(lines[place]);
        if let Some(python) = line.strip_prefix("def test_") {
            return name.is_none_or(|name| {
                name.strip_prefix("test_").is_some_and(|name| python.split('(').next() == Some(name))
            });
        }
        let Some(function) = line.strip_prefix("fn ") else { return false };
        let attributes =
            lines[..place].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        attributes.clone().any(|line| line.contains("test]") || line.contains("test("))
            && name.is_none_or(|name| function.split('(').next() == Some(name))
    };
    (0..lines.len()).filter(|&place| is_test(place)).count()
}

#[test]
fn every_test_that_the_page_on_security_names_is_there_and_every_kind_has_two() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    let text = fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let of = |end: &str| -> Vec<String> {
        let matching = files.iter().filter(|file| file.ends_with(end));
        matching.map(|file| fs::read_to_string(file).unwrap()).collect()
    };
    let mut missing = Vec::new();
    let mut kinds = 0;
    let mut is_kinds = false;
    // A row of a table is a line, a paragraph all of its lines.
    let text = text.replace("\n\n", "\u{0}").replace("\n|", "\u{0}|").replace('\n', " ");
    for line in text.split('\u{0}') {
        is_kinds = line.starts_with("| kind | then |") || is_kinds && line.starts_with('|');
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let cell = if line.starts_with('|') { cells[cells.len() - 1] } else { line };
        let mut count = 0;
        for named in named(cell) {
            match &named {
                Named::Test(file, test) => {
                    count += 1;
                    if !of(file).iter().any(|source| tests_of(source, Some(test)) > 0) {
                        missing.push(format!("{file}: {test}"));
                    }
                }
                // A sentence may be about any file.
                Named::File(..) if !line.starts_with('|') => {}
                Named::File(file, expected) => {
                    count += expected;
                    let there: usize = of(file).iter().map(|source| tests_of(source, None)).sum();
                    if there < *expected {
                        missing.push(format!("{file} has {there} tests, not {expected}"));
                    }
                }
            }
        }
        if is_kinds && !line.starts_with("| kind |") && !line.starts_with("|---") {
            kinds += 1;
            if cells.len() != 5 || count < 2 {
                missing.push(format!("{}: {} cells, {count} tests", cells[0], cells.len()));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    assert!(kinds >= 16, "only {kinds} kinds");
}

/// By its name alone, behind its file or not.
#[test]
fn every_test_that_other_pages_name_is_there() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    let sources: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let is_test = |name: &&str| {
        // Metrics have the program's name.
        name.matches('_').count() > 3
            && !name.starts_with("hebbian_")
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let mut count = 0;
    for page in ["docs/OPERATIONS.md", "docs/ARCHITECTURE.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let names = quoted.map(|named| named.rsplit_once(".rs: ").map_or(named, |(_, name)| name));
        let named: BTreeSet<&str> = names.filter(is_test).collect();
        count += named.len();
        let gone = named.iter().filter(|name| sources.iter().all(|source| tests_of(source, Some(name)) == 0));
        assert_eq!(gone.collect::<Vec<_>>(), Vec::<&&str>::new(), "{page} names tests that are not there");
    }
    assert!(count >= 20, "only {count} names were found");
}

#[test]
fn a_cell_names_tests_and_files() {
    assert_eq!(
        named("`a/b.rs: one_two_three`, `four_five_six` and `--out`; `c.rs` (12); `d.py: test_x`"),
        [
            Named::Test("a/b.rs", "one_two_three"),
            Named::Test("a/b.rs", "four_five_six"),
            Named::File("c.rs", 12),
            Named::Test("d.py", "test_x")
        ]
    );
    let source = "#[test]\n/// Why.\nfn one() {}\n\nfn two() {}\n\n#[tokio::test(flavor = \"x\")]\nasync fn three() {}\n";
    assert_eq!(["one", "two", "three"].map(|name| tests_of(source, Some(name))), [1, 0, 1]);
    assert_eq!(tests_of(source, None), 2);
    assert_eq!(tests_of("    def test_four():\n", Some("test_four")), 1);
}
