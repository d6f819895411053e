use super::*;

fn check(arguments: &[&str], message: &str, hint: &str) {
    let first = arguments.first().copied();
    let arguments = std::iter::once(&"hebbian").chain(arguments);
    let failure = usage_failure(&Program::try_parse_from(arguments).expect_err(message), first);
    assert!(failure.message().starts_with(message), "{}", failure.message());
    assert!(failure.advice().unwrap().starts_with(hint), "{:?}", failure.advice());
}

#[test]
fn the_tree_of_commands_is_sound() {
    Program::command().debug_assert();
}

#[test]
fn wrong_arguments_are_told_in_one_line() {
    check(
        &["run", "--wokers", "2"],
        "unexpected argument '--wokers' found",
        "a similar argument exists: '--workers'",
    );
    check(
        &["run", "--workers", "0"],
        "invalid value '0' for '--workers <N>': a number of threads is from 1",
        "`hebbian run --help` explains the arguments",
    );
    check(
        &["run", "--seed", "-1"],
        "invalid value '-1' for '--seed <S>': a seed is a whole number from 0",
        "",
    );
    check(
        &["genome", "backprop", "--hidden", "none"],
        "invalid value 'none' for '--hidden <N,M,..>': must be a whole number",
        "",
    );
    check(
        &["genome", "backprop", "--pairs", "1e9"],
        "invalid value '1e9' for '--pairs <N>': must be a whole number",
        "",
    );
    check(
        &["worker", "--threads", "-2"],
        "invalid value '-2' for '--threads <N>': a number of threads is",
        "",
    );
    check(
        &["evaluate", "x", "--updates", "3,-3"],
        "invalid value '-3' for '--updates <N,M,..>': -3 is not in 1..=2000",
        "",
    );
    check(
        &["evaluate", "x", "--tasks-per-family", "1"],
        "invalid value '1' for '--tasks-per-family <N>': 1 is not in 2..=100000",
        "",
    );
    check(
        &["create", "x", "--request-id", ""],
        "invalid value '' for '--request-id <NAME>': the name of a creation has 1 to 128 bytes",
        "",
    );
    check(&["run", "--seed", "9223372036854775808"], "invalid value '9223372036854775808'", "");
    check(&["status", "--timeout", "soon", "x"], "invalid value 'soon' for '--timeout <TIME>'", "");
    check(
        &["evaluate"],
        "the following required arguments were not provided: <GENOME>",
        "usage: hebbian evaluate",
    );
    check(&["evolve"], "unrecognized subcommand 'evolve'", "");
}

#[test]
fn the_quickstart_shows_every_key_with_its_default() {
    // `# key = value` is a key; all other comments are prose.
    let is_key = |line: &str| {
        let key = line.split(" = ").next().filter(|key| *key != line);
        key.is_some_and(|key| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
    };
    let bare = |line| match str::strip_prefix(line, "# ") {
        Some(rest) if is_key(rest) => rest,
        _ => line,
    };
    let shown = crate::QUICKSTART.lines().map(bare).collect::<Vec<_>>().join("\n");
    assert_eq!(RunSpec::read(&shown), Ok(Preset::Quickstart.spec(None)), "a default is another");
    let keys = |text: &str| -> std::collections::BTreeSet<String> {
        let table: toml::Table = text.parse().unwrap();
        let of_section = |(name, value): (&String, &toml::Value)| match value.as_table() {
            Some(section) => section.keys().map(|key| format!("{name}.{key}")).collect(),
            None => vec![name.clone()],
        };
        table.iter().flat_map(of_section).collect()
    };
    let (shown, written) = (keys(&shown), keys(&Preset::Quickstart.spec(None).to_toml()));
    let missing: Vec<&String> = written.difference(&shown).collect();
    assert!(missing.is_empty(), "the quickstart lacks {missing:?}");
}

#[test]
fn the_built_in_specs_are_valid() {
    for &preset in Preset::value_variants() {
        let name = preset.to_possible_value().unwrap().get_name().to_owned();
        assert_eq!(preset.spec(None).name, name);
        assert_eq!(preset.spec(Some(Seed::new(7).unwrap())).seed.get(), 7);
        assert_eq!(preset.program().is_some(), preset.spec(None).problem.external().is_some(), "{name}");
    }
}
