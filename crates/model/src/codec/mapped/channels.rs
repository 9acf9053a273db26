//! Rules for the channels of events: which types go where, by templates such as `campaign:{data.campaignId}:status`.

use super::source::{Slot, Source};
use super::writing::{Values, at};
use crate::BusError;
use crate::codec::json::text_of;
use crate::codec::new_event::{Metadata, NewEvent, Origin};
use crate::error::ErrorKind;
use crate::routing::overlap::overlap;
use crate::routing::pattern;
use crate::routing::server_subscription::ServerSubscription;

/// Which events go to which channels. The first rule that has the type of an event counts.
#[derive(Debug, PartialEq)]
pub struct ChannelRules {
    rules: Box<[Rule]>,
}

#[derive(Debug, PartialEq)]
struct Rule {
    /// A pattern of types.
    types: Box<str>,
    to: Box<[Template]>,
}

/// A text, such as the name of a channel, with places for what an event says.
#[derive(Debug, PartialEq)]
pub(super) struct Template {
    parts: Box<[Part]>,
}

#[derive(Debug, PartialEq)]
enum Part {
    Text(Box<str>),
    /// The type.
    Type,
    /// Something else of the event: its path, for errors, and what it is.
    Value(Box<str>, Source),
}

impl ChannelRules {
    /// Reads rules: each a pattern of types, and the templates of its channels.
    ///
    /// # Errors
    /// The index of the rule, that of the template, and what is wrong with it.
    pub(in crate::codec) fn new(rules: &[(&str, &[&str])]) -> Result<ChannelRules, (usize, usize, String)> {
        let mut read = Vec::with_capacity(rules.len());
        for (r, (types, templates)) in rules.iter().enumerate() {
            let to = templates.iter().enumerate().map(|(t, text)| Template::new(text).map_err(|e| (r, t, e)));
            read.push(Rule { types: (*types).into(), to: to.collect::<Result<_, _>>()? });
        }
        Ok(ChannelRules { rules: read.into() })
    }

    fn rule_of(&self, event_type: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| pattern::matches(rule.types.as_bytes(), event_type.as_bytes()))
    }

    /// Whether events of a type go to several channels, so that one may come twice.
    pub fn repeats(&self, event_type: &str) -> bool {
        self.rule_of(event_type).is_some_and(|rule| rule.to.len() > 1)
    }

    /// Gives the channels of an event to `out`, each with the prefix.
    ///
    /// # Errors
    /// `INVALID_DATA` with the path of what a template needs and the event has not, and of a value that is not text, a number
    /// or a truth value, is empty, or has control characters.
    pub fn write(
        &self,
        out: &mut impl FnMut(&str),
        prefix: &str,
        origin: &Origin,
        event: &NewEvent<'_>,
    ) -> Result<(), BusError> {
        let mut name = String::from(prefix);
        let Some(rule) = self.rule_of(event.event_type) else {
            name.push_str(event.event_type);
            out(&name);
            return Ok(());
        };
        for template in &rule.to {
            name.truncate(prefix.len());
            template.write(&mut name, "a channel", origin, event)?;
            out(&name);
        }
        Ok(())
    }

    /// What the server has to be asked for so that every event whose type a pattern matches comes, in the order of the
    /// rules.
    pub fn server_subscriptions(&self, prefix: &str, types: &str) -> Vec<ServerSubscription> {
        let mut wanted = Vec::new();
        let mut add = |subscription| {
            if !wanted.contains(&subscription) {
                wanted.push(subscription);
            }
        };
        for rule in &self.rules {
            if !overlap(rule.types.as_bytes(), types.as_bytes()) {
                continue;
            }
            for template in &rule.to {
                add(template.server_subscription(prefix, &rule.types, types));
            }
            // What this rule takes, no other gets.
            if covers(&rule.types, types) {
                return wanted;
            }
        }
        add(ServerSubscription::under(prefix, types));
        wanted
    }
}

impl Template {
    /// Reads a text with parts of an event in braces.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(text: &str) -> Result<Template, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        if text.is_empty() {
            return Err("must not be empty".to_owned());
        }
        if text.chars().any(char::is_control) {
            return Err("must not hold control characters".to_owned());
        }
        while let Some(start) = rest.find('{') {
            let (before, opened) = rest.split_at(start);
            let Some(end) = opened.find('}') else { return Err("has a '{' without a '}'".to_owned()) };
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            let path = &opened[1..end];
            parts.push(match Source::of_path(path) {
                Some(Source::Slot(Slot::Type)) => Part::Type,
                Some(Source::OtherMetadata | Source::Slot(Slot::Data)) | None => {
                    return Err(format!(
                        "{{{path}}} is none of {{type}}, {{id}}, {{data.<path>}} and {{metadata.<name>}}"
                    ));
                }
                Some(source) => Part::Value(path.into(), source),
            });
            rest = &opened[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Template { parts: parts.into() })
    }

    /// Appends the text for an event, which is `what` of it.
    ///
    /// # Errors
    /// As [`ChannelRules::write`].
    pub(super) fn write(
        &self,
        out: &mut String,
        what: &str,
        origin: &Origin,
        event: &NewEvent<'_>,
    ) -> Result<(), BusError> {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Type => out.push_str(event.event_type),
                Part::Value(path, source) => {
                    let refused = |message: String| BusError::at(ErrorKind::InvalidData, &**path, message);
                    let value = value_of(source, origin, event).ok_or_else(|| {
                        refused(format!("is missing, and {what} of this event is named by it"))
                    })?;
                    if value.is_empty() || value.chars().any(char::is_control) {
                        return Err(refused(format!(
                            "names {what}: it must not be empty, and must not hold control characters"
                        )));
                    }
                    out.push_str(&value);
                }
            }
        }
        Ok(())
    }

    /// What brings all messages on channels of this template whose type both patterns match.
    fn server_subscription(&self, prefix: &str, rule: &str, types: &str) -> ServerSubscription {
        let narrow = if pattern::is_glob(rule.as_bytes()) { types } else { rule };
        let (mut name, mut glob) = (prefix.to_owned(), pattern::escape(prefix));
        let mut exact = true;
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    name.push_str(text);
                    glob.push_str(&pattern::escape(text));
                }
                Part::Type => {
                    exact &= !pattern::is_glob(narrow.as_bytes());
                    name.push_str(narrow);
                    glob.push_str(narrow);
                }
                Part::Value(..) => {
                    exact = false;
                    glob.push('*');
                }
            }
        }
        if exact {
            ServerSubscription::Channel(name.into_bytes().into())
        } else {
            ServerSubscription::Pattern(glob.into_bytes().into())
        }
    }
}

/// Whether a pattern has all types that `types` has, as far as that is plain.
fn covers(rule: &str, types: &str) -> bool {
    let of_prefix = |prefix: &str| !pattern::is_glob(prefix.as_bytes()) && types.starts_with(prefix);
    rule == types
        || rule.strip_suffix('*').is_some_and(of_prefix)
        || (!pattern::is_glob(types.as_bytes()) && pattern::matches(rule.as_bytes(), types.as_bytes()))
}

/// A value as it stands in the name of a channel; `None` for an object, a list and null.
fn value_of(source: &Source, origin: &Origin, event: &NewEvent<'_>) -> Option<String> {
    if let Source::DataAt(path) = source {
        let json = at(event.data, path)?;
        return match json.as_bytes().first() {
            Some(b'"') => text_of(json).map(|text| text.into_owned()),
            Some(b'{' | b'[' | b'n') | None => None,
            Some(_) => Some(json.to_owned()),
        };
    }
    let none = Metadata::default();
    let values = Values { origin, event, metadata: event.metadata.unwrap_or(&none) };
    let value = values.plain(source)?;
    Some(value.into_owned())
}
