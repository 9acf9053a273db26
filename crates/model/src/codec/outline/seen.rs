//! Which lists of keys came once.

/// A list of keys gets a shape when it comes again while its hash is still here. Later ones take the places of earlier ones, so that
/// keys that never come again cost 64 KiB and no more.
#[derive(Debug)]
pub(super) struct Seen {
    hashes: Box<[[u64; WAYS]]>,
    next: usize,
}

const PLACES: usize = 2048;

/// How many lists are remembered at the most.
pub(super) const REMEMBERED: usize = PLACES * WAYS;

/// How many hashes have one place: lists that come in turn would else put each other out for ever.
const WAYS: usize = 4;

impl Seen {
    pub(super) fn new() -> Self {
        Seen { hashes: vec![[0; WAYS]; PLACES].into(), next: 0 }
    }

    /// Whether it came before, as far as is known.
    pub(super) fn came(&mut self, hash: u64) -> bool {
        let Some(known) = self.hashes.get_mut(hash as usize % PLACES) else { return false };
        if known.contains(&hash) {
            return true;
        }
        self.next = (self.next + 1) % WAYS;
        if let Some(oldest) = known.get_mut(self.next) {
            *oldest = hash;
        }
        false
    }
}
