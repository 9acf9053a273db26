//! The names of fields that a store handles by itself.

/// The names of the fields that a store writes, reads and removes when it moves entries to the dead letters and
/// back. The scripts of a server are given them as arguments, so no script knows a name of its own.
#[derive(Debug)]
pub struct FieldNames {
    /// The field that names the only group of an entry.
    pub only_group: &'static str,
    /// What the name of every field begins with that a dead letter has and the original entry has not.
    pub dead_letter_prefix: &'static str,
    /// In a dead letter: the stream of the original entry.
    pub dead_letter_stream: &'static str,
    /// In a dead letter: the group that has given the entry up.
    pub dead_letter_group: &'static str,
    /// All fields that a dead letter adds, in their order: the id of the original entry, its stream, the group, the
    /// consumer, the attempts, the error, the reason, and the time.
    pub dead_letter: [&'static str; 8],
}
