//! What well-known services are for, by the domain under which they are reached: the public part of
//! an operator's knowledge that no flow shows.
//!
//! A name takes guilt away only for what its service is for, and only from volume: it makes nothing
//! guilty and excuses no tunnel. Names are those that the operators publish for firewalls.

use crate::flow::dns::registered::{self, Holder};

/// What people send large amounts to such a service for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Backups, files and pictures kept in a cloud.
    Storage,
    /// Calls and meetings: sound and pictures go both ways.
    Meeting,
    /// Measures a line by filling it.
    SpeedTest,
    /// Video and messages that people upload to be seen.
    Publishing,
}

const SERVICES: [(Service, &[&str]); 4] = [
    (
        Service::Storage,
        &[
            "amazonaws.com",
            "backblaze.com",
            "backblazeb2.com",
            "blob.core.windows.net",
            "box.com",
            "boxcloud.com",
            "crashplan.com",
            "digitaloceanspaces.com",
            "dropbox.com",
            "dropboxapi.com",
            "dropboxusercontent.com",
            "drive.google.com",
            "googleapis.com",
            "icloud.com",
            "icloud-content.com",
            "idrive.com",
            "onedrive.com",
            "live.net",
            "photos.google.com",
            "r2.cloudflarestorage.com",
            "sharepoint.com",
            "storage.live.com",
            "wasabisys.com",
            "your-storagebox.de",
            "github.com",
            "gitlab.com",
            "bitbucket.org",
        ],
    ),
    (
        Service::Meeting,
        &[
            "webex.com",
            "zoom.us",
            "meet.google.com",
            "teams.microsoft.com",
            "skype.com",
            "whatsapp.net",
            "signal.org",
            "viber.com",
            "discord.media",
            "goto.com",
            "jit.si",
        ],
    ),
    (
        Service::SpeedTest,
        &[
            "speedtest.net",
            "ookla.com",
            "ooklaserver.net",
            "fast.com",
            "nperf.com",
            "measurementlab.net",
            "measurement-lab.org",
            "speed.cloudflare.com",
            "librespeed.org",
        ],
    ),
    (
        Service::Publishing,
        &[
            "youtube.com",
            "upload.youtube.com",
            "googlevideo.com",
            "facebook.com",
            "fbcdn.net",
            "instagram.com",
            "tiktokv.com",
            "snapchat.com",
            "vimeo.com",
            "twitch.tv",
            "live-video.net",
        ],
    ),
];

/// What the service under `name` is for; none where it is none of them.
#[must_use]
pub fn of(name: &str) -> Option<Service> {
    let under = |domain: &&str| is_under(name, domain);
    SERVICES.iter().find(|(_, domains)| domains.iter().any(under)).map(|found| found.0)
}

/// Whether many people's data may be behind a name, so that traffic to it says nothing about who receives
/// it: a public suffix, or a name of a well-known service that no customer has alone.
#[must_use]
pub fn is_shared(name: &str) -> bool {
    let name = name.trim_matches('.').to_ascii_lowercase();
    match registered::holder(name.as_bytes()) {
        Holder::Anybody => true,
        Holder::Customer => false,
        Holder::Registrant => of(&name).is_some(),
    }
}

/// Whether `name` is `domain` or a name in it. Both in lower case, without the last dot.
#[must_use]
pub fn is_under(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_name_is_nobodys_own() {
        for (name, expected) in [
            ("backup.example.com", false),
            ("example.com", false),
            ("com", true),
            ("co.uk", true),
            ("", true),
            ("amazonaws.com", true),
            ("s3.amazonaws.com", true),
            ("backup.s3.amazonaws.com", false),
            ("www.Dropbox.com.", true),
            ("github.io", true),
            ("somebody.github.io", false),
            ("github.com", true),
        ] {
            assert_eq!(is_shared(name), expected, "{name}");
        }
    }

    #[test]
    fn names_tell_services() {
        for (name, expected) in [
            ("bucket.s3.eu-west-1.amazonaws.com", Some(Service::Storage)),
            ("dropbox.com", Some(Service::Storage)),
            ("notdropbox.com", None),
            ("dropbox.com.drop.example", None),
            ("us05.zoom.us", Some(Service::Meeting)),
            ("", None),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
    }
}
