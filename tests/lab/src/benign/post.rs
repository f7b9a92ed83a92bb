//! Bodies that leave in clear and mean no harm: telemetry, forms, shared folders, certificates' state,
//! and talk between devices at home.

use anyhow::{Context, Result, ensure};
use detector_tests::wait_for_tcp_listener;
use std::time::Duration;

use super::pause;
use crate::payloads::{Payload, archive};
use crate::random::Random;
use crate::scene::{DEPOT, Outcome, SINK_PORT, Scene, Target};
use crate::tools::post::{self, CURRENT_AGENTS, ODD_AGENTS, Post};

const START: Duration = Duration::from_secs(15);
const UPNP_PORT: u16 = 5_000;

/// What a program counted, as JSON to a name of its maker.
pub(crate) fn telemetry(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let agent = *random.pick(&[CURRENT_AGENTS[2], CURRENT_AGENTS[3], ODD_AGENTS[0], ODD_AGENTS[1]]);
    let url = format!("http://{}/api/v1/metrics", target.host);
    let times = random.between(3, 12);
    repeat(
        scene,
        random,
        &target,
        &Post { url, agent, method: "POST", headers: Vec::new(), form: false },
        times,
        json,
    )
}

/// What was in memory when a program failed, to its maker.
pub(crate) fn crash_report(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let agent = *random.pick(&CURRENT_AGENTS[2..]);
    let port = *random.pick(&[80, 80, SINK_PORT]);
    let url = format!("http://{}:{port}/up/crash", target.host);
    let post = Post { url, agent, method: "POST", headers: Vec::new(), form: random.chance(0.3) };
    repeat(scene, random, &target, &post, 1, dump)
}

/// A person's form on a site that knows them by a cookie.
pub(crate) fn cookie_form(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let host = &target.host;
    let headers = vec![
        format!("Cookie: session={}", random.word(30)),
        format!("Referer: http://{host}/page-3.html"),
        "Accept-Language: en-GB,en;q=0.8".to_owned(),
    ];
    let path = *random.pick(&["/up/contact", "/comment.php", "/wp-login.php"]);
    let post = Post {
        url: format!("http://{host}{path}"),
        agent: CURRENT_AGENTS[random.between(0, 1) as usize],
        method: "POST",
        headers,
        form: random.chance(0.3),
    };
    let times = random.between(1, 5);
    repeat(scene, random, &target, &post, times, fields)
}

/// A shared folder over WebDAV: looked at, then added to.
pub(crate) fn shared_folder(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let agent = "Microsoft-WebDAV-MiniRedir/10.0.19045";
    let base = format!("http://{}/up/dav", target.host);
    let look = Post {
        url: base.clone(),
        agent,
        method: "PROPFIND",
        headers: vec!["Depth: 1".to_owned()],
        form: false,
    };
    post::send(scene, &target, &look, &soap(random))?;
    let put = Post {
        url: format!("{base}/{}.docx", random.word(7)),
        method: "PUT",
        headers: Vec::new(),
        ..look
    };
    let times = random.between(1, 4);
    repeat(scene, random, &target, &put, times, document)
}

/// Whether certificates are still good, each asked in some hundred bytes.
pub(crate) fn ocsp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let post = Post {
        url: format!("http://{}/api/ocsp", target.host),
        agent: CURRENT_AGENTS[1],
        method: "POST",
        headers: Vec::new(),
        form: false,
    };
    let times = random.between(3, 10);
    repeat(scene, random, &target, &post, times, certificate)
}

/// Commands to a device in the home's second network, which has no name.
pub(crate) fn device(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let log = scene.scratch.join("sink.log").display().to_string();
    let _device = scene.start_script(scene.depot(), "sink.py", &[UPNP_PORT.to_string(), log])?;
    wait_for_tcp_listener(scene.depot(), UPNP_PORT, START)?;
    let target = Target { host: DEPOT.to_owned(), address: DEPOT.parse().context("no address")? };
    let headers = vec![
        "SOAPAction: \"urn:schemas-upnp-org:service:AVTransport:1#GetPositionInfo\"".to_owned(),
    ];
    let post = Post {
        url: format!("http://{DEPOT}:{UPNP_PORT}/up/control"),
        agent: "Linux/5.15 UPnP/1.0",
        method: "POST",
        headers,
        form: false,
    };
    let times = random.between(5, 20);
    repeat(scene, random, &target, &post, times, soap)
}

fn repeat(
    scene: &Scene<'_>,
    random: &mut Random,
    target: &Target,
    post: &Post<'_>,
    times: u64,
    body: fn(&mut Random) -> Payload,
) -> Result<Outcome> {
    let before = scene.sunk_bytes("/")?;
    let mut carried = 0;
    for _ in 0..times {
        let body = body(random);
        carried += body.bytes.len();
        post::send(scene, target, post, &body)?;
        pause(random, 0.05, 1.0);
    }
    let arrived = scene.sunk_bytes("/")? - before;
    ensure!(
        (carried..=carried + 600 * times as usize).contains(&arrived),
        "{carried} bytes were sent and {arrived} arrived"
    );
    Ok(Outcome::benign(format!("{times} of {} to {}, {carried} bytes", post.method, post.url)))
}

fn payload(name: &str, media_type: &'static str, bytes: Vec<u8>) -> Payload {
    Payload { name: name.to_owned(), media_type, bytes }
}

fn json(random: &mut Random) -> Payload {
    let values: Vec<String> = (0..random.between(5, 300))
        .map(|_| {
            format!("{{\"name\":\"{}\",\"value\":{}}}", random.word(8), random.between(0, 99_999))
        })
        .collect();
    payload("metrics.json", "application/json", format!("[{}]", values.join(",")).into_bytes())
}

fn fields(random: &mut Random) -> Payload {
    let text: String = (0..random.between(10, 200)).map(|_| random.word(5) + "+").collect();
    let form = format!("name={}&mail={}%40example.com&text={text}", random.word(6), random.word(7));
    payload("fields", "application/x-www-form-urlencoded", form.into_bytes())
}

fn document(random: &mut Random) -> Payload {
    let length = random.size(8_000, 900_000);
    payload(
        "letter.docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        archive(random, length).bytes,
    )
}

fn dump(random: &mut Random) -> Payload {
    let length = random.size(50_000, 6_000_000);
    payload("core", "application/octet-stream", random.document(length))
}

fn certificate(random: &mut Random) -> Payload {
    let mut bytes =
        b"\x30\x51\x30\x4f\x30\x4d\x30\x4b\x30\x49\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a".to_vec();
    bytes.extend(random.bytes(64));
    payload("request", "application/ocsp-request", bytes)
}

fn soap(random: &mut Random) -> Payload {
    let text = format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><u:{} xmlns:u=\"urn:schemas-upnp-org:service:AVTransport:1\"><InstanceID>{}</InstanceID></u:{0}></s:Body></s:Envelope>",
        random.word(9),
        random.between(0, 9)
    );
    payload("command.xml", "text/xml", text.into_bytes())
}
