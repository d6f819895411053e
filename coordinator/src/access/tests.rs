use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use hebbian_proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::*;

fn new(name: &str, role: Role) -> NewToken {
    NewToken { name: name.to_owned(), role, group: String::new(), expires_in: None }
}

fn at(directory: &tempfile::TempDir) -> Arc<Access> {
    let file = Some(directory.path().join("tokens.json"));
    Access::new(AccessSettings { required: false, file }).unwrap()
}

const LOOKS: Requirement = Requirement { needs: Needs::Role(Role::Observer), reach: Reach::Runs };

fn token(text: &str) -> Shown<'_> {
    Shown { token: Some(text), certificate: None }
}

/// A service's RPC without a row would be answered to nobody; a row without an RPC would be forgotten.
#[test]
fn every_rpc_has_its_row() {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let health = FileDescriptorSet::decode(tonic_health::pb::FILE_DESCRIPTOR_SET).unwrap().file;
    let mut all = BTreeSet::new();
    for file in files.iter().chain(&health) {
        for service in &file.service {
            for method in &service.method {
                all.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    for version in ["v1", "v1alpha"] {
        all.insert(format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"));
    }
    let rows: BTreeSet<String> = table::rpcs().map(|(path, _)| path.to_owned()).collect();
    assert_eq!(rows.len(), table::rpcs().count(), "a row stands twice");
    assert_eq!(rows, all);
}

#[test]
fn what_a_role_may_is_as_it_is_told() {
    for (role, may) in [
        (Role::Worker, &[Role::Worker][..]),
        (Role::Observer, &[Role::Observer]),
        (Role::Operator, &[Role::Observer, Role::Operator]),
        (Role::Admin, &Role::ALL),
    ] {
        for needed in Role::ALL {
            assert_eq!(role.may(needed), may.contains(&needed), "{role} {needed}");
        }
        assert_eq!(role.name().parse(), Ok(role));
        assert_eq!(Role::try_from(v1::Role::from(role)), Ok(role));
    }
    assert!("root".parse::<Role>().unwrap_err().contains("must be worker, observer, operator or admin"));
    assert!(Role::try_from(v1::Role::Unspecified).is_err());
    let uris = |uris: &[&'static str]| Role::of_uris(uris.iter().copied());
    assert_eq!(uris(&["https://a.example", "hebbian://role/worker"]), Some(Ok(Role::Worker)));
    assert_eq!(uris(&["https://a.example"]), None);
    assert!(uris(&["hebbian://role/root"]).unwrap().unwrap_err().contains("`root` is no role"));
    // What has our scheme is no name of nobody.
    for wrong in [
        "HEBBIAN://role/worker",
        "hebbian://roles/worker",
        "hebbian:role/worker",
        "hebbian://role/Worker",
        "hebbian:",
    ] {
        let problem = uris(&["https://a.example", wrong]).unwrap().unwrap_err();
        assert!(problem.contains("names a role that there is not"), "{wrong}: {problem}");
    }
    assert_eq!(uris(&["hebbianx://role/worker", "nothing"]), None);
    assert!(uris(&["hebbian://role/admin", "hebbian://role/worker"]).unwrap().is_err());
}

#[test]
fn a_token_is_shown_once_and_kept_as_a_hash_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let access = at(&directory);
    assert!(!access.is_on());
    let (message, secret) = access.create(&new("me", Role::Admin), "10.0.0.1:5 (CN=x)", false).unwrap();
    assert_eq!((message.name.as_str(), message.created_by.as_str()), ("me", "10.0.0.1:5 (CN=x)"));
    let (_, other) = access.create(&new("other", Role::Worker), "", false).unwrap();
    assert_ne!(secret, other);
    assert_eq!(secret.text().len(), "hebbian_".len() + 64);
    assert!(!format!("{secret:?} {access:?}").contains(secret.text()));
    let path = directory.path().join("tokens.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&secret.text()["hebbian_".len()..]), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Whoever starts next knows it, and nobody else is let in.
    let access = at(&directory);
    assert!(access.is_on());
    let caller = access.judge("Get", LOOKS, token(secret.text())).unwrap().unwrap();
    assert_eq!((caller.token.as_deref(), caller.role), (Some("me"), Role::Admin));
    let mut wrong = secret.text().to_owned();
    wrong.pop();
    for text in ["", "hebbian_", &wrong, &format!("{}0", secret.text()), &format!("{wrong}g")] {
        let denied = access.judge("Get", LOOKS, token(text)).unwrap_err();
        assert!(matches!(&denied, Denied::Unknown(why) if why.contains("is not known")), "{denied}");
    }
    let denied = access.judge("Get", LOOKS, Shown::default()).unwrap_err();
    assert!(matches!(&denied, Denied::Unknown(why) if why.contains("the role observer")), "{denied}");
}

#[test]
fn what_is_revoked_or_expired_lets_nobody_in_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let access = at(&directory);
    access.create(&new("admin", Role::Admin), "", false).unwrap();
    let brief = NewToken { expires_in: Some(Duration::from_secs(60)), ..new("brief", Role::Observer) };
    let (_, brief) = access.create(&brief, "", false).unwrap();
    let now = SystemTime::now();
    let judged =
        |after: u64| access.judge_at(now + Duration::from_secs(after), "Get", LOOKS, token(brief.text()));
    let caller = judged(58).unwrap().unwrap();
    assert!(matches!(judged(62).unwrap_err(), Denied::Unknown(why) if why.contains("`brief` has expired")));
    assert!(!caller.revoked.is_cancelled());
    // Somebody else has changed the file, and then this coordinator does.
    let beside = at(&directory);
    let (_, late) = beside.create(&new("late", Role::Observer), "", false).unwrap();
    access.revoke("brief", false).unwrap();
    assert!(caller.revoked.is_cancelled(), "who was let in is told");
    assert!(matches!(judged(0).unwrap_err(), Denied::Unknown(why) if why.contains("`brief` was revoked")));
    assert!(access.judge("Get", LOOKS, token(late.text())).is_ok(), "what another one has written is kept");
    let kept = access.judge("Get", LOOKS, token(late.text())).unwrap().unwrap();
    beside.revoke("late", false).unwrap();
    access.reload().unwrap();
    assert!(kept.revoked.is_cancelled());
    assert_eq!(access.revoke("nobody", false), Err(AccessRefusal::NoSuchToken("nobody".to_owned())));
    // A name is free again when its token has ended.
    let (_, again) = access.create(&new("brief", Role::Observer), "", false).unwrap();
    assert!(access.judge("Get", LOOKS, token(again.text())).is_ok() && judged(0).is_err());
    assert_eq!(
        access.create(&new("brief", Role::Observer), "", false),
        Err(AccessRefusal::Exists("brief".to_owned()))
    );
    let listed: Vec<String> = access.list().into_iter().map(|token| token.name).collect();
    assert_eq!(listed, ["admin", "brief", "late"]);
}

#[test]
fn nobody_locks_everybody_out() {
    let directory = tempfile::tempdir().unwrap();
    let access = at(&directory);
    let first = access.create(&new("w", Role::Worker), "", false).unwrap_err();
    assert!(first.to_string().contains("the first token must have the role admin"), "{first}");
    assert!(!access.is_on() && access.list().is_empty());
    access.create(&new("one", Role::Admin), "", false).unwrap();
    let last = access.revoke("one", false).unwrap_err();
    assert!(last.to_string().contains("the last valid token with the role admin"), "{last}");
    access.create(&new("two", Role::Admin), "", false).unwrap();
    access.revoke("one", false).unwrap();
    assert!(access.revoke("two", false).is_err());
    // Whoever has another way may.
    access.revoke("two", true).unwrap();
    assert!(access.is_on(), "what has begun does not end by itself");
    access.create(&new("w", Role::Worker), "", true).unwrap();
    // Without a place there are no tokens.
    let none = Access::open().create(&new("one", Role::Admin), "", false).unwrap_err();
    assert!(none.to_string().starts_with("access.tokens: names no file"), "{none}");
}

#[test]
fn a_file_that_is_gone_or_damaged_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (access, path) = (at(&directory), directory.path().join("tokens.json"));
    let (_, secret) = access.create(&new("me", Role::Admin), "", false).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let refused = |text: &str, expected: &str| {
        fs::write(&path, text).unwrap();
        let error = access.reload().unwrap_err();
        assert!(error.problem.contains(expected), "{error}");
        assert_eq!(error.path, path.display().to_string());
        assert!(access.judge("Get", LOOKS, token(secret.text())).is_ok());
        let settings = AccessSettings { required: false, file: Some(path.clone()) };
        assert_eq!(Access::new(settings).unwrap_err(), error);
    };
    refused("", "is no file of tokens");
    refused("{\"tokens\": [{}]}", "missing field `name`");
    refused(&good.replace("\"name\": \"me\"", "\"name\": \"m e\""), "\"m e\" is no name of a token");
    refused(&good.replace("\"admin\"", "\"root\""), "unknown variant `root`");
    refused(&good.replace("\"sha256\": \"", "\"sha256\": \"0"), "must have 64 hexadecimal digits");
    refused(&" ".repeat((hebbian_shared::limits::TOKENS_FILE_BYTES_MAX + 1) as usize), "has more than");
    fs::remove_file(&path).unwrap();
    // To open a pipe would wait for a writer.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(access.reload().unwrap_err().problem.contains("it must be a regular file"));
    fs::remove_file(&path).unwrap();
    assert!(access.reload().unwrap_err().problem.contains("is gone"));
    assert!(matches!(access.create(&new("x", Role::Admin), "", false), Err(AccessRefusal::File(_))));
    assert!(access.is_on() && access.judge("Get", LOOKS, token(secret.text())).is_ok());
    fs::write(&path, good).unwrap();
    access.reload().unwrap();
}

#[test]
fn what_is_wrong_with_a_new_token_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let access = at(&directory);
    access.create(&new("me", Role::Admin), "", false).unwrap();
    let check = |new: NewToken, expected: &str| match access.create(&new, "", false) {
        Err(AccessRefusal::Field { field, .. }) => assert_eq!(field, expected),
        other => panic!("{other:?}"),
    };
    for name in ["", "-x", ".x", "a b", "a/b", "a\u{202e}", &"x".repeat(TOKEN_NAME_MAX + 1)] {
        check(new(name, Role::Observer), "name");
    }
    let group = |group: &str, role| NewToken { group: group.to_owned(), ..new("x", role) };
    check(group("a/b", Role::Observer), "group");
    check(group("-a", Role::Operator), "group");
    check(group("a", Role::Worker), "group");
    check(group("a", Role::Admin), "group");
    let expires = |time| NewToken { expires_in: Some(time), ..new("x", Role::Observer) };
    check(expires(Duration::ZERO), "expires_in");
    check(expires(TOKEN_LIFETIME_MAX + Duration::from_secs(1)), "expires_in");
    let whole = NewToken { expires_in: Some(TOKEN_LIFETIME_MAX), ..group("a b", Role::Observer) };
    access.create(&NewToken { name: "x".repeat(TOKEN_NAME_MAX), ..whole }, &"\n".repeat(999), false).unwrap();
}

#[test]
fn tokens_are_bounded_and_ended_ones_make_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens.json");
    let record = |place: usize| {
        let secret = Secret::random().unwrap();
        TokenRecord::new(&new(&format!("t{place:04}"), Role::Admin), "", 1, &secret)
    };
    let mut records: Vec<TokenRecord> = (0..TOKENS_MAX).map(record).collect();
    tokens::write(&path, &records).unwrap();
    let access = at(&directory);
    assert_eq!(access.create(&new("more", Role::Admin), "", false).unwrap_err(), AccessRefusal::Full);
    (records[7].revoked_unix_s, records[9].revoked_unix_s) = (Some(9), Some(7));
    tokens::write(&path, &records).unwrap();
    access.create(&new("more", Role::Admin), "", false).unwrap();
    let names: Vec<String> = access.list().into_iter().map(|token| token.name).collect();
    assert_eq!(names.len(), TOKENS_MAX);
    assert!(names.contains(&"t0007".to_owned()) && !names.contains(&"t0009".to_owned()), "the oldest goes");
}

/// A slow disk keeps no request waiting.
#[test]
fn requests_are_judged_while_the_file_is_changed() {
    let directory = tempfile::tempdir().unwrap();
    let access = at(&directory);
    let changed = access.change(|_| {
        assert!(access.book.try_read().is_ok(), "a request would wait for the disk");
        Ok(())
    });
    changed.unwrap();
}
