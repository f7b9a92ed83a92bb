//! People and the groups they are in. What is well formed is settled before it comes here.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::refusal::Refusal;

/// A person to notify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    pub id: i64,
    pub person: Person,
    /// The groups' ids, in rising order.
    pub groups: Vec<i64>,
}

/// What is known of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub forename: String,
    pub surname: String,
    pub email: Option<String>,
    /// E.164: `+15550100`.
    pub phone: Option<String>,
}

/// People who are notified together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: i64,
    pub name: String,
    /// False: its rules notify nobody.
    pub alertable: bool,
    /// The members' ids, in rising order.
    pub contacts: Vec<i64>,
}

/// Everybody, in the order in which they were added.
pub fn contacts(connection: &Connection) -> anyhow::Result<Vec<Contact>> {
    let mut statement = connection
        .prepare_cached("SELECT id, forename, surname, email, phone FROM contacts ORDER BY id")?;
    let rows = statement.query_map([], contact_of)?;
    let mut contacts: Vec<Contact> = rows.collect::<Result<_, _>>()?;
    for contact in &mut contacts {
        contact.groups = groups_of(connection, contact.id)?;
    }
    Ok(contacts)
}

/// One person.
pub fn contact(connection: &Connection, id: i64) -> anyhow::Result<Contact> {
    let found = connection
        .query_row(
            "SELECT id, forename, surname, email, phone FROM contacts WHERE id = ?",
            [id],
            contact_of,
        )
        .optional()?;
    let mut contact = found.ok_or_else(|| unknown("contact", id))?;
    contact.groups = groups_of(connection, id)?;
    Ok(contact)
}

fn contact_of(row: &Row<'_>) -> rusqlite::Result<Contact> {
    let person = Person {
        forename: row.get(1)?,
        surname: row.get(2)?,
        email: row.get(3)?,
        phone: row.get(4)?,
    };
    Ok(Contact { id: row.get(0)?, person, groups: Vec::new() })
}

fn groups_of(connection: &Connection, contact: i64) -> anyhow::Result<Vec<i64>> {
    ids(connection, "SELECT group_id FROM members WHERE contact = ? ORDER BY group_id", contact)
}

fn ids(connection: &Connection, query: &str, of: i64) -> anyhow::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([of], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a person, in these groups.
pub fn add_contact(
    connection: &Connection,
    person: &Person,
    groups: &[i64],
) -> anyhow::Result<Contact> {
    let Person { forename, surname, email, phone } = person;
    connection.execute(
        "INSERT INTO contacts (forename, surname, email, phone) VALUES (?, ?, ?, ?)",
        params![forename, surname, email, phone],
    )?;
    let id = connection.last_insert_rowid();
    put_groups(connection, id, groups)?;
    contact(connection, id)
}

/// Puts other values in a person's place; `groups` none: those stay.
pub fn change_contact(
    connection: &Connection,
    id: i64,
    person: &Person,
    groups: Option<&[i64]>,
) -> anyhow::Result<Contact> {
    let Person { forename, surname, email, phone } = person;
    let changed = connection.execute(
        "UPDATE contacts SET forename = ?, surname = ?, email = ?, phone = ? WHERE id = ?",
        params![forename, surname, email, phone, id],
    )?;
    known(changed, "contact", id)?;
    if let Some(groups) = groups {
        put_groups(connection, id, groups)?;
    }
    contact(connection, id)
}

fn put_groups(connection: &Connection, contact: i64, groups: &[i64]) -> anyhow::Result<()> {
    connection.execute("DELETE FROM members WHERE contact = ?", [contact])?;
    for group in groups {
        exists(connection, "groups", *group, "groups")?;
        add_member(connection, *group, contact)?;
    }
    Ok(())
}

fn put_members(connection: &Connection, group: i64, contacts: &[i64]) -> anyhow::Result<()> {
    connection.execute("DELETE FROM members WHERE group_id = ?", [group])?;
    for contact in contacts {
        exists(connection, "contacts", *contact, "contacts")?;
        add_member(connection, group, *contact)?;
    }
    Ok(())
}

fn add_member(connection: &Connection, group: i64, contact: i64) -> anyhow::Result<()> {
    connection.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", [group, contact])?;
    Ok(())
}

/// A member that does not exist is the fault of the list it is in.
fn exists(
    connection: &Connection,
    table: &str,
    id: i64,
    field: &'static str,
) -> anyhow::Result<()> {
    let query = format!("SELECT 1 FROM {table} WHERE id = ?");
    let found = connection.prepare_cached(&query)?.exists([id])?;
    let none = || Refusal::invalid(field, format!("{field}: no row has the id {id}"));
    anyhow::ensure!(found, none());
    Ok(())
}

/// Removes a person, from all groups too.
pub fn remove_contact(connection: &Connection, id: i64) -> anyhow::Result<()> {
    known(connection.execute("DELETE FROM contacts WHERE id = ?", [id])?, "contact", id)
}

pub(super) fn unknown(what: &str, id: i64) -> Refusal {
    Refusal::not_found(format!("there is no {what} {id}"))
}

pub(super) fn known(changed: usize, what: &'static str, id: i64) -> anyhow::Result<()> {
    anyhow::ensure!(changed != 0, unknown(what, id));
    Ok(())
}

/// All groups, in the order in which they were added.
pub fn groups(connection: &Connection) -> anyhow::Result<Vec<Group>> {
    let mut statement =
        connection.prepare_cached("SELECT id, name, alertable FROM groups ORDER BY id")?;
    let rows = statement.query_map([], group_of)?;
    let mut groups: Vec<Group> = rows.collect::<Result<_, _>>()?;
    for group in &mut groups {
        group.contacts = members_of(connection, group.id)?;
    }
    Ok(groups)
}

/// One group.
pub fn group(connection: &Connection, id: i64) -> anyhow::Result<Group> {
    let found = connection
        .query_row("SELECT id, name, alertable FROM groups WHERE id = ?", [id], group_of)
        .optional()?;
    let mut group = found.ok_or_else(|| unknown("group", id))?;
    group.contacts = members_of(connection, id)?;
    Ok(group)
}

fn group_of(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group { id: row.get(0)?, name: row.get(1)?, alertable: row.get(2)?, contacts: Vec::new() })
}

fn members_of(connection: &Connection, group: i64) -> anyhow::Result<Vec<i64>> {
    ids(connection, "SELECT contact FROM members WHERE group_id = ? ORDER BY contact", group)
}

/// Adds a group with these members.
pub fn add_group(
    connection: &Connection,
    name: &str,
    alertable: bool,
    contacts: &[i64],
) -> anyhow::Result<Group> {
    free(connection, "groups", "group", name, None)?;
    connection
        .execute("INSERT INTO groups (name, alertable) VALUES (?, ?)", params![name, alertable])?;
    let id = connection.last_insert_rowid();
    put_members(connection, id, contacts)?;
    group(connection, id)
}

/// Puts other values in a group's place; `contacts` none: its members stay.
pub fn change_group(
    connection: &Connection,
    id: i64,
    name: &str,
    alertable: bool,
    contacts: Option<&[i64]>,
) -> anyhow::Result<Group> {
    free(connection, "groups", "group", name, Some(id))?;
    let changed = connection.execute(
        "UPDATE groups SET name = ?, alertable = ? WHERE id = ?",
        params![name, alertable, id],
    )?;
    known(changed, "group", id)?;
    if let Some(contacts) = contacts {
        put_members(connection, id, contacts)?;
    }
    group(connection, id)
}

/// Removes a group; its members stay contacts, its rules go with it.
pub fn remove_group(connection: &Connection, id: i64) -> anyhow::Result<()> {
    known(connection.execute("DELETE FROM groups WHERE id = ?", [id])?, "group", id)
}

/// That no other row has the name.
pub(super) fn free(
    connection: &Connection,
    table: &str,
    what: &'static str,
    name: &str,
    own: Option<i64>,
) -> anyhow::Result<()> {
    let query = format!("SELECT 1 FROM {table} WHERE name = ? AND id IS NOT ?");
    let taken = connection.prepare_cached(&query)?.exists(params![name, own])?;
    let text = || format!("a {what} `{name}` exists already");
    anyhow::ensure!(!taken, Refusal::conflict(text()).at("name"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::tests::Folder;
    use super::*;

    fn person(forename: &str, surname: &str) -> Person {
        Person { forename: forename.into(), surname: surname.into(), email: None, phone: None }
    }

    #[test]
    fn people_and_groups_find_each_other() {
        let folder = Folder::new("contacts");
        let store = Store::open(&folder.database()).unwrap();
        let group = store.write(|c| add_group(c, "ops", true, &[])).unwrap();
        let zoe = person("Zoë", "O'Neill");
        let stored = zoe.clone();
        let contact = store.write(move |c| add_contact(c, &stored, &[group.id])).unwrap();
        assert_eq!((&contact.person, &contact.groups), (&zoe, &vec![group.id]));
        let groups = store.read(groups).unwrap();
        assert_eq!(groups[0].contacts, [contact.id]);

        let other = store.write(|c| add_contact(c, &person("A", "B"), &[])).unwrap();
        let members = [contact.id, other.id, other.id];
        let changed =
            store.write(move |c| change_group(c, group.id, "night", false, Some(&members)));
        let changed = changed.unwrap();
        assert_eq!((&*changed.name, changed.alertable), ("night", false));
        assert_eq!(changed.contacts, [contact.id, other.id]);
        let kept = store.write(move |c| change_contact(c, contact.id, &person("Z", "O"), None));
        assert_eq!(kept.unwrap().groups, [group.id]);

        store.write(move |c| remove_contact(c, contact.id)).unwrap();
        assert_eq!(store.read(|c| super::group(c, group.id)).unwrap().contacts, [other.id]);
        store.write(move |c| remove_group(c, group.id)).unwrap();
        assert_eq!(store.read(contacts).unwrap()[0].groups, [0; 0]);
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let folder = Folder::new("contacts-refused");
        let store = Store::open(&folder.database()).unwrap();
        let refused = |error: anyhow::Error| error.downcast::<Refusal>().unwrap();
        store.write(|c| add_group(c, "ops", true, &[])).unwrap();
        let error = store.write(|c| add_group(c, "ops", true, &[])).unwrap_err();
        assert_eq!(refused(error), Refusal::conflict("a group `ops` exists already").at("name"));
        let error = store.write(|c| add_contact(c, &person("A", "B"), &[7])).unwrap_err();
        assert_eq!(refused(error), Refusal::invalid("groups", "groups: no row has the id 7"));
        assert!(store.read(contacts).unwrap().is_empty());
        let error = store.write(|c| remove_contact(c, 7)).unwrap_err();
        assert_eq!(refused(error), Refusal::not_found("there is no contact 7"));
        assert_eq!(store.read(|c| group(c, 1)).unwrap().name, "ops");
        assert!(store.read(|c| group(c, i64::MAX)).is_err());
    }
}
