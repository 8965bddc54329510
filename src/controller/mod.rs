//! What the running service does beside answering: it keeps what admission knows up to date.
//! Must not decide about pods; nor hold a request up.

pub mod watch;
