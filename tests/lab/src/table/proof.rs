//! Scenarios for proof only: nothing is learned from them.

use super::{Row, benign, theft};
use crate::proof::{benign, channels, theft};

pub(super) static ROWS: &[Row] = &[
    theft("proof-wget", "http_post_exfil", "wget --post-file", 4, theft::wget),
    theft("proof-rclone", "https_upload", "rclone over WebDAV", 4, theft::rclone),
    theft("proof-lftp-sftp", "ssh_transfer", "lftp", 4, theft::lftp_sftp),
    theft("proof-borg", "ssh_transfer", "borg", 3, theft::borg),
    theft("proof-dns2tcp", "dns_tunnel", "dns2tcp", 4, channels::dns2tcp),
    theft("proof-mail", "smtp_exfil", "curl", 4, theft::mail),
    theft("proof-lftp-ftp", "ftp_upload", "lftp", 4, theft::lftp_ftp),
    theft("proof-hping", "icmp_exfil", "hping3", 4, channels::hping),
    theft("proof-shell", "raw_tcp_upload", "bash", 4, channels::shell),
    theft("proof-drip", "slow_drip", "bash", 3, channels::shell_drip),
    theft("proof-kdig", "doh_tunnel", "kdig", 3, channels::kdig),
    theft("proof-openvpn", "vpn_upload", "curl over openvpn", 3, channels::openvpn),
    benign("ordinary-wget", "form_post", "wget", 4, benign::wget).control_for("proof-wget"),
    benign("ordinary-rclone", "shared_folder", "rclone over WebDAV", 4, benign::rclone)
        .control_for("proof-rclone"),
    benign("ordinary-lftp", "file_exchange", "lftp", 6, benign::lftp)
        .control_for("proof-lftp-sftp"),
    benign("ordinary-borg", "backup", "borg", 4, benign::borg).control_for("proof-borg"),
    benign("ordinary-kdig", "dns_over_https", "kdig", 4, benign::kdig).control_for("proof-kdig"),
    benign("ordinary-mail", "mail", "curl", 4, benign::mail).control_for("proof-mail"),
    benign("ordinary-hping", "monitoring", "hping3", 4, benign::hping).control_for("proof-hping"),
    benign("ordinary-aria", "download", "aria2c", 3, benign::aria),
    benign("ordinary-iperf", "speed_test", "iperf3", 4, benign::iperf).control_for("proof-shell"),
    benign("ordinary-openvpn", "vpn", "curl over openvpn", 4, benign::openvpn)
        .control_for("proof-openvpn"),
];
