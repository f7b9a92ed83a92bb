//! Putting the programs on an interface, and saying how and why so.
//!
//! A link goes with this process, or is held by a pin and taken over by the next: its program is
//! then replaced in one step, so that no packet passes unseen. Clsact filters of kernels without
//! tcx are neither: they stay when this process is killed, and the next replaces them in one step,
//! too, or takes them off; they are known by their place among the filters.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, anyhow};
use aya::programs::links::{FdLink, Link as _, LinkOrder, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcError, TcHandle, qdisc_add_clsact};
use aya::programs::xdp::XdpLink;
use aya::programs::{
    SchedClassifier, TcAttachType, Xdp as XdpProgram, XdpMode, tc::TcAttachOptions,
};

use super::interfaces::Interface;
use super::object::{Object, Programs, classifier, xdp};
use super::pins::{Hook, Lock, Pins, take_off};
use super::sys;
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
    /// Of received and of sent packets.
    pub(super) places: [Place; 2],
    /// Held while we watch: a second instance finds it taken.
    _claim: Option<Lock>,
}

impl Attached {
    /// Leaves on the interface what no pin holds.
    pub(super) fn leave(self) {
        for place in self.places {
            std::mem::forget(place.held);
        }
    }
}

/// A program on a hook, held by this process.
#[derive(Debug)]
pub(super) enum Link {
    Xdp(XdpLink),
    Tc(SchedClassifierLink),
}

/// What came of attaching to a hook.
#[derive(Debug)]
struct Placed {
    attachment: Attachment,
    /// The name of the program.
    program: &'static str,
    /// None for clsact filters, which have no name.
    hook: Option<Hook>,
    /// None where a pin holds it.
    link: Option<Link>,
}

/// A program at its place on an interface.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) attachment: Attachment,
    /// The name of the program.
    pub(super) program: &'static str,
    /// What it is pinned as; none for clsact filters.
    pub(super) hook: Option<Hook>,
    /// None while it is taken off.
    pub(super) held: Option<Held>,
    /// Programs and filters of others that run before it.
    pub(super) before: usize,
    /// It was found elsewhere, and is not back yet.
    pub(super) displaced: bool,
}

/// By what a program stays where it is.
#[derive(Debug)]
pub(super) enum Held {
    Own(#[expect(dead_code, reason = "it is taken off when it is dropped")] Link),
    /// The pin holds it, too: without the pin it stays until this process ends.
    Pinned(OwnedFd),
}

impl Place {
    fn of(placed: Placed, interface: &Interface, pins: &Pins) -> anyhow::Result<Self> {
        let Placed { attachment, program, hook, .. } = placed;
        let held = match pin(placed, interface, pins)? {
            Some(link) => Held::Own(link),
            None => {
                let path = hook.and_then(|hook| pins.link(interface.index, hook));
                let path = path.context("a link that was pinned has no pin")?;
                Held::Pinned(sys::open_pin(&path).context("failed to open a link's pin")?)
            }
        };
        Ok(Self { attachment, program, hook, held: Some(held), before: 0, displaced: false })
    }

    /// Attaches it again where it was.
    ///
    /// # Errors
    ///
    /// It is not attached; or it is, and cannot be pinned.
    pub(super) fn attach_again(
        &mut self,
        object: &mut Object,
        interface: &Interface,
        side: TcAttachType,
        pins: &Pins,
    ) -> anyhow::Result<()> {
        // What holds the former link takes off whatever is at its place: it goes first.
        self.held = None;
        if let Some(path) = self.hook.and_then(|hook| pins.link(interface.index, hook)) {
            take_off(&path)?;
        }
        let placed = self.attach(object, interface, side, pins)?;
        let pinned = Self::of(placed, interface, pins);
        self.held = match pinned {
            Ok(place) => place.held,
            Err(error) => {
                // Its link went with the failure.
                self.held = self.attach(object, interface, side, pins)?.link.map(Held::Own);
                return Err(error.context("it is attached, but not pinned"));
            }
        };
        Ok(())
    }

    fn attach(
        &self,
        object: &mut Object,
        interface: &Interface,
        side: TcAttachType,
        pins: &Pins,
    ) -> anyhow::Result<Placed> {
        let Self { attachment, program, hook, .. } = *self;
        let mode = match attachment {
            Attachment::XdpNativeFragments | Attachment::XdpNative => XdpMode::Driver,
            Attachment::XdpGeneric => XdpMode::Skb,
            Attachment::Tcx | Attachment::Clsact => {
                return attach_tc(object, interface, side, pins);
            }
        };
        let link = attach_xdp(object, program, interface, mode, pins)
            .map_err(|error| explain(error, interface))?;
        Ok(Placed { attachment, program, hook, link })
    }

    /// Pins it again under its name.
    pub(super) fn pin_again(&self, interface: &Interface, pins: &Pins) -> anyhow::Result<()> {
        match (&self.held, self.hook) {
            (Some(Held::Pinned(link)), Some(hook)) => {
                pins.pin_again(link.as_fd(), interface.index, hook)
            }
            _ => Ok(()),
        }
    }
}

/// Our place among clsact filters: by it the next start knows them. A name would not do, as others
/// name their programs alike.
pub(super) const CLSACT_PRIORITY: u16 = 61_000;
const CLSACT_HANDLE: TcHandle = TcHandle::new(0, 1);

/// Attaches both directions of an interface.
pub(super) fn attach(
    object: &mut Object,
    interface: &Interface,
    configured: Xdp,
    at_tc: bool,
    pins: &Pins,
    claim: Option<Lock>,
) -> anyhow::Result<Attached> {
    let wanted = if at_tc { Xdp::Tc } else { configured };
    // The two modes of XDP exclude each other.
    match wanted {
        Xdp::Native => pins.take_off(interface.index, &without(Hook::Generic))?,
        Xdp::Generic => pins.take_off(interface.index, &without(Hook::Native))?,
        Xdp::Tc => {}
    }
    let mut reasons = Vec::new();
    if wanted == Xdp::Tc {
        reasons.push(match configured {
            Xdp::Tc => "tc ingress by configuration".to_owned(),
            _ => "tc ingress, as the devices below it have XDP programs of their own".to_owned(),
        });
    }
    let ingress = ingress(object, interface, wanted, pins, &mut reasons)?;
    if ingress.attachment != Attachment::Clsact && !object.features.tcx {
        // It would count the same packets.
        remove_leftover(interface, TcAttachType::Ingress);
    }
    let egress = attach_tc(object, interface, TcAttachType::Egress, pins)?;
    let kept: Vec<Hook> = [&ingress, &egress].iter().filter_map(|placed| placed.hook).collect();
    pins.take_off(interface.index, &kept)?;
    let (ingress_attachment, egress_attachment) = (ingress.attachment, egress.attachment);
    let places = [Place::of(ingress, interface, pins)?, Place::of(egress, interface, pins)?];
    Ok(Attached {
        ingress: ingress_attachment,
        egress: egress_attachment,
        reasons,
        places,
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
            reasons.push("generic XDP by configuration: it sees merged frames".into());
            let link = attach_xdp(object, name, interface, XdpMode::Skb, pins)
                .map_err(|error| explain(error, interface))?;
            let attachment = Attachment::XdpGeneric;
            return Ok(Placed { attachment, program: name, hook: Some(Hook::Generic), link });
        }
        Xdp::Tc => {}
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
            Ok(link) => {
                let hook = Some(Hook::Native);
                return Ok(Some(Placed { attachment, program: name, hook, link }));
            }
            Err(error) if is(&error, libc::EBUSY) || is(&error, libc::EEXIST) => {
                return Err(explain(error, interface));
            }
            Err(error) if is(&error, libc::ENODEV) => return Err(explain(error, interface)),
            Err(error) => reasons.push(format!("the driver refused {name}: {}", cause(&error))),
        }
    }
    reasons.push("using tc for received packets, which sees merged frames".into());
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
        let attachment = Attachment::Clsact;
        return Ok(Placed { attachment, program: name, hook: None, link: Some(link) });
    }
    let placed =
        |link| Placed { attachment: Attachment::Tcx, program: name, hook: Some(hook), link };
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
            tracing::info!("{}: replaced a tc filter of an earlier run", interface.name);
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
        .with_context(|| format!("interface {} is gone", interface.name))
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
        tracing::info!("{}: removed a tc filter of an earlier run", interface.name);
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
            "{name} has an XDP program of another tool, which stays: use --config with kernel.xdp = \"tc\""
        ))
    } else if is(&error, libc::ENODEV) {
        error.context(format!("interface {name} disappeared during the attachment"))
    } else if is(&error, libc::EPERM) {
        error.context(format!(
            "no permission to attach to {name}: run as root or with CAP_NET_ADMIN"
        ))
    } else {
        error.context(format!("failed to attach to {name}"))
    }
}
