//! Which of several servers is the right one: [`master_choice`], from what sentinels say.

pub mod master_choice;
#[cfg(test)]
mod tests;
