//! Writing JSON by hand: for the members of a drain that are many and whose parts are JSON already.

use std::fmt::{Display, Write};

use serde::Serialize;

/// Begins a member of the object that `out` holds so far.
pub(crate) fn member(out: &mut String, name: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    put(out, format_args!("\"{name}\":"));
}

/// Writes an array; `write` writes one element.
pub(crate) fn list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Writes a member that is an array, unless it would be empty: what is absent counts as empty.
pub(crate) fn list_member<T>(out: &mut String, name: &str, items: &[T], write: impl FnMut(&mut String, &T)) {
    if !items.is_empty() {
        member(out, name);
        list(out, items, write);
    }
}

/// Writes a value as JSON.
pub(crate) fn value(out: &mut String, value: &(impl Serialize + ?Sized)) {
    out.push_str(&text(value));
}

/// A value as JSON.
pub(crate) fn text(value: &(impl Serialize + ?Sized)) -> String {
    // Only a map whose keys are not text cannot be written, and none of them crosses.
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Writes a value in the form in which it is shown, which must be JSON.
pub(crate) fn put(out: &mut String, value: impl Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}
