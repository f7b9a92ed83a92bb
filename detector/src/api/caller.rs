//! Who asks, as far as it is known, and what they may do.

use std::net::IpAddr;
use std::sync::Arc;

use super::problem::Problem;
use crate::control::Peer;
use crate::store::tokens::{Hash, Scope};

/// Taken by handlers as an argument; settled before they run.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The token's name; none for who has shown none.
    pub name: Option<Arc<str>>,
    /// None for who may do nothing: beyond this machine, without a token.
    pub scope: Option<Scope>,
    pub from: IpAddr,
    pub(super) login: Option<CookieLogin>,
}

/// A browser that is logged in.
#[derive(Clone, Debug)]
pub(super) struct CookieLogin {
    pub(super) hash: Hash,
    pub(super) csrf: Arc<str>,
    /// The request carries what only our own pages know.
    pub(super) is_ours: bool,
}

impl Caller {
    /// As the audit log has it.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer::Api { name: self.who() }
    }

    /// The token's name, or the address of who has shown none.
    #[must_use]
    pub fn who(&self) -> String {
        self.name.as_deref().map_or_else(|| self.from.to_string(), str::to_owned)
    }

    /// Sees that the caller may do what needs `scope`.
    ///
    /// # Errors
    ///
    /// 401 without a token, 403 with one of a lesser scope.
    pub fn check(&self, scope: Scope) -> Result<(), Problem> {
        match (self.scope, &self.name) {
            (Some(own), _) if own >= scope => Ok(()),
            (_, None) => Err(Problem::unauthorized(&format!(
                "this needs a token with the scope {}: `detector token create NAME --scope {}` \
                 prints one and a login link",
                scope.name(),
                scope.name()
            ))),
            (own, Some(name)) => Err(Problem::forbidden(&format!(
                "this needs the scope {}, and the token `{name}` has {}",
                scope.name(),
                own.map_or("none", Scope::name)
            ))),
        }
    }

    /// Sees that a change asked for with a cookie comes from our own pages.
    ///
    /// # Errors
    ///
    /// 403 without the header that they send.
    pub fn check_change(&self) -> Result<(), Problem> {
        match &self.login {
            Some(login) if !login.is_ours => Err(Problem::forbidden(
                "a change with a cookie needs the header X-CSRF-Token with the value from GET \
                 /api/session",
            )
            .at("X-CSRF-Token")),
            _ => Ok(()),
        }
    }
}
