//! Ordinary mail: by submission, between servers, and to a list.

use anyhow::Result;

use super::pause;
use crate::payloads;
use crate::random::Random;
use crate::scene::{Outcome, Scene, Target};
use crate::tools::mail::{self, Message, Security};

/// A person's letters to others, with a document now and then.
pub(crate) fn submission(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let security = if random.chance(0.8) { Security::StartTls } else { Security::Clear };
    let own = format!("{}@{}", random.word(7), target.host);
    let (letters, port, login) = (random.between(1, 5) as usize, 587, true);
    post(scene, random, &target, Round { letters, own, port, login, security })
}

/// One server hands over what it has for another; there is no login.
pub(crate) fn relay(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let security = if random.chance(0.5) { Security::StartTls } else { Security::Clear };
    let own = format!("{}@{}.example", random.word(7), random.word(6));
    let (letters, port, login) = (random.between(1, 5) as usize, 25, false);
    post(scene, random, &target, Round { letters, own, port, login, security })
}

/// The same letter to many.
pub(crate) fn newsletter(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let own = format!("news@{}.example", random.word(6));
    let letters = random.between(10, 25) as usize;
    let security = if random.chance(0.5) { Security::StartTls } else { Security::Clear };
    post(scene, random, &target, Round { letters, own, port: 587, login: true, security })
}

/// A machine's own report to the one who keeps it, in clear and in text: the closest to a stealer's.
pub(crate) fn report(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let own = format!("root@{}.example", random.word(6));
    post(
        scene,
        random,
        &target,
        Round { letters: 1, own, port: 25, login: false, security: Security::Clear },
    )
}

struct Round {
    letters: usize,
    own: String,
    port: u16,
    login: bool,
    security: Security,
}

fn post(scene: &Scene<'_>, random: &mut Random, target: &Target, round: Round) -> Result<Outcome> {
    let Round { letters, own, port, login, security } = round;
    let _server = mail::serve(scene, &[port])?;
    let mut carried = 0;
    for _ in 0..letters {
        let length = random.size(200, 9_000);
        let text = letter(random, length);
        let body = scene.document("letter.txt", text.as_bytes())?;
        let attachment = if letters < 6 && random.chance(0.4) {
            let length = random.size(4_000, 2_000_000);
            let document = payloads::archive(random, length);
            carried += document.bytes.len();
            Some(scene.document(&document.name, &document.bytes)?)
        } else {
            None
        };
        let to = format!("{}@{}.example", random.word(7), random.word(6));
        let subject = format!("{} {} {}", random.word(5), random.word(4), random.word(8));
        let message =
            Message { from: own.clone(), to, subject, body, attachment, port, login, security };
        mail::send(scene, random, target, &message)?;
        pause(random, 0.1, 1.0);
    }
    mail::ensure_delivered(scene, letters, carried)?;
    Ok(Outcome::benign(format!(
        "{letters} letters, {carried} bytes attached, by {} port {port}, {security:?}",
        target.host
    )))
}

/// Lines as mail wants them: short.
fn letter(random: &mut Random, length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        let line: Vec<String> = (0..9).map(|_| random.word(5)).collect();
        text.push_str(&(line.join(" ") + "\n"));
    }
    text
}
