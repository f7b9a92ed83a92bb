//! The agent's end of the socket: takes requests from whoever may open it and hands them on.
//!
//! It decides nothing and never holds the agent up: a slow or silent client costs one of a few
//! places, for a bounded time. Who asks is what the kernel says, not what the client says.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use nix::unistd::{Group, Uid, User};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::SOCKET;
use super::protocol::{MAX_REQUEST_BYTES, Reply, Request};
use crate::refusal::Refusal;

/// Connections at once.
const CONNECTIONS: usize = 16;
/// How long a client may take over one line, either way.
const LINE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the agent may take over one request; clients have given up by then.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a name service may take to name a user.
const NAME_TIMEOUT: Duration = Duration::from_secs(1);
/// A pause where no connection can be taken, such as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TOO_LONG: &str = "the path is too long for a socket: use a shorter runtime_dir";

/// A request for the agent. Dropping it unanswered shows the client that the agent is stopping.
#[derive(Debug)]
pub struct Call {
    pub request: Request,
    pub peer: Peer,
    pub reply: oneshot::Sender<Reply>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over the socket, as the kernel knows it.
    User {
        uid: u32,
        /// 0 where the process is of a namespace that is not ours to see.
        pid: u32,
        name: Option<String>,
    },
    /// Over HTTP: the name of the token that was shown.
    Api { name: String },
}

/// `uid 0 (root)`, `api laptop`.
impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { uid, name: Some(name), .. } => write!(formatter, "uid {uid} ({name})"),
            Self::User { uid, name: None, .. } => write!(formatter, "uid {uid}"),
            Self::Api { name } => write!(formatter, "api {name}"),
        }
    }
}

/// A socket that is bound and takes nobody's requests yet.
#[derive(Debug)]
pub struct Server {
    listener: StdListener,
    file: SocketFile,
}

/// The socket's file, removed at the end unless somebody has put another in its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::metadata(&self.path).is_ok_and(|file| file.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("failed to remove {}: {error}", self.path.display());
        }
    }
}

impl Server {
    /// Makes `dir` and the socket in it, for this user alone, or for `group`, too. What a killed
    /// agent left is replaced.
    pub fn bind(dir: &Path, group: Option<&str>) -> anyhow::Result<Self> {
        let path = dir.join(SOCKET);
        let bind = || -> anyhow::Result<Self> {
            make_directory(dir)?;
            let group = group.map(group_id).transpose()?;
            clear(&path)?;
            let listener = listener(&path)?;
            let inode = fs::metadata(&path)?.ino();
            let file = SocketFile { path: path.clone(), inode };
            if let Some(group) = group {
                std::os::unix::fs::chown(&path, None, Some(group))
                    .context("failed to give the socket to control.group")?;
                fs::set_permissions(&path, Permissions::from_mode(0o660))?;
            }
            Ok(Self { listener, file })
        };
        bind().with_context(|| format!("failed to open the control socket {}", path.display()))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Hands requests to `calls` until its receiver is dropped; then the socket's file is removed.
    /// To be called inside the runtime.
    pub fn start(self, calls: mpsc::Sender<Call>) -> anyhow::Result<()> {
        let Self { listener, file } = self;
        let listener = UnixListener::from_std(listener).context("failed to watch the socket")?;
        tokio::spawn(accept(listener, file, calls));
        Ok(())
    }
}

/// A directory that everybody may look into: the socket itself says who may ask.
fn make_directory(dir: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o755)))
        .with_context(|| format!("failed to make {}", dir.display()))
}

fn group_id(name: &str) -> anyhow::Result<u32> {
    let group = Group::from_name(name).with_context(|| format!("failed to look up `{name}`"))?;
    let group = group.with_context(|| {
        format!(
            "there is no group `{name}`: create it with `groupadd {name}`, or remove control.group"
        )
    })?;
    Ok(group.gid.as_raw())
}

/// Removes a socket that nobody listens on any more.
fn clear(path: &Path) -> anyhow::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(file) => file.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    ensure!(kind.is_socket(), "a file of that name is not a socket: remove it");
    ensure!(!is_listened_on(path)?, "another agent listens there: stop it first");
    fs::remove_file(path).context("failed to remove the old socket")
}

/// Whether somebody is there: one who takes connections, or has stopped and let them pile up.
fn is_listened_on(path: &Path) -> anyhow::Result<bool> {
    let address = UnixAddr::new(path).context(TOO_LONG)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    Ok(matches!(connect(socket.as_raw_fd(), &address), Ok(()) | Err(Errno::EAGAIN)))
}

/// A listening socket whose file nobody else could open even for a moment: the mode that the file
/// gets is that of the socket before it is bound.
fn listener(path: &Path) -> anyhow::Result<StdListener> {
    let address = UnixAddr::new(path).context(TOO_LONG)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = File::from(socket(AddressFamily::Unix, SockType::Stream, flags, None)?);
    socket.set_permissions(Permissions::from_mode(0o600))?;
    bind(socket.as_raw_fd(), &address)?;
    listen(&socket, Backlog::new(CONNECTIONS as i32)?)?;
    Ok(OwnedFd::from(socket).into())
}

async fn accept(listener: UnixListener, file: SocketFile, calls: mpsc::Sender<Call>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = calls.closed() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("failed to accept a connection on the control socket: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tokio::spawn(refuse(stream));
            continue;
        };
        let calls = calls.clone();
        tokio::spawn(async move {
            serve(stream, &calls).await;
            drop(place);
        });
    }
    drop(file);
}

async fn refuse(mut stream: UnixStream) {
    let why = format!("{CONNECTIONS} other clients are connected: try again in a moment");
    let line = Reply::Refused(Refusal::unavailable(why)).line();
    // A client that has left by now needs no answer.
    if let Ok(Err(error)) = timeout(LINE_TIMEOUT, stream.write_all(&line)).await {
        tracing::debug!("failed to answer a refused connection: {error}");
    }
}

/// Answers one client line by line until it leaves, stalls or asks for too much.
async fn serve(stream: UnixStream, calls: &mpsc::Sender<Call>) {
    let Some(peer) = peer(&stream).await else { return };
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = MAX_REQUEST_BYTES as u64 + 1;
        let mut bounded = (&mut reader).take(most);
        match timeout(LINE_TIMEOUT, bounded.read_until(b'\n', &mut line)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) | Err(_) => return,
        }
        let too_long = line.len() > MAX_REQUEST_BYTES;
        let reply = if too_long {
            let text = format!("a request is one line of at most {MAX_REQUEST_BYTES} bytes");
            Reply::Refused(Refusal::malformed(text))
        } else {
            answer(&line, &peer, calls).await
        };
        let written = timeout(LINE_TIMEOUT, writer.write_all(&reply.line())).await;
        if too_long || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

async fn answer(line: &[u8], peer: &Peer, calls: &mpsc::Sender<Call>) -> Reply {
    const STOPPING: &str = "the agent is stopping";
    let request = match Request::parse(line) {
        Ok(request) => request,
        Err(refusal) => return Reply::Refused(refusal),
    };
    let (reply, replied) = oneshot::channel();
    if calls.send(Call { request, peer: peer.clone(), reply }).await.is_err() {
        return Reply::Refused(Refusal::unavailable(STOPPING));
    }
    match timeout(ANSWER_TIMEOUT, replied).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => Reply::Refused(Refusal::unavailable(STOPPING)),
        Err(_) => Reply::Refused(Refusal::unavailable(
            "the agent is too busy to answer: try again in a moment",
        )),
    }
}

/// None where the client has left.
async fn peer(stream: &UnixStream) -> Option<Peer> {
    let credentials = stream.peer_cred().ok()?;
    let uid = credentials.uid();
    // Names may come over the network, from a service that takes its time.
    let lookup = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid)));
    let user = match timeout(NAME_TIMEOUT, lookup).await {
        Ok(Ok(Ok(user))) => user,
        _ => None,
    };
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
    Some(Peer::User { uid, pid, name: user.map(|user| user.name) })
}
