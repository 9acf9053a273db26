//! Which server is the master, from what several sentinels say.
//!
//! Sentinels number the configurations of a master: each failover has a higher *epoch* than all before. So a sentinel that
//! was cut off is told from those that know better. What most of the sentinels name is believed at once; what fewer name
//! has to be proven first, by asking the server itself for its role.

use crate::config::Address;
use crate::error::{BusError, ErrorKind};
use crate::server_error::needs_a_person;

/// A master that a sentinel names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMaster {
    /// Its address.
    pub address: Address,
    /// The epoch of its configuration; `None` where the sentinel does not tell it.
    pub epoch: Option<u64>,
}

/// What is known of one sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// It has not answered yet.
    Pending,
    /// It names a master.
    Names(NamedMaster),
    /// It watches no master of that name.
    Unknown,
    /// It could not be asked, or has refused to answer.
    Unreachable(BusError),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Stay,
    /// This is the master from now on.
    Follow(Address),
    /// The server is to be asked whether it is a master: [`MasterChoice::proven`] or [`MasterChoice::doubted`].
    Prove(Address),
}

/// Chooses the master.
#[derive(Debug)]
pub struct MasterChoice {
    name: String,
    sentinels: Vec<(Address, Opinion)>,
    current: Option<NamedMaster>,
    /// Servers that are said to be the master and are not known to be one, and why: at most one for each sentinel.
    doubted: Vec<(Address, BusError)>,
    /// The one that is being asked.
    proving: Option<Address>,
}

impl MasterChoice {
    /// The choice of the master `name` of these sentinels, none of which has answered.
    pub fn new(name: &str, sentinels: &[Address]) -> MasterChoice {
        MasterChoice {
            name: name.to_owned(),
            sentinels: sentinels.iter().map(|address| (address.clone(), Opinion::Pending)).collect(),
            current: None,
            doubted: Vec::new(),
            proving: None,
        }
    }

    /// The master.
    pub fn current(&self) -> Option<&Address> {
        self.current.as_ref().map(|current| &current.address)
    }

    /// What is known of each sentinel, in the order of the configuration.
    pub fn opinions(&self) -> &[(Address, Opinion)] {
        &self.sentinels
    }

    /// A sentinel, given by its number, was asked.
    pub fn told(&mut self, sentinel: usize, opinion: Opinion) {
        if let Some((_, known)) = self.sentinels.get_mut(sentinel) {
            *known = opinion;
        }
        let Self { sentinels, doubted, .. } = self;
        doubted.retain(|(address, _)| names(sentinels).any(|named| named.address == *address));
    }

    /// A server that was to be proven is a master.
    pub fn proven(&mut self, address: &Address) {
        self.proving.take_if(|proving| proving == address);
        self.doubted.retain(|(doubted, _)| doubted != address);
        if self.votes(address) > 0 {
            self.current = Some(NamedMaster { address: address.clone(), epoch: self.epoch(address) });
        }
    }

    /// A server is no master, or could not be asked.
    pub fn doubted(&mut self, address: &Address, why: BusError) {
        self.proving.take_if(|proving| proving == address);
        self.doubted.retain(|(doubted, _)| doubted != address);
        if self.votes(address) > 0 {
            self.doubted.push((address.clone(), why));
        }
    }

    /// What is to be done next. `again`: servers that are in doubt are to be asked once more.
    pub fn next(&mut self, again: bool) -> Next {
        let mut candidates: Vec<NamedMaster> = Vec::new();
        for named in names(&self.sentinels) {
            if !candidates.iter().any(|candidate| candidate.address == named.address) {
                candidates.push(NamedMaster { epoch: self.epoch(&named.address), ..named.clone() });
            }
        }
        // The newest first; among equals the present one, then what most sentinels name.
        let rank = |named: &NamedMaster| {
            (named.epoch, self.current() == Some(&named.address), self.votes(&named.address))
        };
        candidates.sort_by_key(|named| std::cmp::Reverse(rank(named)));
        for named in candidates {
            let is_current = self.current() == Some(&named.address);
            if is_current {
                self.current = Some(named);
                return Next::Stay;
            }
            let is_doubted = self.doubted.iter().any(|(doubted, _)| *doubted == named.address);
            let by_most = self.votes(&named.address) >= self.most();
            let is_older = self.current.as_ref().is_some_and(|current| named.epoch < current.epoch);
            if by_most && !is_doubted {
                let address = named.address.clone();
                self.current = Some(named);
                return Next::Follow(address);
            }
            // A few who know less than was known before are behind.
            if (is_older && !by_most) || (is_doubted && !again) {
                continue;
            }
            if self.proving.is_some() {
                return Next::Stay;
            }
            self.proving = Some(named.address.clone());
            return Next::Prove(named.address);
        }
        Next::Stay
    }

    /// Whether there is something to wait for: a sentinel that has not answered, or a server that is being asked.
    pub fn is_open(&self) -> bool {
        self.proving.is_some() || self.sentinels.iter().any(|(_, opinion)| *opinion == Opinion::Pending)
    }

    /// The error of a client that has no master: what each sentinel says. Where that is so until a person does something, the
    /// kind of the error says what.
    pub fn no_master(&self) -> BusError {
        let unreachable = self.sentinels.iter().map(|(_, opinion)| match opinion {
            Opinion::Unreachable(error) => Some(error.kind),
            _ => None,
        });
        let kinds: Vec<Option<ErrorKind>> = match self.doubted.first() {
            Some((_, why)) => vec![Some(why.kind)],
            None => unreachable.collect(),
        };
        let lasting = |kind: &ErrorKind| needs_a_person(*kind) && *kind != ErrorKind::NotMaster;
        let first = kinds.first().copied().flatten().filter(lasting);
        let kind = first.filter(|kind| kinds.iter().all(|other| *other == Some(*kind)));
        let message = format!("no server is known to be the master {:?}: {}", self.name, self.report());
        BusError::new(kind.unwrap_or(ErrorKind::ConnectionRefused), message)
    }

    /// What each sentinel says, for a person.
    pub fn report(&self) -> String {
        let said: Vec<String> = self
            .sentinels
            .iter()
            .map(|(address, opinion)| format!("{address} {}", self.said(opinion)))
            .collect();
        said.join("; ")
    }

    /// What a sentinel with that opinion says, for a person.
    pub fn said(&self, opinion: &Opinion) -> String {
        match opinion {
            Opinion::Pending => "has not answered yet".to_owned(),
            Opinion::Unknown => format!("knows no master {:?}", self.name),
            Opinion::Unreachable(error) => format!("gives no answer ({})", error.message),
            Opinion::Names(named) => {
                let doubt = self.doubted.iter().find(|(doubted, _)| *doubted == named.address);
                let doubt = doubt.map(|(_, why)| format!(", which is not known to be one ({})", why.message));
                format!("names {}{}", named.address, doubt.unwrap_or_default())
            }
        }
    }

    fn votes(&self, address: &Address) -> usize {
        names(&self.sentinels).filter(|named| named.address == *address).count()
    }

    /// How many sentinels are most of them.
    fn most(&self) -> usize {
        self.sentinels.len() / 2 + 1
    }

    /// The epoch of a server that is named: what most sentinels say of it at least. Where fewer name it, it is the newest that
    /// is said, but for the present master: a single sentinel that says too much of it must not outdo what comes after it.
    fn epoch(&self, address: &Address) -> Option<u64> {
        let of_it = names(&self.sentinels).filter(|named| named.address == *address);
        let mut epochs: Vec<Option<u64>> = of_it.map(|named| named.epoch).collect();
        epochs.sort_by_key(|epoch| std::cmp::Reverse(*epoch));
        match (epochs.get(self.most() - 1), &self.current) {
            (Some(agreed), _) => *agreed,
            (None, Some(current)) if current.address == *address => current.epoch,
            (None, _) => epochs.first().copied().flatten(),
        }
    }
}

fn names(sentinels: &[(Address, Opinion)]) -> impl Iterator<Item = &NamedMaster> {
    sentinels.iter().filter_map(|(_, opinion)| match opinion {
        Opinion::Names(named) => Some(named),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server(n: u16) -> Address {
        Address::Tcp { host: "h".to_owned(), port: n }
    }

    fn choice(sentinels: u16) -> MasterChoice {
        let sentinels: Vec<Address> = (1..=sentinels).map(|n| server(26_000 + n)).collect();
        MasterChoice::new("m", &sentinels)
    }

    fn why(message: &str) -> BusError {
        BusError::new(ErrorKind::NotMaster, message)
    }

    fn names(address: u16, epoch: u64) -> Opinion {
        Opinion::Names(NamedMaster { address: server(address), epoch: Some(epoch) })
    }

    /// Three sentinels that follow server 1 of epoch 5.
    fn settled() -> MasterChoice {
        let mut choice = choice(3);
        for sentinel in 0..3 {
            choice.told(sentinel, names(1, 5));
        }
        assert_eq!((choice.next(false), choice.next(false)), (Next::Follow(server(1)), Next::Stay));
        choice
    }

    #[test]
    fn what_most_sentinels_name_is_believed_and_what_one_names_is_proven() {
        let mut choice = choice(3);
        assert_eq!(choice.next(false), Next::Stay);
        choice.told(0, names(1, 5));
        assert_eq!((choice.next(false), choice.next(false)), (Next::Prove(server(1)), Next::Stay));
        choice.told(2, names(1, 5));
        assert_eq!(choice.next(false), Next::Follow(server(1)));
        // The answer of the server is late, and changes nothing.
        choice.proven(&server(1));
        assert_eq!(choice.next(false), Next::Stay);
        assert_eq!(choice.current(), Some(&server(1)));
        let mut alone = self::choice(1);
        alone.told(0, names(1, 0));
        assert_eq!(alone.next(false), Next::Follow(server(1)));
    }

    #[test]
    fn the_first_that_knows_of_a_failover_is_followed_once_the_server_says_so_too() {
        let mut choice = settled();
        choice.told(1, names(2, 6));
        assert_eq!(choice.next(false), Next::Prove(server(2)));
        choice.proven(&server(2));
        assert_eq!(choice.next(false), Next::Stay);
        assert_eq!(choice.current(), Some(&server(2)));
        // The others come to know it.
        choice.told(0, names(2, 6));
        assert_eq!(choice.next(false), Next::Stay);
    }

    #[test]
    fn a_failover_that_most_sentinels_know_is_followed_at_once() {
        let mut choice = settled();
        choice.told(1, names(2, 6));
        choice.next(false);
        choice.told(2, names(2, 6));
        assert_eq!(choice.next(false), Next::Follow(server(2)));
    }

    #[test]
    fn a_liar_and_one_that_was_cut_off_change_nothing() {
        let mut choice = settled();
        // A server that is none.
        choice.told(0, names(9, 99));
        assert_eq!(choice.next(false), Next::Prove(server(9)));
        choice.doubted(&server(9), why("its role is slave"));
        assert_eq!(choice.next(false), Next::Stay);
        assert_eq!(choice.current(), Some(&server(1)));
        assert!(choice.report().contains("names h:9, which is not known to be one (its role is slave)"));
        // It is asked again when the sentinel says it again.
        choice.told(0, names(9, 99));
        assert_eq!(choice.next(true), Next::Prove(server(9)));
        choice.doubted(&server(9), why("away"));
        // One that says the same epoch as the others, or an older one, is not even asked for.
        choice.told(0, names(2, 4));
        assert_eq!(choice.next(true), Next::Stay);
        // The others are gone: it knows less than was known before.
        for gone in [1, 2] {
            choice.told(gone, Opinion::Unreachable(BusError::new(ErrorKind::ConnectionLost, "gone")));
        }
        assert_eq!(choice.next(true), Next::Stay);
        assert_eq!(choice.current(), Some(&server(1)));
    }

    #[test]
    fn a_master_that_says_it_is_none_is_left_for_another_that_is_named() {
        let mut choice = settled();
        choice.doubted(&server(1), why("its role is slave"));
        assert_eq!(choice.next(true), Next::Stay);
        assert_eq!(choice.current(), Some(&server(1)));
        choice.told(0, names(2, 6));
        assert_eq!(choice.next(false), Next::Prove(server(2)));
        choice.proven(&server(2));
        assert_eq!(choice.current(), Some(&server(2)));
    }

    #[test]
    fn sentinels_that_were_set_up_anew_are_believed_when_they_are_most() {
        let mut choice = settled();
        choice.told(0, names(2, 0));
        assert_eq!(choice.next(false), Next::Stay);
        choice.told(1, names(2, 0));
        // The third is still in doubt and names what was the newest.
        choice.told(2, Opinion::Unknown);
        assert_eq!(choice.next(false), Next::Follow(server(2)));
    }

    #[test]
    fn sentinels_that_tell_no_epoch_are_counted() {
        let mut choice = choice(3);
        let named = |n| Opinion::Names(NamedMaster { address: server(n), epoch: None });
        choice.told(0, named(1));
        choice.told(1, named(2));
        choice.told(2, named(2));
        assert_eq!(choice.next(false), Next::Follow(server(2)));
        choice.told(1, named(1));
        // The present one stays until most of them name another.
        assert_eq!(choice.next(false), Next::Stay);
        choice.told(2, named(1));
        assert_eq!(choice.next(false), Next::Follow(server(1)));
    }

    #[test]
    fn the_report_tells_what_each_sentinel_says() {
        let mut choice = choice(3);
        assert!(choice.is_open());
        choice.told(0, Opinion::Unknown);
        choice.told(1, Opinion::Unreachable(BusError::new(ErrorKind::ConnectionRefused, "refused")));
        choice.told(2, names(1, 1));
        assert!(!choice.is_open());
        let expected = r#"h:26001 knows no master "m"; h:26002 gives no answer (refused); h:26003 names h:1"#;
        assert_eq!(choice.report(), expected);
        let error = choice.no_master();
        assert_eq!(error.kind, ErrorKind::ConnectionRefused);
        assert_eq!(error.message, format!(r#"no server is known to be the master "m": {expected}"#));
        for sentinel in 0..3 {
            assert_eq!(choice.no_master().kind, ErrorKind::ConnectionRefused);
            let refused = BusError::new(ErrorKind::AuthFailed, "no");
            choice.told(sentinel, Opinion::Unreachable(refused));
        }
        assert_eq!(choice.no_master().kind, ErrorKind::AuthFailed);
        choice.told(0, Opinion::Pending);
        assert!(choice.report().starts_with("h:26001 has not answered yet"));
    }

    proptest! {
        #[test]
        fn honest_sentinels_lead_to_the_newest_master_in_whatever_order_they_tell(
            order in Just((0usize..3).collect::<Vec<_>>()).prop_shuffle(),
            liar in 0usize..4,
            lie in (1u16..5, 0u64..9),
        ) {
            // Servers 1 and 2 are masters of epochs 5 and 6 in turn; only the newest is one.
            let mut choice = settled();
            for sentinel in order {
                let opinion = if sentinel == liar { names(lie.0, lie.1) } else { names(2, 6) };
                choice.told(sentinel, opinion);
                for again in [true, false, false, false] {
                    match choice.next(again) {
                        Next::Stay => break,
                        Next::Follow(_) => {}
                        Next::Prove(address) if address == server(2) => choice.proven(&address),
                        Next::Prove(address) => choice.doubted(&address, why("no")),
                    }
                }
            }
            prop_assert_eq!(choice.current(), Some(&server(2)));
        }
    }
}
