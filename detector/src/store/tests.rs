//! The store as a whole: writing and reading, failure and repair.

use std::path::PathBuf;

use super::*;

/// A folder that is removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("detector-store-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("detector.db")
    }

    /// Keeps everybody else from writing to the database until it is dropped.
    pub(crate) fn lock(&self) -> Connection {
        let connection = open_for_writing(&self.database()).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn put(store: &Store, name: &'static str) -> anyhow::Result<()> {
    store.write(move |connection| {
        connection.execute("INSERT INTO settings VALUES (?, 'x')", [name])?;
        Ok(())
    })
}

fn count(store: &Store) -> u64 {
    store
        .read(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM settings", [], |row| row.get(0))?)
        })
        .unwrap()
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let folder = Folder::new("again");
    let store = Store::open(&folder.database()).unwrap();
    put(&store, "a").unwrap();
    drop(store);
    let store = Store::open(&folder.database()).unwrap();
    assert_eq!(count(&store), 1);
}

#[test]
fn work_that_fails_writes_nothing_and_takes_nothing_with_it() {
    let folder = Folder::new("fails");
    let store = Store::open(&folder.database()).unwrap();
    let failed: anyhow::Result<()> = store.write(|connection| {
        connection.execute("INSERT INTO settings VALUES ('half', 'x')", [])?;
        bail!("no further")
    });
    assert_eq!(failed.unwrap_err().to_string(), "no further");
    put(&store, "whole").unwrap();
    assert_eq!(count(&store), 1);
    assert!(put(&store, "whole").is_err());
    assert_eq!(store.health().state().failing, None);
}

#[test]
fn a_damaged_database_is_put_aside_and_monitoring_goes_on() {
    let folder = Folder::new("damaged");
    let path = folder.database();
    let store = Store::open(&path).unwrap();
    put(&store, "a").unwrap();
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    bytes[16..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let store = Store::open(&path).unwrap();
    put(&store, "b").unwrap();
    let aside = fs::read_dir(&folder.0)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged-"));
    assert_eq!((count(&store), aside.count()), (1, 1));
}

#[test]
fn a_file_that_is_none_of_ours_is_left_alone() {
    let folder = Folder::new("other");
    fs::write(folder.database(), "a letter to somebody, which is no database at all").unwrap();
    let error = format!("{:#}", Store::open(&folder.database()).unwrap_err());
    assert!(error.contains("not a database"), "{error}");
    assert!(fs::read_to_string(folder.database()).unwrap().starts_with("a letter"));
}

#[test]
fn a_later_version_is_refused_with_both_named() {
    let folder = Folder::new("later");
    drop(Store::open(&folder.database()).unwrap());
    Connection::open(folder.database()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = format!("{:#}", Store::open(&folder.database()).unwrap_err());
    let ours = format!("up to {}", migrations::VERSION);
    assert!(error.contains("version 99") && error.contains(&ours), "{error}");
}
