//! Arbitrary bytes as an HTTP/1 request: everything it names lies within it, and a request whose headers
//! ended says the same however much of its body is there.
#![no_main]

use detector::flow::content::file::Body;
use detector::flow::content::http::{Request, is_address, is_upload, method};
use detector_fuzz::{cuts, is_within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let whole = Request::decode(data);
    assert_eq!(whole.map(|request| request.method), method(data));
    if let Some(request) = &whole {
        bounds(request, data);
    }
    cuts(data, |part| {
        let Some(cut) = Request::decode(part) else { return };
        let whole = whole.expect("a part of it was read");
        assert_eq!(cut.method, whole.method);
        if cut.whole {
            assert!(whole.body.starts_with(cut.body));
            assert_eq!(Request { body: &[], ..cut }, Request { body: &[], ..whole });
        }
    });
});

fn bounds(request: &Request<'_>, data: &[u8]) {
    assert!(data.starts_with(request.method.as_bytes()));
    assert!(is_within(request.target.as_bytes(), data));
    assert!(is_within(request.body, data));
    assert!(request.whole || request.body.is_empty());
    let _known = (request.names_script(), is_upload(request.method), Body::of(request.body));
    if let Some(host) = request.host {
        assert!(!host.is_empty() && is_within(host.as_bytes(), data));
        let _known = is_address(host);
    }
}
