//! Groups against a store, in virtual time.

mod life;
mod order;
mod suspects;
mod world;
