//! `hebbian token`

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use hebbian_coordinator::access::tokens::PREFIX;
use hebbian_coordinator::access::{Access, AccessRefusal, AccessSettings, NewToken, Role};
use hebbian_proto::v1::access_service_client::AccessServiceClient;
use hebbian_proto::{convert, v1};
use hebbian_shared::limits::TOKEN_FILE_BYTES_MAX;

use super::{LogArguments, ask};
use crate::client::{Again, Client, ClientArguments, pages};
use crate::failure::Failure;
use crate::{files, render};

/// Make, show and revoke tokens: who may do what at a coordinator.
///
/// The first token has the role admin, and access is controlled from then on. Of a token the coordinator keeps a hash, a name and a role; its
/// text is shown once. Whoever asks for something shows it with --token-file FILE or `HEBBIAN_TOKEN_FILE`, a browser as the password.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(CreateArguments),
    /// List the tokens, those that have ended included.
    List(ListArguments),
    /// Revoke a token: nobody is let in by it any more, and connections that used it end.
    Revoke(RevokeArguments),
}

/// Make a token and print it, once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hebbian token create me --role admin --out me.token          the first one; from now on everybody needs one
  export HEBBIAN_TOKEN_FILE=me.token
  hebbian token create nodes --role worker --expires 90d --out worker.token
  hebbian token create board --role observer --group vision    for the runs of one group
  hebbian token create me --role admin --tokens /etc/hebbian/tokens.json    without a coordinator")]
struct CreateArguments {
    /// A name for the token, for the audit and for `revoke`.
    name: String,
    /// What it lets do: worker (attach), observer (look), operator (look and act) or admin (all, and tokens).
    #[arg(long, value_name = "ROLE")]
    role: Role,
    /// Of an observer or an operator: only the runs of this group.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    group: String,
    /// After what time it ends [default: never]: `12h`, `90d`.
    #[arg(long, value_name = "TIME", value_parser = crate::time::parse)]
    expires: Option<Duration>,
    /// Write the token to a file, for its owner only, in place of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    place: Place,
    /// Print a JSON list.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RevokeArguments {
    /// The token's name.
    name: String,
    #[command(flatten)]
    place: Place,
}

/// Where the tokens are.
#[derive(Debug, Args)]
struct Place {
    /// Change this file of tokens (`access.tokens`) in place of asking a coordinator: one that runs reads it again at SIGHUP.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    #[command(flatten)]
    client: ClientArguments,
}

pub(super) fn execute(arguments: Arguments, log: &LogArguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Create(arguments) => create(&arguments, log),
        Command::List(arguments) => list(&arguments, log),
        Command::Revoke(arguments) => revoke(&arguments, log),
    }
}

/// The tokens of a file that is there.
fn existing(file: &Path) -> Result<std::sync::Arc<Access>, Failure> {
    // What is not there has no tokens to show or to revoke; a path that was misspelt would say so of them.
    std::fs::metadata(file).map_err(|error| Failure::file(file, "cannot be read", &error).of("--tokens"))?;
    opened(file)
}

/// The tokens of a file, which may not be there yet.
fn opened(file: &Path) -> Result<std::sync::Arc<Access>, Failure> {
    if files::is_standard(file) {
        return Err(Failure::bad_input("--tokens: must be a file; `-` is none"));
    }
    let settings = AccessSettings { required: false, file: Some(file.to_owned()) };
    Access::new(settings).map_err(|error| Failure::bad_input(format_args!("--tokens: {error}")))
}

fn refused(refusal: AccessRefusal) -> Failure {
    match refusal {
        AccessRefusal::Field { field, problem } => {
            let argument = match field {
                "name" => "NAME",
                "group" => "--group",
                "expires_in" => "--expires",
                other => other,
            };
            Failure::bad_input(format_args!("{argument}: {problem}"))
        }
        AccessRefusal::NoSuchToken(_) => Failure::not_found(refusal),
        AccessRefusal::File(_) => Failure::failed(refusal),
        _ => Failure::bad_input(refusal),
    }
}

fn service(client: &Client) -> AccessServiceClient<hebbian_worker::session::Authorised> {
    AccessServiceClient::new(client.channel())
}

fn create(arguments: &CreateArguments, log: &LogArguments) -> Result<(), Failure> {
    let CreateArguments { name, role, group, expires, out, place } = arguments;
    let role = *role;
    let new = NewToken { name: name.clone(), role, group: group.clone(), expires_in: *expires };
    new.check().map_err(refused)?;
    if let Some(out) = out {
        check_out(out)?;
        if place.tokens.as_ref() == Some(out) {
            return Err(Failure::bad_input("--out: is the file of tokens itself")
                .hint("a coordinator keeps hashes there; the token belongs into a file of its own"));
        }
    }
    if let Some(file) = &place.tokens {
        log.set_up()?;
        let access = opened(file)?;
        // Whoever may write the file needs no token.
        let (_, secret) = access.create(&new, "", true).map_err(refused)?;
        show(name, secret.text(), out.as_ref())?;
        note_administration(&access, file);
        return Ok(());
    }
    ask(log, &place.client, Again::Undone, async |client| {
        let request = v1::CreateTokenRequest {
            name: name.clone(),
            role: v1::Role::from(role).into(),
            group: group.clone(),
            expires_in: expires.map(convert::from_duration),
        };
        let answer = client.answer(service(&client).create_token(request)).await?;
        show(name, &answer.secret, out.as_ref())
    })
}

/// Says so if nobody can make or revoke tokens at a coordinator any more, which is allowed where the file is at hand.
fn note_administration(access: &Access, file: &Path) {
    if !access.has_admin() {
        render::note(&format!(
            "no valid token in {} has the role admin: only whoever may write this file, or has an admin's certificate, can make and \
             revoke tokens; `hebbian token create NAME --role admin --tokens {}` makes one",
            file.display(),
            file.display()
        ));
    }
}

/// Refuses, before a token is made, a file that cannot keep it, and one that keeps another: that one may be the last of its kind.
fn check_out(path: &Path) -> Result<(), Failure> {
    files::check(path)?;
    let kept = if path.is_file() { files::read_text(path, TOKEN_FILE_BYTES_MAX).ok() } else { None };
    if kept.is_some_and(|text| text.trim_start().starts_with(PREFIX)) {
        return Err(Failure::bad_input(format_args!("--out: {} holds a token already", path.display()))
            .hint("name another file, or remove this one if nobody needs its token"));
    }
    Ok(())
}

/// Shows a token, this once: where it was to go or, as it is lost otherwise, elsewhere with the failure.
fn show(name: &str, secret: &str, out: Option<&PathBuf>) -> Result<(), Failure> {
    let line = format!("{secret}\n");
    let last_resort = |failure: Failure| {
        render::note(&format!(
            "the token `{name}` was made, and this is the only time that it is shown: {secret}"
        ));
        failure
    };
    if let Some(path) = out {
        files::write_secret(path, &line).map_err(last_resort)?;
        render::note(&format!("wrote the token `{name}` to {}; HEBBIAN_TOKEN_FILE names it", path.display()));
    } else {
        render::out(&line).map_err(last_resort)?;
        render::note(&format!("this is the only time that the token `{name}` is shown; keep it in a file"));
    }
    Ok(())
}

fn list(arguments: &ListArguments, log: &LogArguments) -> Result<(), Failure> {
    let ListArguments { place, json } = arguments;
    if let Some(file) = &place.tokens {
        log.set_up()?;
        return render::json::or_all(*json, &existing(file)?.list(), render::token::list);
    }
    ask(log, &place.client, Again::Always, async |client| {
        let tokens = pages(async |page_token| {
            let request = v1::ListTokensRequest { page_size: 0, page_token };
            let page = client.answer(service(&client).list_tokens(request)).await?;
            Ok((page.tokens, page.next_page_token))
        })
        .await?;
        render::json::or_all(*json, &tokens, render::token::list)
    })
}

fn revoke(arguments: &RevokeArguments, log: &LogArguments) -> Result<(), Failure> {
    let RevokeArguments { name, place } = arguments;
    if let Some(file) = &place.tokens {
        log.set_up()?;
        let access = existing(file)?;
        access.revoke(name, true).map_err(refused)?;
        note_administration(&access, file);
    } else {
        ask(log, &place.client, Again::Always, async |client| {
            let request = v1::RevokeTokenRequest { name: name.clone() };
            client.answer(service(&client).revoke_token(request)).await.map(|_| ())
        })?;
    }
    render::note(&format!("revoked the token `{name}`"));
    Ok(())
}
