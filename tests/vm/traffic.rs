//! Traffic of known size, sent and taken by this very program: in a virtual machine there is no other.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::ffi::OsStringExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::socket::sockopt::{SetBool, TcpCongestion};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, setsockopt, socket};
use nix::{libc, setsockopt_impl};

const PORT: u16 = 9_000;
const CHUNK: [u8; 16_384] = [0x5a; 16_384];

pub(crate) fn run(verb: &str, arguments: &[&str]) {
    match (verb, arguments) {
        ("sink", []) => sink(),
        ("stream", [host, size]) => stream(host, size.parse().unwrap()),
        ("datagrams", [host, count, size]) => {
            datagrams(host, count.parse().unwrap(), size.parse().unwrap());
        }
        ("trickle", [host, rate]) => trickle(host, rate.parse().unwrap()),
        ("drizzle", [host, rate]) => drizzle(host, rate.parse().unwrap()),
        ("call", [host]) => call(host),
        ("past-tc", []) => past_tc(),
        _ => panic!("no traffic {verb} {arguments:?}"),
    }
}

fn at(host: &str) -> SocketAddr {
    SocketAddr::new(host.parse().unwrap(), PORT)
}

/// Takes streams and datagrams of both families, and tells what came.
fn sink() {
    let udp = UdpSocket::bind(("::", PORT)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        let mut sum = 0;
        while let Ok(size) = udp.recv(&mut buffer) {
            sum += size;
            println!("datagrams {sum}");
        }
    });
    let listener = TcpListener::bind(("::", PORT)).unwrap();
    println!("ready");
    let sums = Arc::new(Mutex::new(HashMap::new()));
    for stream in listener.incoming() {
        let sums = Arc::clone(&sums);
        std::thread::spawn(move || take(&mut stream.unwrap(), &sums));
    }
}

fn take(stream: &mut TcpStream, sums: &Mutex<HashMap<IpAddr, usize>>) {
    let Ok(local) = stream.local_addr() else { return };
    let here = local.ip().to_canonical();
    let mut buffer = [0; 65_536];
    while let Ok(size @ 1..) = stream.read(&mut buffer) {
        let mut sums = sums.lock().unwrap();
        let sum = sums.entry(here).or_insert(0);
        *sum += size;
        println!("at {here} sum {sum}");
    }
    // Whoever called may be gone.
    stream.write_all(b"taken").ok();
}

/// Sends so many bytes and waits for the answer.
fn stream(host: &str, size: usize) {
    let mut stream = TcpStream::connect(at(host)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut left = size;
    while left != 0 {
        left -= stream.write(&CHUNK[..left.min(CHUNK.len())]).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"taken");
}

fn sender(host: &str) -> UdpSocket {
    let any = if host.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let udp = UdpSocket::bind(any).unwrap();
    udp.connect(at(host)).unwrap();
    udp
}

fn datagrams(host: &str, count: usize, size: usize) {
    let udp = sender(host);
    for _ in 0..count {
        // That nobody takes them is said at the next one, which is not sent then.
        while let Err(error) = udp.send(&CHUNK[..size]) {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        }
        // A slow machine must not drop them at the socket.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends so many bytes a second on one connection for ever.
fn trickle(host: &str, rate: usize) {
    let mut stream = TcpStream::connect(at(host)).unwrap();
    stream.set_nodelay(true).unwrap();
    let part = (rate / 20).clamp(16, CHUNK.len());
    println!("port {}", stream.local_addr().unwrap().port());
    while stream.write_all(&CHUNK[..part]).is_ok() {
        std::thread::sleep(Duration::from_secs_f64(part as f64 / rate as f64));
    }
}

/// The same in datagrams of 200 bytes.
fn drizzle(host: &str, rate: usize) {
    let udp = sender(host);
    println!("port {}", udp.local_addr().unwrap().port());
    loop {
        // What was refused before does not matter now.
        udp.send(&CHUNK[..200]).ok();
        std::thread::sleep(Duration::from_secs_f64(200.0 / rate as f64));
    }
}

fn call(host: &str) {
    match TcpStream::connect_timeout(&at(host), Duration::from_secs(2)) {
        Ok(_) => println!("answered"),
        Err(error) => println!("no answer: {error}"),
    }
}

/// Whether a packet socket sends past the queueing discipline; the other is no way past anything.
#[derive(Clone, Copy)]
struct QdiscBypass;
setsockopt_impl!(QdiscBypass, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, bool, SetBool);

/// Opens sockets, one of which goes past tc, and sets an option that is longer than a page. Tells the
/// process's number.
fn past_tc() {
    let tcp = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    let mut reno = b"reno".to_vec();
    reno.resize(8_192, 0);
    setsockopt(&tcp, TcpCongestion, &OsString::from_vec(reno)).unwrap();
    assert_eq!(getsockopt(&tcp, TcpCongestion).unwrap(), "reno");
    setsockopt(&tcp, QdiscBypass, &true).unwrap_err();
    let packet = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None).unwrap();
    setsockopt(&packet, QdiscBypass, &false).unwrap();
    setsockopt(&packet, QdiscBypass, &true).unwrap();
    println!("{}", std::process::id());
}
