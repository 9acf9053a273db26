//! What is asked of a store of streams, and of who is in rooms: one vocabulary for Redis and for memory.
//!
//! Each [`Request`] is one step on the store: it happens as a whole or not at all. Requests that change
//! who owns an entry are *fenced*: they act only on entries that the named consumer still owns, and only while
//! no other client start has taken its name, and answer with those that it does not own.
//!
//! # Layout
//!
//! - `request`: [`Request`], with its units and its [`Response`]; `response`: [`Response`]
//! - `entry`: entries, as they are stored, pending, and on their way to the dead letters; `id`: their ids
//! - `consumer_id`, `position`: who asks for entries, and where a group stands; `min_idle`: whose entries may be claimed when
//! - `facts`: what is known of a group after a heartbeat; `info`: what there is to know of a stream
//! - `scan_cursor`: how far a scan has come
//! - [`skipped`]: what a group has read past
//! - [`registry`]: which streams the clients are configured with
//! - [`keys`]: the names of all keys; `name_template`: those that are made from others; `key_layout`: how they differ in a Redis Cluster; [`memory`]: a store in memory

mod consumer_id;
mod entry;
mod facts;
mod id;
mod info;
mod key_layout;
pub mod keys;
pub mod memory;
mod min_idle;
pub(crate) mod name_template;
mod position;
pub mod registry;
mod request;
mod response;
mod scan_cursor;
pub mod skipped;

pub use consumer_id::{ConsumerId, DELAYED};
pub use entry::{DeadLetterEntry, Fields, PendingEntry, RetryState, StoredEntry};
pub use facts::{FACTS_FORMAT, GroupFacts, Missed, TakeUpTask};
pub use id::EntryId;
pub use info::{ConsumerInfo, GroupInfo, StreamInfo};
pub use key_layout::{KeyLayout, SLOTS, crc16, fits_cluster, hash_tag, slot};
pub use memory::Streams;
pub use min_idle::MinIdle;
pub use name_template::NameTemplate;
pub use position::Position;
pub use registry::{RegisteredStream, WantedPattern};
pub use request::{BY_CHANNEL, Request};
pub use response::Response;
pub use scan_cursor::ScanCursor;
