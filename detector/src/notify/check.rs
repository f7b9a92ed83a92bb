//! Whether what people enter makes sense, before it is stored: by the API and the command line
//! alike.

use std::fmt;

use super::address;
use crate::config::notify::{Channel, Notify};
use crate::refusal::Refusal;
use crate::store::contacts::Person;
use crate::store::rules::RuleSpec;
use crate::verdict::{Severity, Technique};

/// Letters of a name at most.
const NAME_LETTERS: usize = 100;
/// A digest may collect, and a repetition wait, for so long.
const LONGEST_SECS: u32 = 30 * 86_400;

/// A value that makes no sense: its field, and why.
pub(super) fn wrong(field: &'static str, why: impl fmt::Display) -> Refusal {
    Refusal::invalid(field, format!("{field}: {why}"))
}

/// A name of any script, without blanks around it.
pub fn name(field: &'static str, text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    let letters = text.chars().count();
    if !(1..=NAME_LETTERS).contains(&letters) {
        return Err(wrong(field, format!("{letters} letters: write 1 to {NAME_LETTERS}")));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(field, "control characters are not allowed"));
    }
    Ok(text.to_owned())
}

/// A person as they are to be stored.
pub fn person(person: &Person) -> Result<Person, Refusal> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let email = given(&person.email).map(|text| address::email(&text)).transpose();
    let phone = given(&person.phone).map(|text| address::phone(&text)).transpose();
    Ok(Person {
        forename: name("forename", &person.forename)?,
        surname: name("surname", &person.surname)?,
        email: email.map_err(|why| wrong("email", why))?,
        phone: phone.map_err(|why| wrong("phone", why))?,
    })
}

/// A severity by its name.
pub fn severity(text: &str) -> Result<Severity, Refusal> {
    Severity::ALL.into_iter().find(|known| known.name() == text).ok_or_else(|| {
        let known = Severity::ALL.map(Severity::name).join(", ");
        wrong("min_severity", format!("`{text}` is unknown: use {known}"))
    })
}

/// A rule as it is to be stored, with the channels that there are.
pub fn rule(wish: RuleSpec, notify: &Notify) -> Result<RuleSpec, Refusal> {
    let name = name("name", &wish.name)?;
    for technique in &wish.techniques {
        if !Technique::ALL.iter().any(|known| known.name() == technique) {
            return Err(wrong("techniques", format!("`{technique}` is not a technique")));
        }
    }
    for (field, secs) in [("digest_secs", wish.digest_secs), ("repeat_secs", wish.repeat_secs)] {
        if secs > LONGEST_SECS {
            return Err(wrong(field, format!("{secs} s is too long: use at most {LONGEST_SECS}")));
        }
    }
    if let Some(why) = why_not_told(&wish, notify) {
        return Err(wrong("channel", why));
    }
    Ok(RuleSpec { name, ..wish })
}

/// After how many seconds a rule for this channel repeats itself that does not say so.
#[must_use]
pub fn default_repeat(channel: &str, notify: &Notify) -> u32 {
    // A channel that is not configured is refused.
    notify.channel(channel).map_or(0, Channel::repeat_secs)
}

/// Why a rule tells nobody with this configuration.
#[must_use]
pub fn why_not_told(wish: &RuleSpec, notify: &Notify) -> Option<String> {
    let name = &wish.channel;
    let Some(channel) = notify.channel(name) else {
        return Some(format!(
            "there is no channel `{name}`: add it to [notify] in the configuration"
        ));
    };
    let nobody = channel.own_recipients().is_some_and(<[String]>::is_empty);
    (wish.group.is_none() && nobody)
        .then(|| format!("`{name}` has no recipients of its own (`to`): name a group"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::notify::Channel;

    fn zoe() -> Person {
        Person {
            forename: " Zoë ".into(),
            surname: "O'Neill".into(),
            email: Some("zoë@example.org".into()),
            phone: Some("+1 555 0100".into()),
        }
    }

    #[test]
    fn people() {
        let stored = person(&zoe()).unwrap();
        assert_eq!((&*stored.forename, &*stored.surname), ("Zoë", "O'Neill"));
        assert_eq!(stored.phone.as_deref(), Some("+15550100"));
        let html = Person { forename: "<b>".into(), ..zoe() };
        assert_eq!(person(&html).unwrap().forename, "<b>");
        let blank = Person { email: Some(" ".into()), phone: None, ..zoe() };
        assert_eq!(person(&blank).unwrap().email, None);
        let check = |wrong: Person, expected: &str| {
            let refusal = person(&wrong).unwrap_err();
            assert_eq!(refusal.field.as_deref(), Some(expected));
        };
        check(Person { forename: "  ".into(), ..zoe() }, "forename");
        check(Person { surname: "x".repeat(101), ..zoe() }, "surname");
        check(Person { surname: "a\r\nb".into(), ..zoe() }, "surname");
        check(Person { email: Some("zoe".into()), ..zoe() }, "email");
        check(Person { phone: Some("5550100".into()), ..zoe() }, "phone");
        assert!(person(&Person { surname: "ü".repeat(100), ..zoe() }).is_ok());
    }

    #[test]
    fn rules() {
        let mail = "kind = \"email\"\nname = \"mail\"\nhost = \"a\"\nfrom = \"a@b.example\"";
        let hook = "kind = \"webhook\"\nname = \"hook\"\nurl = \"https://a\"\nsecret_env = \"S\"";
        let channels = [mail, hook].map(|text| toml::from_str::<Channel>(text).unwrap());
        let notify = Notify { channels: channels.to_vec(), ..Notify::default() };
        let good = RuleSpec {
            name: "night".into(),
            enabled: true,
            channel: "mail".into(),
            group: Some(1),
            min_severity: Severity::Medium,
            techniques: vec!["dns_tunnel".into()],
            host: None,
            digest_secs: 0,
            repeat_secs: 3_600,
        };
        assert_eq!(rule(good.clone(), &notify).unwrap(), good);
        let check = |wrong: RuleSpec, expected: &str| {
            let text = rule(wrong, &notify).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        };
        check(RuleSpec { name: String::new(), ..good.clone() }, "name: ");
        check(RuleSpec { channel: "pigeon".into(), ..good.clone() }, "no channel `pigeon`");
        check(RuleSpec { group: None, ..good.clone() }, "name a group");
        check(RuleSpec { techniques: vec!["x".into()], ..good.clone() }, "techniques: ");
        check(RuleSpec { repeat_secs: u32::MAX, ..good.clone() }, "repeat_secs: ");
        assert!(rule(RuleSpec { channel: "hook".into(), group: None, ..good }, &notify).is_ok());
        assert_eq!(severity("critical"), Ok(Severity::Critical));
        assert!(severity("Critical").is_err());
    }
}
