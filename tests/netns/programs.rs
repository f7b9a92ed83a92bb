//! What is attached to an interface.

use aya::programs::{SchedClassifier, TcAttachType};
use detector_tests::Namespace;

/// Programs of every kind, as the kernel and its tools name them; empty where there are none.
pub(crate) fn programs_on(namespace: &Namespace, device: &str) -> String {
    let link = namespace.ip(&format!("-details link show dev {device}")).unwrap();
    let xdp: String = link.lines().filter(|line| line.contains("xdp")).collect();
    let filters: String = ["ingress", "egress"]
        .iter()
        .map(|side| {
            namespace.run("tc", ["filter", "show", "dev", device, side]).unwrap_or_default()
        })
        .collect();
    // tcx, which tools of older releases do not know of.
    let tcx = |side| {
        let query = || SchedClassifier::query_tcx(device, side);
        namespace.enter(query).unwrap().map(|(_, programs)| programs).unwrap_or_default()
    };
    let tcx: String = [TcAttachType::Ingress, TcAttachType::Egress]
        .into_iter()
        .flat_map(tcx)
        .map(|program| format!("tcx {}", program.name_as_str().unwrap_or("unnamed")))
        .collect();
    xdp + &filters + &tcx
}
