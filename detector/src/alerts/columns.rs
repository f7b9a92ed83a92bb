//! An alert as cells by name. The names are those of its JSON; which of them a CSV has says the record
//! itself, see [`crate::verdict::Alert::CSV_FIELDS`].

use serde::Serialize;
use serde_json::Value;

/// What follows the alert's own fields in an export from the database.
pub const STORED: [&str; 4] = ["first_seen", "domain", "status", "headline"];

/// The cells of these names; empty where there is nothing.
pub fn cells<'a>(
    record: &impl Serialize,
    names: impl IntoIterator<Item = &'a &'a str>,
) -> serde_json::Result<Vec<String>> {
    let record = serde_json::to_value(record)?;
    let cell = |name: &&str| match record.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    Ok(names.into_iter().map(cell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{Origin, StoredAlert};
    use crate::verdict::Alert;
    use crate::verdict::alert::example::alert;

    #[test]
    fn every_column_is_a_field() {
        let stored = serde_json::to_value(StoredAlert::new(alert(), Origin::Live)).unwrap();
        for name in Alert::CSV_FIELDS.iter().chain(&STORED) {
            assert!(stored.get(name).is_some(), "{name}");
        }
        let row = cells(&stored, &["id", "src_port", "domain", "score"]).unwrap();
        assert_eq!(row, ["00000000000000ab", "40000", "", "0.875"]);
    }
}
