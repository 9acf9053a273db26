//! The keys of a shape, as they stand in the text.

/// The keys of objects of one shape, in their order.
#[derive(Debug)]
pub(super) struct Keys {
    /// Each key with its quotes and the colon, one behind the other, as most writers of JSON write them.
    written: Box<str>,
    /// Where each ends, and where the shape of its value may be known.
    ends: Box<[(u32, u8)]>,
}

/// The most keys of a shape.
pub(super) const MAX_KEYS: usize = 256;

/// The most bytes of all keys of a shape.
const MAX_BYTES: usize = 8 * 1024;

impl Keys {
    /// `None` for keys of which no shape is made: too many or too long, with escapes, twice the same, or such that an object does
    /// not keep them in order (array indexes) or not as a member (`__proto__`).
    pub(super) fn new(names: &[&str]) -> Option<Keys> {
        if names.len() > MAX_KEYS {
            return None;
        }
        let (mut written, mut ends) = (String::new(), Vec::with_capacity(names.len()));
        for (index, &name) in names.iter().enumerate() {
            let is_twice = names.get(..index).is_some_and(|before| before.contains(&name));
            if name == "__proto__" || name.contains('\\') || may_be_index(name) || is_twice {
                return None;
            }
            written.extend(["\"", name, "\":"]);
            ends.push((u32::try_from(written.len()).ok()?, place(name)));
            if written.len() > MAX_BYTES {
                return None;
            }
        }
        Some(Keys { written: written.into(), ends: ends.into() })
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The memory that they take, in bytes.
    pub(super) fn size(&self) -> usize {
        self.written.len() + size_of_val(&*self.ends)
    }

    /// The key at `index` with its quotes and its colon, and the place of its value's shape.
    #[inline]
    pub(super) fn written(&self, index: usize) -> Option<(&[u8], u8)> {
        let (end, place) = *self.ends.get(index)?;
        Some((self.written.as_bytes().get(self.end(index)..end as usize)?, place))
    }

    /// The first `count` keys, each with its quotes and its colon.
    pub(super) fn first(&self, count: usize) -> &[u8] {
        self.written.as_bytes().get(..self.end(count)).unwrap_or_default()
    }

    /// Where so many keys end.
    #[inline]
    fn end(&self, count: usize) -> usize {
        count.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |(end, _)| *end as usize)
    }

    /// Whether they are these, each with its quotes and its colon.
    pub(super) fn are(&self, written: &[u8]) -> bool {
        self.written.as_bytes() == written
    }

    /// Without quotes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.count()).filter_map(|index| {
            let written = self.written.get(self.end(index)..self.end(index + 1))?;
            written.strip_prefix('"')?.strip_suffix("\":")
        })
    }
}

/// Whether V8 may take a key for an index of an array; such keys come first in an object, by their numbers.
fn may_be_index(name: &str) -> bool {
    !name.is_empty() && name.len() <= 10 && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where the shape of the last value under this key is kept. Keys may share a place: then a wrong shape is expected, and the
/// right one is found by its keys.
pub(super) fn place(name: &str) -> u8 {
    let bytes = name.as_bytes();
    let of = |at: usize| usize::from(bytes.get(at).copied().unwrap_or_default());
    let (middle, last) = (of(bytes.len() / 2), of(bytes.len().saturating_sub(1)));
    let mixed = of(0).wrapping_mul(31).wrapping_add(middle).wrapping_mul(31).wrapping_add(last);
    let mixed = mixed.wrapping_mul(31).wrapping_add(bytes.len()) & 0xff;
    mixed.try_into().unwrap_or_default()
}
