//! Routes in groups, by what one must be allowed to do to use them.

use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::App;

/// The routes of a resource.
#[derive(Default)]
pub struct Routes {
    /// Looking. Free on this machine.
    pub read: OpenApiRouter<App>,
    /// Acknowledging, blocking, uploading.
    pub respond: OpenApiRouter<App>,
    /// Contacts, tokens, models, mode.
    pub admin: OpenApiRouter<App>,
}

impl Routes {
    #[must_use]
    pub fn read(mut self, route: UtoipaMethodRouter<App>) -> Self {
        self.read = self.read.routes(route);
        self
    }

    #[must_use]
    pub fn respond(mut self, route: UtoipaMethodRouter<App>) -> Self {
        self.respond = self.respond.routes(route);
        self
    }

    #[must_use]
    pub fn admin(mut self, route: UtoipaMethodRouter<App>) -> Self {
        self.admin = self.admin.routes(route);
        self
    }

    /// The routes of two resources.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            read: self.read.merge(other.read),
            respond: self.respond.merge(other.respond),
            admin: self.admin.merge(other.admin),
        }
    }
}
