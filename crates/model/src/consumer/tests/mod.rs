//! Groups against a store, in virtual time.

mod away;
mod clocks;
mod delays;
mod foreign;
mod groups;
mod late_patterns;
mod late_schedules;
mod leases;
mod leaving;
mod life;
mod losing;
mod members;
mod order;
mod outlines;
mod poison;
mod received;
mod schedules;
mod starts;
mod takeover;
mod told_losses;
mod updates;
mod world;
