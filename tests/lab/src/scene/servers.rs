//! What stands on the lab's internet in every recording: the line, resolvers, web servers and shells.

use std::path::Path;

use anyhow::{Context, Result};
use detector_tests::{
    Background, Namespace, Topology, wait_for_tcp_listener, wait_for_udp_listener,
};

use super::{SINK_PORT, START, Scene};
use crate::line::Line;
use crate::random::Random;
use crate::sites;

/// Behind nginx, where a scenario starts a resolver over HTTPS.
pub(crate) const DOH_PORT: u16 = 8053;
/// The object store, likewise.
pub(crate) const S3_PORT: u16 = 9090;

impl Scene<'_> {
    pub(super) fn start_services(
        &self,
        line: &Line,
        random: &mut Random,
    ) -> Result<Vec<Background>> {
        let Line { delay_ms, jitter_ms, loss, rate_mbit, .. } = *line;
        let wire = self.network.wires[0].as_ref().context("the line to the internet is missing")?;
        let mut numbers =
            [delay_ms, jitter_ms, loss, rate_mbit].map(|number| number.to_string()).to_vec();
        numbers.push(random.between(0, 1 << 30).to_string());
        let wire = self.start_script(wire, "wire.py", &numbers)?;
        wire.wait_for_line("ready", START)?;
        let resolver = self.scratch.write(
            "resolver.conf",
            sites::resolver_configuration(&self.shared.sites, &self.thief_zone),
        )?;
        let forwarder = self
            .scratch
            .write("forwarder.conf", sites::forwarder_configuration(Topology::GATEWAY_V4))?;
        let log = self.scratch.join("sink.log").display().to_string();
        let services = vec![
            wire,
            dnsmasq(self.internet(), &resolver)?,
            dnsmasq(&self.network.gateway, &forwarder)?,
            self.start_script(self.internet(), "sink.py", &[SINK_PORT.to_string(), log])?,
            self.internet().spawn(
                "nginx",
                [
                    "-c",
                    &self
                        .scratch
                        .write("nginx.conf", self.nginx_configuration())?
                        .display()
                        .to_string(),
                ],
            )?,
            self.sshd(self.internet())?,
            self.sshd(self.depot())?,
        ];
        for port in [22, 80, 443, SINK_PORT] {
            wait_for_tcp_listener(self.internet(), port, START)?;
        }
        wait_for_tcp_listener(self.depot(), 22, START)?;
        wait_for_udp_listener(self.internet(), 53, START)?;
        wait_for_udp_listener(&self.network.gateway, 53, START)?;
        Ok(services)
    }

    fn sshd(&self, namespace: &Namespace) -> Result<Background> {
        // sshd insists on an absolute path, as it runs itself again for each connection.
        namespace.spawn("/usr/sbin/sshd", ["-D", "-e", "-f", &self.shared.path("sshd_config")])
    }

    fn nginx_configuration(&self) -> String {
        let here = self.scratch.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {here}/{kind};\n"))
            .concat();
        format!(
            "daemon off; user root; worker_processes 1; pid {here}/nginx.pid; error_log {here}/nginx.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n  access_log off; sendfile on; client_max_body_size 0; keepalive_timeout 30;\n{temporary}\
               server {{\n    listen 80; listen [::]:80; listen 443 ssl http2; listen [::]:443 ssl http2;\n    \
                 ssl_certificate {}; ssl_certificate_key {};\n    root {};\n    \
                 location /up/ {{ proxy_pass http://127.0.0.1:{SINK_PORT}; }}\n    \
                 location /api/ {{ proxy_pass http://127.0.0.1:{SINK_PORT}; }}\n    \
                 location ~ \\.php$ {{ proxy_pass http://127.0.0.1:{SINK_PORT}; }}\n    \
                 location = / {{ proxy_pass http://127.0.0.1:{S3_PORT}; }}\n    \
                 location /bucket {{ proxy_pass http://127.0.0.1:{S3_PORT}; }}\n    \
                 location /dns-query {{ proxy_pass http://127.0.0.1:{DOH_PORT}; }}\n  }}\n}}\n",
            self.shared.path("tls.crt"),
            self.shared.path("tls.key"),
            self.shared.path("content")
        )
    }
}

fn dnsmasq(namespace: &Namespace, configuration: &Path) -> Result<Background> {
    let file = format!("--conf-file={}", configuration.display());
    namespace.spawn("dnsmasq", ["--keep-in-foreground", "--user=root", "--pid-file=", &file])
}
