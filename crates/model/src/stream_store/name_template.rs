//! Names of keys that are made from other names, such as `dlq:{stream}`.

/// A name with a place for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate {
    before: Box<str>,
    after: Box<str>,
}

impl NameTemplate {
    /// What stands before the other name, and behind it.
    pub fn new(before: &str, after: &str) -> NameTemplate {
        NameTemplate { before: before.into(), after: after.into() }
    }

    /// The name that is made from `name`.
    pub fn of(&self, name: &str) -> String {
        [&*self.before, name, &*self.after].concat()
    }

    /// What `name` was made from; `None` where it was not made by this template.
    pub fn name_in<'a>(&self, name: &'a str) -> Option<&'a str> {
        let inside = name.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        (!inside.is_empty()).then_some(inside)
    }
}

/// A template as users write it, in which `{prefix}` is the prefix of the client, and `{{` and `}}` are braces.
#[derive(Clone, Debug)]
pub(crate) struct NameText(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Prefix,
    Name,
}

impl NameText {
    /// Reads a template. `place` is the name of its one place, `None` where it has none.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &str, place: Option<&str>) -> Result<NameText, String> {
        if text.is_empty() {
            return Err("must not be empty".to_owned());
        }
        if text.len() > MAX_BYTES || text.chars().any(char::is_control) {
            return Err(format!("has at most {MAX_BYTES} bytes, and no control characters"));
        }
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, found) = rest.split_at(at);
            plain.push_str(before);
            if let Some(brace) = ["{{", "}}"].into_iter().find(|twice| found.starts_with(twice)) {
                plain.push_str(&brace[1..]);
                rest = &found[2..];
                continue;
            }
            let Some((name, behind)) = found.strip_prefix('{').and_then(|found| found.split_once('}')) else {
                return Err("has a brace without the other one; '{{' and '}}' are braces".to_owned());
            };
            let part = match name {
                "prefix" => Part::Prefix,
                name if Some(name) == place => Part::Name,
                name => return Err(unknown(name, place)),
            };
            parts.extend([Part::Text(std::mem::take(&mut plain)), part]);
            rest = behind;
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        let count = parts.iter().filter(|part| **part == Part::Name).count();
        match place {
            Some(place) if count != 1 => Err(format!("must have {{{place}}} once")),
            _ => Ok(NameText(parts)),
        }
    }

    /// The template for a client with this prefix. Without a place, the name is what stands before it.
    pub(crate) fn under(&self, prefix: &str) -> NameTemplate {
        let mut texts = [String::new(), String::new()];
        let mut at = 0;
        for part in &self.0 {
            match part {
                Part::Text(text) => texts[at].push_str(text),
                Part::Prefix => texts[at].push_str(prefix),
                Part::Name => at = 1,
            }
        }
        NameTemplate::new(&texts[0], &texts[1])
    }

    /// The name for a client with this prefix, of a template without a place.
    pub(crate) fn name_under(&self, prefix: &str) -> String {
        self.under(prefix).of("")
    }
}

/// The longest template, in bytes.
const MAX_BYTES: usize = 256;

fn unknown(name: &str, place: Option<&str>) -> String {
    let known = place.map(|place| format!("{{{place}}} and ")).unwrap_or_default();
    format!("{{{name}}} is none of its places: those are {known}{{prefix}}; '{{{{' and '}}}}' are braces")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_and_found_again() {
        for (text, made) in [
            ("dlq:{stream}", "dlq:orders"),
            ("{stream}_dlq", "orders_dlq"),
            ("{prefix}s:{stream}:x", "p:s:orders:x"),
            ("{{app}}:{stream}", "{app}:orders"),
            ("{stream}", "orders"),
        ] {
            let template = NameText::read(text, Some("stream")).unwrap().under("p:");
            assert_eq!(template.of("orders"), made);
            assert_eq!(template.name_in(made), Some("orders"));
            assert_eq!(template.name_in(""), None);
        }
        let template = NameTemplate::new("a", "a");
        assert_eq!(
            (template.name_in("a"), template.name_in("aa"), template.name_in("axa")),
            (None, None, Some("x"))
        );
        assert_eq!(NameText::read("{prefix}kept", None).unwrap().name_under("p:"), "p:kept");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, place, message) in [
            ("", Some("id"), "must not be empty"),
            ("a", Some("id"), "must have {id} once"),
            ("{id}{id}", Some("id"), "must have {id} once"),
            (
                "{stream}",
                Some("id"),
                "{stream} is none of its places: those are {id} and {prefix}; '{{' and '}}' are braces",
            ),
            ("{id}", None, "{id} is none of its places: those are {prefix}; '{{' and '}}' are braces"),
            ("{id", Some("id"), "has a brace without the other one; '{{' and '}}' are braces"),
            ("{id}}", Some("id"), "has a brace without the other one; '{{' and '}}' are braces"),
            ("{id}\n", Some("id"), "has at most 256 bytes, and no control characters"),
        ] {
            assert_eq!(NameText::read(text, place).unwrap_err(), message);
        }
    }
}
