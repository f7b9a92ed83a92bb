//! Which interfaces are attached, and keeping up with those that come and go.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use detector_common::abi::{
    self, Hook, INTERFACE_INDEX_SLOTS, MAX_INTERFACES, Totals, observation_point,
};

use super::KernelSource;
use super::attach::{Attached, attach};
use super::balance::settled;
use super::claims;
use super::interfaces::{self, Interface};
use super::netlink::{self, Link};
use super::object::Object;
use super::places;
use super::stack::{hands_xdp_down, roles};
use crate::network::Network;
use crate::refusal::Refusal;
use crate::source::capture::default_prefixes;

/// An attached interface.
#[derive(Debug)]
pub struct Watched {
    pub interface: Interface,
    pub attached: Attached,
    slot: u16,
    /// What the slot had counted before: for another interface, or an earlier agent.
    before: [SeenPoint; 2],
}

/// An interface and what was seen of it.
#[derive(Debug)]
pub struct Seen {
    pub name: String,
    /// None: it is not watched.
    pub watched: Option<SeenTraffic>,
}

/// What a watched interface carried.
#[derive(Debug)]
pub struct SeenTraffic {
    /// How, for people.
    pub ingress: String,
    pub egress: String,
    pub reasons: Vec<String>,
    pub received: SeenPoint,
    pub sent: SeenPoint,
}

/// What an observation point counted since the interface is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenPoint {
    pub frames: u64,
    pub bytes: u64,
    /// Bytes of frames that are no IP packet: a part of `bytes`.
    pub skipped_bytes: u64,
    /// Bytes that no counter accounts for.
    pub unaccounted_bytes: i64,
}

impl SeenPoint {
    fn of(totals: &Totals) -> Self {
        Self {
            frames: totals.frames.packets,
            bytes: totals.frames.bytes,
            skipped_bytes: totals.skipped.iter().map(|count| count.bytes).sum(),
            unaccounted_bytes: totals.unaccounted().1,
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            frames: self.frames.saturating_sub(before.frames),
            bytes: self.bytes.saturating_sub(before.bytes),
            skipped_bytes: self.skipped_bytes.saturating_sub(before.skipped_bytes),
            unaccounted_bytes: self.unaccounted_bytes - before.unaccounted_bytes,
        }
    }
}

/// What a rescan brought about.
#[derive(Debug)]
pub enum Change {
    Attached { name: String, how: String, reasons: Vec<String> },
    Gone { name: String },
    Failed { name: String, error: anyhow::Error },
}

/// The interfaces by their place in the programs' tables.
#[derive(Debug, Default)]
pub(super) struct Slots {
    watched: BTreeMap<u32, Watched>,
    /// Slots used so far, and those of interfaces that went away.
    used: u16,
    free: Vec<u16>,
    /// Slots of an earlier agent's interfaces that are not watched again yet, by the low bits of
    /// their index.
    earlier: BTreeMap<u32, u16>,
    /// What the programs know of which devices count.
    roles: BTreeMap<u32, u8>,
}

impl Slots {
    pub(super) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// The slots that an earlier agent gave out, so that its totals continue.
    pub(super) fn adopt(object: &mut Object) -> anyhow::Result<Self> {
        let earlier = object.interfaces()?;
        let slots = u16::try_from(MAX_INTERFACES).unwrap_or(u16::MAX);
        let mut used = earlier.values().map(|slot| slot + 1).max().unwrap_or(0);
        // Those of interfaces that went away have an entry no more, but totals.
        for slot in (used..slots).rev() {
            let mut totals = object.totals(observation_point(slot, Hook::Ingress))?;
            totals += object.totals(observation_point(slot, Hook::Egress))?;
            if totals.frames.packets != 0 {
                used = slot + 1;
                break;
            }
        }
        let free = (0..used).filter(|slot| !earlier.values().any(|taken| taken == slot)).collect();
        Ok(Self { used, free, earlier, ..Self::default() })
    }

    pub(super) fn watched_mut(&mut self) -> impl Iterator<Item = &mut Watched> {
        self.watched.values_mut()
    }

    fn take(&mut self) -> Option<u16> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        if u32::from(self.used) >= MAX_INTERFACES {
            return None;
        }
        self.used += 1;
        Some(self.used - 1)
    }

    /// The sum over all observation points there ever were: a slot that is used again counts on.
    pub(super) fn totals(&self, object: &mut Object) -> anyhow::Result<Totals> {
        let mut sum = Totals::default();
        for slot in 0..self.used {
            for hook in [Hook::Ingress, Hook::Egress] {
                sum += object.totals(observation_point(slot, hook))?;
            }
        }
        Ok(sum)
    }
}

impl KernelSource {
    /// The attached interfaces.
    pub fn watched(&self) -> impl Iterator<Item = &Watched> {
        self.slots.watched.values()
    }

    /// Sees that every interface that was asked for is there.
    pub fn check_selection(&self) -> anyhow::Result<()> {
        self.selection.check(&interfaces::list()?)
    }

    /// Attaches to interfaces that are new and lets go of those that went away.
    pub fn rescan(&mut self) -> anyhow::Result<Vec<Change>> {
        let there = interfaces::list()?;
        let mut changes = self.let_go(&there)?;
        let wanted: Vec<Interface> =
            there.into_values().filter(|interface| self.selection.contains(interface)).collect();
        let home = self.home_networks(&wanted);
        self.set_home(&home)?;
        self.home = home;
        let links = self.links();
        let meant: BTreeSet<u32> = wanted.iter().map(|interface| interface.index).collect();
        for interface in wanted {
            if let Some(watched) = self.slots.watched.get_mut(&interface.index) {
                let (known, now) = (&watched.interface.name, &interface.name);
                if known != now {
                    tracing::info!("interface {known} was renamed to {now}");
                }
                watched.interface = interface;
                continue;
            }
            let name = interface.name.clone();
            let at_tc = hands_xdp_down(&links, interface.index, &meant);
            changes.push(match self.watch(interface, at_tc) {
                Ok((how, reasons)) => Change::Attached { name, how, reasons },
                Err(error) => Change::Failed { name, error },
            });
        }
        self.forget_earlier()?;
        self.set_roles(&links)?;
        Ok(changes)
    }

    /// Which devices lie above which; nothing where that cannot be read.
    fn links(&self) -> Vec<Link> {
        netlink::links().unwrap_or_else(|error| {
            tracing::warn!("failed to read which devices lie above which, so all count: {error}");
            Vec::new()
        })
    }

    /// Says to the programs which devices count.
    fn set_roles(&mut self, links: &[Link]) -> anyhow::Result<()> {
        let watched: BTreeSet<u32> = self.slots.watched.keys().copied().collect();
        let roles = roles(links, &watched);
        let before = std::mem::take(&mut self.slots.roles);
        for index in before.keys().filter(|index| !roles.contains_key(index)) {
            let known = self.object.interface(*index)?;
            if known.index == *index && known.slot == 0 {
                self.object.set_interface(*index, abi::Interface::default())?;
            }
        }
        for (index, role) in roles.iter().filter(|(index, role)| before.get(index) != Some(role)) {
            let (index, role) = (*index, *role);
            let known = self.object.interface(index)?;
            // Of two with the same low bits the one that is watched has the place.
            if known.slot == 0 || known.index == index {
                let slot = if known.index == index { known.slot } else { 0 };
                let link = if known.index == index { known.link } else { 0 };
                self.object.set_interface(index, abi::Interface { index, slot, link, role })?;
            }
        }
        self.slots.roles = roles;
        Ok(())
    }

    /// Lets go of an earlier agent's interfaces that are not watched again.
    fn forget_earlier(&mut self) -> anyhow::Result<()> {
        if self.slots.earlier.is_empty() {
            return Ok(());
        }
        self.pins.take_off_others(|index| self.slots.watched.contains_key(&index))?;
        for (index, slot) in std::mem::take(&mut self.slots.earlier) {
            self.object.set_interface(index, abi::Interface::default())?;
            self.slots.free.push(slot);
        }
        Ok(())
    }

    fn let_go(&mut self, there: &BTreeMap<String, Interface>) -> anyhow::Result<Vec<Change>> {
        let gone: Vec<u32> = self
            .slots
            .watched
            .keys()
            .filter(|index| {
                let stays = |interface: &Interface| {
                    interface.index == **index && self.selection.contains(interface)
                };
                !there.values().any(stays)
            })
            .copied()
            .collect();
        let mut changes = Vec::new();
        for index in gone {
            if let Some(watched) = self.slots.watched.remove(&index) {
                self.pins.take_off(index, &[])?;
                self.object.set_interface(index, abi::Interface::default())?;
                self.slots.free.push(watched.slot);
                changes.push(Change::Gone { name: watched.interface.name });
            }
        }
        Ok(changes)
    }

    /// `at_tc`: its received packets, whatever the configuration says, because devices below it have XDP
    /// programs of their own.
    fn watch(
        &mut self,
        interface: Interface,
        at_tc: bool,
    ) -> anyhow::Result<(String, Vec<String>)> {
        let index = interface.index;
        let claim = claims::claim(&interface, &self.runtime_dir)?;
        let slot = self.take_slot(index)?;
        // Until it is known what lies below it, it counts.
        let role = abi::Interface::COUNTS | abi::Interface::COVERS;
        let entry = abi::Interface { index, slot: slot + 1, link: interface.link as u8, role };
        // Before the programs are attached: a frame of an unknown interface is not counted.
        self.object.set_interface(index, entry)?;
        let before = [self.point(slot, Hook::Ingress)?, self.point(slot, Hook::Egress)?];
        match attach(&mut self.object, &interface, self.xdp, at_tc, &self.pins, claim) {
            Ok(mut attached) => {
                places::note_others(&mut attached.places, &mut self.object, &interface);
                let how = format!("ingress {}, egress {}", attached.ingress, attached.egress);
                let reasons = attached.reasons.clone();
                self.slots.watched.insert(index, Watched { interface, attached, slot, before });
                Ok((how, reasons))
            }
            Err(error) => {
                self.object.set_interface(index, abi::Interface::default())?;
                self.slots.free.push(slot);
                Err(error)
            }
        }
    }

    fn point(&mut self, slot: u16, hook: Hook) -> anyhow::Result<SeenPoint> {
        let totals = settled(|| self.object.totals(observation_point(slot, hook)))?;
        Ok(SeenPoint::of(&totals))
    }

    /// Watches an interface, or no longer, whatever the configuration says. It holds until the end
    /// of the run.
    pub fn say(&mut self, name: &str, watch: bool) -> anyhow::Result<Vec<Change>> {
        let there = interfaces::list()?;
        if !there.contains_key(name) {
            let known: Vec<&str> = there.keys().map(String::as_str).collect();
            let known = known.join(", ");
            let text = format!("there is no interface {name}: use one of {known}");
            bail!(Refusal::not_found(text));
        }
        self.selection.say(name, watch);
        let mut changes = self.rescan()?;
        let failed = |change: &Change| matches!(change, Change::Failed { name: failed, .. } if failed == name);
        if let Some(position) = changes.iter().position(failed) {
            self.selection.say(name, false);
            if let Change::Failed { error, .. } = changes.swap_remove(position) {
                return Err(error.context(format!("failed to watch {name}")));
            }
        }
        Ok(changes)
    }

    /// All interfaces, and what was seen of those that are watched.
    pub fn seen(&mut self) -> anyhow::Result<Vec<Seen>> {
        let mut seen = Vec::new();
        for interface in interfaces::list()?.into_values() {
            let Some(watched) = self.slots.watched.get(&interface.index) else {
                seen.push(Seen { name: interface.name, watched: None });
                continue;
            };
            let (slot, before) = (watched.slot, watched.before);
            let attached = &watched.attached;
            let told = (
                attached.ingress.to_string(),
                attached.egress.to_string(),
                attached.reasons.clone(),
            );
            let received = self.point(slot, Hook::Ingress)?.since(before[0]);
            let sent = self.point(slot, Hook::Egress)?.since(before[1]);
            let (ingress, egress, reasons) = told;
            let traffic = SeenTraffic { ingress, egress, reasons, received, sent };
            seen.push(Seen { name: interface.name, watched: Some(traffic) });
        }
        Ok(seen)
    }

    fn take_slot(&mut self, index: u32) -> anyhow::Result<u16> {
        if let Some(slot) = self.slots.earlier.remove(&(index % INTERFACE_INDEX_SLOTS)) {
            return Ok(slot);
        }
        if self.object.interface(index)?.slot != 0 {
            bail!("its index {index} has the same low 16 bits as that of an attached interface");
        }
        self.slots.take().with_context(|| {
            format!("{MAX_INTERFACES} interfaces are attached already, which is the limit")
        })
    }

    /// What is home: as configured, else the private ranges and the watched interfaces' own
    /// networks.
    fn home_networks(&self, watched: &[Interface]) -> Vec<Network> {
        if !self.configured_home.is_empty() {
            return self.configured_home.clone();
        }
        let mut networks: Vec<Network> =
            default_prefixes().into_iter().map(Network::from_prefix).collect();
        for network in watched.iter().flat_map(|interface| &interface.networks) {
            if !networks.contains(network) {
                networks.push(*network);
            }
        }
        networks
    }

    /// The home networks, as the programs know them.
    #[must_use]
    pub fn home(&self) -> &[Network] {
        &self.home
    }

    /// Takes the programs off all interfaces and removes all pins. The maps stay, to be read a last
    /// time.
    pub fn detach(&mut self) {
        self.slots.watched.clear();
        if let Err(error) = self.pins.remove() {
            tracing::error!("{error:#}");
        }
    }

    /// Leaves programs and maps in the kernel: blocks hold until they run out, and the next agent
    /// can take over.
    ///
    /// # Errors
    ///
    /// When nothing is pinned: the maps would stay, and nobody could ever reach them.
    pub fn keep(&mut self) -> anyhow::Result<()> {
        self.pins.check()?;
        self.pins.keep();
        for (_, watched) in std::mem::take(&mut self.slots.watched) {
            watched.attached.leave();
        }
        Ok(())
    }

    /// Sees that this agent's work can outlive it.
    pub fn check_pinned(&self) -> anyhow::Result<()> {
        self.pins.check()
    }
}
