//! What this host must never be cut off from: its own addresses, its gateways, its resolvers, and
//! whoever administers it right now.
//!
//! All of it is read again at each call, for the network namespace of the calling thread, and
//! returned in the form that flows hold addresses in. What is read is bounded and taken for
//! hostile.

mod admin;
mod resolver;
mod routes;

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::Context as _;
use nix::ifaddrs::getifaddrs;

use crate::network::Address;

pub use admin::admin_peers;
pub use resolver::resolvers;
pub use routes::gateways;

/// The addresses of all interfaces, loopback ones included.
pub fn own_addresses() -> anyhow::Result<BTreeSet<Address>> {
    let addresses = getifaddrs().context("failed to list the addresses of interfaces")?;
    Ok(addresses
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            let v6 = address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
            v4.or(v6).map(Address::from)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_addresses_are_ours() {
        let own = own_addresses().unwrap();
        assert!(own.contains(&Address::from([127, 0, 0, 1])), "{own:?}");
    }
}
