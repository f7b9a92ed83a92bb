//! The other end of the socket: finds the agent that is meant, asks it and reads its answer.
//!
//! An agent acts for root. What another user has put in its place is not believed.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use nix::errno::Errno;
use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use nix::unistd::{Uid, User};

use super::protocol::{MAX_REPLY_BYTES, Reply, Request};
use super::{Answer, SOCKET, socket_path};

/// How long the agent may take to accept a connection and a request.
const SEND_TIMEOUT_SECS: u64 = 5;
/// How long the agent may take over an answer; a long list takes it a fraction of a second.
const ANSWER_TIMEOUT_SECS: u64 = 15;

/// Which socket is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub path: PathBuf,
    /// The name of the agent, where it is that of another network namespace.
    pub elsewhere: Option<String>,
}

/// The socket that was named, else that of this network namespace, else the only one there is.
pub fn choose(named: Option<&Path>, runtime_dir: &Path) -> anyhow::Result<Choice> {
    if let Some(path) = named {
        return Ok(Choice { path: path.to_owned(), elsewhere: None });
    }
    let own = socket_path(runtime_dir);
    if own.exists() {
        return Ok(Choice { path: own, elsewhere: None });
    }
    let others = sockets(runtime_dir);
    match others.as_slice() {
        [] => Ok(Choice { path: own, elsewhere: None }),
        [(name, path)] => Ok(Choice { path: path.clone(), elsewhere: Some(name.clone()) }),
        _ => {
            let paths: Vec<String> =
                others.iter().map(|(_, path)| path.display().to_string()).collect();
            bail!(
                "no agent runs in this network namespace, but several run elsewhere: choose one \
                 with --socket {}",
                paths.join(" or --socket ")
            )
        }
    }
}

/// The sockets of all agents and their names, in order.
fn sockets(runtime_dir: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(runtime_dir) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().join(SOCKET)))
        .filter(|(_, path)| fs::metadata(path).is_ok_and(|file| file.file_type().is_socket()))
        .collect();
    found.sort();
    found
}

/// Asks the agent that listens at `path`.
///
/// # Errors
///
/// No agent, one that may not be asked or is not to be trusted, no answer in time, and whatever the
/// agent refuses: that as a [`crate::refusal::Refusal`].
pub fn ask(path: &Path, request: &Request) -> anyhow::Result<Answer> {
    let mut stream = open(path)?;
    let mut line = serde_json::to_vec(request).context("failed to write the request")?;
    line.push(b'\n');
    match stream.write_all(&line) {
        // One that takes no requests now has said so and closed.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        sent => sent.map_err(|error| silent(path, error))?,
    }
    match read(&mut stream, path)? {
        Reply::Done { answer, warning } => {
            if let Some(warning) = warning {
                tracing::warn!("{warning}");
            }
            Ok(*answer)
        }
        Reply::Refused(refusal) => Err(refusal.into()),
    }
}

fn read(stream: &mut UnixStream, path: &Path) -> anyhow::Result<Reply> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream.take(MAX_REPLY_BYTES));
    reader.read_until(b'\n', &mut line).map_err(|error| silent(path, error))?;
    ensure!(
        !line.is_empty(),
        "the agent at {} closed the connection without an answer: see its log",
        path.display()
    );
    Reply::parse(&line).with_context(|| {
        format!(
            "the answer from {} is not one of an agent: restart the agent after an upgrade",
            path.display()
        )
    })
}

fn silent(path: &Path, error: std::io::Error) -> anyhow::Error {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        return anyhow!(
            "the agent at {} does not answer: check that it is running and not suspended",
            path.display()
        );
    }
    anyhow::Error::new(error).context(format!("failed to communicate with {}", path.display()))
}

/// Connects within a time, to nobody but root's agent, our own, or that of a user whom root gave
/// the directory.
fn open(path: &Path) -> anyhow::Result<UnixStream> {
    let own = Uid::effective().as_raw();
    let owner = match fs::metadata(path) {
        Ok(file) => file.uid(),
        Err(error) => return Err(unreachable(path, error.kind(), None)),
    };
    trust(path, owner, own)?;
    let address = UnixAddr::new(path)
        .with_context(|| format!("the path {} is too long for a socket", path.display()))?;
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // It bounds the connecting, too: a stopped agent takes no connections.
    setsockopt(&socket, SendTimeout, &TimeVal::new(SEND_TIMEOUT_SECS as i64, 0))?;
    match connect(socket.as_raw_fd(), &address) {
        Ok(()) => {}
        Err(Errno::EAGAIN) => return Err(silent(path, ErrorKind::WouldBlock.into())),
        Err(error) => {
            return Err(unreachable(path, std::io::Error::from(error).kind(), Some(owner)));
        }
    }
    // The file may have been replaced since: who listens is what counts.
    trust(path, getsockopt(&socket, PeerCredentials)?.uid(), own)?;
    let stream = UnixStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_TIMEOUT_SECS)))?;
    Ok(stream)
}

fn trust(path: &Path, owner: u32, own: u32) -> anyhow::Result<()> {
    ensure!(
        owner == 0 || owner == own || appointed(path) == Some(owner),
        "the socket {} belongs to {}, which is neither root nor you: refusing to trust it",
        path.display(),
        user(owner)
    );
    Ok(())
}

/// To whom root gave the runtime directory, as a service manager does for a service with a user of
/// its own: its owner, where nobody but root could have put it in its place.
fn appointed(path: &Path) -> Option<u32> {
    let runtime_dir = path.parent()?.parent()?.canonicalize().ok()?;
    let above = fs::metadata(runtime_dir.parent()?).ok()?;
    let roots = above.uid() == 0 && above.mode() & 0o022 == 0;
    roots.then(|| fs::metadata(&runtime_dir).ok().map(|directory| directory.uid()))?
}

fn unreachable(path: &Path, kind: ErrorKind, owner: Option<u32>) -> anyhow::Error {
    match kind {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory => anyhow!(
            "no agent runs here: start `detector run` (nothing listens at {})",
            path.display()
        ),
        ErrorKind::PermissionDenied => match owner {
            Some(owner) => anyhow!(
                "the socket {} belongs to {}: run this as that user or root",
                path.display(),
                user(owner)
            ),
            None => anyhow!("no permission to use the socket {}: run this as root", path.display()),
        },
        kind => anyhow!("failed to connect to {}: {kind}", path.display()),
    }
}

fn user(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("user {}", user.name),
        _ => format!("user {uid}"),
    }
}
