//! Administration: streams, dead letters, history and replay, written once over a [`Store`](crate::transport::store::Store).
//!
//! No event in an answer is a tree: it is JSON text, which the host reads as it was written, or comes beside the answer (`told_events`).
//!
//! # Layout
//!
//! - this file: the questions by name; `question`: how each is declared, in the file that answers it
//! - `context`: what they work on, and the requests that several of them make; `arguments`: what callers give;
//!   `effect`: what the client has to do about an answer; `told_events`: the events of an answer
//! - `streams`, `finding`, `overdue`, `dead_letters`, `history`, `replay`, `rooms`: the questions
//! - `merged_range`: the entries of several streams in the order of their ids

mod arguments;
mod context;
mod dead_letters;
mod effect;
mod finding;
mod history;
mod known_groups;
mod letter_choice;
pub(crate) mod merged_range;
mod overdue;
mod question;
mod replay;
mod rooms;
mod streams;
#[cfg(test)]
mod tests;
mod told_events;

use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use arguments::Arguments;
pub(crate) use context::Context;
pub(crate) use effect::Effect;
use question::Question;

use crate::host::Answer;

/// The questions, by the file that answers them.
const QUESTIONS: [&[Question]; 7] = [
    streams::QUESTIONS,
    finding::QUESTIONS,
    overdue::QUESTIONS,
    dead_letters::QUESTIONS,
    history::QUESTIONS,
    replay::QUESTIONS,
    rooms::QUESTIONS,
];

/// The name and the arguments of each question that [`Client::request`](crate::Client::request) answers.
pub fn questions() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    QUESTIONS.into_iter().flatten().map(|question| (question.name, question.arguments))
}

/// The same arguments, in which a stream that is named has the name of its key.
fn with_keys(context: &Context, mut args: Value) -> Value {
    for argument in ["stream", "name"] {
        if let Some(Value::String(name)) = args.get_mut(argument)
            && !name.is_empty()
        {
            *name = context.config.keys.of_stream(name).into_owned();
        }
    }
    args
}

/// Answers a question with its arguments, one object.
///
/// # Errors
/// `INVALID_OPTIONS` with the path of the bad argument, `NO_STREAM`, `NO_GROUP`, and those of the store.
pub(crate) async fn call(context: &Context, name: &str, args: Value) -> Result<Answer, BusError> {
    let Some(question) = QUESTIONS.into_iter().flatten().find(|question| question.name == name) else {
        return Err(BusError::new(ErrorKind::Internal, format!("there is no method {name:?}")));
    };
    (question.answer)(context, Arguments::of(with_keys(context, args), question.arguments)?).await
}
