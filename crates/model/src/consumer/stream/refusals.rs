//! The requests about a stream that the server refuses.

use crate::BusError;

/// The requests about a stream that were refused the last time, each once.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Vec<(&'static str, BusError)>);

impl Refusals {
    /// Why one of them was refused.
    pub(crate) fn first(&self) -> Option<&BusError> {
        self.0.first().map(|(_, error)| error)
    }

    /// A request was answered, with an error if it was refused. Returns whether it is the first that is refused.
    pub(crate) fn answered(&mut self, name: &'static str, refused: Option<&BusError>) -> bool {
        if self.0.is_empty() && refused.is_none() {
            return false;
        }
        let is_first = self.0.is_empty();
        self.0.retain(|(other, _)| *other != name);
        let Some(error) = refused else { return false };
        self.0.push((name, error.clone()));
        is_first
    }
}
