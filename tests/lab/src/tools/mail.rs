//! Mail by swaks or by Python's smtplib, and the server that takes it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::Background;

use crate::random::Random;
use crate::scene::{Scene, Target};

const START: Duration = Duration::from_secs(15);
const LOG: &str = "mail.log";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    Clear,
    StartTls,
}

/// One message, and how it is handed in.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    /// Files of the scene.
    pub(crate) body: String,
    pub(crate) attachment: Option<String>,
    pub(crate) port: u16,
    /// Whether the client names itself with a password, as submission wants and relays do not.
    pub(crate) login: bool,
    pub(crate) security: Security,
}

/// A server on the internet at all of `ports`.
pub(crate) fn serve(scene: &Scene<'_>, ports: &[u16]) -> Result<Background> {
    let files = ["tls.crt", "tls.key"].map(|name| scene.shared.path(name));
    let log = scene.scratch.join(LOG).display().to_string();
    let mut arguments = vec![log];
    arguments.extend(files);
    arguments.extend(ports.iter().map(u16::to_string));
    let server = scene.start_script(scene.internet(), "mail_server.py", &arguments)?;
    server.wait_for_line("ready", START)?;
    Ok(server)
}

/// Hands a message in, by either tool.
pub(crate) fn send(
    scene: &Scene<'_>,
    random: &mut Random,
    target: &Target,
    message: &Message,
) -> Result<()> {
    let address = target.address.to_string();
    if random.chance(0.5) {
        by_swaks(scene, &address, message)
    } else {
        by_smtplib(scene, &address, message)
    }
}

fn by_swaks(scene: &Scene<'_>, address: &str, message: &Message) -> Result<()> {
    let port = message.port.to_string();
    let subject = format!("Subject: {}", message.subject);
    let body = format!("@{}", message.body);
    let attachment = message.attachment.as_ref().map(|file| format!("@{file}"));
    let mut arguments = vec![
        "--silent",
        "2",
        "--server",
        address,
        "--port",
        &port,
        "--from",
        &message.from,
        "--to",
        &message.to,
        "--header",
        &subject,
        "--body",
        &body,
    ];
    if message.security == Security::StartTls {
        arguments.push("--tls");
    }
    if message.login {
        arguments.extend([
            "--auth",
            "LOGIN",
            "--auth-user",
            &message.from,
            "--auth-password",
            "correct-horse",
        ]);
    }
    if let Some(attachment) = &attachment {
        arguments.extend(["--attach-type", "application/zip", "--attach", attachment]);
    }
    scene.run("swaks", &arguments)?;
    Ok(())
}

fn by_smtplib(scene: &Scene<'_>, address: &str, message: &Message) -> Result<()> {
    let security = if message.security == Security::StartTls { "starttls" } else { "clear" };
    let user = if message.login { &message.from } else { "-" };
    let attachment = message.attachment.as_deref().unwrap_or("-");
    let arguments = [
        address,
        &message.port.to_string(),
        security,
        user,
        &message.from,
        &message.to,
        &message.subject,
        &message.body,
        attachment,
    ]
    .map(str::to_owned);
    scene.run_script("mail.py", &arguments)?;
    Ok(())
}

/// Bytes of each message that the server has, its headers included.
pub(crate) fn arrived(scene: &Scene<'_>) -> Result<Vec<usize>> {
    let log = fs::read_to_string(scene.scratch.join(LOG)).context("no mail arrived")?;
    Ok(log.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect())
}

/// Fails unless the server has `messages` messages that hold at least `bytes` in all.
pub(crate) fn ensure_delivered(scene: &Scene<'_>, messages: usize, bytes: usize) -> Result<()> {
    let arrived = arrived(scene)?;
    ensure!(
        arrived.len() == messages && arrived.iter().sum::<usize>() >= bytes,
        "{messages} messages of {bytes} bytes were sent and {arrived:?} arrived"
    );
    Ok(())
}
