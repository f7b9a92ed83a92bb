//! The support library against the kernel. All of it needs root, so it is ignored by default;
//! `cargo xtask test` runs it.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use detector_tests::{
    Namespace, Recorder, Scratch, ServerSpec, Topology, poll_until, wait_for_tcp_listener,
};

const LIMIT: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs root; cargo xtask test runs it"]
fn a_namespace_and_its_processes_end_with_the_guard() {
    let namespace = Namespace::new("guard").unwrap();
    let path = namespace.path();
    // A daemon that has left its parent.
    namespace.run("sh", ["-c", "setsid sleep 1000 >/dev/null 2>&1 &"]).unwrap();
    let pid = poll_until(LIMIT, || namespace.processes().unwrap().first().copied()).unwrap();
    drop(namespace);
    assert!(!path.exists());
    poll_until(LIMIT, || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()))
        .unwrap();
}

#[test]
#[ignore = "needs root; cargo xtask test runs it"]
fn entering_stays_on_its_own_thread() {
    let namespace = Namespace::new("enter").unwrap();
    let outside = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let inside =
        namespace.enter(|| std::fs::read_link("/proc/thread-self/ns/net").unwrap()).unwrap();
    assert_ne!(outside, inside);
    assert_eq!(outside, std::fs::read_link("/proc/thread-self/ns/net").unwrap());
}

#[test]
#[ignore = "needs root; cargo xtask test runs it"]
fn a_client_reaches_a_server_and_the_recording_holds_it() {
    let topology = Topology::builder().wire_size().server(ServerSpec::internet()).build().unwrap();
    let scratch = Scratch::new("support").unwrap();
    let recorder =
        Recorder::start(&topology.gateway, Topology::GATEWAY_INNER, &scratch.join("a.pcap"))
            .unwrap();
    let listener = topology.server().enter(|| TcpListener::bind("[::]:8080").unwrap()).unwrap();
    wait_for_tcp_listener(topology.server(), 8080, LIMIT).unwrap();
    for address in ["203.0.113.10:8080", "[2001:db8::10]:8080"] {
        topology.client.enter(|| std::net::TcpStream::connect(address).unwrap()).unwrap();
        listener.accept().unwrap();
    }
    let recording = recorder.stop().unwrap();
    // Two handshakes and their ends, at least.
    assert!(recording.packets >= 6, "{} packets", recording.packets);
}

#[test]
#[ignore = "needs root; cargo xtask test runs it"]
fn a_background_process_hands_out_its_lines_and_its_status() {
    let namespace = Namespace::new("lines").unwrap();
    let mut child =
        namespace.spawn("sh", ["-c", "echo one; sleep 0.1; echo two >&2; exit 3"]).unwrap();
    assert_eq!(child.wait_for_line("two", LIMIT).unwrap(), "two");
    assert_eq!(child.wait(LIMIT).unwrap().code(), Some(3));
    assert_eq!(child.output(), "one\ntwo");
    assert!(child.wait_for_line("three", LIMIT).is_err());
}

#[test]
#[ignore = "needs root; cargo xtask test runs it"]
fn both_families_work_at_once_and_lose_nothing() {
    let topology = Topology::simple().unwrap();
    // From the first packet on: no address is tentative, no neighbour unresolved for seconds.
    let socket = topology.server().enter(|| UdpSocket::bind("[::]:9000").unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    for (source, destination) in
        [("[::]:0", "[2001:db8::77]:9000"), ("0.0.0.0:0", "198.51.100.77:9000")]
    {
        let client = topology.client.enter(|| UdpSocket::bind(source).unwrap()).unwrap();
        client.send_to(b"now", destination).unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 3, "to {destination}");
    }
}
