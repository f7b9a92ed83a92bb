//! What is known of a host beyond the session that is judged. Everything may be unknown.

/// The history of a sender and its receiver at one moment. The default is that nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Context {
    /// Seconds since the sender, or any host at home, first sent to this receiver; 0 where it never
    /// did before this session.
    pub receiver_known_secs: Option<f32>,
}
