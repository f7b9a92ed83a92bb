//! The requests to the agent, and its answers, one line each.
//!
//! Unknown commands and fields are errors, so that a misspelt `ttl_secs` never becomes a block with
//! another end. Names and meanings are a contract; a change of meaning needs a new name.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::answer::{
    AllowLine, BaselineLine, BlockLine, BudgetLine, DomainLine, Explanation, InterfaceLine,
    ModeState, Pending, Reloaded, SessionLine, StatusReply, VerifyLine,
};
use super::effect::EffectWanted;
use crate::fields;
use crate::network::{Address, Network};
use crate::refusal::Refusal;
use crate::response::{Mode, Target};

/// The longest line a request may be, its end included.
pub const MAX_REQUEST_BYTES: usize = 64 << 10;
/// The longest line an answer may be: a hundred thousand blocks fit.
pub const MAX_REPLY_BYTES: u64 = 128 << 20;
/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 500;
/// The longest wait for a confirmation.
pub const MAX_CONFIRM_SECS: u64 = 86_400;

/// One request. Every variant has braces: an empty one, too, refuses fields it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    BlocksList {},
    BlocksAdd {
        target: Target,
        /// None: the configured one.
        ttl_secs: Option<u64>,
        #[serde(default)]
        effect: EffectWanted,
        /// Counts what it would do and does nothing.
        #[serde(default)]
        simulate: bool,
        reason: String,
        confirm_within_secs: Option<u64>,
    },
    /// Exactly one of target and number.
    BlocksRemove {
        target: Option<Target>,
        number: Option<u32>,
        confirm_within_secs: Option<u64>,
    },
    BlocksFlush {
        confirm_within_secs: Option<u64>,
    },
    /// Neither of the two: every block.
    BlocksVerify {
        target: Option<Target>,
        number: Option<u32>,
    },
    /// The domains that leak through a resolver that must not be blocked.
    BlocksExport {},
    AllowList {},
    AllowAdd {
        source: Option<Network>,
        destination: Option<Network>,
        name: Option<String>,
        port: Option<u16>,
        reason: String,
        /// None: no end.
        ttl_secs: Option<u64>,
        confirm_within_secs: Option<u64>,
    },
    AllowRemove {
        id: String,
        confirm_within_secs: Option<u64>,
    },
    Mode {},
    SetMode {
        mode: Mode,
        confirm_within_secs: Option<u64>,
    },
    /// Without an id: everything that waits.
    Confirm {
        id: Option<u64>,
    },
    Explain {
        address: Address,
    },
    Budgets {},
    BudgetsRaise {
        home: Address,
        destination: Address,
        /// Payload bytes in total; none: unlimited.
        bytes: Option<u64>,
    },
    Status {},
    /// The active sessions, the first of them in this order.
    Sessions {
        sort: SessionOrder,
        limit: u32,
    },
    Baselines {},
    Interfaces {},
    /// Watch an interface, or stop watching it.
    Watch {
        name: String,
    },
    Unwatch {
        name: String,
    },
    /// Score with the model of this hash from now on: one in the database, or the built-in one.
    UseModel {
        hash: String,
    },
    /// Read the configuration, the model and the allowlist again.
    Reload {},
}

/// The answer to a request that was carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    Blocks {
        blocks: Vec<BlockLine>,
    },
    Placed {
        block: BlockLine,
        pending: Option<Pending>,
    },
    /// The blocks that are gone, or will be once it is confirmed, with their last counters.
    Removed {
        blocks: Vec<BlockLine>,
        pending: Option<Pending>,
    },
    Verified {
        blocks: Vec<VerifyLine>,
    },
    Domains {
        domains: Vec<DomainLine>,
    },
    Allow {
        allow: Vec<AllowLine>,
    },
    /// A new exception, and how many standing blocks it ended.
    Allowed {
        entry: AllowLine,
        released: u64,
        pending: Option<Pending>,
    },
    Disallowed {
        entry: AllowLine,
        pending: Option<Pending>,
    },
    Mode(ModeState),
    /// Empty where nothing waited.
    Confirmed {
        confirmed: Vec<Pending>,
    },
    Explanation(Explanation),
    /// `more`: budgets that the answer had no room for.
    Budgets {
        budgets: Vec<BudgetLine>,
        more: u64,
    },
    Raised {
        budget: BudgetLine,
    },
    Sessions {
        sessions: Vec<SessionLine>,
    },
    Baselines {
        hosts: Vec<BaselineLine>,
    },
    Interfaces {
        interfaces: Vec<InterfaceLine>,
    },
    /// The model that scores from now on: its hash.
    Model {
        hash: String,
    },
    Status(StatusReply),
    Reloaded(Reloaded),
}

/// What sessions are put in order by; the highest comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionOrder {
    #[default]
    Rate,
    BytesOut,
    LastSeen,
}

impl Request {
    /// Reads one line.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let request: Self = serde_json::from_slice(line).map_err(|error| {
            fields::refusal::<Self>(line, &error).within("failed to read the request")
        })?;
        request.check()?;
        Ok(request)
    }

    /// Sees that the values are within their bounds, whatever the agent's policy is.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::BlocksAdd { effect, reason, ttl_secs, .. } => {
                check_reason(reason)?;
                check_ttl(*ttl_secs)?;
                effect.check()?;
            }
            Self::BlocksRemove { target, number, .. } if target.is_some() == number.is_some() => {
                let text = "name one block: by its target or its number, not both";
                return Err(Refusal::invalid("number", text));
            }
            Self::BlocksVerify { target: Some(_), number: Some(_) } => {
                let text = "name a block by its target or its number, not both";
                return Err(Refusal::invalid("number", text));
            }
            Self::AllowAdd { source, destination, name, port, reason, ttl_secs, .. } => {
                check_reason(reason)?;
                check_ttl(*ttl_secs)?;
                check_name(name.as_deref())?;
                if source.is_none() && destination.is_none() && name.is_none() && port.is_none() {
                    let text = "the exception would allow everything: give a source, destination, \
                        name \
                         or port";
                    return Err(Refusal::invalid("destination", text));
                }
            }
            Self::BudgetsRaise { home, destination, .. } if home == destination => {
                let text = format!("a budget needs two different addresses: both are {home}");
                return Err(Refusal::invalid("destination", text));
            }
            _ => {}
        }
        check_confirm(self.confirm_within_secs())
    }

    /// Whether it changes anything, rather than only looks.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !matches!(
            self,
            Self::BlocksList {}
                | Self::BlocksVerify { .. }
                | Self::BlocksExport {}
                | Self::AllowList {}
                | Self::Mode {}
                | Self::Explain { .. }
                | Self::Budgets {}
                | Self::Status {}
                | Self::Sessions { .. }
                | Self::Baselines {}
                | Self::Interfaces {}
        )
    }

    /// How long the change may wait for its confirmation; none where it needs none.
    #[must_use]
    pub fn confirm_within_secs(&self) -> Option<u64> {
        match self {
            Self::BlocksAdd { confirm_within_secs, .. }
            | Self::BlocksRemove { confirm_within_secs, .. }
            | Self::BlocksFlush { confirm_within_secs }
            | Self::AllowAdd { confirm_within_secs, .. }
            | Self::AllowRemove { confirm_within_secs, .. }
            | Self::SetMode { confirm_within_secs, .. } => *confirm_within_secs,
            _ => None,
        }
    }
}

fn check_confirm(confirm_within_secs: Option<u64>) -> Result<(), Refusal> {
    match confirm_within_secs {
        None | Some(1..=MAX_CONFIRM_SECS) => Ok(()),
        Some(secs) => Err(Refusal::invalid(
            "confirm_within_secs",
            format!("confirm_within_secs is {secs}: use 1 to {MAX_CONFIRM_SECS}"),
        )),
    }
}

fn check_ttl(ttl_secs: Option<u64>) -> Result<(), Refusal> {
    if ttl_secs == Some(0) {
        let text = "the ttl is 0: use at least 1s";
        return Err(Refusal::invalid("ttl_secs", text));
    }
    Ok(())
}

fn check_reason(reason: &str) -> Result<(), Refusal> {
    let wrong = |text: String| Err(Refusal::invalid("reason", text));
    if reason.trim().is_empty() {
        return wrong("reason is missing: write why, for the audit log".to_owned());
    }
    if reason.len() > MAX_REASON_BYTES {
        let length = reason.len();
        return wrong(format!("the reason has {length} bytes: use at most {MAX_REASON_BYTES}"));
    }
    if reason.chars().any(char::is_control) {
        return wrong("the reason has control characters: leave them out".to_owned());
    }
    Ok(())
}

fn check_name(name: Option<&str>) -> Result<(), Refusal> {
    let Some(name) = name else { return Ok(()) };
    let wrong = |text: String| Err(Refusal::invalid("name", text));
    let bare = name.trim_matches('.');
    if bare.is_empty() {
        return wrong("the name is empty".to_owned());
    }
    if bare.len() > 253 {
        return wrong(format!("the name has {} bytes: a DNS name has at most 253", bare.len()));
    }
    if !bare.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong(format!("`{}` is not a DNS name", bare.escape_debug()));
    }
    Ok(())
}

/// The answer to one request: what was asked for, or why not, in one line.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Done {
        answer: Box<Answer>,
        /// What failed all the same, such as a record of the change.
        warning: Option<String>,
    },
    Refused(Refusal),
}

impl Reply {
    /// The reply to a request that came to `outcome`.
    #[must_use]
    pub fn of(outcome: Result<Answer, Refusal>, warning: Option<String>) -> Self {
        match outcome {
            Ok(answer) => Self::Done { answer: Box::new(answer), warning },
            Err(refusal) => Self::Refused(one_line(refusal)),
        }
    }

    /// The line that is sent, its end included.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Done<'a> {
            ok: bool,
            #[serde(flatten)]
            answer: &'a Answer,
            #[serde(skip_serializing_if = "Option::is_none")]
            warning: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Refused {
            ok: bool,
            #[serde(flatten)]
            refusal: Refusal,
        }
        let written = match self {
            Self::Done { answer, warning } => {
                serde_json::to_vec(&Done { ok: true, answer, warning: warning.as_deref() })
            }
            Self::Refused(refusal) => {
                let refusal = one_line(refusal.clone());
                serde_json::to_vec(&Refused { ok: false, refusal })
            }
        };
        // Maps with keys other than text are all that JSON cannot hold, and there are none.
        let mut line = written.unwrap_or_else(|_| br#"{"ok":false,"error":"no answer"}"#.to_vec());
        line.push(b'\n');
        line
    }

    /// Reads the line that was sent.
    pub fn parse(line: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Outcome {
            ok: bool,
            warning: Option<String>,
        }
        let Outcome { ok, warning } =
            serde_json::from_slice(line).context("the answer is not JSON")?;
        if ok {
            return Ok(Self::Done { answer: serde_json::from_slice(line)?, warning });
        }
        let refusal =
            serde_json::from_slice(line).context("the answer has neither a result nor an error")?;
        Ok(Self::Refused(one_line(refusal)))
    }
}

/// A refusal whose text is one line.
fn one_line(refusal: Refusal) -> Refusal {
    let text = refusal.text.chars();
    let text = text.map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    Refusal { text, ..refusal }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{ModeState, Reversion};
    use super::*;
    use crate::refusal::RefusalKind;

    #[test]
    fn requests_are_read_as_they_are_written() {
        for line in [
            r#"{"command":"blocks_list"}"#,
            r#"{"command":"blocks_add","target":"pair 10.0.0.7 192.0.2.1","ttl_secs":600,"effect":"drop","simulate":false,"reason":"leak","confirm_within_secs":60}"#,
            r#"{"command":"blocks_add","target":"host fd00::7","ttl_secs":null,"effect":{"police":{"bytes_per_second":10000}},"simulate":true,"reason":"leak","confirm_within_secs":null}"#,
            r#"{"command":"blocks_remove","target":null,"number":4,"confirm_within_secs":null}"#,
            r#"{"command":"blocks_flush","confirm_within_secs":null}"#,
            r#"{"command":"blocks_verify","target":"destination 192.0.2.0/24","number":null}"#,
            r#"{"command":"blocks_export"}"#,
            r#"{"command":"allow_list"}"#,
            r#"{"command":"allow_add","source":"10.0.0.0/8","destination":null,"name":"backup.example","port":443,"reason":"nightly","ttl_secs":null,"confirm_within_secs":null}"#,
            r#"{"command":"allow_remove","id":"a1","confirm_within_secs":null}"#,
            r#"{"command":"mode"}"#,
            r#"{"command":"set_mode","mode":"block","confirm_within_secs":60}"#,
            r#"{"command":"confirm","id":null}"#,
            r#"{"command":"explain","address":"2001:db8::1"}"#,
            r#"{"command":"budgets"}"#,
            r#"{"command":"budgets_raise","home":"10.0.0.7","destination":"192.0.2.1","bytes":null}"#,
            r#"{"command":"status"}"#,
            r#"{"command":"sessions","sort":"bytes_out","limit":50}"#,
            r#"{"command":"baselines"}"#,
            r#"{"command":"interfaces"}"#,
            r#"{"command":"watch","name":"eth0"}"#,
            r#"{"command":"unwatch","name":"eth0"}"#,
            r#"{"command":"use_model","hash":"0123456789abcdef"}"#,
            r#"{"command":"reload"}"#,
        ] {
            let request = Request::parse(line.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
    }

    #[test]
    fn what_is_left_out_is_none() {
        let short = r#"{"command":"blocks_add","target":"host 10.0.0.7","reason":"leak"}"#;
        let Request::BlocksAdd { ttl_secs, effect, simulate, confirm_within_secs, .. } =
            Request::parse(short.as_bytes()).unwrap()
        else {
            panic!("another request");
        };
        assert_eq!((ttl_secs, effect, simulate), (None, EffectWanted::Drop, false));
        assert_eq!(confirm_within_secs, None);
    }

    #[test]
    fn a_request_that_makes_no_sense_says_why() {
        let check = |line: &str, expected: &str| {
            let refusal = Request::parse(line.as_bytes()).unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::Invalid, "{line}");
            assert!(refusal.text.contains(expected), "{line}: {refusal}");
        };
        let add = |more: &str| {
            format!(r#"{{"command":"blocks_add","target":"host 10.0.0.7","reason":"r"{more}}}"#)
        };
        check("", "failed to read the request");
        check("[]", "failed to read the request");
        check(r#"{"command":"reboot"}"#, "unknown variant `reboot`");
        check(r#"{"command":"status","verbose":true}"#, "unknown field `verbose`");
        check(&add(r#","ttl":600"#), "unknown field `ttl`");
        check(&add(r#","ttl_secs":0"#), "at least 1s");
        check(&add(r#","ttl_secs":-1"#), "invalid value");
        check(&add(r#","confirm_within_secs":0"#), "use 1 to 86400");
        check(&add(r#","effect":{"mark":{"dscp":64}}"#), "0 to 63");
        check(&add(r#","effect":{"police":{"bytes_per_second":0}}"#), "to drop everything");
        check(r#"{"command":"blocks_add","target":"host 10.0.0.7","reason":" "}"#, "write why");
        check(
            r#"{"command":"blocks_add","target":"host 10.0.0.7","reason":"a\nb"}"#,
            "control characters",
        );
        let long = "r".repeat(MAX_REASON_BYTES + 1);
        check(
            &format!(r#"{{"command":"blocks_add","target":"host 10.0.0.7","reason":"{long}"}}"#),
            "at most 500",
        );
        check(r#"{"command":"blocks_add","target":"all","reason":"r"}"#, "`all` is not a target");
        check(r#"{"command":"blocks_remove"}"#, "by its target or its number");
        check(r#"{"command":"blocks_verify","target":"host 10.0.0.7","number":1}"#, "not both");
        check(r#"{"command":"allow_add","reason":"r"}"#, "allow everything");
        check(r#"{"command":"allow_add","reason":"r","name":"a b"}"#, "not a DNS name");
        check(r#"{"command":"allow_add","reason":"r","destination":"10.0.0.1/8"}"#, "10.0.0.0/8");
        check(
            r#"{"command":"budgets_raise","home":"10.0.0.7","destination":"10.0.0.7"}"#,
            "two different addresses",
        );
    }

    #[test]
    fn answers_are_one_line_each_way() {
        let answer = Answer::Mode(ModeState {
            mode: Mode::Block,
            since: "2027-01-31T00:00:00.000000Z".into(),
            pending: Some(Reversion { id: 3, returns_to: Mode::Observe, in_secs: 60 }),
        });
        let done = Reply::of(Ok(answer), None);
        let line = done.line();
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            concat!(
                r#"{"ok":true,"type":"mode","mode":"block","since":"2027-01-31T00:00:00.000000Z","#,
                r#""pending":{"id":3,"returns_to":"observe","in_secs":60}}"#,
                "\n"
            )
        );
        assert_eq!(Reply::parse(&line).unwrap(), done);
    }

    #[test]
    fn a_refusal_is_one_line_with_its_kind_and_field() {
        let check = |refusal: Refusal, expected: &str| {
            let line = Reply::Refused(refusal).line();
            assert_eq!(std::str::from_utf8(&line).unwrap(), format!("{expected}\n"));
            assert_eq!(Reply::parse(&line).unwrap().line(), line);
        };
        check(
            Refusal::not_found("two\nlines"),
            r#"{"ok":false,"error":"two lines","kind":"not_found"}"#,
        );
        check(
            Refusal::invalid("ttl_secs", "use 1"),
            r#"{"ok":false,"error":"use 1","kind":"invalid","field":"ttl_secs"}"#,
        );
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for line in
            ["", "hello", "{}", r#"{"ok":false}"#, r#"{"ok":true}"#, r#"{"ok":true,"type":"x"}"#]
        {
            assert!(Reply::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
