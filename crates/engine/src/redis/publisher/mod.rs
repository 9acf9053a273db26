//! The publishing link.
//!
//! - `prepare`, `composer`: from a submission to commands; `hybrid`: its side that needs no server.
//! - `session`: the pipeline of a connection; `replies`: what the server answers; `in_flight`: what each command is for.
//! - `batches`: whose publishes the commands are.
//! - `streams_ready`: when they may be sent.
//! - `replicated`: a second link, for what must be confirmed by replicas.

pub(crate) mod batches;
pub(crate) mod composer;
pub(crate) mod hybrid;
pub(crate) mod in_flight;
pub(crate) mod prepare;
pub(crate) mod replicated;
pub(crate) mod replies;
pub(crate) mod session;
pub(crate) mod streams_ready;
