//! Whether the programs are where they were attached: the kernel is asked what runs at each hook, and the
//! BPF file system for the pins. It changes nothing.

use std::io;

use anyhow::Context as _;
use aya::programs::TcAttachType;

use super::attach::{Attachment, CLSACT_PRIORITY, Held, Place};
use super::interfaces::Interface;
use super::netlink;
use super::object::{Object, classifier, xdp};
use super::pins::Pins;
use super::sys;

/// The two sides of an interface, in the order of its places.
pub(super) const SIDES: [TcAttachType; 2] = [TcAttachType::Ingress, TcAttachType::Egress];

/// Parents of clsact filters: `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)` and `…_EGRESS`.
const CLSACT_PARENTS: [u32; 2] = [0xffff_fff2, 0xffff_fff3];

/// What became of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Displaced {
    /// It is at its hook no more.
    TakenOff,
    /// Another is at its hook, which has room for one.
    Replaced,
    /// Another runs before it that did not when it was attached.
    Behind,
    /// It runs, and would not outlive the agent: its pin is gone.
    Unpinned,
}

impl Displaced {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TakenOff => "taken off",
            Self::Replaced => "replaced",
            Self::Behind => "behind",
            Self::Unpinned => "unpinned",
        }
    }
}

/// What runs at a hook, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Ours runs, after so many others.
    After(usize),
    /// Ours does not run, and so many others do.
    Others(usize),
}

/// What became of a program, where it is not as it was.
pub(super) fn look(
    place: &Place,
    object: &mut Object,
    interface: &Interface,
    side: usize,
    pins: &Pins,
) -> anyhow::Result<Option<Displaced>> {
    let found = found(place, object, interface, side)?;
    let pinned = matches!(place.held, Some(Held::Pinned(_)));
    let unpinned = || {
        let pin = place.hook.and_then(|hook| pins.link(interface.index, hook));
        pinned && pin.is_none()
    };
    Ok(match found {
        Found::Others(1..) if is_xdp(place) => Some(Displaced::Replaced),
        Found::Others(_) => Some(Displaced::TakenOff),
        Found::After(others) if others > place.before => Some(Displaced::Behind),
        Found::After(_) => unpinned().then_some(Displaced::Unpinned),
    })
}

/// Notes which others run before the programs: they were there first.
pub(super) fn note_others(places: &mut [Place; 2], object: &mut Object, interface: &Interface) {
    for (side, place) in places.iter_mut().enumerate() {
        match found(place, object, interface, side) {
            Ok(Found::After(others)) => place.before = others,
            // The next look says so.
            Ok(Found::Others(_)) => {}
            Err(error) => tracing::debug!("{}: {error:#}", interface.name),
        }
    }
}

fn found(
    place: &Place,
    object: &mut Object,
    interface: &Interface,
    side: usize,
) -> anyhow::Result<Found> {
    let failed = || format!("failed to ask what runs on {}", interface.name);
    let id = program_id(place, object)?;
    let ids: Vec<u32> = match place.attachment {
        // aya's own call opens each program, which takes CAP_SYS_ADMIN.
        Attachment::Tcx => sys::tcx_programs(interface.index, side == 0).with_context(failed)?,
        Attachment::Clsact => {
            let filters = netlink::filters(interface.index, CLSACT_PARENTS[side]);
            let filters = filters.with_context(failed)?.into_iter();
            // Of another kind, or of another's program: no number of ours.
            let before = filters.take_while(|filter| filter.priority <= CLSACT_PRIORITY);
            before.map(|filter| filter.program.unwrap_or(0)).collect()
        }
        _ => netlink::xdp_programs(interface.index).with_context(failed)?,
    };
    Ok(match ids.iter().position(|other| *other == id) {
        // One program an interface and mode: nothing runs before it.
        Some(_) if is_xdp(place) => Found::After(0),
        Some(before) => Found::After(before),
        None => Found::Others(ids.len()),
    })
}

fn is_xdp(place: &Place) -> bool {
    !matches!(place.attachment, Attachment::Tcx | Attachment::Clsact)
}

fn program_id(place: &Place, object: &mut Object) -> anyhow::Result<u32> {
    let info = match is_xdp(place) {
        true => xdp(&mut object.ebpf, place.program)?.info(),
        false => classifier(&mut object.ebpf, place.program)?.info(),
    };
    Ok(info.context("failed to ask for the number of a program")?.id())
}

/// Whether an interface is there under this name and number.
pub(super) fn is_there(interface: &Interface) -> bool {
    let index: Result<u32, io::Error> =
        nix::net::if_::if_nametoindex(interface.name.as_str()).map_err(io::Error::from);
    index.is_ok_and(|index| index == interface.index)
}
