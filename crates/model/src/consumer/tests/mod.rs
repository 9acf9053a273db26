//! Groups against a store, in virtual time.

mod groups;
mod life;
mod losing;
mod order;
mod received;
mod schedules;
mod suspects;
mod takeover;
mod world;
