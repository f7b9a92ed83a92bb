//! Contacts and groups: who may be notified.
#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::extract::{Json, Path, Query};
use super::problem::Problem;
use super::{App, Routes};
use crate::notify::check;
use crate::status::bus::{PageEvent, Topic};
use crate::store::contacts::{self, Person};

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(routes!(list_contacts))
        .read(routes!(get_contact))
        .admin(routes!(add_contact))
        .admin(routes!(change_contact, remove_contact))
        .read(routes!(list_groups))
        .read(routes!(get_group))
        .admin(routes!(add_group))
        .admin(routes!(change_group, remove_group))
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
struct Contact {
    id: i64,
    forename: String,
    surname: String,
    email: Option<String>,
    /// E.164, such as `+15550100`.
    phone: Option<String>,
    /// The ids of the groups.
    groups: Vec<i64>,
}

impl From<contacts::Contact> for Contact {
    fn from(contact: contacts::Contact) -> Self {
        let Person { forename, surname, email, phone } = contact.person;
        Self { id: contact.id, forename, surname, email, phone, groups: contact.groups }
    }
}

/// A person to add or change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ContactBody {
    /// 1 to 100 letters of any script.
    #[schema(min_length = 1, max_length = 100)]
    forename: String,
    #[schema(min_length = 1, max_length = 100)]
    surname: String,
    email: Option<String>,
    phone: Option<String>,
    /// The ids of the groups; without this field they do not change.
    groups: Option<Vec<i64>>,
}

impl ContactBody {
    fn person(&self) -> Result<Person, Problem> {
        let Self { forename, surname, email, phone, .. } = self;
        let person = Person {
            forename: forename.clone(),
            surname: surname.clone(),
            email: email.clone(),
            phone: phone.clone(),
        };
        Ok(check::person(&person)?)
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ContactPage {
    items: Vec<Contact>,
    next: Option<String>,
}

/// People who are notified together.
#[derive(Debug, Serialize, ToSchema)]
struct Group {
    id: i64,
    name: String,
    /// False: its rules notify nobody.
    alertable: bool,
    /// The members' ids.
    contacts: Vec<i64>,
}

impl From<contacts::Group> for Group {
    fn from(group: contacts::Group) -> Self {
        let contacts::Group { id, name, alertable, contacts } = group;
        Self { id, name, alertable, contacts }
    }
}

/// A group to add or change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupBody {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    alertable: bool,
    /// The members' ids; without this field they do not change.
    contacts: Option<Vec<i64>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct GroupPage {
    items: Vec<Group>,
    next: Option<String>,
}

/// Filter and page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Part of a name, an address or a number.
    q: Option<String>,
    /// 1 to 500; default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the previous page.
    cursor: Option<String>,
}

/// As many as there are in a list without a limit.
const PAGE: u32 = 50;
const LONGEST_PAGE: u32 = 500;

/// The number of rows that are asked for.
pub(super) fn page(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=LONGEST_PAGE).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::field("limit", &format!("limit: use 1 to {LONGEST_PAGE}")))
    }
}

/// The id that a page ended with.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let id = text.parse().ok().filter(|id| *id >= 0);
    id.map(Some).ok_or_else(|| {
        Problem::field(
            "cursor",
            &format!("cursor: `{text}` is not valid: use `next` of the previous page"),
        )
    })
}

/// One page of what follows `after`, and where the next begins.
fn paged<T>(
    all: Vec<T>,
    after: Option<i64>,
    limit: u32,
    id: fn(&T) -> i64,
) -> (Vec<T>, Option<String>) {
    let limit = limit as usize;
    let mut rows: Vec<T> =
        all.into_iter().filter(|row| after.is_none_or(|after| id(row) > after)).collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| id(row).to_string());
    (rows, next)
}

/// List all contacts
#[utoipa::path(get, path = "/api/contacts", tag = "People", params(Search),
    responses((status = 200, body = ContactPage), ))]
async fn list_contacts(
    State(app): State<App>,
    Query(search): Query<Search>,
) -> Result<Json<ContactPage>, Problem> {
    let (limit, after) = (page(search.limit)?, cursor(search.cursor.as_deref())?);
    let all = app.with_store(|store| store.read(contacts::contacts)).await?;
    // By hand: SQLite knows capital letters of ASCII only.
    let wanted = search.q.unwrap_or_default().to_lowercase();
    let found = all.into_iter().filter(|contact| matches(&contact.person, &wanted)).collect();
    let (rows, next) = paged(found, after, limit, |contact| contact.id);
    Ok(Json(ContactPage { items: rows.into_iter().map(Contact::from).collect(), next }))
}

/// Whether part of a person is called so.
fn matches(person: &Person, wanted: &str) -> bool {
    let Person { forename, surname, email, phone } = person;
    let full = format!("{forename} {surname}").to_lowercase();
    full.contains(wanted)
        || email.as_ref().is_some_and(|email| email.to_lowercase().contains(wanted))
        || phone.as_ref().is_some_and(|phone| phone.contains(wanted))
}

/// Show one contact
#[utoipa::path(get, path = "/api/contacts/{id}", tag = "People",
    params(("id" = i64, Path, description = "The contact's id")),
    responses((status = 200, body = Contact), ))]
async fn get_contact(
    State(app): State<App>,
    Path(id): Path<i64>,
) -> Result<Json<Contact>, Problem> {
    let found = app.with_store(move |store| store.read(|c| contacts::contact(c, id))).await?;
    Ok(Json(found.into()))
}

/// Add a contact
#[utoipa::path(post, path = "/api/contacts", tag = "People", request_body = ContactBody,
    responses((status = 201, body = Contact), ))]
async fn add_contact(
    State(app): State<App>,
    Json(body): Json<ContactBody>,
) -> Result<(StatusCode, Json<Contact>), Problem> {
    let person = body.person()?;
    let groups = body.groups.unwrap_or_default();
    let added = app
        .with_store(move |store| store.write(move |c| contacts::add_contact(c, &person, &groups)))
        .await?;
    app.bus.emit(PageEvent::change(Topic::Contacts, None));
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// Change a contact
#[utoipa::path(put, path = "/api/contacts/{id}", tag = "People", request_body = ContactBody,
    params(("id" = i64, Path, description = "The contact's id")),
    responses((status = 200, body = Contact),
        ))]
async fn change_contact(
    State(app): State<App>,
    Path(id): Path<i64>,
    Json(body): Json<ContactBody>,
) -> Result<Json<Contact>, Problem> {
    let person = body.person()?;
    let changed = app
        .with_store(move |store| {
            let groups = body.groups;
            let change = move |c: &_| contacts::change_contact(c, id, &person, groups.as_deref());
            store.write(change)
        })
        .await?;
    app.bus.emit(PageEvent::change(Topic::Contacts, None));
    Ok(Json(changed.into()))
}

/// Remove a contact, also from all groups
#[utoipa::path(delete, path = "/api/contacts/{id}", tag = "People",
    params(("id" = i64, Path, description = "The contact's id")),
    responses((status = 204), ))]
async fn remove_contact(
    State(app): State<App>,
    Path(id): Path<i64>,
) -> Result<StatusCode, Problem> {
    app.with_store(move |store| store.write(move |c| contacts::remove_contact(c, id))).await?;
    app.bus.emit(PageEvent::change(Topic::Contacts, None));
    Ok(StatusCode::NO_CONTENT)
}

/// List all groups
#[utoipa::path(get, path = "/api/groups", tag = "People", params(Search),
    responses((status = 200, body = GroupPage), ))]
async fn list_groups(
    State(app): State<App>,
    Query(search): Query<Search>,
) -> Result<Json<GroupPage>, Problem> {
    let (limit, after) = (page(search.limit)?, cursor(search.cursor.as_deref())?);
    let all = app.with_store(|store| store.read(contacts::groups)).await?;
    let wanted = search.q.unwrap_or_default().to_lowercase();
    let found =
        all.into_iter().filter(|group| group.name.to_lowercase().contains(&wanted)).collect();
    let (rows, next) = paged(found, after, limit, |group| group.id);
    Ok(Json(GroupPage { items: rows.into_iter().map(Group::from).collect(), next }))
}

/// Show one group
#[utoipa::path(get, path = "/api/groups/{id}", tag = "People",
    params(("id" = i64, Path, description = "The group's id")),
    responses((status = 200, body = Group), ))]
async fn get_group(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Group>, Problem> {
    let found = app.with_store(move |store| store.read(|c| contacts::group(c, id))).await?;
    Ok(Json(found.into()))
}

/// Add a group
#[utoipa::path(post, path = "/api/groups", tag = "People", request_body = GroupBody,
    responses((status = 201, body = Group),
        ))]
async fn add_group(
    State(app): State<App>,
    Json(body): Json<GroupBody>,
) -> Result<(StatusCode, Json<Group>), Problem> {
    let name = check::name("name", &body.name)?;
    let members = body.contacts.unwrap_or_default();
    let added = app
        .with_store(move |store| {
            let add = move |c: &_| contacts::add_group(c, &name, body.alertable, &members);
            store.write(add)
        })
        .await?;
    app.bus.emit(PageEvent::change(Topic::Contacts, None));
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// Change a group
#[utoipa::path(put, path = "/api/groups/{id}", tag = "People", request_body = GroupBody,
    params(("id" = i64, Path, description = "The group's id")),
    responses((status = 200, body = Group), ))]
async fn change_group(
    State(app): State<App>,
    Path(id): Path<i64>,
    Json(body): Json<GroupBody>,
) -> Result<Json<Group>, Problem> {
    let name = check::name("name", &body.name)?;
    let changed = app
        .with_store(move |store| {
            let GroupBody { alertable, contacts: members, .. } = body;
            let change =
                move |c: &_| contacts::change_group(c, id, &name, alertable, members.as_deref());
            store.write(change)
        })
        .await?;
    app.bus.emit(PageEvent::change(Topic::Contacts, None));
    Ok(Json(changed.into()))
}

/// Remove a group and its rules; its members stay
#[utoipa::path(delete, path = "/api/groups/{id}", tag = "People",
    params(("id" = i64, Path, description = "The group's id")),
    responses((status = 204), ))]
async fn remove_group(State(app): State<App>, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    app.with_store(move |store| store.write(move |c| contacts::remove_group(c, id))).await?;
    app.bus.emit(PageEvent::change(Topic::Contacts, None));
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_by_any_part_in_any_case() {
        let person = Person {
            forename: "Zoë".into(),
            surname: "O'Neill".into(),
            email: Some("z@example.org".into()),
            phone: Some("+15550100".into()),
        };
        for wanted in ["zoë", "o'neill", "zoë o'n", "example", "5550", ""] {
            assert!(matches(&person, wanted), "{wanted}");
        }
        for wanted in ["%", "_", "' or 1=1", "zoe"] {
            assert!(!matches(&person, wanted), "{wanted}");
        }
    }

    #[test]
    fn pages_follow_each_other() {
        let mut after = None;
        let mut seen = Vec::new();
        loop {
            let (rows, next) = paged((1..=5).collect(), after, 2, |id| *id);
            seen.push(rows);
            let Some(next) = next else { break };
            after = cursor(Some(&next)).unwrap();
        }
        assert_eq!(seen, [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(cursor(Some("x")).unwrap_err().field.as_deref(), Some("cursor"));
        assert_eq!(page(Some(501)).unwrap_err().field.as_deref(), Some("limit"));
    }
}
