//! `--habit`: one host per tool with thirty days of habit, a backup to the same place every night and
//! office work by day, then days with thefts by the same tool and nights as ever. Two recordings per
//! host: thefts to places it never saw, and thefts to the very place it knows.

use std::path::Path;

use anyhow::Result;

use super::benign;
use super::calendar::{self, Calendar};
use super::layout::{self, Clip, Placed};
use super::line::Line;
use super::manifest::{self, Entry, Shift, Subject};
use super::outcome::Habit;
use super::random::Random;
use super::recorder::SceneRecorder;
use super::scene::{Culprit, Made, Outcome, Role, Scene, Target};
use super::shared::Shared;
use super::table::Label;
use super::tools::upload::{Tool, Uploader};

/// Days of habit before the first that is judged: a baseline wants 28.
const HABIT_DAYS: u64 = 30;
const JUDGED_DAYS: u64 = 6;
/// A usual night's bytes.
const NIGHT_BYTES: (u64, u64) = (150_000, 400_000);
const NIGHTS: usize = 4;

/// A theft to be filmed: the four kinds to a new place, or the four to the known one.
#[derive(Clone, Copy, Debug)]
struct Cell {
    known: bool,
    usual_hour: bool,
    usual_volume: bool,
}

const CELLS: [(bool, bool); 4] = [(true, true), (false, true), (true, false), (false, false)];

/// What one host was filmed doing.
struct Film {
    nights: Vec<Clip>,
    office: Vec<Clip>,
    thefts: Vec<(Cell, Target, Clip)>,
}

/// Records one host and lays its days out, twice.
pub(super) fn record(shared: &Shared, tool: Tool) -> Result<Vec<Entry>> {
    let series = format!("habit-{}", tool.name());
    let mut random = Random::new(shared.seed, &series);
    let line = Line::draw(shared.seed, &series, 0);
    let scene = Scene::open(shared, &line, &mut random)?;
    let recorder = SceneRecorder::open(&scene)?;
    let film = film(&recorder, &mut random, tool)?;
    let recording = recorder.finish()?;
    [false, true]
        .into_iter()
        .map(|known| {
            let made = Made {
                seed: shared.seed,
                run: u64::from(known),
                line,
                background: true,
                shift: None,
            };
            lay_out(&scene, &mut random, tool, &film, &recording, known, made)
        })
        .collect()
}

fn film(recorder: &SceneRecorder<'_>, random: &mut Random, tool: Tool) -> Result<Film> {
    let scene = recorder.scene;
    let known = scene.named_target(random)?;
    let mut uploader = Uploader::new(scene, tool)?;
    // The first one makes the repository, which is no ordinary night.
    uploader.send(random, &known, NIGHT_BYTES.0 as usize)?;
    let mut nights = Vec::new();
    for _ in 0..NIGHTS {
        let bytes = random.size(NIGHT_BYTES.0, NIGHT_BYTES.1);
        nights.push(recorder.shoot(|| uploader.send(random, &known, bytes))?);
    }
    let office = benign::office::film(recorder, random)?;
    let mut thefts = Vec::new();
    for is_known in [false, true] {
        for (usual_hour, usual_volume) in CELLS {
            let cell = Cell { known: is_known, usual_hour, usual_volume };
            let target =
                if is_known { known.clone() } else { scene.unvisited_target(thefts.len())? };
            let times = if usual_volume { 1 } else { 10 };
            let bytes = random.size(NIGHT_BYTES.0, NIGHT_BYTES.1) * times;
            let clip = recorder.shoot(|| uploader.send(random, &target, bytes))?;
            thefts.push((cell, target, clip));
        }
    }
    Ok(Film { nights, office, thefts })
}

/// Habit, then one theft a day; the last days are as quiet as the first.
fn lay_out(
    scene: &Scene<'_>,
    random: &mut Random,
    tool: Tool,
    film: &Film,
    recording: &Path,
    known: bool,
    made: Made,
) -> Result<Entry> {
    let mut calendar = Calendar::new(random);
    for day in 0..HABIT_DAYS + JUDGED_DAYS {
        calendar.night(day, &film.nights);
        calendar.office(day, &film.office);
    }
    let mut culprits = Vec::new();
    for (day, (cell, target, clip)) in
        (HABIT_DAYS..).zip(film.thefts.iter().filter(|theft| theft.0.known == known))
    {
        let placed = calendar.theft(day, *clip, cell.usual_hour);
        culprits.push(culprit(scene, tool, *cell, target, placed)?);
    }
    let series = format!("habit-{}", tool.name());
    let name = format!("{series}-{}", if known { "known" } else { "new" });
    let file = scene.shared.recordings.join(format!("{name}-s{}.pcap", made.seed));
    let recording = layout::write(recording, &calendar.placed, &file)?;
    let shift = Shift {
        series,
        how: format!(
            "{} clips of one recording laid out over {} days from 2024-01-01, the first {HABIT_DAYS} of habit",
            calendar.placed.len(),
            HABIT_DAYS + JUDGED_DAYS
        ),
        judged_from_rel_s: Some(calendar::seconds_until(HABIT_DAYS, &calendar.placed)),
        host_hours: ((HABIT_DAYS + JUDGED_DAYS) * 24) as f64,
    };
    let subject = Subject {
        name: &name,
        label: Label::Exfil,
        technique: tool.technique(),
        tool: tool.program(),
        control_for: None,
    };
    let notes = format!(
        "nightly backups, {} thefts to {} places",
        culprits.len(),
        if known { "known" } else { "new" }
    );
    let outcome = Outcome { culprits, arrived_bytes: None, notes };
    manifest::entry(&subject, &Made { shift: Some(shift), ..made }, &recording, outcome)
}

fn culprit(
    scene: &Scene<'_>,
    tool: Tool,
    cell: Cell,
    target: &Target,
    placed: Placed,
) -> Result<Culprit> {
    let Cell { known, usual_hour, usual_volume } = cell;
    let role = if known && usual_hour && usual_volume { Role::Undetectable } else { Role::Exfil };
    let habit = Habit { known, usual_hour, usual_volume, within_s: placed.within_s() };
    let culprit = scene.culprit(target, "tcp", Some(tool.port()))?;
    Ok(Culprit { role, habit: Some(habit), ..culprit })
}
