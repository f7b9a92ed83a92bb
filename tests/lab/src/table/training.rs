//! Scenarios to learn from.

use super::{Row, benign, theft};
use crate::{benign, theft};

pub(super) static ROWS: &[Row] = &[
    theft("theft-https-put", "https_upload", "curl -T", 4, theft::http::https_put),
    theft("theft-http-post", "http_upload", "curl --data-binary", 4, theft::http::http_post),
    theft("theft-https-form", "https_upload", "curl -F", 3, theft::http::https_form),
    theft("theft-https-chunks", "https_upload", "curl -T, in parts", 3, theft::http::https_chunks),
    theft("theft-https-parallel", "https_upload", "curl -T", 3, theft::http::https_parallel),
    theft(
        "theft-http-beacon",
        "http_beacon",
        "curl --data-binary, periodic",
        4,
        theft::http::beacon,
    ),
    theft("theft-scp", "ssh_transfer", "scp", 4, theft::ssh::scp),
    theft("theft-sftp", "ssh_transfer", "sftp", 3, theft::ssh::sftp),
    theft("theft-rsync", "ssh_transfer", "rsync", 4, theft::ssh::rsync),
    theft("theft-ssh-pipe", "ssh_transfer", "cat | ssh", 2, theft::ssh::pipe),
    theft("theft-iodine", "dns_tunnel", "iodine", 7, theft::dns::iodine).lines_of("theft-dns-fast"),
    theft("theft-dns-fast", "dns_exfil", "dig", 4, theft::dns::fast_queries),
    theft("theft-dns-slow", "dns_exfil", "dig", 3, theft::dns::slow_queries)
        .lines_of("theft-dns-fast"),
    theft("theft-dns-single", "dns_exfil", "dig", 3, theft::dns::single_query)
        .lines_of("theft-dns-fast"),
    theft("theft-dnscat", "dns_tunnel", "queries of our own", 6, theft::names::dnscat),
    theft("theft-doh", "doh_tunnel", "httpx over HTTP/2", 6, theft::names::over_https),
    theft("theft-ptunnel", "icmp_tunnel", "ptunnel-ng", 3, theft::icmp::ptunnel)
        .lines_of("theft-icmp-fast"),
    theft("theft-icmp-fast", "icmp_exfil", "raw socket", 4, theft::icmp::fast_echo),
    theft("theft-icmp-slow", "icmp_exfil", "raw socket", 3, theft::icmp::slow_echo)
        .lines_of("theft-icmp-shell"),
    theft("theft-icmp-shell", "icmp_exfil", "raw socket", 4, theft::echo::shell),
    theft("theft-icmp-tun", "icmp_tunnel", "raw socket and tun", 3, theft::echo::tunnel)
        .lines_of("theft-icmp-fast"),
    theft("theft-ping-pattern", "icmp_exfil", "ping -p", 4, theft::echo::pattern),
    theft("theft-ping-letters", "icmp_exfil", "ping -p", 3, theft::echo::letters)
        .lines_of("theft-ping-pattern"),
    theft("theft-quic", "quic_upload", "aioquic", 5, theft::quic::upload),
    theft("theft-tcp", "raw_tcp_upload", "ncat, socat", 4, theft::raw::tcp),
    theft("theft-tls", "raw_tcp_upload", "socat openssl", 2, theft::raw::tls),
    theft("theft-udp", "raw_udp_upload", "udp socket", 3, theft::raw::udp),
    theft("theft-restic", "ssh_transfer", "restic over sftp", 3, theft::upload::restic),
    theft("theft-s3", "https_upload", "boto3", 4, theft::upload::s3),
    theft("theft-s3-parts", "https_upload", "boto3", 2, theft::upload::s3_in_parts),
    theft("theft-git", "ssh_transfer", "git push over ssh", 3, theft::upload::git),
    theft("theft-socks", "ssh_transfer", "curl over ssh -D", 3, theft::tunnel::socks),
    theft("theft-reverse", "ssh_transfer", "socat over ssh -R", 3, theft::tunnel::reverse)
        .lines_of("theft-socks"),
    theft("theft-stunnel", "tunnel_upload", "curl over stunnel", 3, theft::tunnel::stunnel),
    theft("theft-connect", "proxy_upload", "curl over tinyproxy", 3, theft::tunnel::connect),
    theft("theft-wireguard", "vpn_upload", "curl over wireguard-go", 3, theft::tunnel::wireguard),
    theft("theft-drip-tcp", "slow_drip", "socket", 5, theft::drip::tcp),
    theft("theft-drip-dns", "dns_exfil", "dig", 3, theft::drip::names).lines_of("theft-dns-fast"),
    theft("theft-drip-icmp", "icmp_exfil", "raw socket", 3, theft::drip::echo),
    theft("theft-smtp", "smtp_exfil", "swaks, smtplib", 5, theft::mail::in_clear),
    theft("theft-smtp-tls", "smtp_exfil", "swaks, smtplib", 4, theft::mail::behind_starttls),
    theft("theft-ftp", "ftp_upload", "curl, ftplib", 8, theft::ftp::upload),
    theft("theft-post-bare", "http_post_exfil", "curl, requests", 6, theft::post::bare),
    theft("theft-post-gate", "http_post_exfil", "curl, requests", 5, theft::post::named),
    benign("browse", "web_browsing", "curl --parallel", 6, benign::web::browse),
    benign("download", "download", "curl", 5, benign::web::download),
    benign("api", "api_calls", "curl", 6, benign::web::api).control_for("theft-http-beacon"),
    benign("update", "software_update", "curl", 4, benign::web::update),
    benign("form", "form_post", "curl -F", 4, benign::web::form).control_for("theft-https-form"),
    benign("photos", "photo_upload", "curl -F", 4, benign::web::photos)
        .control_for("theft-https-form"),
    benign("speed-test", "speed_test", "curl", 6, benign::web::speed_test)
        .control_for("theft-https-parallel"),
    benign("dns-lookups", "dns", "dig", 5, benign::network::lookups).control_for("theft-dns-fast"),
    benign("dns-digests", "dns", "dig", 4, benign::names::digests).control_for("theft-dns-fast"),
    benign("dns-block-lists", "dns", "dig", 3, benign::names::block_lists)
        .control_for("theft-dns-fast"),
    benign("dns-crawl", "dns", "dig", 3, benign::names::crawl).control_for("theft-dns-fast"),
    benign("dns-signatures", "dns", "dig", 3, benign::names::signatures)
        .control_for("theft-dnscat"),
    benign("mdns", "dns", "multicast of our own", 3, benign::names::multicast)
        .control_for("theft-dnscat"),
    benign("doh", "dns_over_https", "httpx over HTTP/2", 6, benign::names::over_https)
        .control_for("theft-doh"),
    benign("ping", "monitoring", "ping", 6, benign::network::ping).control_for("theft-icmp-fast"),
    benign("fping", "monitoring", "fping", 4, benign::echo::fping).control_for("theft-icmp-shell"),
    benign("trace", "monitoring", "traceroute, mtr", 4, benign::echo::trace)
        .control_for("theft-icmp-shell"),
    benign("ping-sweep", "monitoring", "ping", 3, benign::echo::sweep)
        .control_for("theft-ping-pattern"),
    benign("ping-constant", "monitoring", "ping -p", 4, benign::echo::constant_pattern)
        .control_for("theft-ping-pattern"),
    benign("quic-watch", "download", "aioquic", 4, benign::quic::watch).control_for("theft-quic"),
    benign("quic-photos", "photo_upload", "aioquic", 6, benign::quic::photos)
        .control_for("theft-quic"),
    benign("call", "video_call", "udp", 6, benign::network::call).control_for("theft-udp"),
    benign("ssh", "remote_admin", "ssh", 4, benign::remote::interactive).control_for("theft-scp"),
    benign("git", "source_control", "git over ssh", 4, benign::remote::git)
        .control_for("theft-scp"),
    benign("backup-home", "backup", "rsync, scp, sftp, restic", 8, benign::backup::to_depot)
        .control_for("theft-rsync"),
    benign("backup-cloud-rsync", "backup", "rsync", 3, benign::backup::rsync_to_cloud)
        .control_for("theft-rsync"),
    benign("backup-cloud-restic", "backup", "restic over sftp", 3, benign::backup::restic_to_cloud)
        .control_for("theft-sftp"),
    benign("backup-cloud-https", "backup", "curl -T", 6, benign::backup::https_to_cloud)
        .control_for("theft-https-chunks"),
    benign("backup-new-restic", "backup", "restic over sftp", 6, benign::backup::first_restic)
        .control_for("theft-restic"),
    benign("backup-new-s3", "backup", "boto3", 6, benign::backup::first_s3).control_for("theft-s3"),
    benign("backup-new-https", "backup", "curl -T", 6, benign::backup::first_https)
        .control_for("theft-https-put"),
    benign("films", "photo_upload", "boto3", 6, benign::backup::s3_in_parts)
        .control_for("theft-s3-parts"),
    benign("deploy-scp", "deployment", "scp", 6, benign::backup::deploy_by_scp)
        .control_for("theft-scp"),
    benign("deploy-sftp", "deployment", "sftp", 4, benign::backup::deploy_by_sftp)
        .control_for("theft-sftp"),
    benign("ssh-pull", "remote_admin", "ssh", 6, benign::remote::pull)
        .control_for("theft-ssh-pipe"),
    benign("log-shipping", "logging", "socat", 6, benign::raw::logs).control_for("theft-tcp"),
    benign("log-shipping-tls", "logging", "socat openssl", 6, benign::raw::logs_in_tls)
        .control_for("theft-tls"),
    benign("crash-report", "telemetry", "curl", 6, benign::post::crash_report)
        .control_for("theft-http-post"),
    benign("ping-steady", "monitoring", "ping", 6, benign::echo::steady)
        .control_for("theft-drip-icmp"),
    benign("git-mirror", "source_control", "git push over ssh", 6, benign::backup::git_mirror)
        .control_for("theft-git"),
    benign("socks", "proxy", "curl over ssh -D", 6, benign::tunnel::socks)
        .control_for("theft-socks"),
    benign("stunnel", "proxy", "curl over stunnel", 6, benign::tunnel::stunnel)
        .control_for("theft-stunnel"),
    benign("connect", "proxy", "curl over tinyproxy", 6, benign::tunnel::connect)
        .control_for("theft-connect"),
    benign("wireguard", "vpn", "curl over wireguard-go", 6, benign::tunnel::wireguard)
        .control_for("theft-wireguard"),
    benign("heartbeat", "presence", "socket", 6, benign::presence::heartbeat)
        .control_for("theft-drip-tcp"),
    benign("mail", "mail", "swaks, smtplib", 6, benign::mail::submission)
        .control_for("theft-smtp-tls"),
    benign("mail-relay", "mail", "swaks, smtplib", 4, benign::mail::relay)
        .control_for("theft-smtp"),
    benign("mail-report", "mail", "swaks, smtplib", 4, benign::mail::report)
        .control_for("theft-smtp"),
    benign("newsletter", "mail", "swaks, smtplib", 3, benign::mail::newsletter)
        .control_for("theft-smtp-tls"),
    benign("ftp-download", "ftp", "curl", 4, benign::ftp::download).control_for("theft-ftp"),
    benign("ftp-publish", "ftp", "curl, ftplib", 6, benign::ftp::publish).control_for("theft-ftp"),
    benign("telemetry", "telemetry", "curl", 5, benign::post::telemetry)
        .control_for("theft-post-gate"),
    benign("cookie-form", "form_post", "curl", 5, benign::post::cookie_form)
        .control_for("theft-post-gate"),
    benign("webdav", "shared_folder", "curl", 4, benign::post::shared_folder)
        .control_for("theft-post-gate"),
    benign("ocsp", "certificate_check", "curl", 3, benign::post::ocsp)
        .control_for("theft-post-bare"),
    benign("device", "device_control", "curl", 5, benign::post::device)
        .control_for("theft-post-bare"),
];
