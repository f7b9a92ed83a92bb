//! An SSH server, and a session with it that is held open.

use detector_tests::watch::START;
use detector_tests::{Background, Namespace, Scratch, Topology, poll_until};

const KEYS: &str = "ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f user && \
                    cp user.pub authorized_keys && chmod 600 authorized_keys";

/// A server on all addresses of a namespace, and the key to it.
pub(crate) struct Server {
    _process: Background,
    scratch: Scratch,
}

impl Server {
    pub(crate) fn start(namespace: &Namespace) -> Self {
        let scratch = Scratch::new("ssh").unwrap();
        let folder = scratch.path().to_str().unwrap().to_owned();
        namespace.run("sh", ["-c", &format!("cd {folder} && {KEYS}")]).unwrap();
        std::fs::create_dir_all("/run/sshd").unwrap();
        let config = format!(
            "HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\n\
             PidFile none\nUsePAM no\nSubsystem sftp internal-sftp\n"
        );
        let file = scratch.write("sshd_config", config).unwrap();
        let file = file.to_str().unwrap();
        let process = namespace.spawn("/usr/sbin/sshd", ["-D", "-e", "-f", file]).unwrap();
        process.wait_for_line("Server listening", START).unwrap();
        Self { _process: process, scratch }
    }

    /// What makes a client use the key and trust the server.
    pub(crate) fn options(&self) -> Vec<String> {
        let key = format!("IdentityFile={}", self.scratch.join("user").display());
        let options =
            ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", &key];
        options.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]).collect()
    }
}

/// An SSH session from the client to the gateway, held open.
pub(crate) struct Session {
    server: Server,
    _master: Background,
}

impl Session {
    pub(crate) fn open(topology: &Topology) -> Self {
        let server = Server::start(&topology.gateway);
        let mut arguments = Self::options(&server);
        arguments.extend(["-M", "-N", "root@10.66.1.1"].map(str::to_owned));
        let master = topology.client.spawn("ssh", &arguments).unwrap();
        let path = server.scratch.join("master");
        poll_until(START, || path.exists().then_some(())).unwrap();
        Self { server, _master: master }
    }

    fn options(server: &Server) -> Vec<String> {
        let master = format!("ControlPath={}", server.scratch.join("master").display());
        let mut options = server.options();
        options.extend(["-o".to_owned(), master]);
        options
    }

    /// Whether the session still carries a command there and its answer back, over the connection
    /// that was opened at first.
    pub(crate) fn lives(&self, client: &Namespace) -> bool {
        let mut arguments = vec!["5".to_owned(), "ssh".to_owned()];
        arguments.extend(Self::options(&self.server));
        arguments.extend(["root@10.66.1.1", "echo alive"].map(str::to_owned));
        client.run("timeout", arguments).unwrap_or_default().contains("alive")
    }
}
