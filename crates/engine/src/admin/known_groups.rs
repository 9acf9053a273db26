//! Which groups exist, asked once for each stream.

use std::collections::HashMap;

use oxbus_model::BusError;

use crate::admin::context::{Context, no_group};

/// Which groups exist: an entry for a group that does not would be handled by nobody.
#[derive(Default)]
pub(super) struct KnownGroups {
    by_stream: HashMap<String, Vec<String>>,
}

impl KnownGroups {
    /// Fails unless the stream has the group.
    pub(super) async fn check(
        &mut self,
        context: &Context,
        stream: &str,
        group: &str,
    ) -> Result<(), BusError> {
        if !self.by_stream.contains_key(stream) {
            let groups = context.describe(stream).await?.unwrap_or_default().groups;
            let names = groups.into_iter().map(|group| group.name).collect();
            self.by_stream.insert(stream.to_owned(), names);
        }
        if self.by_stream.get(stream).is_some_and(|names| names.iter().any(|name| name == group)) {
            return Ok(());
        }
        Err(no_group(group, &[stream]))
    }
}
