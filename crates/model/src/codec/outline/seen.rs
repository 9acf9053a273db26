//! Which lists of keys came once.

/// A list of keys gets a shape when it comes again while its hash is still here. Later ones take the places of earlier ones, so that
/// keys that never come again cost 8 KiB and no more.
#[derive(Debug)]
pub(super) struct Seen {
    hashes: Box<[u64; PLACES]>,
}

const PLACES: usize = 1024;

impl Seen {
    pub(super) fn new() -> Self {
        Seen { hashes: Box::new([0; PLACES]) }
    }

    /// Whether it came before, as far as is known.
    pub(super) fn came(&mut self, hash: u64) -> bool {
        let place = usize::try_from(hash % PLACES as u64).unwrap_or_default();
        self.hashes.get_mut(place).is_some_and(|known| std::mem::replace(known, hash) == hash)
    }
}
