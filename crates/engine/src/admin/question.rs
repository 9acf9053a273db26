//! A question of administration, declared once: its name, its arguments and what answers it.

use std::future::Future;
use std::pin::Pin;

use oxbus_model::BusError;

use crate::admin::arguments::Arguments;
use crate::admin::context::Context;
use crate::host::Answer;

/// The answer to a question, when it is there.
pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, BusError>> + Send + 'a>>;

/// A question, or a command, of administration.
pub(crate) struct Question {
    /// The name by which the host asks it.
    pub(crate) name: &'static str,
    /// The names of its arguments. Any other is refused.
    pub(crate) arguments: &'static [&'static str],
    pub(super) answer: for<'a> fn(&'a Context, Arguments) -> Answering<'a>,
}

/// Declares the questions of a file: `"name" [arguments] => function`.
macro_rules! questions {
    ($($name:literal [$($argument:literal),*] => $answer:path;)+) => {
        pub(super) const QUESTIONS: &[crate::admin::question::Question] = &[
            $(crate::admin::question::Question {
                name: $name,
                arguments: &[$($argument),*],
                answer: |context, arguments| {
                    Box::pin(async move { $answer(context, arguments).await.map(Into::into) })
                },
            }),+
        ];
    };
}
pub(super) use questions;
