//! Addresses of Redis as URLs. Nothing of a URL is ever shown in an error, since any part of one
//! that is badly written may be a piece of its password.

use std::net::Ipv6Addr;

use url::Url;

use crate::config::notice::Notice;
use crate::config::secret::Secret;
use crate::config::url_parameters;
use crate::error::{BusError, ErrorKind};

/// The port of a server whose address names none.
pub(super) const DEFAULT_PORT: u16 = 6379;

/// Where a URL points.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// A host, a port, or neither: what is missing has its default.
    Tcp { host: Option<String>, port: Option<u16> },
    /// A unix socket.
    Unix { path: String },
}

/// What a URL says; what it leaves out is `None`.
#[derive(Debug, PartialEq)]
pub(super) struct Endpoint {
    pub(super) place: Place,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<u32>,
    pub(super) tls: bool,
}

/// Reads `redis://`, `rediss://`, `valkey://`, `valkeys://`, `unix://` or `redis+unix://`; errors are at `path`.
pub(super) fn parse(path: &str, text: &str, notices: &mut Vec<Notice>) -> Result<Endpoint, BusError> {
    Reading { path }.endpoint(text.trim(), notices)
}

/// The largest database number that a server can be configured for.
pub(super) const MAX_DATABASE: u32 = i32::MAX as u32;

/// Accepts a host name or an IP address (IPv6 without brackets).
pub(super) fn check_host(path: &str, host: &str) -> Result<(), BusError> {
    let refuse = |why: &str| Err(BusError::at(ErrorKind::InvalidConfig, path, why));
    if host.is_empty() || host.len() > 255 {
        return refuse("expected a host name of 1 to 255 characters");
    }
    if host.chars().any(|c| c.is_control() || c.is_whitespace() || "/@?#[]".contains(c)) {
        return refuse("expected a host name or an IP address; an address with a scheme is a 'url'");
    }
    // A zone (`fe80::1%eth0`) is not part of what Ipv6Addr reads.
    let address = host.split('%').next().unwrap_or(host);
    if host.contains(':') && address.parse::<Ipv6Addr>().is_err() {
        return refuse(
            "expected a host name or an IP address without a port; the port is a field of its own",
        );
    }
    Ok(())
}

/// A host without the brackets that an IPv6 address has in a URL.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether both places give the same host: the names of hosts have no case.
pub(super) fn same_host(one: Option<&str>, other: Option<&str>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.eq_ignore_ascii_case(other))
}

/// Two places give different values.
pub(super) struct Differs;

/// The value that one place gives, or both.
pub(super) fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, Differs> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(Differs),
        (one, other) => Ok(one.or(other)),
    }
}

struct Reading<'a> {
    path: &'a str,
}

impl Reading<'_> {
    fn fault(&self, message: impl std::fmt::Display) -> BusError {
        BusError::at(ErrorKind::InvalidConfig, self.path, message)
    }

    fn endpoint(&self, text: &str, notices: &mut Vec<Notice>) -> Result<Endpoint, BusError> {
        // The URL standard deletes tabs and newlines, which would silently change a password.
        if text.chars().any(char::is_control) {
            return Err(self.fault("the URL holds control characters; write them percent-encoded"));
        }
        let (tls, unix) = match text
            .split_once("://")
            .map(|(scheme, _)| scheme.to_ascii_lowercase())
            .as_deref()
        {
            Some("redis" | "valkey") => (false, false),
            Some("rediss" | "valkeys") => (true, false),
            Some("unix" | "redis+unix") => (false, true),
            _ => {
                let expected = "expected a URL with redis://, rediss://, valkey://, valkeys://, unix:// or redis+unix://";
                return Err(self.fault(expected));
            }
        };
        let url = parse_url(text, unix).map_err(|e| {
            let hint = "in a password, the characters / ? # [ ] @ are written percent-encoded";
            self.fault(format_args!("not a valid URL ({e}); {hint}"))
        })?;
        if url.fragment().is_some() {
            return Err(self.fault("the URL holds a '#'; in a password it is written %23"));
        }
        let mut endpoint = Endpoint {
            place: if unix { self.socket(&url)? } else { self.server(&url)? },
            username: self.decoded("the user name", url.username())?,
            password: self.decoded("the password", url.password().unwrap_or_default())?.map(Secret::new),
            database: if unix { None } else { self.database(url.path().trim_start_matches('/'))? },
            tls,
        };
        notices.extend(self.query(&url, &mut endpoint)?);
        Ok(endpoint)
    }

    fn server(&self, url: &Url) -> Result<Place, BusError> {
        let host = url.host_str().unwrap_or_default();
        let host = self.decoded("the host", without_brackets(host))?;
        if let Some(host) = &host {
            check_host(self.path, host)?;
        }
        if url.port() == Some(0) {
            return Err(self.fault("the port is not from 1 to 65535"));
        }
        Ok(Place::Tcp { host, port: url.port() })
    }

    fn socket(&self, url: &Url) -> Result<Place, BusError> {
        let local = matches!(url.host_str(), None | Some("" | "localhost")) && url.port().is_none();
        match self.decoded("the path", url.path())? {
            Some(path) if local && path.len() > 1 => Ok(Place::Unix { path }),
            _ => Err(self.fault("expected the absolute path of a socket, such as unix:///run/redis.sock")),
        }
    }

    fn database(&self, text: &str) -> Result<Option<u32>, BusError> {
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse().ok().filter(|n| *n <= MAX_DATABASE);
        number.map(Some).ok_or_else(|| self.fault("the database in the URL is not a number from 0"))
    }

    /// Reads the query. Parameters that have no meaning here give a warning.
    fn query(&self, url: &Url, endpoint: &mut Endpoint) -> Result<Vec<Notice>, BusError> {
        let mut ignored = Vec::new();
        for pair in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "db" | "database" => {
                    self.complete("database", &mut endpoint.database, self.database(value)?)?
                }
                "user" | "username" => {
                    let name = self.decoded("the user name", value)?;
                    self.complete("user name", &mut endpoint.username, name)?;
                }
                "pass" | "password" => {
                    let password = self.decoded("the password", value)?.map(Secret::new);
                    self.complete("password", &mut endpoint.password, password)?;
                }
                // What asks for TLS must not end in plain text.
                "tls" | "ssl" if !endpoint.tls && !matches!(value, "false" | "0" | "off" | "no") => {
                    return Err(
                        self.fault("the URL asks for TLS in its query; write rediss:// or valkeys://")
                    );
                }
                "tls" | "ssl" => {}
                _ => {
                    let known = "the URL holds a query parameter that is not known; known are db, user, pass \
                                 (a '?' in a password is written %3F)";
                    ignored.push(url_parameters::ignored(self.path, name).ok_or_else(|| self.fault(known))?);
                }
            }
        }
        Ok(ignored)
    }

    /// Takes what a query parameter says, unless the URL has said something else before.
    fn complete<T: PartialEq>(
        &self,
        what: &str,
        known: &mut Option<T>,
        value: Option<T>,
    ) -> Result<(), BusError> {
        let differs = |Differs| self.fault(format_args!("the URL gives two different values for the {what}"));
        *known = agreed(known.take(), value).map_err(differs)?;
        Ok(())
    }

    /// `text` without percent-encoding; `None` when it is empty.
    fn decoded(&self, what: &str, text: &str) -> Result<Option<String>, BusError> {
        if text.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            let hex = |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16));
            match (first, hex(0), hex(1)) {
                (b'%', Some(high), Some(low)) => {
                    bytes.push((high * 16 + low) as u8);
                    rest = &after[2..];
                }
                // A lone '%' stands for itself, as in every browser.
                _ => {
                    bytes.push(first);
                    rest = after;
                }
            }
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| self.fault(format_args!("{what} in the URL is not UTF-8 when decoded")))?;
        Ok(Some(text))
    }
}

fn parse_url(text: &str, unix: bool) -> Result<Url, url::ParseError> {
    // A URL with a user needs a host; that of a unix socket has none to give.
    match text.split_once("@/") {
        Some((before, after)) if unix => Url::parse(&format!("{before}@localhost/{after}")),
        _ => Url::parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: Option<&str>, port: Option<u16>) -> Endpoint {
        let place = Place::Tcp { host: host.map(str::to_owned), port };
        Endpoint { place, username: None, password: None, database: None, tls: false }
    }

    fn unix(path: &str) -> Endpoint {
        Endpoint { place: Place::Unix { path: path.to_owned() }, ..tcp(None, None) }
    }

    fn user(username: &str, password: &str, endpoint: Endpoint) -> Endpoint {
        let filled = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        Endpoint { username: filled(username), password: filled(password).map(Secret::new), ..endpoint }
    }

    #[test]
    fn urls_that_are_read() {
        let db = |n, endpoint| Endpoint { database: Some(n), ..endpoint };
        for (text, expected) in [
            ("redis://localhost:6379", tcp(Some("localhost"), Some(6379))),
            ("redis://", tcp(None, None)),
            ("redis:///2", db(2, tcp(None, None))),
            (" REDIS://h/\n", tcp(Some("h"), None)),
            ("rediss://h", Endpoint { tls: true, ..tcp(Some("h"), None) }),
            ("valkey://h:1/2", db(2, tcp(Some("h"), Some(1)))),
            ("VALKEYS://u:p@h", Endpoint { tls: true, ..user("u", "p", tcp(Some("h"), None)) }),
            ("rediss://h?ssl=true", Endpoint { tls: true, ..tcp(Some("h"), None) }),
            ("redis://h?tls=false", tcp(Some("h"), None)),
            ("redis://[::1]:7/3", db(3, tcp(Some("::1"), Some(7)))),
            ("redis://u:p%40%3A%2f%C3%A9@h", user("u", "p@:/é", tcp(Some("h"), None))),
            ("redis://:100%@h", user("", "100%", tcp(Some("h"), None))),
            ("redis://:a@b^c d@h", user("", "a@b^c d", tcp(Some("h"), None))),
            ("redis://default:@h", user("default", "", tcp(Some("h"), None))),
            ("redis://h?db=4", db(4, tcp(Some("h"), None))),
            ("unix:///run/redis.sock", unix("/run/redis.sock")),
            ("redis+unix:///a%20b?db=1&user=u&pass=p+q", user("u", "p+q", db(1, unix("/a b")))),
            ("unix://u:p@/run/r.sock", user("u", "p", unix("/run/r.sock"))),
        ] {
            let mut notices = Vec::new();
            assert_eq!(parse("redis", text, &mut notices), Ok(expected), "{text}");
            assert_eq!(notices, [], "{text}");
        }
    }

    #[test]
    fn urls_that_are_refused_show_nothing_of_themselves() {
        for (text, why) in [
            ("", "expected a URL"),
            ("localhost:6379", "expected a URL"),
            ("http://h", "expected a URL"),
            ("redis:h", "expected a URL"),
            ("redis://h:70000", "port"),
            ("redis://h:0", "port"),
            ("redis://h:x", "port"),
            ("redis://h/x", "database"),
            ("redis://h/-1", "database"),
            ("redis://h/1/2", "database"),
            ("redis://h/4294967295", "database"),
            ("redis://:hun/ter2@h", "(empty host); in a password, the characters /"),
            ("redis://:123#ter2@h", "host"),
            ("redis://u#hunter2@h", "%23"),
            ("redis://u?hunter2@h", "%3F"),
            ("redis://u?family=1&hunter2@h", "%3F"),
            ("redis://u?hunter2=x", "not known"),
            ("redis://h?ssl=true", "rediss://"),
            ("valkey://h?pass=hunter2&tls=1", "valkeys://"),
            ("redis://:hunter2@", "host"),
            ("redis://:hun\tter2@h", "control"),
            ("redis://:%ff@h", "UTF-8"),
            ("redis://a%20b", "host name"),
            ("unix://", "absolute path"),
            ("unix:///", "absolute path"),
            ("unix://host/run/r.sock", "absolute path"),
        ] {
            let error = parse("REDIS_URL", text, &mut Vec::new()).unwrap_err();
            assert_eq!(error.path.as_deref(), Some("REDIS_URL"));
            assert!(error.message.contains(why), "{text}: {error}");
            assert!(!error.message.contains("ter2"), "{error}");
        }
    }
    #[test]
    fn parameters_of_other_clients_are_ignored_with_a_warning_that_shows_no_value() {
        let mut notices = Vec::new();
        let text = "redis://h?FAMILY=6&db=3&socket_timeout=hunter2&database=3";
        assert_eq!(parse("REDIS_URL", text, &mut notices).unwrap().database, Some(3));
        let told: Vec<&str> = notices.iter().map(|notice| notice.message.as_str()).collect();
        assert!(
            told[0].starts_with(r#"the query parameter "family" of REDIS_URL has no meaning here"#),
            "{told:?}"
        );
        assert!(told[1].contains(r#""socket_timeout""#) && told[1].contains("commandTimeout"), "{told:?}");
        assert_eq!((notices.len(), notices[0].code), (2, "OPTION_IGNORED"));
        assert!(!format!("{notices:?}").contains("hunter2"));
    }
}
