//! `detector token`: who may use the API. Opens the database itself: no agent needs to run.

use std::io::{self, BufWriter, Write};

use anyhow::{Context as _, bail};

use super::audited::{record, write_down};
use super::listing::{Column, Listing, ago, json, short_time};
use crate::audit::Action;
use crate::cli::LiveFormat;
use crate::cli::serve::{TokenArgs, TokenCommand, TokenCreate};
use crate::clock::now_ns;
use crate::config::Config;
use crate::refusal::Refusal;
use crate::store::Store;
use crate::store::tokens::{self, PREFIX, Secret, Token};
use crate::units::rfc3339;

pub fn run(args: TokenArgs, mut config: Config) -> anyhow::Result<()> {
    if let Some(path) = args.db {
        config.store.path = Some(path);
    }
    let store = Store::open(&config.database())?;
    let mut output = BufWriter::new(io::stdout().lock());
    match args.command {
        TokenCommand::Create(create) => make(&mut output, &store, &config, &create)?,
        TokenCommand::List(listed) => {
            let all = store.read(tokens::list)?;
            match listed.format {
                LiveFormat::Json => json(&mut output, all.iter().map(object)),
                LiveFormat::Table => list(&mut output, &all, now_ns()),
            }
            .context("failed to write the tokens")?;
        }
        TokenCommand::Revoke(revoke) => {
            let name = take_back(&store, &revoke.token)?;
            write_down(&config, [record(Action::Token, format!("revoked the token `{name}`"))]);
            writeln!(output, "token {name} is revoked").context("failed to write the result")?;
        }
    }
    output.flush().context("failed to write the answer")
}

fn make(
    output: &mut impl Write,
    store: &Store,
    config: &Config,
    create: &TokenCreate,
) -> anyhow::Result<()> {
    let (secret, code) = (Secret::new(PREFIX)?, Secret::new("")?);
    let (hash, code_hash, now) = (secret.hash, code.hash, now_ns() / 1_000_000_000);
    let (name, scope) = (create.name.clone(), create.scope.into());
    let expires = create.expires.map(|seconds| now.saturating_add(seconds));
    let token = store.write(move |connection| {
        let token = tokens::create(connection, &name, scope, &hash, now, expires)?;
        tokens::add_code(connection, &code_hash, token.id, now)?;
        Ok(token)
    })?;
    write_down(
        config,
        [record(
            Action::Token,
            format!("created the token `{}` with the scope {}", token.name, scope.name()),
        )],
    );
    let link = format!("{}/login#code={}", config.api.base_url(), code.text);
    match create.listed.format {
        LiveFormat::Json => {
            let mut object = object(&token);
            object["token"] = secret.text.into();
            object["login_link"] = link.into();
            json(output, [object])
        }
        LiveFormat::Table => told(output, &token, &secret.text, &link),
    }
    .context("failed to write the token")
}

fn told(output: &mut impl Write, token: &Token, secret: &str, link: &str) -> io::Result<()> {
    let until = match token.expires {
        Some(expires) => format!("until {}", short_time(&time(expires))),
        None => "until it is revoked".to_owned(),
    };
    writeln!(
        output,
        "token {} with the scope {}, valid {until}. It is shown only once:",
        token.name,
        token.scope.name()
    )?;
    writeln!(output, "  {secret}")?;
    writeln!(output, "to log one browser in, open this link within 10 minutes:")?;
    writeln!(output, "  {link}")
}

fn take_back(store: &Store, named: &str) -> anyhow::Result<String> {
    let all = store.read(tokens::list)?;
    let by_number = |token: &&Token| named.parse() == Ok(token.id);
    let found = all.iter().find(|token| token.name == named).or(all.iter().find(by_number));
    let Some(id) = found.map(|token| token.id) else {
        let text = format!("there is no token `{named}`: see `detector token list`");
        bail!(Refusal::not_found(text));
    };
    store.write(move |connection| tokens::revoke(connection, id))
}

fn list(output: &mut impl Write, all: &[Token], now_ns: u64) -> io::Result<()> {
    if all.is_empty() {
        return writeln!(output, "no tokens: create one with `detector token create NAME`");
    }
    let mut listing = Listing::new([
        Column::Right("ID"),
        Column::Left("NAME"),
        Column::Left("SCOPE"),
        Column::Left("EXPIRES (UTC)"),
        Column::Left("LAST USED"),
    ]);
    for token in all {
        listing.row([
            token.id.to_string(),
            token.name.clone(),
            token.scope.name().to_owned(),
            token.expires.map_or("never".to_owned(), |expires| short_time(&time(expires))),
            token.last_used.map_or("never".to_owned(), |used| ago(&time(used), now_ns)),
        ]);
    }
    listing.write(output)
}

fn object(token: &Token) -> serde_json::Value {
    serde_json::json!({
        "id": token.id, "name": token.name, "scope": token.scope.name(),
        "created": time(token.created), "expires": token.expires.map(time),
        "last_used": token.last_used.map(time),
    })
}

fn time(seconds: u64) -> String {
    rfc3339(seconds.saturating_mul(1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::text;
    use crate::store::tokens::Scope;

    #[test]
    fn tokens_read_as_a_table() {
        let token = Token {
            id: 1,
            name: "laptop".into(),
            scope: Scope::Admin,
            created: 1_800_000_000,
            expires: Some(1_800_086_400),
            last_used: None,
        };
        let expected = "\
ID  NAME    SCOPE  EXPIRES (UTC)        LAST USED
 1  laptop  admin  2027-01-16 08:00:00  never
";
        assert_eq!(text(|output| list(output, std::slice::from_ref(&token), 0)), expected);
        let said =
            text(|output| told(output, &token, "dtct_x", "http://127.0.0.1:5000/login#code=y"));
        assert!(said.contains("  dtct_x\n") && said.contains("#code=y\n"), "{said}");
        assert!(text(|output| list(output, &[], 0)).starts_with("no tokens"));
    }
}
