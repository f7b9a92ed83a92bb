//! Server and client over a real socket.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use super::client::{ask, choose};
use super::protocol::MAX_REQUEST_BYTES;
use crate::refusal::Refusal;

use super::{Answer, Call, Peer, Reply, Request, SOCKET, Server, socket_path};

/// A directory of this test alone.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("detector-{name}-{}", std::process::id()));
        let _leftover = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// Runs an agent that answers with `answer` while `clients` run.
fn with_agent<T: Send + 'static>(
    dir: &Path,
    answer: impl Fn(Call) + Send + 'static,
    clients: impl FnOnce(PathBuf) -> T + Send + 'static,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::bind(dir, None).unwrap();
        let path = server.path().to_owned();
        let (sender, mut calls) = mpsc::channel::<Call>(16);
        server.start(sender).unwrap();
        let clients = tokio::task::spawn_blocking(move || clients(path));
        tokio::pin!(clients);
        loop {
            tokio::select! {
                done = &mut clients => break done.unwrap(),
                Some(call) = calls.recv() => answer(call),
            }
        }
    })
}

fn nothing_confirmed(call: Call) {
    let answer = Answer::Confirmed { confirmed: Vec::new() };
    drop(call.reply.send(Reply::of(Ok(answer), None)));
}

fn error_of(outcome: anyhow::Result<Answer>) -> String {
    format!("{:#}", outcome.unwrap_err())
}

#[test]
fn a_request_reaches_the_agent_with_who_asks() {
    let scratch = Scratch::new("asks");
    let agent = |call: Call| {
        let uid = nix::unistd::Uid::current().as_raw();
        let Peer::User { uid: found, pid, .. } = &call.peer else { panic!("{}", call.peer) };
        assert_eq!((*found, *pid), (uid, std::process::id()));
        assert!(call.peer.to_string().starts_with(&format!("uid {uid}")));
        assert_eq!(call.request, Request::Confirm { id: Some(7) });
        nothing_confirmed(call);
    };
    let answer =
        with_agent(&scratch.0, agent, |path| ask(&path, &Request::Confirm { id: Some(7) }));
    assert_eq!(answer.unwrap(), Answer::Confirmed { confirmed: Vec::new() });
    assert!(!scratch.0.join(SOCKET).exists(), "the socket outlived its agent");
}

#[test]
fn what_the_agent_refuses_is_the_error() {
    let scratch = Scratch::new("refuses");
    let refuse = |call: Call| {
        drop(call.reply.send(Reply::Refused(Refusal::not_found("number 4 is no block"))));
    };
    let error = with_agent(&scratch.0, refuse, |path| ask(&path, &Request::Status {}).unwrap_err());
    assert_eq!(error.downcast::<Refusal>().unwrap(), Refusal::not_found("number 4 is no block"));
    let error = with_agent(&scratch.0, drop, |path| error_of(ask(&path, &Request::Status {})));
    assert_eq!(error, "the agent is stopping");
}

#[test]
fn damaged_requests_are_answered_and_overlong_ones_end_the_connection() {
    let scratch = Scratch::new("damaged");
    let text = with_agent(&scratch.0, nothing_confirmed, |path| {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(b"{}\n{\"command\":\"confirm\"}\n").unwrap();
        let long = vec![b' '; MAX_REQUEST_BYTES + 1];
        stream.write_all(&long).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with(r#"{"ok":false,"error":"failed to read the request"#), "{text}");
    assert_eq!(lines[1], r#"{"ok":true,"type":"confirmed","confirmed":[]}"#);
    assert!(lines[2].contains("at most 65536 bytes"), "{text}");
}

#[test]
fn a_request_needs_no_end_of_line_where_the_client_ends() {
    let scratch = Scratch::new("unended");
    let text = with_agent(&scratch.0, nothing_confirmed, |path| {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(b"{\"command\":\"confirm\"}").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    assert!(text.contains(r#""ok":true"#), "{text}");
}

#[test]
fn more_clients_than_places_are_told_so() {
    let scratch = Scratch::new("places");
    let (error, after) = with_agent(&scratch.0, nothing_confirmed, |path| {
        // Each has its place once it is answered.
        let silent: Vec<UnixStream> = (0..16)
            .map(|_| {
                let mut stream = UnixStream::connect(&path).unwrap();
                stream.write_all(b"\n").unwrap();
                assert_eq!(stream.read(&mut [0; 1]).unwrap(), 1);
                stream
            })
            .collect();
        let error = error_of(ask(&path, &Request::Status {}));
        drop(silent);
        let after = (0..1_000).any(|_| ask(&path, &Request::Status {}).is_ok());
        (error, after)
    });
    assert_eq!(error, "16 other clients are connected: try again in a moment");
    assert!(after, "places are not given back");
}

#[test]
fn nobody_else_may_open_the_socket() {
    let scratch = Scratch::new("mode");
    let dir = scratch.0.join("agent");
    let server = Server::bind(&dir, None).unwrap();
    assert_eq!(fs::metadata(server.path()).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn a_group_may_be_let_in() {
    let scratch = Scratch::new("group");
    let own = nix::unistd::Gid::current();
    let Some(group) = nix::unistd::Group::from_gid(own).unwrap() else { return };
    let server = Server::bind(&scratch.0, Some(&group.name)).unwrap();
    let file = fs::metadata(server.path()).unwrap();
    assert_eq!((file.mode() & 0o7777, file.gid()), (0o660, own.as_raw()));
    drop(server);
    let error = format!("{:#}", Server::bind(&scratch.0, Some("no-such-group")).unwrap_err());
    assert!(error.contains("there is no group `no-such-group`"), "{error}");
}

#[test]
fn what_a_killed_agent_left_is_replaced_and_a_live_one_is_not() {
    let scratch = Scratch::new("stale");
    let path = scratch.0.join(SOCKET);
    drop(UnixListener::bind(&path).unwrap());
    let server = Server::bind(&scratch.0, None).unwrap();
    let error = format!("{:#}", Server::bind(&scratch.0, None).unwrap_err());
    assert!(error.ends_with("another agent listens there: stop it first"), "{error}");
    drop(server);
    assert!(!path.exists());
    fs::write(&path, "precious").unwrap();
    let error = format!("{:#}", Server::bind(&scratch.0, None).unwrap_err());
    assert!(error.contains("not a socket"), "{error}");
}

#[test]
fn who_is_not_there_or_not_trusted_is_told_in_one_line() {
    let scratch = Scratch::new("absent");
    let path = scratch.0.join(SOCKET);
    let check = |expected: &str| {
        let error = error_of(ask(&path, &Request::Status {}));
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    };
    check("no agent runs here: start `detector run`");
    let listener = UnixListener::bind(&path).unwrap();
    let talker = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(b"SSH-2.0\n").unwrap();
    });
    check("is not one of an agent");
    talker.join().unwrap();
    // Nobody listens any more.
    check("no agent runs here");
    if nix::unistd::Uid::effective().is_root() {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        check("which is neither root nor you: refusing to trust it");
    }
}

#[test]
fn the_agent_that_is_meant() {
    let scratch = Scratch::new("meant");
    let runtime_dir = scratch.0.as_path();
    let socket = |name: &str| {
        let dir = runtime_dir.join(name);
        fs::create_dir_all(&dir).unwrap();
        UnixListener::bind(dir.join(SOCKET)).unwrap()
    };
    let own = socket_path(runtime_dir);
    let chosen = choose(None, runtime_dir).unwrap();
    assert_eq!((chosen.path, chosen.elsewhere), (own.clone(), None));
    let _first = socket("netns-1");
    let chosen = choose(None, runtime_dir).unwrap();
    assert_eq!(chosen.path, runtime_dir.join("netns-1").join(SOCKET));
    assert_eq!(chosen.elsewhere.as_deref(), Some("netns-1"));
    let _second = socket("netns-2");
    let error = format!("{:#}", choose(None, runtime_dir).unwrap_err());
    assert!(error.contains("netns-1") && error.contains("netns-2"), "{error}");
    let named = choose(Some(Path::new("/elsewhere")), runtime_dir).unwrap();
    assert_eq!(named.path, Path::new("/elsewhere"));
    let _own = socket(&crate::instance::name());
    assert_eq!(choose(None, runtime_dir).unwrap().path, own);
}

#[test]
fn who_may_not_is_told_whose_it_is() {
    let scratch = Scratch::new("denied");
    let path = scratch.0.join(SOCKET);
    let _listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    // Root may open everything.
    if !nix::unistd::Uid::effective().is_root() {
        let error = error_of(ask(&path, &Request::Status {}));
        assert!(error.contains("run this as that user or root"), "{error}");
    }
}
