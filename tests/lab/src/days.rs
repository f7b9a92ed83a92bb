//! `--days`: hosts in mixed ordinary use, laid out over whole days from short recordings of each of
//! them. Nothing in them is a theft.

use std::path::Path;

use anyhow::Result;

use super::benign::{backup, mail, network, post, remote, web};
use super::calendar::Calendar;
use super::layout::{self, Clip};
use super::line::Line;
use super::manifest::{self, Entry, Shift, Subject};
use super::random::Random;
use super::recorder::SceneRecorder;
use super::scene::{Made, Outcome, Scene};
use super::shared::Shared;
use super::table::Label;

type Act = fn(&Scene<'_>, &mut Random) -> Result<Outcome>;

const PAGES: usize = 10;
const LOOKUPS: usize = 4;
/// Each is filmed once, as it counts what arrives at its own server, and stands once on every day. The
/// one that polls comes before the one that asks the same server for updates.
const ONCE_A_DAY: [Act; 8] = [
    web::api,
    web::photos,
    mail::submission,
    remote::git,
    remote::interactive,
    network::call,
    post::telemetry,
    network::ping,
];
/// Stands on one day only, for its size.
const ONCE: [Act; 2] = [web::update, web::speed_test];
/// At night, every night.
const NIGHTLY: Act = backup::to_depot;
const AWAKE_HOURS: (f64, f64) = (7.0, 23.5);
const PAGES_A_DAY: usize = 30;
const LOOKUPS_A_DAY: usize = 12;

struct Film {
    pages: Vec<Clip>,
    lookups: Vec<Clip>,
    daily: Vec<Clip>,
    once: Vec<Clip>,
    night: Clip,
}

/// One host's `days` days.
pub(super) fn record(shared: &Shared, host: u64, days: u64) -> Result<Entry> {
    let series = format!("mixed-{host}");
    let mut random = Random::new(shared.seed, &series);
    let line = Line::draw(shared.seed, &series, 0);
    let scene = Scene::open(shared, &line, &mut random)?;
    let recorder = SceneRecorder::open(&scene)?;
    let film = film(&recorder, &mut random)?;
    let recording = recorder.finish()?;
    let file = shared.recordings.join(format!("{series}-s{}.pcap", shared.seed));
    let placed = lay_out(&mut random, &film, days);
    let shift = Shift {
        series: series.clone(),
        how: format!(
            "{} clips of one recording laid out over {days} days from 2024-01-01",
            placed.len()
        ),
        judged_from_rel_s: None,
        host_hours: (days * 24) as f64,
    };
    let recording = layout::write(Path::new(&recording), &placed, &file)?;
    let made = Made { seed: shared.seed, run: host, line, background: true, shift: Some(shift) };
    let subject = Subject {
        name: "mixed-day",
        label: Label::Benign,
        technique: "mixed_day",
        tool: "many",
        control_for: None,
    };
    let outcome = Outcome::benign(format!("{days} days of host {host}"));
    manifest::entry(&subject, &made, &recording, outcome)
}

fn film(recorder: &SceneRecorder<'_>, random: &mut Random) -> Result<Film> {
    let scene = recorder.scene;
    let pages = (0..PAGES)
        .map(|_| recorder.shoot(|| web::visit_with(scene, random, 12)))
        .collect::<Result<_>>()?;
    let lookups = (0..LOOKUPS)
        .map(|_| recorder.shoot(|| network::ask(scene, random, "names", 40).map(drop)))
        .collect::<Result<_>>()?;
    let mut shoot = |act: Act| recorder.shoot(|| act(scene, random).map(drop));
    let daily = ONCE_A_DAY.into_iter().map(&mut shoot).collect::<Result<_>>()?;
    let once = ONCE.into_iter().map(&mut shoot).collect::<Result<_>>()?;
    let night = shoot(NIGHTLY)?;
    Ok(Film { pages, lookups, daily, once, night })
}

fn lay_out(random: &mut Random, film: &Film, days: u64) -> Vec<layout::Placed> {
    let once_on = random.between(0, days - 1);
    let mut calendar = Calendar::new(random);
    for day in 0..days {
        calendar.night(day, &[film.night]);
        calendar.spread(day, AWAKE_HOURS, PAGES_A_DAY, &film.pages);
        calendar.spread(day, AWAKE_HOURS, LOOKUPS_A_DAY, &film.lookups);
        let daily = film.daily.iter().chain(film.once.iter().filter(|_| day == once_on));
        for clip in daily {
            calendar.spread(day, AWAKE_HOURS, 1, &[*clip]);
        }
    }
    calendar.placed
}
