//! Which devices lie above which, and so which of them count a packet: each is counted once a way.
//!
//! A device that is made of others (a bridge and its ports, a bond and its links, a VLAN over its device,
//! a VRF) shows packets that the others show, too. Where all devices below are watched, they count. Where
//! one of them is not, nobody can say which packets they have in common: both count, as too much is
//! seen and too little is not.

use std::collections::{BTreeMap, BTreeSet};

use detector_common::abi::Interface;

use super::netlink::Link;

/// Devices above one another that are followed.
const DEPTH: u32 = 8;

/// The role of each device that has one, by its index: see [`Interface::COUNTS`]. Those that are not watched
/// have one where devices below them count.
pub(super) fn roles(links: &[Link], watched: &BTreeSet<u32>) -> BTreeMap<u32, u8> {
    let stack = Stack { links, watched };
    let indices: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
    // One that has just come counts.
    let indices = indices.union(watched).copied();
    indices.map(|index| (index, stack.role(index))).filter(|(_, role)| *role != 0).collect()
}

/// Whether a device would put an XDP program of its own on devices that are watched themselves: a bond does,
/// and each has room for one.
pub(super) fn hands_xdp_down(links: &[Link], index: u32, watched: &BTreeSet<u32>) -> bool {
    let is_bond = |link: &&Link| link.index == index && matches!(&*link.kind, "bond" | "team");
    links.iter().any(|link| is_bond(&link))
        && links.iter().any(|link| link.master == Some(index) && watched.contains(&link.index))
}

struct Stack<'a> {
    links: &'a [Link],
    watched: &'a BTreeSet<u32>,
}

impl Stack<'_> {
    fn role(&self, index: u32) -> u8 {
        let mut role = 0;
        let below = self.is_counted_below(index, DEPTH);
        if self.watched.contains(&index) && !below {
            role |= Interface::COUNTS;
        }
        if self.watched.contains(&index) || below {
            role |= Interface::COVERS;
        }
        if self.is_seen_by_peer(index) {
            role |= Interface::SEEN_BY_PEER;
        }
        role
    }

    /// Whether there are devices below it, and all of them count, or have devices below that do.
    fn is_counted_below(&self, index: u32, depth: u32) -> bool {
        let mut below = self.below(index).peekable();
        depth != 0
            && below.peek().is_some()
            && below.all(|lower| {
                self.watched.contains(&lower) || self.is_counted_below(lower, depth - 1)
            })
    }

    fn below(&self, index: u32) -> impl Iterator<Item = u32> {
        let parts = self.links.iter().filter(move |link| link.master == Some(index));
        let own = self.links.iter().find(|link| link.index == index);
        let carrier = own.filter(|link| link.kind == "vlan").and_then(|link| link.lower);
        parts.map(|link| link.index).chain(carrier)
    }

    /// Whether the other end of its wire is here and counts what arrives.
    fn is_seen_by_peer(&self, index: u32) -> bool {
        let link = self.links.iter().find(|link| link.index == index);
        let peer = |link: &Link| link.lower.is_some_and(|peer| self.watched.contains(&peer));
        link.is_some_and(|link| link.loopback || (link.kind == "veth" && peer(link)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: u8 = Interface::COUNTS | Interface::COVERS;
    const ABOVE: u8 = Interface::COVERS;

    fn link(index: u32, kind: &str, master: u32, lower: u32) -> Link {
        let some = |number| Some(number).filter(|number| *number != 0);
        let (master, lower) = (some(master), some(lower));
        Link { index, kind: kind.to_owned(), master, lower, loopback: false }
    }

    #[test]
    fn a_bond_leaves_xdp_to_its_watched_links() {
        let links = [link(2, "", 4, 0), link(3, "", 4, 0), link(4, "bond", 0, 0)];
        for (index, watched, expected) in
            [(4, &[2, 4][..], true), (4, &[4], false), (2, &[2, 4], false), (5, &[2], false)]
        {
            let watched = watched.iter().copied().collect();
            assert_eq!(hands_xdp_down(&links, index, &watched), expected, "{index} {watched:?}");
        }
        let bridge = [link(2, "", 4, 0), link(4, "bridge", 0, 0)];
        assert!(!hands_xdp_down(&bridge, 4, &[2, 4].into()));
    }

    #[test]
    fn the_lowest_watched_devices_count() {
        let routed = [link(2, "", 0, 0), link(3, "", 0, 0)];
        let bridge = [link(2, "", 4, 0), link(3, "veth", 4, 9), link(4, "bridge", 0, 0)];
        let vlan = [link(2, "", 0, 0), link(3, "vlan", 0, 2), link(4, "macvlan", 0, 2)];
        let bond =
            [link(2, "", 4, 0), link(3, "", 4, 0), link(4, "bond", 0, 0), link(5, "vlan", 0, 4)];
        let pair = [link(2, "veth", 0, 3), link(3, "veth", 0, 2)];
        let circle = [link(2, "vlan", 0, 3), link(3, "vlan", 0, 2)];
        for (name, links, watched, expected) in [
            ("routed", &routed[..], &[2, 3][..], &[(2, COUNTS), (3, COUNTS)][..]),
            ("half of them", &routed, &[2], &[(2, COUNTS)]),
            ("bridge", &bridge, &[2, 3, 4], &[(2, COUNTS), (3, COUNTS), (4, ABOVE)]),
            ("its ports alone", &bridge, &[2, 3], &[(2, COUNTS), (3, COUNTS), (4, ABOVE)]),
            ("not all ports", &bridge, &[2, 4], &[(2, COUNTS), (4, COUNTS)]),
            ("the bridge alone", &bridge, &[4], &[(4, COUNTS)]),
            ("vlan", &vlan, &[2, 3], &[(2, COUNTS), (3, ABOVE)]),
            // What two of them send each other never reaches the device below.
            ("macvlan", &vlan, &[2, 4], &[(2, COUNTS), (3, ABOVE), (4, COUNTS)]),
            (
                "vlan over a bond",
                &bond,
                &[2, 3, 4, 5],
                &[(2, COUNTS), (3, COUNTS), (4, ABOVE), (5, ABOVE)],
            ),
            (
                "vlan over a bond that is not watched",
                &bond,
                &[2, 3, 5],
                &[(2, COUNTS), (3, COUNTS), (4, ABOVE), (5, ABOVE)],
            ),
            ("vlan over a bond alone", &bond, &[4, 5], &[(4, COUNTS), (5, ABOVE)]),
            (
                "both ends of a wire",
                &pair,
                &[2, 3],
                &[(2, COUNTS | Interface::SEEN_BY_PEER), (3, COUNTS | Interface::SEEN_BY_PEER)],
            ),
            ("one end", &pair, &[2], &[(2, COUNTS), (3, Interface::SEEN_BY_PEER)]),
            ("nonsense", &circle, &[], &[]),
            ("just come", &routed, &[7], &[(7, COUNTS)]),
        ] {
            let roles = roles(links, &watched.iter().copied().collect());
            assert_eq!(roles, expected.iter().copied().collect(), "{name}");
        }
    }
}
