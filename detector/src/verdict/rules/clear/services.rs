//! Services that take files or texts from anybody, without an account or a contract: what MITRE
//! ATT&CK T1567 (exfiltration over web service) and incident reports name. Clouds that people have
//! accounts with are not among them.

/// What a service is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Files, for whoever has the link.
    Drop,
    /// Texts.
    Paste,
    /// A tunnel to a host behind the service.
    Tunnel,
    /// Messages and files of programs.
    Bot,
    /// Messages, of people mostly.
    Chat,
}

/// Names, each with all names under it.
pub(super) const DROP_SERVICES: [(&str, Kind); 46] = [
    ("userstorage.mega.co.nz", Kind::Drop),
    ("userstorage.mega.nz", Kind::Drop),
    ("mega.co.nz", Kind::Drop),
    ("mega.nz", Kind::Drop),
    ("mega.io", Kind::Drop),
    ("transfer.sh", Kind::Drop),
    ("file.io", Kind::Drop),
    ("gofile.io", Kind::Drop),
    ("anonfiles.com", Kind::Drop),
    ("anonfile.com", Kind::Drop),
    ("bayfiles.com", Kind::Drop),
    ("catbox.moe", Kind::Drop),
    ("0x0.st", Kind::Drop),
    ("temp.sh", Kind::Drop),
    ("tmpfiles.org", Kind::Drop),
    ("wetransfer.com", Kind::Drop),
    ("ufile.io", Kind::Drop),
    ("sendspace.com", Kind::Drop),
    ("send.exploit.in", Kind::Drop),
    ("bashupload.com", Kind::Drop),
    ("oshi.at", Kind::Drop),
    ("pixeldrain.com", Kind::Drop),
    ("filebin.net", Kind::Drop),
    ("keep.sh", Kind::Drop),
    ("uguu.se", Kind::Drop),
    ("qaz.im", Kind::Drop),
    ("dropmefiles.com", Kind::Drop),
    ("easyupload.io", Kind::Drop),
    ("mediafire.com", Kind::Drop),
    ("zippyshare.com", Kind::Drop),
    ("privatlab.com", Kind::Drop),
    ("put.io", Kind::Drop),
    ("pastebin.com", Kind::Paste),
    ("paste.ee", Kind::Paste),
    ("hastebin.com", Kind::Paste),
    ("rentry.co", Kind::Paste),
    ("dpaste.org", Kind::Paste),
    ("termbin.com", Kind::Paste),
    ("ngrok.io", Kind::Tunnel),
    ("ngrok.app", Kind::Tunnel),
    ("ngrok-free.app", Kind::Tunnel),
    ("trycloudflare.com", Kind::Tunnel),
    ("serveo.net", Kind::Tunnel),
    ("api.telegram.org", Kind::Bot),
    ("discord.com", Kind::Chat),
    ("discordapp.com", Kind::Chat),
];
