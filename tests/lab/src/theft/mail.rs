//! Stolen credentials by mail, from a stealer to its own master's mailbox.

use anyhow::Result;

use crate::payloads;
use crate::random::Random;
use crate::scene::{Outcome, Scene};
use crate::tools::mail::{self, Message, Security};

/// Logged in and addressed to itself, in clear.
pub(crate) fn in_clear(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    steal(scene, random, Security::Clear)
}

/// The same after STARTTLS: only the shape is left to see.
pub(crate) fn behind_starttls(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    steal(scene, random, Security::StartTls)
}

/// The lot in one message, or a few of them as keyloggers send.
fn steal(scene: &Scene<'_>, random: &mut Random, security: Security) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let port = *random.pick(&[587_u16, 587, 25, 2525]);
    let _server = mail::serve(scene, &[port])?;
    let address = format!("{}@{}", random.word(8), target.host);
    let messages = random.between(1, 3) as usize;
    let mut carried = 0;
    for _ in 0..messages {
        let message = message(scene, random, &address, port, security)?;
        carried += message.1;
        mail::send(scene, random, &target, &message.0)?;
    }
    mail::ensure_delivered(scene, messages, carried)?;
    let notes =
        format!("{carried} bytes in {messages} messages to {address}, port {port}, {security:?}");
    Ok(Outcome::stolen(scene.culprit(&target, "tcp", Some(port))?, carried, notes))
}

/// Text in the body, or an archive attached to a line of it.
fn message(
    scene: &Scene<'_>,
    random: &mut Random,
    address: &str,
    port: u16,
    security: Security,
) -> Result<(Message, usize)> {
    let length = random.size(300, 80_000);
    let attached = random.chance(0.5);
    let found =
        if attached { payloads::archive(random, length) } else { payloads::text(random, length) };
    let file = scene.document(&found.name, &found.bytes)?;
    let note = scene.document("note.txt", b"Time: 11/02 10:22\nOSFullName: Windows 10 Pro\n")?;
    let subject = format!(
        "{}_{}/DESKTOP-{}",
        random.pick(&["PW", "SC", "KL", "CO"]),
        random.word(5),
        random.word(6)
    );
    let (body, attachment) = if attached { (note, Some(file)) } else { (file, None) };
    let (from, to) = (address.to_owned(), address.to_owned());
    Ok((
        Message { from, to, subject, body, attachment, port, login: true, security },
        found.bytes.len(),
    ))
}
