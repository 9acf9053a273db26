//! The places of a message, by the objects that they stand in.

use super::source::Source;

/// A place of a message: what stands there, and the members below it, in the order in which they were named.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) source: Option<Source>,
    pub(super) members: Vec<(Box<str>, Tree)>,
}

impl Tree {
    /// The tree of paths such as `metadata.eventId`. The empty path is the message itself.
    pub(super) fn of(places: &[(&str, Source)]) -> Tree {
        let mut root = Tree::default();
        for (path, source) in places {
            root.add(path, source.clone());
        }
        root
    }

    /// What is below a name.
    pub(super) fn member(&self, name: &str) -> Option<&Tree> {
        self.members.iter().find(|(known, _)| **known == *name).map(|(_, below)| below)
    }

    /// Adds a place.
    pub(super) fn add(&mut self, path: &str, source: Source) {
        let steps = path.split('.').filter(|step| !step.is_empty());
        let node = steps.fold(self, |node, step| {
            let index = node.members.iter().position(|(name, _)| **name == *step).unwrap_or_else(|| {
                node.members.push((step.into(), Tree::default()));
                node.members.len() - 1
            });
            &mut node.members[index].1
        });
        node.source = Some(source);
    }
}
