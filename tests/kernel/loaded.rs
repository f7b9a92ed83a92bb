//! What the object is made of, and what the kernel makes of it.

use std::collections::{HashMap, HashSet};

use detector::source::kernel::object::{OBJECT, ObjectConfig, classifier, xdp};
use detector_common::abi::program;
use detector_common::parse::Decapsulation;
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionIndex,
    SymbolIndex, SymbolKind,
};

use crate::bed::{FETCHING, Kernel, PROGRAMS, is_xdp, small};
use crate::{ALL_TUNNELS, config};

/// A function of the object: its name, its section and the places of its instructions there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Function<'a> {
    name: &'a str,
    section: SectionIndex,
    start: u64,
    end: u64,
}

/// Functions, instructions, and whom calls between sections go to.
struct Disassembly {
    file: object::File<'static>,
}

const INSTRUCTION_BYTES: u64 = 8;

impl Disassembly {
    fn functions(&self) -> impl Iterator<Item = Function<'_>> {
        let symbols = self.file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
        symbols.filter(|symbol| symbol.size() != 0).map(|symbol| Function {
            name: symbol.name().unwrap(),
            section: symbol.section_index().unwrap(),
            start: symbol.address(),
            end: symbol.address() + symbol.size(),
        })
    }

    /// The function's instructions with their places in its section.
    fn instructions(&self, function: Function<'_>) -> Vec<(u64, [u8; 8])> {
        let section = self.file.section_by_index(function.section).unwrap();
        let bytes = section.data().unwrap();
        let bytes = &bytes[function.start as usize..function.end as usize];
        let mut places = (function.start..).step_by(INSTRUCTION_BYTES as usize);
        let mut instructions = Vec::new();
        let mut chunks = bytes.as_chunks::<8>().0.iter();
        while let (Some(place), Some(instruction)) = (places.next(), chunks.next()) {
            instructions.push((place, *instruction));
            // A 64-bit immediate takes two places.
            if instruction[0] == 0x18 {
                places.next();
                chunks.next();
            }
        }
        instructions
    }

    /// The functions that `function` calls.
    fn calls(&self, function: Function<'_>) -> Vec<Function<'_>> {
        const CALL: u8 = 0x85;
        const OF_A_FUNCTION: u8 = 0x10;
        let section = self.file.section_by_index(function.section).unwrap();
        let relocations: HashMap<u64, SymbolIndex> = section
            .relocations()
            .filter_map(|(place, relocation)| match relocation.target() {
                RelocationTarget::Symbol(symbol) => Some((place, symbol)),
                _ => None,
            })
            .collect();
        let instructions = self.instructions(function);
        let calls = instructions
            .iter()
            .filter(|(_, bytes)| bytes[0] == CALL && bytes[1] & 0xf0 == OF_A_FUNCTION);
        calls
            .map(|(place, [_, _, _, _, distance @ ..])| {
                let distance = (i64::from(i32::from_le_bytes(*distance)) + 1) * 8;
                let (section, from) = match relocations.get(place) {
                    Some(symbol) => {
                        let symbol = self.file.symbol_by_index(*symbol).unwrap();
                        let named = symbol.kind() == SymbolKind::Text;
                        let from = symbol.address() as i64 - if named { distance } else { 0 };
                        (symbol.section_index().unwrap(), from)
                    }
                    None => (function.section, *place as i64),
                };
                let target = (from + distance) as u64;
                self.functions()
                    .find(|other| other.section == section && other.start == target)
                    .unwrap_or_else(|| panic!("{}: a call to nowhere at {place}", function.name))
            })
            .collect()
    }

    /// Everything that runs when a program does.
    fn reached(&self, program: &str) -> HashSet<Function<'_>> {
        let mut ahead: Vec<_> = self.functions().filter(|known| known.name == program).collect();
        assert_eq!(ahead.len(), 1, "{program}");
        let mut reached = HashSet::new();
        while let Some(function) = ahead.pop() {
            if reached.insert(function) {
                ahead.extend(self.calls(function));
            }
        }
        reached
    }

    /// Atomic instructions that run when a program does: all, and those that came with 5.12.
    fn atomics(&self, program: &str) -> (usize, usize) {
        let reached = self.reached(program);
        let instructions = reached.iter().flat_map(|function| self.instructions(*function));
        let newer: Vec<bool> = instructions.filter_map(|(_, bytes)| needs_5_12(&bytes)).collect();
        (newer.len(), newer.iter().filter(|newer| **newer).count())
    }
}

/// Linux 5.10 has addition without a fetch and no other atomic instruction.
fn needs_5_12(instruction: &[u8; 8]) -> Option<bool> {
    const STX_ATOMIC_WORD: u8 = 0xc3;
    const STX_ATOMIC_DOUBLE: u8 = 0xdb;
    let [code, _, _, _, immediate @ ..] = instruction;
    matches!(*code, STX_ATOMIC_WORD | STX_ATOMIC_DOUBLE)
        .then(|| i32::from_le_bytes(*immediate) != 0)
}

#[test]
fn atomics_are_those_of_linux_5_10() {
    assert_eq!(needs_5_12(&[0xdb, 0, 0, 0, 0, 0, 0, 0]), Some(false));
    assert_eq!(needs_5_12(&[0xdb, 0, 0, 0, 1, 0, 0, 0]), Some(true), "a fetch");
    assert_eq!(needs_5_12(&[0xc3, 0, 0, 0, 0x40, 0, 0, 0]), Some(true), "an or");
    assert_eq!(needs_5_12(&[0x7b, 0, 0, 0, 1, 0, 0, 0]), None, "a plain store");

    let object = Disassembly { file: object::File::parse(OBJECT).unwrap() };
    for program in PROGRAMS {
        let (all, newer) = object.atomics(program);
        println!("{program}: {all} atomics in {} functions", object.reached(program).len());
        assert!(all > 20 && object.reached(program).len() > 10, "{program}: nothing was found");
        assert_eq!(newer, 0, "{program}");
    }
    for program in FETCHING {
        assert_eq!(object.atomics(program).1, 1, "{program}: a budget is charged by one fetch");
    }
    for program in BY_HAND {
        assert_eq!(object.atomics(program).1, 0, "{program}");
    }
}

/// What the agent runs and never attaches.
const BY_HAND: [&str; 4] =
    [program::CLOSE_FLOWS, program::REMOVE_FLOWS, program::SET_BUDGET, program::READ_CLOCKS];

/// The configuration's sizes, not the tests'.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn map_memory_is_bounded_at_the_defaults() {
    let defaults = detector::config::Config::default();
    let kernel = Kernel::load(&ObjectConfig {
        max_flows: defaults.kernel.max_flows.get(),
        max_overflow_entries: defaults.kernel.max_overflow_entries.get(),
        ring_buffer_bytes: defaults.kernel.ring_buffer_bytes,
        ..small()
    });
    let bytes = kernel.object.map_memory_bytes().unwrap();
    println!("maps: {bytes} bytes");
    assert!(bytes > defaults.flow_map_bytes());
    // Flows take 96 MiB of it, entries and their counters 15, budgets 9.
    assert!(bytes < 144 << 20, "{bytes} bytes of maps at the default configuration");
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn the_verifier_has_room_to_spare() {
    let closed = Decapsulation::default();
    for decapsulation in [
        closed,
        Decapsulation { vxlan: true, ..closed },
        Decapsulation { gre: true, ..closed },
        Decapsulation { gtp_u: true, ..closed },
        Decapsulation { ip_in_ip: true, ..closed },
        Decapsulation { geneve: true, ..closed },
        Decapsulation { erspan: true, ..closed },
        Decapsulation { l2tp: true, ..closed },
        ALL_TUNNELS,
    ] {
        println!("{decapsulation:?}");
        let mut kernel = Kernel::load(&config(decapsulation));
        for name in PROGRAMS.into_iter().chain(FETCHING) {
            kernel.ready(name);
            let ebpf = &mut kernel.object.ebpf;
            let info = if is_xdp(name) {
                xdp(ebpf, name).unwrap().info()
            } else {
                classifier(ebpf, name).unwrap().info()
            };
            let count = info.unwrap().verified_instruction_count().unwrap();
            println!("  {name}: {count} instructions verified");
            assert!(count > 0 && count < 250_000, "{name}: {count} instructions");
        }
    }
}
