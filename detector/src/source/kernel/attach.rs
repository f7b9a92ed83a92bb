//! Putting the programs on an interface, and saying how and why so.
//!
//! A link goes with this process, or is held by a pin and taken over by the next: its program is
//! then replaced in one step, so that no packet passes unseen. Clsact filters of kernels without tcx
//! are neither: they stay when this process is killed, and the next replaces them in one step, too, or
//! takes them off; they are known by their place among the filters.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use anyhow::{Context as _, anyhow};
use aya::programs::links::{FdLink, Link as _, LinkOrder, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcError, TcHandle, qdisc_add_clsact};
use aya::programs::xdp::XdpLink;
use aya::programs::{
    SchedClassifier, TcAttachType, Xdp as XdpProgram, XdpMode, tc::TcAttachOptions,
};

use super::interfaces::{self, Interface, Selection};
use super::object::{Object, Programs, classifier, xdp};
use super::pins::{Hook, Pins};
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

/// The programs on one interface. Dropping it takes off those that are not pinned.
#[derive(Debug)]
pub struct Attached {
    pub ingress: Attachment,
    pub egress: Attachment,
    /// Why ingress is watched in a lesser way than native XDP with fragments.
    pub reasons: Vec<String>,
    links: Vec<Link>,
    /// Held while we watch: a second instance finds the name taken.
    _claim: UnixListener,
}

impl Attached {
    /// Leaves on the interface what no pin holds.
    pub(super) fn leave(self) {
        for link in self.links {
            std::mem::forget(link);
        }
    }
}

/// A program on a hook, held by this process.
#[derive(Debug)]
enum Link {
    Xdp(XdpLink),
    Tc(SchedClassifierLink),
}

/// What came of attaching to a hook.
#[derive(Debug)]
struct Placed {
    attachment: Attachment,
    /// None for clsact filters, which have no name.
    hook: Option<Hook>,
    /// None where a pin holds it.
    link: Option<Link>,
}

/// Our place among clsact filters: by it the next start knows them. A name would not do, as others
/// name their programs alike.
const CLSACT_PRIORITY: u16 = 61_000;
const CLSACT_HANDLE: TcHandle = TcHandle::new(0, 1);

/// Attaches both directions of an interface.
///
/// # Errors
///
/// A second instance, another tool's XDP program, an interface that went away.
pub(super) fn attach(
    object: &mut Object,
    interface: &Interface,
    wanted: Xdp,
    pins: &Pins,
) -> anyhow::Result<Attached> {
    let claim = claim(interface)?;
    // The two modes of XDP exclude each other.
    match wanted {
        Xdp::Native => pins.take_off(interface.index, &without(Hook::Generic))?,
        Xdp::Generic => pins.take_off(interface.index, &without(Hook::Native))?,
        Xdp::Tc => {}
    }
    let mut reasons = Vec::new();
    let ingress = ingress(object, interface, wanted, pins, &mut reasons)?;
    if ingress.attachment != Attachment::Clsact && !object.features.tcx {
        // It would count the same packets.
        remove_leftover(interface, TcAttachType::Ingress);
    }
    let egress = attach_tc(object, interface, TcAttachType::Egress, pins)?;
    let kept: Vec<Hook> = [&ingress, &egress].iter().filter_map(|placed| placed.hook).collect();
    pins.take_off(interface.index, &kept)?;
    let (ingress_attachment, egress_attachment) = (ingress.attachment, egress.attachment);
    let mut links = Vec::new();
    for placed in [ingress, egress] {
        links.extend(pin(placed, interface, pins)?);
    }
    Ok(Attached {
        ingress: ingress_attachment,
        egress: egress_attachment,
        reasons,
        links,
        _claim: claim,
    })
}

fn without(left_out: Hook) -> Vec<Hook> {
    Hook::ALL.into_iter().filter(|hook| *hook != left_out).collect()
}

/// Hands a link over to a pin where there are pins and it can be; else it comes back.
fn pin(placed: Placed, interface: &Interface, pins: &Pins) -> anyhow::Result<Option<Link>> {
    let (Some(link), Some(hook), Some(_)) = (&placed.link, placed.hook, pins.folder()) else {
        return Ok(placed.link);
    };
    tracing::trace!("pinning {link:?}");
    let link: FdLink = match placed.link {
        Some(Link::Xdp(link)) => link.try_into()?,
        Some(Link::Tc(link)) => link.try_into()?,
        None => return Ok(None),
    };
    pins.pin(link, interface.index, hook)?;
    Ok(None)
}

/// Sees that no other agent watches an interface that is meant.
///
/// # Errors
///
/// With the first that is watched.
pub(super) fn check_claims(selection: &Selection) -> anyhow::Result<()> {
    for interface in interfaces::list()?.values().filter(|each| selection.contains(each)) {
        drop(claim(interface)?);
    }
    Ok(())
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
    pins: &Pins,
    reasons: &mut Vec<String>,
) -> anyhow::Result<Placed> {
    match wanted {
        Xdp::Native => {
            if let Some(placed) = native(object, interface, pins, reasons)? {
                return Ok(placed);
            }
        }
        Xdp::Generic => {
            let (name, refused) = object.load_xdp()?;
            reasons.extend(refused);
            reasons.push("generic XDP was asked for: it sees frames after they are merged".into());
            let link = attach_xdp(object, name, interface, XdpMode::Skb, pins)
                .map_err(|error| explain(error, interface))?;
            let attachment = Attachment::XdpGeneric;
            return Ok(Placed { attachment, hook: Some(Hook::Generic), link });
        }
        Xdp::Tc => reasons.push("tc ingress was asked for".into()),
    }
    // Else its program would count the same packets.
    pins.take_off(interface.index, &[Hook::Ingress, Hook::Egress])?;
    attach_tc(object, interface, TcAttachType::Ingress, pins)
}

/// Native XDP with fragments, else without; none where the driver has neither.
fn native(
    object: &mut Object,
    interface: &Interface,
    pins: &Pins,
    reasons: &mut Vec<String>,
) -> anyhow::Result<Option<Placed>> {
    let (name, refused) = object.load_xdp()?;
    reasons.extend(refused);
    let Programs { xdp: plain, xdp_frags, .. } = object.programs;
    let mut attempts = vec![name];
    if name == xdp_frags {
        attempts.push(plain);
    }
    for name in attempts {
        let attachment = if name == plain {
            object.load_plain_xdp()?;
            Attachment::XdpNative
        } else {
            Attachment::XdpNativeFragments
        };
        match attach_xdp(object, name, interface, XdpMode::Driver, pins) {
            Ok(link) => return Ok(Some(Placed { attachment, hook: Some(Hook::Native), link })),
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

/// Puts a program in the place of a pinned link's, in one step; none where the link is of use to
/// nobody any more.
fn replace<T>(
    pins: &Pins,
    interface: &Interface,
    hook: Hook,
    update: impl FnOnce(FdLink) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let Some(path) = pins.link(interface.index, hook) else { return Ok(None) };
    let replaced = PinnedLink::from_pin(&path)
        .map_err(|error| anyhow!(error))
        .and_then(|link| update(FdLink::from(link)));
    match replaced {
        Ok(done) => Ok(Some(done)),
        // Of an interface that was there before, under the same index.
        Err(error) if is(&error, libc::ENOLINK) => {
            let others: Vec<Hook> = without(hook);
            pins.take_off(interface.index, &others)?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// None where a pin holds the link.
fn attach_xdp(
    object: &mut Object,
    name: &str,
    interface: &Interface,
    mode: XdpMode,
    pins: &Pins,
) -> anyhow::Result<Option<Link>> {
    let hook = if mode == XdpMode::Skb { Hook::Generic } else { Hook::Native };
    let program = xdp(&mut object.ebpf, name)?;
    let update = |link: FdLink| update_xdp(program, link);
    if replace(pins, interface, hook, update)?.is_some() {
        return Ok(None);
    }
    let program = xdp(&mut object.ebpf, name)?;
    let id = program.attach_to_if_index(interface.index, mode)?;
    Ok(Some(Link::Xdp(program.take_link(id)?)))
}

fn update_xdp(program: &mut XdpProgram, link: FdLink) -> anyhow::Result<()> {
    let id = program.attach_to_link(XdpLink::try_from(link)?)?;
    // Ours is closed; the pin holds it.
    drop(FdLink::try_from(program.take_link(id)?)?);
    Ok(())
}

fn update_tc(program: &mut SchedClassifier, link: FdLink) -> anyhow::Result<()> {
    let id = program.attach_to_link(SchedClassifierLink::try_from(link)?)?;
    drop(FdLink::try_from(program.take_link(id)?)?);
    Ok(())
}

/// tcx where the kernel has it, else a clsact filter.
fn attach_tc(
    object: &mut Object,
    interface: &Interface,
    side: TcAttachType,
    pins: &Pins,
) -> anyhow::Result<Placed> {
    let (name, hook) = match side {
        TcAttachType::Ingress => (object.programs.tc_ingress, Hook::Ingress),
        _ => (object.programs.tc_egress, Hook::Egress),
    };
    let tcx = object.features.tcx;
    let program = classifier(&mut object.ebpf, name)?;
    if !tcx {
        let link = attach_clsact(program, interface, side)?;
        return Ok(Placed { attachment: Attachment::Clsact, hook: None, link: Some(link) });
    }
    let placed = |link| Placed { attachment: Attachment::Tcx, hook: Some(hook), link };
    if replace(pins, interface, hook, |link| update_tc(program, link))?.is_some() {
        return Ok(placed(None));
    }
    let program = classifier(&mut object.ebpf, name)?;
    let id = program
        .attach_with_options(&interface.name, side, TcAttachOptions::TcxOrder(LinkOrder::first()))
        .map_err(|error| explain(anyhow!(error), interface))?;
    Ok(placed(Some(Link::Tc(program.take_link(id)?))))
}

/// Puts a filter in the place of one that was left, in one step, or makes one.
fn attach_clsact(
    program: &mut SchedClassifier,
    interface: &Interface,
    side: TcAttachType,
) -> anyhow::Result<Link> {
    add_clsact(interface)?;
    let replaced = program.attach_to_link(filter(interface, side)?);
    let id = match replaced {
        Ok(id) => {
            tracing::info!("{}: replaced a tc filter left by an earlier run", interface.name);
            id
        }
        Err(error) => {
            tracing::trace!("there was no filter to replace: {error}");
            let options = NlOptions {
                priority: CLSACT_PRIORITY,
                handle: CLSACT_HANDLE,
                ..NlOptions::default()
            };
            program
                .attach_with_options(&interface.name, side, TcAttachOptions::Netlink(options))
                .map_err(|error| explain(anyhow!(error), interface))?
        }
    };
    Ok(Link::Tc(program.take_link(id)?))
}

/// Our place among the filters of one side of an interface, whether one is there or not.
fn filter(interface: &Interface, side: TcAttachType) -> anyhow::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(&interface.name, side, CLSACT_PRIORITY, CLSACT_HANDLE, None)
        .with_context(|| format!("{} went away", interface.name))
}

fn add_clsact(interface: &Interface) -> anyhow::Result<()> {
    match qdisc_add_clsact(&interface.name) {
        Ok(()) | Err(TcError::AlreadyAttached) => Ok(()),
        // Another's qdisc is as good as ours, and is left in place.
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        Err(error) => Err(anyhow!(error))
            .with_context(|| format!("failed to add clsact to {}", interface.name)),
    }
}

/// Removes the clsact filters that an agent which was killed left on a kernel without tcx, and says
/// how many there were.
pub fn remove_leftovers(interface: &Interface) -> u64 {
    [TcAttachType::Ingress, TcAttachType::Egress]
        .into_iter()
        .map(|side| u64::from(remove_leftover(interface, side)))
        .sum()
}

fn remove_leftover(interface: &Interface, side: TcAttachType) -> bool {
    let removed = filter(interface, side).is_ok_and(|link| link.detach().is_ok());
    if removed {
        tracing::info!("{}: removed a tc filter left by an earlier run", interface.name);
    }
    removed
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
