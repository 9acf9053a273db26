//! What a scripted server answers to which command.

use std::collections::HashMap;
use std::time::Duration;

use crate::resp::Value;

/// A command as it came: its name first, as the client wrote it.
pub type Command = Vec<Vec<u8>>;

/// The pseudo command of a connection that is accepted.
const CONNECT: &str = "(connect)";

/// One thing that a scripted server does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Answers with a value, in the protocol of the connection.
    Reply(Value),
    /// Answers with an error, such as `LOADING Redis is loading the dataset in memory`.
    Error(String),
    /// Writes bytes as they are: half a reply, garbage, or (empty) no answer at all.
    Raw(Vec<u8>),
    /// Closes the connection without an answer.
    Close,
    /// Closes the connection with a reset, as if the command had never been read: it is not recorded.
    CloseBeforeRead,
    /// Answers neither this nor any later command of the connection; they are read and recorded.
    Silence,
    /// Does the step later; the connection reads nothing meanwhile.
    Delay(Duration, Box<Step>),
    /// Does all of these, in order.
    All(Vec<Step>),
    /// Answers as if there were no script.
    Default,
}

impl Step {
    /// `+OK`.
    pub fn ok() -> Self {
        Step::Reply(Value::Simple("OK".into()))
    }

    /// An integer reply.
    pub fn int(number: i64) -> Self {
        Step::Reply(Value::Int(number))
    }

    /// A bulk string reply.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Step::Reply(Value::bulk(bytes))
    }

    /// An error reply.
    pub fn error(text: impl Into<String>) -> Self {
        Step::Error(text.into())
    }

    /// Bytes as they are.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Step::Raw(bytes.into())
    }

    /// This step, later.
    pub fn after(self, delay: Duration) -> Self {
        Step::Delay(delay, Box::new(self))
    }

    /// This step, then another, such as half a reply and [`Step::Close`].
    pub fn then(self, next: Step) -> Self {
        match self {
            Step::All(mut steps) => {
                steps.push(next);
                Step::All(steps)
            }
            first => Step::All(vec![first, next]),
        }
    }
}

type Answer = dyn FnMut(&Command) -> Option<Step> + Send;

/// Steps by command; what is not scripted is answered so that clients get through their handshake:
/// `HELLO`, `AUTH`, `SELECT`, `CLIENT`, `PING`, `ECHO`, `ROLE`, `INFO`, `QUIT` and the subscribe
/// family. Any other command is unknown.
#[derive(Default)]
pub struct Script {
    steps: HashMap<String, Vec<Step>>,
    calls: HashMap<String, usize>,
    answer: Option<Box<Answer>>,
}

impl Script {
    /// A script without steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does one of `steps` per call of `command`, counted over all connections; the last repeats.
    /// The name, in any case, may hold a subcommand (`"CLIENT SETNAME"`), which goes before the
    /// bare name. No steps: as if it were not scripted.
    pub fn on(mut self, command: &str, steps: impl IntoIterator<Item = Step>) -> Self {
        self.set(command, steps);
        self
    }

    /// Does one of `steps` when a connection is accepted, counted in connections; the last repeats.
    pub fn on_connect(self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.on(CONNECT, steps)
    }

    /// Asks `answer` about every command first; `None` leaves it to the steps.
    pub fn answer_with(mut self, answer: impl FnMut(&Command) -> Option<Step> + Send + 'static) -> Self {
        self.answer = Some(Box::new(answer));
        self
    }

    /// Refuses `HELLO` as Redis 5 does.
    pub fn hello_unknown(self) -> Self {
        self.on("HELLO", [Step::error("ERR unknown command `HELLO`, with args beginning with: `3`, ")])
    }

    pub(super) fn set(&mut self, command: &str, steps: impl IntoIterator<Item = Step>) {
        let name = if command == CONNECT { command.to_owned() } else { command.to_uppercase() };
        self.calls.remove(&name);
        self.steps.insert(name, steps.into_iter().collect());
    }

    pub(super) fn step_on_connect(&mut self) -> Step {
        self.next(CONNECT).unwrap_or(Step::All(Vec::new()))
    }

    pub(super) fn step(&mut self, command: &Command) -> Step {
        if let Some(step) = self.answer.as_mut().and_then(|answer| answer(command)) {
            return step;
        }
        let word = |index: usize| command.get(index).map(|arg| String::from_utf8_lossy(arg).to_uppercase());
        let name = word(0).unwrap_or_default();
        let with_subcommand = word(1).map(|second| format!("{name} {second}"));
        with_subcommand
            .and_then(|full| self.next(&full))
            .or_else(|| self.next(&name))
            .unwrap_or(Step::Default)
    }

    fn next(&mut self, name: &str) -> Option<Step> {
        let steps = self.steps.get(name)?;
        let last = steps.len().checked_sub(1)?;
        let call = self.calls.entry(name.to_owned()).or_default();
        let step = steps[last.min(*call)].clone();
        *call += 1;
        Some(step)
    }
}
