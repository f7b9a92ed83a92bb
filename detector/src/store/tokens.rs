//! Who may use the API: tokens, the links that log a browser in once, and the logins that follow.
//!
//! What lets somebody in is kept as its hash alone; it is shown once, when it is made.

use anyhow::{Context as _, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, OptionalExtension as _, Row};
use sha2::{Digest as _, Sha256};

use crate::refusal::Refusal;

/// How long a login link can be used.
pub const CODE_SECS: u64 = 600;
/// How long a browser stays logged in.
pub const LOGIN_SECS: u64 = 7 * 86_400;
/// A token's use is noted no more often than this.
const USE_NOTED_SECS: u64 = 60;
/// What tokens begin with, so that they are distinguished from other secrets where they leak.
pub const PREFIX: &str = "dtct_";
/// The longest name of a token, in characters.
pub const MAX_NAME: usize = 100;

/// Rights; each scope includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look.
    Read,
    /// Acknowledge, block, upload.
    Respond,
    /// Contacts, tokens, models, mode.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Respond, Self::Admin];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Respond => "respond",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// The SHA-256 of a secret: what is kept and looked up. A lookup by it takes no longer for a secret
/// that is nearly right.
pub type Hash = [u8; 32];

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: i64,
    pub name: String,
    pub scope: Scope,
    /// Seconds since the epoch, as all times here.
    pub created: u64,
    pub expires: Option<u64>,
    pub last_used: Option<u64>,
}

/// A secret that was made just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub text: String,
    pub hash: Hash,
}

impl Secret {
    /// 256 random bits.
    pub fn new(prefix: &str) -> anyhow::Result<Self> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)
            .map_err(|error| anyhow!("failed to draw random bits: {error}"))?;
        let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bits));
        let hash = hash(&text);
        Ok(Self { text, hash })
    }
}

/// What is kept of a secret.
#[must_use]
pub fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// A browser that is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub token: Token,
    /// What changes must carry besides the cookie.
    pub csrf: String,
}

/// Keeps a new token.
pub fn create(
    connection: &Connection,
    name: &str,
    scope: Scope,
    hash: &Hash,
    now: u64,
    expires: Option<u64>,
) -> anyhow::Result<Token> {
    check_name(name)?;
    let text = || format!("a token `{name}` exists already: revoke it, or use another name");
    ensure!(!is_taken(connection, name)?, Refusal::conflict(text()).at("name"));
    connection.execute(
        "INSERT INTO tokens (name, hash, scope, created, expires) VALUES (?, ?, ?, ?, ?)",
        (name, hash.as_slice(), scope.name(), now, expires),
    )?;
    let id = connection.last_insert_rowid();
    Ok(Token { id, name: name.to_owned(), scope, created: now, expires, last_used: None })
}

pub fn check_name(name: &str) -> Result<(), Refusal> {
    let length = name.chars().count();
    if !(1..=MAX_NAME).contains(&length) {
        return Err(Refusal::invalid(
            "name",
            format!("the name must have 1 to {MAX_NAME} characters"),
        ));
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        let text = "the name must not have control characters, or spaces at its ends";
        return Err(Refusal::invalid("name", text));
    }
    Ok(())
}

/// Whether there is a token of this name.
fn is_taken(connection: &Connection, name: &str) -> anyhow::Result<bool> {
    Ok(connection.query_row("SELECT count(*) FROM tokens WHERE name = ?", [name], |row| {
        row.get::<_, u64>(0)
    })? > 0)
}

/// Every token, the oldest first.
pub fn list(connection: &Connection) -> anyhow::Result<Vec<Token>> {
    let mut statement = connection
        .prepare("SELECT id, name, scope, created, expires, last_used FROM tokens ORDER BY id")?;
    let rows = statement.query_map([], token_of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Revokes a token, and ends the logins that came of it. Returns its name.
pub fn revoke(connection: &Connection, id: i64) -> anyhow::Result<String> {
    let name = connection
        .query_row("DELETE FROM tokens WHERE id = ? RETURNING name", [id], |row| row.get(0))
        .optional()?;
    name.with_context(|| Refusal::not_found(format!("there is no token {id}")))
}

/// The token with this hash, where it has not expired.
pub fn find(connection: &Connection, hash: &Hash, now: u64) -> anyhow::Result<Option<Token>> {
    Ok(connection
        .prepare_cached(
            "SELECT id, name, scope, created, expires, last_used FROM tokens
             WHERE hash = ?1 AND (expires IS NULL OR expires > ?2)",
        )?
        .query_row((hash.as_slice(), now), token_of)
        .optional()?)
}

/// Whether the token's use is worth noting again.
#[must_use]
pub fn is_use_stale(token: &Token, now: u64) -> bool {
    token.last_used.is_none_or(|used| now.saturating_sub(used) >= USE_NOTED_SECS)
}

/// Notes that a token was used.
pub fn note_use(connection: &Connection, id: i64, now: u64) -> anyhow::Result<()> {
    connection.execute("UPDATE tokens SET last_used = ?2 WHERE id = ?1", (id, now))?;
    Ok(())
}

/// Keeps a code that logs a browser in once.
pub fn add_code(connection: &Connection, hash: &Hash, token: i64, now: u64) -> anyhow::Result<()> {
    connection.execute("DELETE FROM login_codes WHERE expires <= ?", [now])?;
    connection.execute(
        "INSERT INTO login_codes (hash, token, expires) VALUES (?, ?, ?)",
        (hash.as_slice(), token, now + CODE_SECS),
    )?;
    Ok(())
}

/// Takes a code: the token that it is for, and never a second time.
pub fn take_code(connection: &Connection, hash: &Hash, now: u64) -> anyhow::Result<Option<Token>> {
    let token: Option<(i64, u64)> = connection
        .query_row(
            "DELETE FROM login_codes WHERE hash = ? RETURNING token, expires",
            [hash.as_slice()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((id, _)) = token.filter(|(_, expires)| *expires > now) else { return Ok(None) };
    Ok(connection
        .query_row(
            "SELECT id, name, scope, created, expires, last_used FROM tokens
             WHERE id = ?1 AND (expires IS NULL OR expires > ?2)",
            (id, now),
            token_of,
        )
        .optional()?)
}

/// Logs a browser in. It stays so no longer than its token is good.
pub fn log_in(
    connection: &Connection,
    cookie: &Hash,
    csrf: &str,
    token: &Token,
    now: u64,
) -> anyhow::Result<()> {
    connection.execute("DELETE FROM logins WHERE expires <= ?", [now])?;
    let expires = (now + LOGIN_SECS).min(token.expires.unwrap_or(u64::MAX));
    connection.execute(
        "INSERT INTO logins (hash, token, csrf, created, expires) VALUES (?, ?, ?, ?, ?)",
        (cookie.as_slice(), token.id, csrf, now, expires),
    )?;
    Ok(())
}

/// The login that a cookie represents, where it has not expired.
pub fn find_login(connection: &Connection, hash: &Hash, now: u64) -> anyhow::Result<Option<Login>> {
    Ok(connection
        .prepare_cached(
            "SELECT t.id, t.name, t.scope, t.created, t.expires, t.last_used, l.csrf
             FROM logins l JOIN tokens t ON t.id = l.token
             WHERE l.hash = ?1 AND l.expires > ?2 AND (t.expires IS NULL OR t.expires > ?2)",
        )?
        .query_row((hash.as_slice(), now), |row| {
            Ok(Login { token: token_of(row)?, csrf: row.get(6)? })
        })
        .optional()?)
}

/// Ends a login.
pub fn log_out(connection: &Connection, hash: &Hash) -> anyhow::Result<()> {
    connection.execute("DELETE FROM logins WHERE hash = ?", [hash.as_slice()])?;
    Ok(())
}

fn token_of(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scope: String = row.get(2)?;
    Ok(Token {
        id: row.get(0)?,
        name: row.get(1)?,
        // One that a later program wrote may at least look.
        scope: Scope::of(&scope).unwrap_or(Scope::Read),
        created: row.get(3)?,
        expires: row.get(4)?,
        last_used: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::tests::Folder;
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn token(store: &Store, name: &'static str, expires: Option<u64>) -> (Token, Secret) {
        let secret = Secret::new(PREFIX).unwrap();
        let kept = secret.hash;
        let token = store
            .write(move |connection| create(connection, name, Scope::Admin, &kept, NOW, expires))
            .unwrap();
        (token, secret)
    }

    #[test]
    fn a_token_is_found_by_its_text_until_it_ends() {
        let folder = Folder::new("tokens");
        let store = Store::open(&folder.database()).unwrap();
        let (forever, secret) = token(&store, "laptop", None);
        let (_, short) = token(&store, "visit", Some(NOW + 60));
        assert!(secret.text.starts_with(PREFIX) && secret.text.len() == PREFIX.len() + 43);
        let find = |secret: &Secret, now| {
            store.read(|connection| find(connection, &hash(&secret.text), now)).unwrap()
        };
        assert_eq!(find(&secret, NOW + 1_000_000), Some(forever.clone()));
        assert!(find(&short, NOW + 59).is_some());
        assert_eq!(find(&short, NOW + 60), None);
        let again = store
            .write(|connection| create(connection, "laptop", Scope::Read, &[0; 32], NOW, None));
        assert!(again.unwrap_err().to_string().contains("a token `laptop` exists already"));
        assert_eq!(
            store.write(move |connection| revoke(connection, forever.id)).unwrap(),
            "laptop"
        );
        assert_eq!(find(&secret, NOW), None);
        // What is in the file does not let anybody in.
        let bytes = std::fs::read(folder.database()).unwrap();
        assert!(!bytes.windows(40).any(|part| secret.text.as_bytes().starts_with(part)));
    }

    #[test]
    fn a_code_works_once_and_a_login_ends_with_its_token() {
        let folder = Folder::new("codes");
        let store = Store::open(&folder.database()).unwrap();
        let (token, _) = token(&store, "laptop", Some(NOW + 86_400));
        let (code, late) = (Secret::new("").unwrap(), Secret::new("").unwrap());
        let id = token.id;
        for hash in [code.hash, late.hash] {
            store.write(move |connection| add_code(connection, &hash, id, NOW)).unwrap();
        }
        let take =
            |hash: Hash, now| store.write(move |connection| take_code(connection, &hash, now));
        assert_eq!(take(code.hash, NOW + 1).unwrap().map(|token| token.id), Some(id));
        assert_eq!(take(code.hash, NOW + 1).unwrap(), None);
        assert_eq!(take(late.hash, NOW + CODE_SECS).unwrap(), None);

        let cookie = Secret::new("").unwrap().hash;
        store.write(move |connection| log_in(connection, &cookie, "csrf", &token, NOW)).unwrap();
        let find = |now| store.read(|connection| find_login(connection, &cookie, now)).unwrap();
        assert_eq!(find(NOW).map(|login| login.csrf), Some("csrf".to_owned()));
        assert_eq!(find(NOW + 86_400), None);
        store.write(move |connection| revoke(connection, id)).unwrap();
        assert_eq!(find(NOW), None);
    }

    #[test]
    fn names_can_be_shown() {
        for name in ["a", "Zoë's laptop", &"x".repeat(MAX_NAME)] {
            check_name(name).unwrap();
        }
        for name in ["", " a", "a\n", "\u{1b}[31m", &"x".repeat(MAX_NAME + 1)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
