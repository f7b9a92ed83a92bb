//! Waiting for a condition with a deadline, instead of sleeping for a guessed time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::Namespace;

const INTERVAL: Duration = Duration::from_millis(5);

/// Asks again and again until the answer is there or the limit has passed.
pub fn poll_until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("nothing came of it within {limit:?}");
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Waits until some process in the namespace listens on this TCP port, on any address.
pub fn wait_for_tcp_listener(namespace: &Namespace, port: u16, limit: Duration) -> Result<()> {
    wait_for_listener(namespace, "tcp", "-lnt", port, limit)
}

/// Waits until some process in the namespace has this UDP port bound, on any address.
pub fn wait_for_udp_listener(namespace: &Namespace, port: u16, limit: Duration) -> Result<()> {
    wait_for_listener(namespace, "udp", "-lnu", port, limit)
}

fn wait_for_listener(
    namespace: &Namespace,
    protocol: &str,
    flags: &str,
    port: u16,
    limit: Duration,
) -> Result<()> {
    let ending = format!(":{port}");
    poll_until(limit, || {
        let sockets = namespace.run("ss", ["-H", flags]).ok()?;
        let local = |line: &str| {
            line.split_whitespace().nth(3).is_some_and(|address| address.ends_with(&ending))
        };
        sockets.lines().any(local).then_some(())
    })
    .with_context(|| {
        format!("no process in {} listens on {protocol} port {port}", namespace.name())
    })
}
