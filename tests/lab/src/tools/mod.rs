//! Tools that thefts and their paired controls share, so that the tool itself tells nothing.

pub(super) mod ftp;
pub(super) mod mail;
pub(super) mod post;
pub(super) mod quic;
pub(super) mod tunnel;
pub(super) mod upload;
