//! Putting the programs on an interface, and saying how and why so.
//!
//! Every link is our own and goes with this process, except clsact filters of kernels before 6.6:
//! those are removed at the next start and by name.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use anyhow::{Context as _, anyhow};
use aya::programs::links::LinkOrder;
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcError, TcHandle, qdisc_add_clsact, qdisc_detach_program,
};
use aya::programs::xdp::XdpLink;
use aya::programs::{TcAttachType, XdpMode, tc::TcAttachOptions};
use detector_common::abi::program;

use super::interfaces::Interface;
use super::object::{Object, classifier, xdp};
use crate::config::Xdp;

/// How a hook of an interface is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    XdpNativeFragments,
    XdpNative,
    XdpGeneric,
    Tcx,
    Clsact,
}

impl fmt::Display for Attachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::XdpNativeFragments => "native XDP with fragments",
            Self::XdpNative => "native XDP",
            Self::XdpGeneric => "generic XDP",
            Self::Tcx => "tcx",
            Self::Clsact => "tc clsact",
        })
    }
}

/// The programs on one interface. Dropping it takes them off.
#[derive(Debug)]
pub struct Attached {
    pub ingress: Attachment,
    pub egress: Attachment,
    /// Why ingress is watched in a lesser way than native XDP with fragments.
    pub reasons: Vec<String>,
    _xdp: Option<XdpLink>,
    _tc: Vec<SchedClassifierLink>,
    /// Held while we watch: a second instance finds the name taken.
    _claim: UnixListener,
}

/// Our place among clsact filters, and our name on them: what the next start removes.
const CLSACT_PRIORITY: u16 = 61_000;
const CLSACT_HANDLE: TcHandle = TcHandle::new(0, 1);

/// Attaches both directions of an interface.
///
/// # Errors
///
/// A second instance, another tool's XDP program, an interface that went away.
pub fn attach(object: &mut Object, interface: &Interface, wanted: Xdp) -> anyhow::Result<Attached> {
    let claim = claim(interface)?;
    remove_leftovers(interface);
    let mut reasons = Vec::new();
    let mut tc = Vec::new();
    let (link, ingress) = ingress(object, interface, wanted, &mut reasons, &mut tc)?;
    let egress = attach_tc(object, interface, TcAttachType::Egress, &mut tc)?;
    Ok(Attached { ingress, egress, reasons, _xdp: link, _tc: tc, _claim: claim })
}

/// Takes the interface's name among the abstract sockets of this network namespace: it goes with
/// the process, however that ends.
fn claim(interface: &Interface) -> anyhow::Result<UnixListener> {
    let name = format!("detector/{}", interface.index);
    let address = SocketAddr::from_abstract_name(name).context("failed to claim an interface")?;
    UnixListener::bind_addr(&address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "another detector watches {}: stop it first, or watch another interface",
            interface.name
        ),
        _ => anyhow!(error).context(format!("failed to claim {}", interface.name)),
    })
}

fn ingress(
    object: &mut Object,
    interface: &Interface,
    wanted: Xdp,
    reasons: &mut Vec<String>,
    tc: &mut Vec<SchedClassifierLink>,
) -> anyhow::Result<(Option<XdpLink>, Attachment)> {
    match wanted {
        Xdp::Native => {
            if let Some((link, attachment)) = native(object, interface, reasons)? {
                return Ok((Some(link), attachment));
            }
        }
        Xdp::Generic => {
            let (name, refused) = object.load_xdp()?;
            reasons.extend(refused);
            reasons.push("generic XDP was asked for: it sees frames after they are merged".into());
            let link = attach_xdp(object, name, interface, XdpMode::Skb)
                .map_err(|error| explain(error, interface))?;
            return Ok((Some(link), Attachment::XdpGeneric));
        }
        Xdp::Tc => reasons.push("tc ingress was asked for".into()),
    }
    let attachment = attach_tc(object, interface, TcAttachType::Ingress, tc)?;
    Ok((None, attachment))
}

/// Native XDP with fragments, else without; none where the driver has neither.
fn native(
    object: &mut Object,
    interface: &Interface,
    reasons: &mut Vec<String>,
) -> anyhow::Result<Option<(XdpLink, Attachment)>> {
    let (name, refused) = object.load_xdp()?;
    reasons.extend(refused);
    let mut attempts = vec![name];
    if name == program::XDP_INGRESS_FRAGS {
        attempts.push(program::XDP_INGRESS);
    }
    for name in attempts {
        if name == program::XDP_INGRESS {
            object.load_plain_xdp()?;
        }
        match attach_xdp(object, name, interface, XdpMode::Driver) {
            Ok(link) if name == program::XDP_INGRESS => {
                return Ok(Some((link, Attachment::XdpNative)));
            }
            Ok(link) => return Ok(Some((link, Attachment::XdpNativeFragments))),
            Err(error) if is(&error, libc::EBUSY) || is(&error, libc::EEXIST) => {
                return Err(explain(error, interface));
            }
            Err(error) if is(&error, libc::ENODEV) => return Err(explain(error, interface)),
            Err(error) => {
                reasons.push(format!("{name} was refused by the driver: {}", cause(&error)))
            }
        }
    }
    reasons.push("received packets are seen at tc, after the stack has merged them".into());
    Ok(None)
}

fn attach_xdp(
    object: &mut Object,
    name: &str,
    interface: &Interface,
    mode: XdpMode,
) -> Result<XdpLink, anyhow::Error> {
    let program = xdp(&mut object.ebpf, name)?;
    let id = program.attach_to_if_index(interface.index, mode)?;
    Ok(program.take_link(id)?)
}

/// tcx where the kernel has it (6.6), else a clsact filter. The kernel is asked, not its version.
fn attach_tc(
    object: &mut Object,
    interface: &Interface,
    side: TcAttachType,
    links: &mut Vec<SchedClassifierLink>,
) -> anyhow::Result<Attachment> {
    let name = match side {
        TcAttachType::Ingress => program::TC_INGRESS,
        _ => program::TC_EGRESS,
    };
    let program = classifier(&mut object.ebpf, name)?;
    let tcx = TcAttachOptions::TcxOrder(LinkOrder::first());
    let (id, attachment) = match program.attach_with_options(&interface.name, side, tcx) {
        Ok(id) => (id, Attachment::Tcx),
        // What kernels before 6.6 say to a link type they do not know.
        Err(error) if has_number(&error, libc::EINVAL) => {
            match qdisc_add_clsact(&interface.name) {
                Ok(()) | Err(TcError::AlreadyAttached) => {}
                // Another's qdisc is as good as ours, and is left in place.
                Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {
                }
                Err(error) => {
                    return Err(anyhow!(error))
                        .with_context(|| format!("failed to add clsact to {}", interface.name));
                }
            }
            let options = NlOptions {
                priority: CLSACT_PRIORITY,
                handle: CLSACT_HANDLE,
                ..NlOptions::default()
            };
            let id = program
                .attach_with_options(&interface.name, side, TcAttachOptions::Netlink(options))
                .map_err(|error| explain(anyhow!(error), interface))?;
            (id, Attachment::Clsact)
        }
        Err(error) => return Err(explain(anyhow!(error), interface)),
    };
    links.push(program.take_link(id)?);
    Ok(attachment)
}

/// Removes the clsact filters that an agent which was killed left on a kernel without tcx.
pub fn remove_leftovers(interface: &Interface) {
    for (side, name) in
        [(TcAttachType::Ingress, program::TC_INGRESS), (TcAttachType::Egress, program::TC_EGRESS)]
    {
        if qdisc_detach_program(&interface.name, side, name).is_ok() {
            tracing::info!("{}: removed {name} left by an earlier run", interface.name);
        }
    }
}

fn is(error: &anyhow::Error, number: i32) -> bool {
    has_number(error.as_ref(), number)
}

/// Whether an error or one of its causes is the system's error `number`.
fn has_number(error: &(dyn Error + 'static), number: i32) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.raw_os_error() == Some(number)) {
            return true;
        }
        next = error.source();
    }
    false
}

fn cause(error: &anyhow::Error) -> String {
    error.root_cause().to_string()
}

/// Puts what people can do about it before the kernel's number.
fn explain(error: anyhow::Error, interface: &Interface) -> anyhow::Error {
    let name = &interface.name;
    if is(&error, libc::EBUSY) || is(&error, libc::EEXIST) {
        error.context(format!(
            "{name} has another XDP program: it is left alone, use --config with kernel.xdp = \"tc\""
        ))
    } else if is(&error, libc::ENODEV) {
        error.context(format!("{name} went away while it was being attached"))
    } else if is(&error, libc::EPERM) {
        error.context(format!("not allowed to attach to {name}: CAP_NET_ADMIN is needed"))
    } else {
        error.context(format!("failed to attach to {name}"))
    }
}
