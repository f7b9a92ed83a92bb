//! People who work on other machines, and on source code.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::LENGTH_SECS;
use crate::random::Random;
use crate::scene::{Outcome, Scene};

/// A shell on a server, typed into key by key.
pub(crate) fn interactive(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.target(random)?;
    let seed = random.between(1, 1_000_000).to_string();
    let configuration = scene.shared.path("ssh_config");
    let arguments = [
        &seed,
        &LENGTH_SECS.to_string(),
        "ssh",
        "-tt",
        "-F",
        &configuration,
        &format!("root@{}", target.host),
    ]
    .map(str::to_owned);
    let output = scene.run_script("typist.py", &arguments)?;
    let shown: usize = output
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .parse()
        .with_context(|| format!("the typist said {output:?}"))?;
    ensure!(shown > 500, "only {shown} bytes came to the screen");
    Ok(Outcome::benign(format!("{shown} bytes shown from {}", target.host)))
}

/// A command whose output is a file: as much comes back as a thief's pipe carries out.
pub(crate) fn pull(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let size = random.size(20_000, 20_000_000);
    let there = scene.document("there", &random.document(size))?;
    let command = format!(
        "ssh -F {} root@{} 'cat {there}' | wc -c",
        scene.shared.path("ssh_config"),
        target.host
    );
    let came = scene.run("sh", &["-c", &command])?;
    ensure!(came.trim() == size.to_string(), "{size} bytes were asked for and {came} came");
    Ok(Outcome::benign(format!("{size} bytes from {}", target.host)))
}

/// Clone, commit, push, fetch.
pub(crate) fn git(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let bare = scene.inbox("project.git");
    let work = scene.scratch.join("work");
    let history = random.size(20_000, 8_000_000);
    let change = random.size(500, 800_000);
    fs::create_dir_all(&work).context("failed to create the work tree")?;
    fs::write(work.join("history"), random.document(history))
        .context("failed to write the history")?;
    fs::write(work.join("change"), random.document(change))
        .context("failed to write the change")?;
    let script = format!(
        "set -e; export HOME={here} GIT_CONFIG_NOSYSTEM=1 GIT_SSH_COMMAND='ssh -F {configuration}'\n\
         export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com\n\
         git init -q --bare -b main {bare}; git clone -q {bare} {here}/seed 2>/dev/null; cd {here}/seed; git checkout -q -b main\n\
         cp {work}/history .; git add .; git commit -q -m history; git push -q origin main\n\
         git clone -q ssh://root@{host}{bare} {here}/clone; cd {here}/clone; sleep 1\n\
         cp {work}/change .; git add .; git commit -q -m change; git push -q origin main; sleep 1; git fetch -q\n\
         git -C {bare} cat-file -s main:change",
        here = scene.scratch.path().display(),
        configuration = scene.shared.path("ssh_config"),
        bare = bare.display(),
        work = work.display(),
        host = target.host
    );
    let output = scene.run("sh", &["-c", &script])?;
    ensure!(
        output.lines().last() == Some(&change.to_string()),
        "a change of {change} bytes was pushed, the server says {output}"
    );
    Ok(Outcome::benign(format!("{history} bytes cloned, {change} pushed to {}", target.host)))
}
