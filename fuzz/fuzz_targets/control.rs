//! Arbitrary bytes as a line on the control socket, from either side: what is understood is written
//! and read back the same, within bounds.
#![no_main]

use detector::control::protocol::{MAX_CONFIRM_SECS, MAX_REASON_BYTES, Reply, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    match Request::parse(line) {
        Ok(request) => asked(&request),
        // What the client gets is one line, whatever it sent.
        Err(refusal) => one_line(&Reply::of(Err(refusal), None)),
    }
    if let Ok(reply) = Reply::parse(line) {
        one_line(&reply);
    }
});

fn asked(request: &Request) {
    let written = serde_json::to_vec(request).expect("what was read can be written");
    assert_eq!(&Request::parse(&written).expect("what was written can be read"), request);
    assert!(
        request.confirm_within_secs().is_none_or(|secs| (1..=MAX_CONFIRM_SECS).contains(&secs))
    );
    assert!(request.is_change() || request.confirm_within_secs().is_none());
    if let Request::BlocksAdd { target, reason, ttl_secs, .. } = request {
        assert_eq!(target.to_string().parse().ok().as_ref(), Some(target));
        assert!(reason.len() <= MAX_REASON_BYTES && !reason.contains('\n'));
        assert_ne!(*ttl_secs, Some(0));
    }
}

fn one_line(reply: &Reply) {
    let written = reply.line();
    assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(written.last(), Some(&b'\n'));
    assert_eq!(&Reply::parse(&written).expect("what was written can be read"), reply);
}
