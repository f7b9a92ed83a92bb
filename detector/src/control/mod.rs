//! How people talk to the running agent: one JSON object a line, each way, over a Unix socket.
//!
//! Here are the words and how they travel. What a request does is the agent's.

pub mod answer;
pub mod client;
pub mod effect;
pub mod protocol;
pub mod server;

pub use answer::{
    AllowEffect, AllowKind, AllowLine, BaselineLine, BlockLine, BudgetLine, DomainLine,
    Explanation, InterfaceLine, KeptKey, ModeName, ModeState, NamedBytes, Outbound, Pending,
    Reloaded, Reversion, SessionLine, StatusReply, TableUse, UnexplainedSender, VerifiedHow,
    VerifyLine,
};
pub use effect::{BlockState, EffectWanted};
pub use protocol::{Answer, Reply, Request, SessionOrder};
pub use server::{Call, Peer, Server};

use std::path::{Path, PathBuf};

/// The socket's name in the agent's directory.
pub const SOCKET: &str = "detector.sock";

/// Where the agent of this network namespace listens.
#[must_use]
pub fn socket_path(runtime_dir: &Path) -> PathBuf {
    crate::instance::instance_dir(runtime_dir).join(SOCKET)
}

#[cfg(test)]
mod tests;
