//! A question of administration, declared once: its name, its arguments and what answers it.

use std::future::Future;
use std::pin::Pin;

use oxbus_model::BusError;
use serde_json::Value;

use crate::admin::arguments::Arguments;
use crate::admin::context::Context;

/// The answer to a question, as JSON. An event in it is JSON text.
pub(super) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Value, BusError>> + Send + 'a>>;

/// A question, or a command, of administration.
pub(crate) struct Question {
    /// The name by which the host asks it.
    pub(crate) name: &'static str,
    /// The names of its arguments. Any other is refused.
    pub(crate) arguments: &'static [&'static str],
    pub(super) answer: for<'a> fn(&'a Context, Arguments) -> Answer<'a>,
}

/// Declares the questions of a file: `"name" [arguments] => function`.
macro_rules! questions {
    ($($name:literal [$($argument:literal),*] => $answer:path;)+) => {
        pub(super) const QUESTIONS: &[crate::admin::question::Question] = &[
            $(crate::admin::question::Question {
                name: $name,
                arguments: &[$($argument),*],
                answer: |context, arguments| Box::pin($answer(context, arguments)),
            }),+
        ];
    };
}
pub(super) use questions;
