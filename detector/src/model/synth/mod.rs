//! Records that were never recorded: for trying out what learns from records, not for measuring how
//! well exfiltrations are found.
//!
//! The same profile, number of rows and seed give the same records.

mod compatible;
mod draws;
mod hard;

use anyhow::{Result, bail, ensure};

use crate::features::{Record, Timestamp};
use draws::Draws;

/// Share of the rows that are exfiltrations: exact, as the service has it whose data `seed-compat`
/// is.
const THEFT_PERCENT: u64 = 5;

/// Midnight before the first of January 2024, the year that every record is in.
const YEAR_START_SECS: u32 = 1_704_067_200;
const YEAR_DAYS: u64 = 365;
const DAY_SECS: u64 = 86_400;

/// What the records are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// No single column shows exfiltrations: volumes overlap, there are backups, calls and look-ups
    /// by day and night, and exfiltrations that drip.
    Hard,
    /// What the service was trained with that this one replaces: one threshold on the bytes sent
    /// shows everything.
    SeedCompatible,
}

impl Profile {
    pub const ALL: [Self; 2] = [Self::Hard, Self::SeedCompatible];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::SeedCompatible => "seed-compat",
        }
    }

    /// The profile of this name.
    pub fn named(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|profile| profile.name() == name) {
            Some(profile) => Ok(profile),
            None => bail!(
                "there is no profile `{name}`: use {}",
                Self::ALL.map(Self::name).join(" and ")
            ),
        }
    }

    fn record(self, draws: &mut Draws, theft: bool) -> Record {
        match self {
            Self::Hard => hard::record(draws, theft),
            Self::SeedCompatible => compatible::record(draws, theft),
        }
    }
}

/// `rows` records, each with whether it is an exfiltration.
pub fn records(
    profile: Profile,
    rows: u64,
    seed: u64,
) -> Result<impl Iterator<Item = (Record, bool)>> {
    ensure!(rows > 0, "rows is 0: use at least 1");
    let mut draws = Draws::new(seed);
    let mut thefts_left = rows / 100 * THEFT_PERCENT + rows % 100 * THEFT_PERCENT / 100;
    Ok((0..rows).map(move |row| {
        // Selection sampling (Knuth, The Art of Computer Programming, 3.4.2, algorithm S).
        let theft = draws.below(rows - row) < thefts_left;
        thefts_left -= u64::from(theft);
        (profile.record(&mut draws, theft), theft)
    }))
}

/// A second of the given day of the year and hour.
fn time(day: u64, second_of_day: u64) -> Timestamp {
    // Far below the bound of 32 bits: a year has 31,536,000 seconds.
    Timestamp::from_unix_secs(YEAR_START_SECS + (day * DAY_SECS + second_of_day) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Kind, record_vector};
    use crate::model::evaluate::{Confusion, Scored};
    use crate::model::table::{RowKey, Table};
    use crate::model::train::{TrainConfig, train};

    fn table(profile: Profile, rows: u64, seed: u64) -> Table {
        let columns = Kind::Record.columns().into_iter().map(str::to_owned).collect();
        let mut table = Table::new(columns);
        let mut row = Vec::new();
        for (number, (record, label)) in records(profile, rows, seed).unwrap().enumerate() {
            record_vector(&record, &mut row);
            let key = RowKey { label, group: number as u32, session: number as u64 };
            table.push(&row, key).unwrap();
        }
        table
    }

    #[test]
    fn the_seed_decides_every_record() {
        for profile in Profile::ALL {
            let of = |seed| records(profile, 500, seed).unwrap().collect::<Vec<_>>();
            assert_eq!(of(1), of(1));
            assert_ne!(of(1), of(2));
        }
    }

    #[test]
    fn one_row_in_twenty_is_a_theft() {
        for profile in Profile::ALL {
            for (rows, expected) in [(1, 0), (20, 1), (1_999, 99), (2_000, 100)] {
                let thefts = records(profile, rows, 3).unwrap().filter(|(_, theft)| *theft).count();
                assert_eq!(thefts, expected, "{rows} rows");
            }
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(Profile::named("hard").unwrap(), Profile::Hard);
        assert_eq!(Profile::named("seed-compat").unwrap(), Profile::SeedCompatible);
        let error = Profile::named("easy").unwrap_err().to_string();
        assert!(error.ends_with("`easy`: use hard and seed-compat"), "{error}");
        let error = records(Profile::Hard, 0, 1).err().unwrap().to_string();
        assert!(error.starts_with("rows is 0"), "{error}");
    }

    /// The best F1 of labelling as exfiltration what lies on one side of one threshold on one
    /// column.
    fn best_single_threshold(table: &Table) -> (f64, String) {
        let mut best = (0.0, String::new());
        for (column, name) in table.columns.iter().enumerate() {
            for sign in [1.0, -1.0] {
                let values = table.rows.iter().skip(column).step_by(table.columns.len());
                let units: Vec<Scored> = values
                    .zip(&table.labels)
                    .map(|(value, label)| Scored {
                        score: sign * f64::from(*value),
                        label: *label,
                        session: 0,
                    })
                    .collect();
                let f1 = crate::model::evaluate::best_f1(&units);
                if f1 > best.0 {
                    best = (f1, name.clone());
                }
            }
        }
        best
    }

    #[test]
    fn no_single_threshold_tells_the_hard_thefts() {
        for seed in 1..=5 {
            let (f1, column) = best_single_threshold(&table(Profile::Hard, 20_000, seed));
            assert!(f1 < 0.93, "seed {seed}: {column} reaches {f1}");
        }
        // The search finds a threshold where there is one.
        let (f1, column) = best_single_threshold(&table(Profile::SeedCompatible, 2_000, 1));
        assert!(f1 > 0.999 && column == "bytes_sent", "{column} reaches {f1}");
    }

    /// Trains on one seed and scores the rows of another.
    fn held_out(profile: Profile, rows: u64, seed: u64) -> Confusion {
        let config = TrainConfig { trees: 30, seed, ..TrainConfig::default() };
        let forest = train(&table(profile, rows, seed), &config).unwrap().forest;
        let other = table(profile, rows, seed + 1_000);
        let mut scores = vec![0.0; other.len()];
        forest.score_batch(&other.rows, &mut scores);
        let units: Vec<Scored> = scores
            .into_iter()
            .zip(&other.labels)
            .map(|(score, label)| Scored { score, label: *label, session: 0 })
            .collect();
        Confusion::at(&units, 0.5)
    }

    fn check(profile: Profile, rows: u64, least: [f64; 4]) {
        for seed in 1..=5 {
            let confusion = held_out(profile, rows, seed);
            let figures = [
                confusion.precision().unwrap().value,
                confusion.recall().unwrap().value,
                confusion.f1().unwrap(),
                confusion.accuracy().unwrap().value,
            ];
            let reached = figures.iter().zip(least).all(|(figure, least)| *figure >= least);
            assert!(reached, "{} {seed}: {figures:?} of {least:?}", profile.name());
        }
    }

    #[test]
    fn a_forest_learns_the_hard_thefts() {
        check(Profile::Hard, 10_000, [0.94, 0.92, 0.93, 0.99]);
    }

    #[test]
    fn a_forest_learns_the_compatible_thefts() {
        check(Profile::SeedCompatible, 4_000, [0.999; 4]);
    }
}
