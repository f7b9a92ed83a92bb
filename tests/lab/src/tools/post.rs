//! HTTP requests with a body by curl, under whatever name the sender gives itself.

use anyhow::Result;

use crate::payloads::Payload;
use crate::scene::{Scene, Target};

/// What browsers and programs of today call themselves.
pub(crate) const CURRENT_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "MetricsAgent/4.18.2 (linux; amd64)",
    "okhttp/4.12.0",
];
/// Libraries, browsers long gone, and nothing at all. Benign programs use the first two as well.
pub(crate) const ODD_AGENTS: [&str; 6] = [
    "python-requests/2.31.0",
    "Go-http-client/1.1",
    "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)",
    "Mozilla/5.0 (Windows; U; Windows NT 6.1; en-US; rv:1.9.2.3) Gecko/20100401 Firefox/3.6.3",
    "WinHTTP",
    "",
];

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Post<'a> {
    pub(crate) url: String,
    pub(crate) agent: &'a str,
    pub(crate) method: &'a str,
    /// More lines of the head.
    pub(crate) headers: Vec<String>,
    pub(crate) form: bool,
}

/// Sends the payload as the body, or as a form's file.
pub(crate) fn send(
    scene: &Scene<'_>,
    target: &Target,
    post: &Post<'_>,
    body: &Payload,
) -> Result<()> {
    let file = scene.document(&body.name, &body.bytes)?;
    let agent = format!("User-Agent: {}", post.agent);
    let kind = format!("Content-Type: {}", body.media_type);
    let (raw, part) = (format!("@{file}"), format!("file=@{file};type={}", body.media_type));
    let mut arguments = vec![
        "--silent",
        "--show-error",
        "--fail",
        "--insecure",
        "--output",
        "/dev/null",
        target.family_flag(),
        "--request",
        post.method,
        "-H",
        agent.trim_end(),
    ];
    post.headers.iter().for_each(|line| arguments.extend(["-H", line]));
    if post.form {
        arguments.extend(["--form", &part]);
    } else {
        arguments.extend(["-H", &kind, "--data-binary", &raw]);
    }
    arguments.push(&post.url);
    scene.run("curl", &arguments)?;
    Ok(())
}
