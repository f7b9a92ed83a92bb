//! Captures written byte by byte, so that tests know where each record starts.

/// The link type of Ethernet in captures.
pub const ETHERNET: u32 = 1;
const SECOND: u32 = 1_700_000_000;

/// Microseconds from one frame to the next.
const STEP: u32 = 100;

/// A pcap file with one frame every [`STEP`].
pub fn pcap(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let times = (0..).step_by(STEP as usize);
    timed(link, times.zip(frames.iter().map(Vec::as_slice)))
}

/// A pcap file of frames with their times in microseconds since its start.
pub fn timed<'a>(link: u32, frames: impl IntoIterator<Item = (u64, &'a [u8])>) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, link] {
        file.extend(word.to_le_bytes());
    }
    for (time, frame) in frames {
        let (seconds, micros) = ((time / 1_000_000) as u32, (time % 1_000_000) as u32);
        let length = frame.len() as u32;
        for word in [SECOND + seconds, micros, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// The same frames at the same times as a pcapng file.
pub fn pcapng(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len() + 12) as u32;
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &length.to_le_bytes()].concat()
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let interface = [&link.to_le_bytes()[..], &0_u32.to_le_bytes()].concat();
    let mut file = [block(0x0a0d_0d0a, &section), block(1, &interface)].concat();
    for (index, frame) in frames.iter().enumerate() {
        let time = u64::from(SECOND) * 1_000_000 + index as u64 * u64::from(STEP);
        let length = frame.len() as u32;
        let mut body = Vec::new();
        for word in [0, (time >> 32) as u32, time as u32, length, length] {
            body.extend(word.to_le_bytes());
        }
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(6, &body));
    }
    file
}
