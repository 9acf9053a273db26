//! Groups against a store, in virtual time.

mod groups;
mod life;
mod order;
mod suspects;
mod takeover;
mod world;
