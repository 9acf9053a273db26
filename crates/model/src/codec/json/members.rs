//! Members of an object, and texts, by their names and values as they are written.

use std::borrow::Cow;

use super::{Refused, Scanner};

/// The values of the members `names` as they are written, the last of each as V8 takes it, and all other
/// members as text, each behind a comma.
pub(crate) fn members<'a, const N: usize>(
    scanner: &mut Scanner<'a>,
    names: [&str; N],
) -> Result<([Option<&'a str>; N], String), Refused> {
    let mut values: [Option<&str>; N] = [None; N];
    let mut others = String::new();
    scanner.object(|scanner, name| {
        let value = scanner.value()?;
        let text = name.lossy();
        match names.iter().zip(&mut values).find(|(known, _)| **known == text) {
            Some((_, last)) => *last = Some(value),
            None => others.extend([",", name.json(), ":", value]),
        }
        Ok(())
    })?;
    Ok((values, others))
}

/// The text that a JSON string holds; `None` for other JSON.
pub(crate) fn text_of(json: &str) -> Option<Cow<'_, str>> {
    Some(Scanner::new(json).string().ok()?.lossy())
}
