//! Who asks: a token, a cookie, or nobody.
//!
//! A token is looked up by its hash. What the database says is believed for a moment, so that a
//! client that asks often does not have it looked up each time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};

use super::App;
use super::caller::{Caller, CookieLogin};
use super::limits::Failures;
use super::problem::Problem;
use crate::audit::{Action, AuditLog, Record};
use crate::clock::{now_ns, now_secs};
use crate::store::tokens::{self, Hash, Login, Scope, Token};
use crate::units::rfc3339;

/// The cookie's name.
pub(super) const COOKIE: &str = "detector_session";
const CSRF: &str = "x-csrf-token";
/// How long a token still works after another program revoked it.
const BELIEVED: Duration = Duration::from_secs(1);
/// Tokens and cookies that are remembered.
const MOST_KNOWN: usize = 1_024;

/// What was found lately.
#[derive(Debug, Default)]
pub(super) struct Access {
    known: Mutex<HashMap<Hash, (Known, Instant)>>,
    failures: Mutex<Failures>,
}

#[derive(Clone, Debug)]
enum Known {
    Token(Token),
    Login(Login),
}

/// What a request shows.
enum Shown {
    Token(Hash),
    Cookie(Hash),
}

impl Shown {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let text = value.to_str().unwrap_or_default();
            let token = text.split_once(' ').filter(|(scheme, token)| {
                scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()
            });
            let (_, token) = token.ok_or_else(|| {
                Problem::unauthorized("send the token as `Authorization: Bearer TOKEN`")
                    .at("Authorization")
            })?;
            return Ok(Some(Self::Token(tokens::hash(token.trim()))));
        }
        let cookies =
            headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let ours = cookies
            .flat_map(|cookies| cookies.split(';'))
            .find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        Ok(ours.map(|value| Self::Cookie(tokens::hash(value))))
    }
}

impl App {
    /// Who asks.
    pub(super) async fn identify(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Caller, Problem> {
        let nobody = Caller { name: None, scope: self.scope_of_nobody(headers), from, login: None };
        match Shown::of(headers)? {
            None => Ok(nobody),
            Some(Shown::Token(hash)) => match self.known(hash, false).await? {
                Some(Known::Token(token)) => Ok(of_token(&token, nobody)),
                _ => Err(self.note_failure(from, "an invalid token")),
            },
            Some(Shown::Cookie(hash)) => match self.known(hash, true).await? {
                Some(Known::Login(login)) => Ok(of_login(&login, hash, headers, nobody)),
                // A browser that was logged in once: it is nobody again.
                _ => Ok(nobody),
            },
        }
    }

    /// What may be done without a token: on this machine, reading. A proxy that forwards for others
    /// says so.
    fn scope_of_nobody(&self, headers: &HeaderMap) -> Option<Scope> {
        let for_others =
            headers.contains_key(header::FORWARDED) || headers.contains_key("x-forwarded-for");
        (self.config.api.is_loopback() && !for_others).then_some(Scope::Read)
    }

    async fn known(&self, hash: Hash, is_cookie: bool) -> Result<Option<Known>, Problem> {
        let now = Instant::now();
        if let Some((known, since)) = lock(&self.shared.access.known).get(&hash)
            && now.saturating_duration_since(*since) < BELIEVED
        {
            return Ok(Some(known.clone()));
        }
        if self.store.is_none() {
            return Ok(None);
        }
        let found = self
            .with_store(move |store| {
                store.read(|connection| {
                    let now = now_secs();
                    Ok(if is_cookie {
                        tokens::find_login(connection, &hash, now)?.map(Known::Login)
                    } else {
                        tokens::find(connection, &hash, now)?.map(Known::Token)
                    })
                })
            })
            .await?;
        if let Some(found) = &found {
            self.note_use(found);
            let mut known = lock(&self.shared.access.known);
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(hash, (found.clone(), now));
        }
        Ok(found)
    }

    /// What was believed is looked up again: a token was revoked, or a login has ended.
    pub(super) fn forget_known(&self) {
        lock(&self.shared.access.known).clear();
    }

    fn note_use(&self, known: &Known) {
        let (Known::Token(token) | Known::Login(Login { token, .. })) = known;
        let (id, now) = (token.id, now_secs());
        let Some(store) = self.store.clone().filter(|_| tokens::is_use_stale(token, now)) else {
            return;
        };
        tokio::task::spawn_blocking(move || {
            let noted = store.write(move |connection| tokens::note_use(connection, id, now));
            if let Err(error) = noted {
                tracing::debug!("failed to store the last use of a token: {error:#}");
            }
        });
    }

    /// Counts and logs a failed attempt to log in. Nobody guesses 256 random bits: the limit bounds
    /// the work and the log lines of the attempts.
    pub(super) fn note_failure(&self, from: IpAddr, what: &str) -> Problem {
        let counted = lock(&self.shared.access.failures).count(from, Instant::now());
        if let Err(seconds) = counted {
            return Problem::too_many(
                "too many wrong tokens and codes from this address: try again later",
                seconds,
            );
        }
        tracing::warn!("refused a login from {from}: {what}");
        self.note(&from.to_string(), Action::Refused, format!("login refused: {what}"));
        Problem::unauthorized(
            "the token or code is unknown or has expired: `detector token create NAME` makes \
             another",
        )
    }

    /// Writes to the audit log, away from the tasks that serve others.
    pub(super) fn note(&self, who: &str, action: Action, detail: String) {
        self.note_all(vec![record(who, action, detail)]);
    }

    /// As [`Self::note`], for several.
    pub(super) fn note_all(&self, records: Vec<Record>) {
        let dir = self.config.state_dir.clone();
        tokio::task::spawn_blocking(move || {
            let mut log = AuditLog::open(&dir);
            records.iter().for_each(|record| log.record(record));
        });
    }
}

/// What the caller of this name has done just now.
pub(super) fn record(who: &str, action: Action, detail: String) -> Record {
    Record {
        time: rfc3339(now_ns()),
        who: format!("api {who}"),
        action,
        detail: Some(detail),
        ..Record::default()
    }
}

fn of_token(token: &Token, nobody: Caller) -> Caller {
    Caller { name: Some(token.name.as_str().into()), scope: Some(token.scope), ..nobody }
}

fn of_login(login: &Login, hash: Hash, headers: &HeaderMap, nobody: Caller) -> Caller {
    let csrf = headers.get(CSRF).map_or("".as_bytes(), |value| value.as_bytes());
    // Compared by their hashes, which takes as long for a nearly right one as for any.
    let is_ours = tokens::hash(&String::from_utf8_lossy(csrf)) == tokens::hash(&login.csrf);
    let csrf: Arc<str> = login.csrf.as_str().into();
    let login_of = Some(CookieLogin { hash, csrf, is_ours });
    Caller { login: login_of, ..of_token(&login.token, nobody) }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
