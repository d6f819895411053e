//! Which commit, features and target the program is made of, for `hebbian --version`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=HEBBIAN_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=HEBBIAN_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo::rustc-env=HEBBIAN_FEATURES={}", features());
    for name in ["TARGET", "PROFILE"] {
        println!("cargo::rustc-env=HEBBIAN_{name}={}", env::var(name).unwrap_or_default());
    }
}

/// Told by whoever builds without a repository (the image), or asked of git.
fn commit() -> Option<String> {
    let told = env::var("HEBBIAN_COMMIT").ok().filter(|commit| !commit.is_empty());
    told.or_else(asked).filter(|commit| commit.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// A test build does not ask: it would be linked anew after every commit.
fn asked() -> Option<String> {
    if env::var("PROFILE").is_ok_and(|profile| profile == "debug") {
        return None;
    }
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    // Another repository may hold the sources of this one.
    if !Path::new("../.git").exists() {
        return None;
    }
    for path in ["HEAD", "index"] {
        let path = git(&["rev-parse", "--path-format=absolute", "--git-path", path])?;
        println!("cargo::rerun-if-changed={path}");
    }
    git(&["describe", "--always", "--abbrev=40", "--dirty", "--exclude", "*"])
}

fn features() -> String {
    let mut features: Vec<String> = env::vars()
        .filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(str::to_lowercase))
        .filter(|name| name != "default")
        .map(|name| name.replace('_', "-"))
        .collect();
    features.sort();
    if features.is_empty() { "none".to_owned() } else { features.join(", ") }
}
