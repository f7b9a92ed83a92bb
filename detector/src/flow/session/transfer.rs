//! Which data connections are FTP uploads and which are downloads: what their control connections said
//! about them.
//!
//! A transfer is announced when the client names the file, and found by the data connection's
//! payload sample, which comes after it. Bounded: the oldest announcement makes room, counted.

use std::collections::{HashMap, VecDeque};

use super::SessionKey;
use crate::flow::content::file::FileName;
use crate::flow::content::ftp::{self, Command, Endpoint};
use crate::flow::content::smtp::lines;
use crate::flow::observation::SECOND_NS;
use crate::network::Address;

/// Announcements that are remembered.
const MAX_ANNOUNCED: usize = 4_096;
/// A transfer that has not begun by now does not.
const LIFE_NS: u64 = 300 * SECOND_NS;

/// An upload over FTP in clear, as its data connection knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FtpUpload {
    /// The data connection was opened by who uploads: passive mode.
    pub by_client: bool,
    pub file: FileName,
}

/// A download over FTP in clear, as its data connection knows it: what was asked for with RETR or a
/// listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FtpDownload {
    /// The data connection was opened by who sends: active mode.
    pub by_client: bool,
}

/// What a data connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    Upload(FtpUpload),
    Download(FtpDownload),
}

impl Transfer {
    /// An upload has the name of its file.
    fn new(active: bool, file: Option<FileName>) -> Self {
        match file {
            Some(file) => Self::Upload(FtpUpload { by_client: !active, file }),
            None => Self::Download(FtpDownload { by_client: active }),
        }
    }
}

/// What a control connection said last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    listener: Option<Listener>,
    /// The transfer that the client began with its latest command, and the name of what it uploads.
    begun: Option<(Listener, Option<FileName>)>,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    /// None: the control connection's own server.
    address: Option<Address>,
    port: u16,
    /// The client waits, and the server connects.
    active: bool,
}

impl Listener {
    fn new(endpoint: Endpoint, active: bool) -> Self {
        Self { address: endpoint.address.map(Address::from), port: endpoint.port, active }
    }
}

impl Control {
    /// Takes in a server's payload.
    pub(crate) fn learn_reply(&mut self, bytes: &[u8]) {
        for endpoint in lines(bytes).filter_map(ftp::passive) {
            self.listener = Some(Listener::new(endpoint, false));
        }
    }

    /// Takes in a client's payload.
    pub(crate) fn learn_command(&mut self, bytes: &[u8]) {
        for command in lines(bytes).filter_map(Command::of) {
            match command {
                Command::Active(endpoint) => self.listener = Some(Listener::new(endpoint, true)),
                Command::Download => self.begin(None),
                Command::Upload(name) => self.begin(Some(FileName::of(name))),
            }
        }
    }

    fn begin(&mut self, file: Option<FileName>) {
        self.begun = self.listener.take().map(|listener| (listener, file));
    }

    /// The transfer that began since the last call, on the control connection of `key`.
    pub(crate) fn take_begun(&mut self, key: &SessionKey) -> Option<Announced> {
        self.begun.take().map(|(listener, file)| Announced::new(&listener, key, file))
    }
}

/// A transfer whose data connection is to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    /// Who waits for the data connection, by what was said and by where the control connection
    /// goes: behind address translation they differ, and clients connect to either.
    listeners: [Address; 2],
    port: u16,
    /// Who connects to them.
    peer: Address,
    transfer: Transfer,
}

impl Announced {
    fn new(listener: &Listener, key: &SessionKey, file: Option<FileName>) -> Self {
        let (own, peer) =
            if listener.active { (key.client, key.server) } else { (key.server, key.client) };
        Self {
            listeners: [own, listener.address.unwrap_or(own)],
            port: listener.port,
            peer,
            transfer: Transfer::new(listener.active, file),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    peer: Address,
    transfer: Transfer,
    since_ns: u64,
}

/// The transfers announced and not begun.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    announced: HashMap<(Address, u16), Waiting>,
    order: VecDeque<(Address, u16)>,
    /// Announcements that had to make room.
    pub(crate) evictions: u64,
}

impl Transfers {
    pub(crate) fn announce(&mut self, announced: &Announced, now_ns: u64) {
        for address in announced.listeners {
            let place = (address, announced.port);
            let Announced { peer, transfer, .. } = *announced;
            let waiting = Waiting { peer, transfer, since_ns: now_ns };
            if self.announced.insert(place, waiting).is_none() {
                self.order.push_back(place);
            }
        }
        while self.order.len() > MAX_ANNOUNCED {
            self.forget_oldest();
        }
    }

    /// Time starts again.
    pub(crate) fn restart(&mut self) {
        self.announced.clear();
        self.order.clear();
    }

    fn forget_oldest(&mut self) {
        let oldest = self.order.pop_front();
        let forgotten = oldest.and_then(|place| self.announced.remove(&place));
        self.evictions += u64::from(forgotten.is_some());
    }

    /// The transfer that a connection carries, if one was announced for its server's port.
    pub(crate) fn find(&self, key: &SessionKey, now_ns: u64) -> Option<Transfer> {
        if self.announced.is_empty() {
            return None;
        }
        let waiting = self.announced.get(&(key.server, key.server_port))?;
        let alive = now_ns <= waiting.since_ns.saturating_add(LIFE_NS);
        (alive && waiting.peer == key.client).then_some(waiting.transfer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: u8) -> Address {
        [192, 0, 2, host].into()
    }

    fn key(client: u8, server: u8, server_port: u16) -> SessionKey {
        SessionKey { client: address(client), server: address(server), protocol: 6, server_port }
    }

    #[track_caller]
    fn check(dialogue: &[(bool, &str)], data: &SessionKey, expected: Option<Transfer>) {
        let (mut control, mut transfers) = (Control::default(), Transfers::default());
        for (from_client, text) in dialogue {
            if *from_client {
                control.learn_command(text.as_bytes());
                let announced = control.take_begun(&key(1, 2, 21));
                announced.iter().for_each(|announced| transfers.announce(announced, 0));
            } else {
                control.learn_reply(text.as_bytes());
            }
        }
        assert_eq!(transfers.find(data, LIFE_NS), expected);
        assert_eq!(transfers.find(data, LIFE_NS + 1), None);
    }

    #[test]
    fn the_data_connection_of_an_upload_is_found() {
        let upload = |by_client, file| Some(Transfer::Upload(FtpUpload { by_client, file }));
        let passive = (false, "227 Entering Passive Mode (192,0,2,2,192,14)\r\n");
        let elsewhere = (false, "227 Entering Passive Mode (10,9,9,9,192,14)\r\n");
        let stor = (true, "STOR loot.zip\r\n");
        check(&[passive, stor], &key(1, 2, 49_166), upload(true, FileName::Archive));
        check(&[elsewhere, stor], &key(1, 2, 49_166), upload(true, FileName::Archive));
        let download = |by_client| Some(Transfer::Download(FtpDownload { by_client }));
        check(&[passive, (true, "RETR a\r\n"), stor], &key(1, 2, 49_166), download(false));
        check(&[passive, (true, "MLSD\r\n")], &key(1, 2, 49_166), download(false));
        check(&[(true, "RETR a\r\n")], &key(1, 2, 49_166), None);
        check(&[passive], &key(1, 2, 49_166), None);
        check(&[stor], &key(1, 2, 49_166), None);
        check(&[passive, stor], &key(1, 2, 49_167), None);
        check(&[passive, stor], &key(3, 2, 49_166), None);
        let active = (true, "PORT 192,0,2,1,4,1\r\n");
        check(&[active, stor], &key(2, 1, 1_025), upload(false, FileName::Archive));
        check(&[active, (true, "RETR a\r\n")], &key(2, 1, 1_025), download(true));
        check(&[active, (true, "RETR a\r\n")], &key(1, 2, 1_025), None);
        let extended = (false, "229 Extended (|||1025|)\r\n");
        check(&[extended, (true, "STOU\r\n")], &key(1, 2, 1_025), upload(true, FileName::Other));
    }

    #[test]
    fn the_oldest_announcement_makes_room() {
        let mut transfers = Transfers::default();
        let transfer = Transfer::new(false, Some(FileName::Other));
        for port in 1..=5_000 {
            let (listeners, peer) = ([address(2); 2], address(1));
            let announced = Announced { listeners, port, peer, transfer };
            transfers.announce(&announced, 0);
        }
        assert_eq!(transfers.evictions, 5_000 - MAX_ANNOUNCED as u64);
        assert_eq!(transfers.find(&key(1, 2, 1), 0), None);
        assert_eq!(transfers.find(&key(1, 2, 5_000), 0), Some(transfer));
    }
}
