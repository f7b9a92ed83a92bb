//! `detector contacts`: people and groups, in the database itself. No agent needs to run.

use std::io::{self, BufWriter, Write};

use anyhow::Context as _;
use serde_json::json;

use super::listing::{self, Column, Listing};
use crate::cli::LiveFormat;
use crate::cli::control::Listed;
use crate::cli::notify::{Contacts, ContactsAdd, ContactsCommand, GroupsCommand, Place};
use crate::config::Config;
use crate::notify::check;
use crate::store::Store;
use crate::store::contacts::{self, Contact, Group, Person};

pub fn run(args: &Contacts, config: &Config) -> anyhow::Result<()> {
    let store = open(&args.place, config)?;
    let mut output = BufWriter::new(io::stdout().lock());
    match &args.command {
        ContactsCommand::List(listed) => list(&mut output, &store, *listed)?,
        ContactsCommand::Add(add) => {
            let added = add_contact(&store, add)?;
            writeln!(output, "added {} as {}", full_name(&added.person), added.id)?;
        }
        ContactsCommand::Remove(remove) => {
            let id = remove.id;
            store.write(move |connection| contacts::remove_contact(connection, id))?;
            writeln!(output, "removed {id}")?;
        }
        ContactsCommand::Groups(groups) => change_groups(&mut output, &store, &groups.command)?,
    }
    output.flush()?;
    Ok(())
}

/// Opens the database that is named, else the configured one.
pub(super) fn open(place: &Place, config: &Config) -> anyhow::Result<Store> {
    Store::open(&place.db.clone().unwrap_or_else(|| config.database()))
}

/// The id of the group of this name.
pub(super) fn group_id(store: &Store, name: &str) -> anyhow::Result<i64> {
    let groups = store.read(contacts::groups)?;
    let found = groups.iter().find(|group| group.name == name).map(|group| group.id);
    found.with_context(|| {
        format!("there is no group `{name}`: add it with `detector contacts groups add NAME`")
    })
}

fn add_contact(store: &Store, add: &ContactsAdd) -> anyhow::Result<Contact> {
    let person = check::person(&Person {
        forename: add.forename.clone(),
        surname: add.surname.clone(),
        email: add.email.clone(),
        phone: add.phone.clone(),
    })?;
    let groups: Vec<i64> =
        add.group.iter().map(|name| group_id(store, name)).collect::<Result<_, _>>()?;
    store.write(move |connection| contacts::add_contact(connection, &person, &groups))
}

fn full_name(person: &Person) -> String {
    format!("{} {}", person.forename, person.surname)
}

fn list(output: &mut impl Write, store: &Store, listed: Listed) -> anyhow::Result<()> {
    let (people, groups) = store
        .read(|connection| Ok((contacts::contacts(connection)?, contacts::groups(connection)?)))?;
    if listed.format == LiveFormat::Json {
        let lines = people.iter().map(|contact| {
            let Person { forename, surname, email, phone } = &contact.person;
            json!({
                "id": contact.id, "forename": forename, "surname": surname, "email": email,
                "phone": phone, "groups": contact.groups,
            })
        });
        return Ok(listing::json(output, lines)?);
    }
    if people.is_empty() {
        let example = "detector contacts add Zoë \"O'Neill\" --email zoe@example.org";
        return Ok(writeln!(output, "no contacts: add one with `{example}`")?);
    }
    let mut table = Listing::new([
        Column::Right("ID"),
        Column::Left("NAME"),
        Column::Left("EMAIL"),
        Column::Left("PHONE"),
        Column::Left("GROUPS"),
    ]);
    for contact in &people {
        table.row([
            contact.id.to_string(),
            full_name(&contact.person),
            contact.person.email.clone().unwrap_or_default(),
            contact.person.phone.clone().unwrap_or_default(),
            names(&groups, &contact.groups),
        ]);
    }
    Ok(table.write(output)?)
}

fn names(groups: &[Group], ids: &[i64]) -> String {
    let named = groups.iter().filter(|group| ids.contains(&group.id));
    named.map(|group| group.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn change_groups(
    output: &mut impl Write,
    store: &Store,
    command: &GroupsCommand,
) -> anyhow::Result<()> {
    match command {
        GroupsCommand::List(listed) => list_groups(output, store, *listed)?,
        GroupsCommand::Add(group) => {
            let name = check::name("name", &group.name)?;
            let added =
                store.write(move |connection| contacts::add_group(connection, &name, true, &[]))?;
            writeln!(output, "added group {}", added.name)?;
        }
        GroupsCommand::On(group) => turn(output, store, &group.name, true)?,
        GroupsCommand::Off(group) => turn(output, store, &group.name, false)?,
        GroupsCommand::Remove(group) => {
            let id = group_id(store, &group.name)?;
            store.write(move |connection| contacts::remove_group(connection, id))?;
            writeln!(output, "removed group {} and its rules", group.name)?;
        }
    }
    Ok(())
}

fn turn(output: &mut impl Write, store: &Store, name: &str, alertable: bool) -> anyhow::Result<()> {
    let (id, kept) = (group_id(store, name)?, name.to_owned());
    store
        .write(move |connection| contacts::change_group(connection, id, &kept, alertable, None))?;
    let what = if alertable { "notified again" } else { "no longer notified" };
    Ok(writeln!(output, "group {name} is {what}")?)
}

fn list_groups(output: &mut impl Write, store: &Store, listed: Listed) -> anyhow::Result<()> {
    let (groups, people) = store
        .read(|connection| Ok((contacts::groups(connection)?, contacts::contacts(connection)?)))?;
    if listed.format == LiveFormat::Json {
        let lines = groups.iter().map(|group| {
            json!({
                "id": group.id, "name": group.name, "alertable": group.alertable,
                "contacts": group.contacts,
            })
        });
        return Ok(listing::json(output, lines)?);
    }
    if groups.is_empty() {
        return Ok(writeln!(output, "no groups: add one with `detector contacts groups add ops`")?);
    }
    let mut table =
        Listing::new([Column::Left("GROUP"), Column::Left("NOTIFIED"), Column::Left("MEMBERS")]);
    for group in &groups {
        let members = people.iter().filter(|contact| group.contacts.contains(&contact.id));
        let members: Vec<String> = members.map(|contact| full_name(&contact.person)).collect();
        let told = if group.alertable { "yes" } else { "no" };
        table.row([group.name.clone(), told.to_owned(), members.join(", ")]);
    }
    Ok(table.write(output)?)
}
